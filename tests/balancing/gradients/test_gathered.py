"""Gradients that arrive task by task, dense, sparse and complex."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.gradients import AutogradGradients
from mtctl.balancing.gradients.arriving import Factored
from mtctl.balancing.gradients.gathered import Gathered
from tests.balancing.gradients.models import TASKS

WEIGHTS = torch.tensor([0.5, 9.0, -2.0, 1.5], dtype=torch.float64)


def sparse(rows: list[int], values: Tensor, size: int = 6) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.tensor([rows]), values, (size, *values.shape[1:]), check_invariants=True
    )


def check(gradients: dict[int, Tensor], dtype: torch.dtype = torch.float32) -> Gathered:
    gathered = Gathered(len(gradients) + 1)
    for task, gradient in gradients.items():
        gathered.add(task, gradient)
    dense = [one.to_dense() for one in gradients.values()]
    real = torch.stack([torch.view_as_real(one) if one.is_complex() else one for one in dense]).flatten(1)
    (rows,) = gathered.blocks
    assert rows.tasks == gathered.tasks == tuple(gradients)
    assert gathered.size == 12
    last = max(gradients)
    for read in ([*gradients], [last, 1, last]):
        nothing = torch.zeros(6, 2, dtype=dtype)
        want_rows = torch.stack([gradients[one].to_dense() if one in gradients else nothing for one in read])
        torch.testing.assert_close(gathered.rows(read), want_rows)
    torch.testing.assert_close(rows.values @ rows.values.T, real @ real.T, rtol=1e-5, atol=1e-6)
    found = gathered.weighted(WEIGHTS)
    want = sum(float(WEIGHTS[task]) * one for task, one in zip(gradients, dense, strict=True))
    assert isinstance(want, Tensor)
    assert found.dtype == dtype
    torch.testing.assert_close(found.to_dense(), want, rtol=1e-5, atol=1e-6)
    return gathered


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_dense_and_sparse(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 2, dtype=dtype)
    table = torch.randn(6, 2, dtype=dtype)
    repeated, other = sparse([4, 1, 4], values), sparse([1, 5, 0], -values)
    check({0: table, 2: -table, 3: table + 1}, dtype)
    lean = check({0: repeated, 3: other}, dtype)
    assert lean.weighted(WEIGHTS).is_sparse
    assert lean.blocks[0].values.shape[1] == 4 * 2 * (2 if dtype.is_complex else 1)
    for mixed in ({0: repeated, 2: table, 3: other}, {0: table, 2: repeated}):
        assert not check(mixed, dtype).weighted(WEIGHTS).is_sparse


def test_sparse_in_two_dimensions() -> None:
    torch.manual_seed(0)
    places = torch.tensor([[0, 5, 0], [1, 0, 1]])
    one = torch.sparse_coo_tensor(places, torch.randn(3), (6, 2), check_invariants=True)
    check({0: one, 1: one * -2})


def test_nothing_arrived() -> None:
    nothing = Gathered(3)
    assert (nothing.tasks, nothing.size, nothing.blocks) == ((), 0, [])


def test_sums_of_half_precision_keep_their_digits() -> None:
    gathered = Gathered(2)
    gathered.add(0, torch.full((2,), 256.0, dtype=torch.bfloat16))
    gathered.add(1, torch.ones(2, dtype=torch.bfloat16))
    weights = torch.tensor([1.01, 2.0], dtype=torch.float64)
    found = gathered.weighted(weights)
    assert found.dtype == torch.bfloat16
    assert found.tolist() == [260.0, 260.0]  # of 260.56; 1.01 in bfloat16 would give 258


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 1, 3), (40, 30, 50)])
def test_complex_factors_are_their_product(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    deltas, matrices = (torch.randn(rows, sum(widths), dtype=torch.complex64) for rows in (7, 4))
    factored = Factored((0, 2, 3), widths, deltas, matrices)
    pairs = zip(deltas.split(widths, 1), matrices.split(widths, 1), strict=True)
    parts = [delta @ matrix.t() for delta, matrix in pairs]
    stacked, apart = Gathered.stacked((0, 2, 3), torch.stack(parts)), Gathered(4)
    for task, part in zip((0, 2, 3), parts, strict=True):
        apart.add(task, part)
    real = torch.view_as_real(torch.stack(parts)).flatten(1).double()
    for one in (factored, stacked, apart):
        assert one.size == 28
        torch.testing.assert_close(
            one.gramian(4)[[0, 2, 3]][:, [0, 2, 3]], real @ real.T, rtol=1e-4, atol=1e-3
        )
        torch.testing.assert_close(one.norms(4)[[0, 2, 3]], real.norm(dim=1), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(one.rows([3, 1])[0], parts[2], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.weighted(WEIGHTS), stacked.weighted(WEIGHTS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize(
    ("rows", "own_rows"), [(16, False), (3, False), (12, True)], ids=["long", "short", "own"]
)
@pytest.mark.parametrize("activation", [False, True])
def test_complex_models_of_problems(features: bool, rows: int, own_rows: bool, activation: bool) -> None:
    """All ways: batched, in closed form of rows, and lengths by products of rows."""
    torch.manual_seed(0)
    kind = torch.complex64
    trunk = nn.Sequential(nn.Linear(5, 8, dtype=kind), nn.Tanh(), nn.Linear(8, 6, dtype=kind))
    heads = [nn.Linear(6, width, dtype=kind) for width in (2, 1, 3)]
    shared, own = list(trunk.parameters()), [list(head.parameters()) for head in heads]
    counts = (rows // 3,) * 3 if own_rows else None
    inputs = torch.randn(rows, 5, dtype=kind)

    def make() -> tuple[dict[str, Tensor], Tensor]:
        read = trunk(inputs).tanh() if activation else trunk(inputs)
        parts = read.split(counts) if counts else [read] * 3
        answers = [head(part) for head, part in zip(heads, parts, strict=True)]
        return {
            t: (a - k).abs().square().mean() for k, (t, a) in enumerate(zip(TASKS, answers, strict=True))
        }, read

    def real(found: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([torch.view_as_real(one.resolve_conj()).flatten() for one in found]).double()

    jacobian = torch.stack([real(torch.autograd.grad(make()[0][task], shared)) for task in TASKS])
    last = jacobian[:, -2 * sum(one.numel() for one in shared[-2:]) :]
    losses, read = make()
    gradients = AutogradGradients(
        TASKS,
        losses,
        shared=shared,
        own=own,
        last_shared=shared[-2:],
        features=[read] if features else (),
        rows=counts,
    )
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)
    close(gradients.norms("last_shared"), last.norm(dim=1))
    close(gradients.gramian("all_shared"), jacobian @ jacobian.T)
    close(gradients.jacobian("all_shared").double(), jacobian)
    weights = torch.tensor([0.3, -1.0, 1.7], dtype=torch.float64)
    gradients.combine(weights, torch.ones(3, dtype=torch.float64))
    written = [one.grad for one in shared if one.grad is not None]
    close(real(tuple(written)), weights @ jacobian)
    for task, parameters in zip(TASKS, own, strict=True):
        for one, expected in zip(parameters, torch.autograd.grad(make()[0][task], parameters), strict=True):
            close(one.grad, expected)
    assert gradients.finite()
