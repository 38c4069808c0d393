"""One backward pass for tasks with rows of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.contract import Space
from tests.balancing.gradients.models import own_rows
from tests.balancing.gradients.test_features import OWN, SHARED, close, written

COUNTS = [(4, 4, 4), (5, 1, 3)]


@pytest.fixture(params=COUNTS, ids=["even", "uneven"])
def counts(request: pytest.FixtureRequest) -> tuple[int, ...]:
    torch.manual_seed(0)
    found: tuple[int, ...] = request.param
    return found


@pytest.mark.parametrize("features", [True, False])
def test_rows_in_closed_form_are_those_of_passes_one_by_one(counts: tuple[int, ...], features: bool) -> None:
    case = own_rows(counts)
    gradients = case.gradients(features=features)
    close(gradients.jacobian("all_shared"), case.rows(case.shared))
    assert gradients.how == "closed form: one backward pass over the rows of all tasks"


@pytest.mark.parametrize("space", ["last_shared", "all_shared"])
def test_norms_and_gramian(counts: tuple[int, ...], space: Space) -> None:
    case = own_rows(counts)
    rows = case.rows(case.shared if space == "all_shared" else case.shared[-2:])
    close(case.gradients().gramian(space), rows @ rows.T)
    close(case.gradients().norms(space), rows.norm(dim=1))


def test_combined_gradients(counts: tuple[int, ...]) -> None:
    case = own_rows(counts)
    rows = case.rows(case.shared)
    case.gradients().combine(SHARED, OWN)
    close(written(case.shared), SHARED @ rows)
    blind = written(case.shared)
    looking = case.gradients()
    looking.norms("last_shared")
    looking.combine(SHARED, OWN)
    assert torch.equal(written(case.shared), blind)


def test_an_absent_task(counts: tuple[int, ...]) -> None:
    case, active = own_rows(counts), torch.tensor([True, False, True])
    rows = case.rows(case.shared) * active[:, None]
    close(case.gradients(active=active.tolist()).gramian("all_shared"), rows @ rows.T)


class _Across(nn.Module):
    """Every row sees the mean of all rows."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs - inputs.mean(0)


@pytest.mark.parametrize(
    ("trunk", "reason"),
    [
        (nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6)), "NativeLayerNormBackward0 uses a shared parameter"),
        (nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, affine=False)), "NativeBatchNormBackward0 mixes"),
        (
            nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 2), nn.Flatten(), nn.Linear(10, 6)),
            "one row for each",
        ),
    ],
    ids=["other layer", "batch statistics", "rows within rows"],
)
def test_where_there_is_no_closed_form_passes_are_made_and_it_is_said(trunk: nn.Module, reason: str) -> None:
    torch.manual_seed(0)
    case = own_rows((4, 4, 4), trunk)
    gradients = case.gradients()
    close(gradients.jacobian("all_shared"), case.rows(case.shared))
    assert gradients.how.startswith("batched, 3 tasks at a time; no closed form: ")
    assert reason in gradients.how
