"""Passes that start at what the heads read find what passes from each loss find."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn import Parameter

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import AutogradGradients, passes
from mtctl.balancing.gradients.passes import Cut, Passes
from mtctl.errors import MtctlError
from tests.balancing.gradients.models import SHARED_INPUT, TASKS, Case, mlp, unbatchable

SHARED = torch.tensor([0.3, 1.0, 1.7], dtype=torch.float64)
OWN = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)


@pytest.fixture(params=SHARED_INPUT, ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    make: Callable[[], Case] = request.param
    return make()


def close(found: Tensor, expected: Tensor) -> None:
    """Within 1e-5 of the longest row."""
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=1e-5 * float(expected.norm(dim=-1).max())
    )


def written(parameters: list[Parameter]) -> Tensor:
    return torch.cat([(p * 0 if p.grad is None else p.grad).detach().flatten() for p in parameters]).double()


def test_the_rows_are_those_of_passes_one_by_one(case: Case) -> None:
    close(case.gradients().jacobian("all_shared"), case.rows(case.shared))


@pytest.mark.parametrize("space", ["last_shared", "all_shared"])
def test_norms_and_gramian_are_those_of_the_rows(case: Case, space: Space) -> None:
    rows = case.rows(case.shared if space == "all_shared" else case.shared[-2:])
    gradients = case.gradients()
    close(gradients.gramian(space), rows @ rows.T)
    close(gradients.norms(space), rows.norm(dim=1))


def test_the_space_of_features(case: Case) -> None:
    made = case.make()
    rows = (
        torch.stack(
            [
                torch.cat(
                    [
                        (f * 0 if g is None else g).flatten()
                        for g, f in zip(
                            torch.autograd.grad(loss, made.features, retain_graph=True, allow_unused=True),
                            made.features,
                            strict=True,
                        )
                    ]
                )
                for loss in made.losses.values()
            ]
        )
        .detach()
        .double()
    )
    gradients = case.gradients()
    close(gradients.jacobian("features"), rows)
    close(gradients.gramian("features"), rows @ rows.T)
    close(gradients.norms("features"), rows.norm(dim=1))


def test_combined_gradients(case: Case) -> None:
    rows, own = (
        case.rows(case.shared),
        [case.rows(parameters)[task] for task, parameters in enumerate(case.own)],
    )
    case.gradients().combine(SHARED, OWN)
    close(written(case.shared), SHARED @ rows)
    for parameters, weight, row in zip(case.own, OWN, own, strict=True):
        close(written(parameters), weight * row)


def test_weights_of_whole_losses_give_the_weighted_sum(case: Case) -> None:
    """Bit for bit if nothing was asked."""
    parameters = [*case.shared, *(p for own in case.own for p in own)]
    pairs = zip(SHARED.tolist(), case.make().losses.values(), strict=True)
    total = torch.stack([weight * loss for weight, loss in pairs]).sum()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(total, parameters)])
    case.gradients().combine(SHARED, SHARED)
    assert torch.equal(written(parameters), expected.double())
    gradients = case.gradients()
    gradients.norms("features")
    gradients.combine(SHARED, SHARED)
    close(written(parameters), expected.double())


@pytest.mark.parametrize("own", [SHARED, OWN], ids=["equal", "different"])
def test_looking_changes_nothing_but_the_last_digits(case: Case, own: Tensor) -> None:
    everything = [*case.shared, *(p for parameters in case.own for p in parameters)]
    case.gradients().combine(SHARED, own)
    blind = written(everything)
    gradients = case.gradients()
    gradients.norms("last_shared")
    gradients.gramian("all_shared")
    own_norms = gradients.own_norms()
    gradients.combine(SHARED, own)
    close(written(everything), blind)
    assert torch.equal(gradients.own_norms(), own_norms)


def test_features_change_nothing_but_the_way(case: Case) -> None:
    with_features, without = case.gradients(), case.gradients(features=False)
    close(with_features.gramian("all_shared"), without.gramian("all_shared"))
    close(with_features.own_norms(), without.own_norms())
    assert without.how == "one pass per task: no features given"


def test_an_absent_task_counts_as_zero(case: Case) -> None:
    active = [True, False, True]
    rows = case.rows(case.shared) * torch.tensor(active)[:, None]
    gradients = case.gradients(active=active)
    close(gradients.gramian("all_shared"), rows @ rows.T)
    assert gradients.norms("features")[1] == 0
    gradients.combine(SHARED * torch.tensor(active), OWN * torch.tensor(active))
    close(written(case.shared), (SHARED * torch.tensor(active)) @ rows)
    assert all(parameter.grad is None for parameter in case.own[1])


def test_the_way_is_told() -> None:
    gradients = mlp().gradients()
    assert gradients.how == ""
    gradients.norms("features")
    assert gradients.how == ""
    gradients.norms("all_shared")
    assert gradients.how == "batched, 3 tasks at a time"


def test_what_torch_cannot_batch_is_passed_one_by_one_and_said() -> None:
    gradients = unbatchable().gradients()
    gradients.norms("all_shared")
    assert gradients.how.startswith("one pass per task: torch cannot batch them: ")


@pytest.mark.parametrize(
    ("numbers", "how"), [(96 * 2, "batched, 2 tasks at a time"), (96, "one pass per task: ")]
)
def test_large_features_are_passed_in_parts(monkeypatch: pytest.MonkeyPatch, numbers: int, how: str) -> None:
    torch.manual_seed(0)
    case = mlp()
    monkeypatch.setattr(passes, "_BATCH", numbers)
    gradients = case.gradients()
    close(gradients.jacobian("all_shared"), case.rows(case.shared))
    assert gradients.how.startswith(how)


def test_without_features_there_is_no_such_space() -> None:
    with pytest.raises(MtctlError, match="does not name the inputs of its heads"):
        mlp().gradients(features=False).gramian("features")


def test_a_task_that_reads_no_feature_has_no_gradient_there() -> None:
    weight, lonely = Parameter(torch.ones(3)), Parameter(torch.ones(1))
    features = torch.randn(4, 3) * weight
    losses = {
        "red": features.square().mean(),
        "green": (features + 1).square().mean(),
        "blue": lonely.square().sum(),
    }
    gradients = AutogradGradients(
        TASKS, losses, shared=[weight], own=[[], [], [lonely]], last_shared=[weight], features=[features]
    )
    assert gradients.norms("all_shared")[2] == 0
    assert gradients.own_norms()[2] == 2
    gradients.combine(SHARED, OWN)
    assert lonely.grad is not None
    assert lonely.grad.item() == 2


def test_passes_may_start_at_edges_of_the_graph() -> None:
    torch.manual_seed(0)
    case = mlp()
    made = case.make()
    losses, (features,) = dict(enumerate(made.losses.values())), made.features
    found, expected = (
        Passes(losses, Cut(case.own, case.shared, [place])).single(case.shared)
        for place in (get_gradient_edge(features), features)
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.rows(range(3)), other.rows(range(3)))


def test_a_feature_that_nobody_reads_does_not_matter() -> None:
    torch.manual_seed(0)
    case = mlp()
    made = case.make()
    gradients = AutogradGradients(
        TASKS,
        made.losses,
        shared=case.shared,
        own=case.own,
        last_shared=[],
        features=[*made.features, case.trunk(torch.randn(3, 5))],
    )
    close(gradients.jacobian("all_shared"), case.rows(case.shared))
    assert gradients.how == "batched, 3 tasks at a time"
    assert gradients.gramian("last_shared").tolist() == [[0.0] * 3] * 3
    assert gradients.jacobian("features").shape == (3, 16 * 6 + 3 * 6)
