from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtctl.balancing.chain import Decision
from mtctl.balancing.contract import Space
from mtctl.engine.signals import SignalLog

TASKS = ("a", "b", "c")


class Gradients:
    """A step's gradients, given by the rows of J [3, P]; a task without a loss is absent."""

    tasks: tuple[str, ...] = TASKS
    auxiliary: Tensor | None = None

    def __init__(
        self,
        rows: list[list[float]],
        losses: list[float | None],
        importance: tuple[float, ...] = (1.0, 1.0, 1.0),
    ) -> None:
        self.importance = torch.tensor(importance, dtype=torch.float64)
        self._rows = torch.tensor(rows, dtype=torch.float64)
        self.active = torch.tensor([loss is not None for loss in losses])
        self.losses = torch.tensor([loss or 0.0 for loss in losses], dtype=torch.float64)

    def gramian(self, space: Space) -> Tensor:
        assert space == "all_shared"
        return torch.mm(self._rows, self._rows.T)

    def norms(self, space: Space) -> Tensor:
        return self.gramian(space).diagonal().sqrt()

    def own_norms(self) -> Tensor:
        """As if a had no parameters of its own, and the others' norms were twice and thrice their losses."""
        return self.losses * torch.tensor([torch.nan, 2.0, 3.0], dtype=torch.float64)

    def finite(self) -> bool:
        raise AssertionError("a log only looks")

    def combine(self, shared: Tensor, own: Tensor) -> None:
        raise AssertionError("a log only looks")


def weighted(*weights: float) -> Decision:
    shared = torch.tensor(weights, dtype=torch.float64)
    return Decision(shared, shared + 1)


def signals(
    *steps: tuple[Gradients, Decision], shared: bool = True, every: int = 1, first: int = 0
) -> dict[str, Any]:
    log = SignalLog(TASKS, shared=shared, every=every, inspect=lambda: {"rows": {"a": 7.0}})
    for update, (gradients, decision) in enumerate(steps, first):
        log.add(gradients, decision, update)
    found = log.flush()
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


ONE = Gradients([[3.0, 4.0], [-3.0, 4.0], [0.0, 2.0]], [1.0, 2.0, 3.0])
TWO = Gradients([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [3.0, 4.0, 5.0])


def test_means_over_the_updates() -> None:
    found = signals((ONE, weighted(1, 1, 1)), (TWO, weighted(2, 0.5, 0.5)))
    assert (found["updates"], found["measured"]) == (2, 2)
    assert found["loss"] == {"a": 2.0, "b": 3.0, "c": 4.0}
    assert found["weight"] == {"a": 1.5, "b": 0.75, "c": 0.75}
    assert found["own_weight"] == {"a": 2.5, "b": 1.75, "c": 1.75}
    assert found["gradient_norm"] == pytest.approx({"a": 3.0, "b": 3.0, "c": 1.5})
    assert found["own_gradient_norm"] == {"a": None, "b": 6.0, "c": 12.0}
    assert found["rows"] == {"a": 7.0}
    shares = {"a": (5 / 12 + 2 / 3) / 2, "b": (5 / 12 + 0.5 / 3) / 2, "c": (2 / 12 + 0.5 / 3) / 2}
    assert found["gradient_share"] == pytest.approx(shares)
    cosines = {"a|b": (7 / 25 - 1) / 2, "a|c": 0.8 / 2, "b|c": 0.8 / 2}
    assert found["cosine"] == pytest.approx(cosines)
    spread = math.sqrt(0.5)
    assert found["cosine_sd"] == pytest.approx(
        {"a|b": spread * 32 / 25, "a|c": spread * 0.8, "b|c": spread * 0.8}
    )
    # Of three pairs none conflicts in the first update, one in the second.
    assert found["conflict_rate"] == pytest.approx(1 / 6)


def test_gradients_are_measured_in_every_kth_update_of_the_run() -> None:
    steps = [(TWO, weighted(2, 2, 2)), (ONE, weighted(1, 1, 1)), (TWO, weighted(2, 2, 2))]
    found = signals(*steps, every=3, first=5)
    assert (found["updates"], found["measured"]) == (3, 1)
    assert found["loss"] == pytest.approx({"a": 7 / 3, "b": 10 / 3, "c": 13 / 3})
    assert found["weight"]["a"] == pytest.approx(5 / 3)
    alone = signals((ONE, weighted(1, 1, 1)))
    for name in ("gradient_norm", "gradient_share", "own_gradient_norm", "cosine", "conflict_rate"):
        assert found[name] == alone[name]
    assert set(found["cosine_sd"].values()) == {None}


def test_a_unit_without_a_measurement_has_losses_and_weights_only() -> None:
    found = signals((ONE, weighted(1, 1, 1)), every=10, first=3)
    assert (found["updates"], found["measured"]) == (1, 0)
    assert found["loss"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    nothing = dict.fromkeys(TASKS)
    assert found["gradient_norm"] == found["gradient_share"] == found["own_gradient_norm"] == nothing
    assert found["cosine"] == found["cosine_sd"] == {"a|b": None, "a|c": None, "b|c": None}
    assert found["conflict_rate"] is None


def test_absent_tasks_have_no_signals() -> None:
    absent = Gradients([[3.0, 4.0], [0.0, 0.0], [-3.0, -4.0]], [1.0, None, 2.0])
    found = signals((absent, weighted(1, 0, 2)))
    assert found["loss"] == {"a": 1.0, "b": None, "c": 2.0}
    assert found["weight"] == {"a": 1.0, "b": None, "c": 2.0}
    assert found["gradient_norm"] == {"a": 5.0, "b": None, "c": 5.0}
    assert found["gradient_share"] == pytest.approx({"a": 1 / 3, "b": None, "c": 2 / 3})
    assert found["cosine"] == {"a|b": None, "a|c": pytest.approx(-1.0), "b|c": None}
    assert found["conflict_rate"] == 1.0


def test_means_leave_out_the_updates_a_task_missed() -> None:
    absent = Gradients([[3.0, 4.0], [9.0, 9.0], [0.0, 2.0]], [1.0, None, 3.0])
    found = signals((absent, weighted(1, 0, 1)), (TWO, weighted(1, 1, 1)))
    assert found["loss"] == {"a": 2.0, "b": 4.0, "c": 4.0}
    assert found["weight"]["b"] == 1.0
    assert found["gradient_norm"]["b"] == 1.0
    assert found["cosine"]["a|b"] == -1.0
    assert found["cosine"]["a|c"] == pytest.approx(0.4)


def test_what_tasks_contribute_counts_the_problem_s_own_importance() -> None:
    """Three quarters of the rows are of a: so is ∂total/∂loss, and the shares are of what is added up."""
    uneven = Gradients([[3.0, 4.0], [-3.0, 4.0], [0.0, 2.0]], [1.0, 2.0, 3.0], (0.75, 0.25, 0.0625))
    found = signals((uneven, weighted(1, 2, 4)))
    assert found["weight"] == {"a": 1.0, "b": 2.0, "c": 4.0}
    assert found["own_weight"] == {"a": 1.5, "b": 0.75, "c": 0.3125}
    assert found["loss"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert found["gradient_norm"] == pytest.approx({"a": 5.0, "b": 5.0, "c": 2.0})
    lengths = {"a": 0.75 * 5, "b": 0.5 * 5, "c": 0.25 * 2}
    whole = sum(lengths.values())
    assert found["gradient_share"] == pytest.approx(
        {task: length / whole for task, length in lengths.items()}
    )


def test_shares_add_up_where_a_task_is_absent_from_some_updates() -> None:
    absent = Gradients([[3.0, 4.0], [9.0, 9.0], [0.0, 5.0]], [1.0, None, 3.0])
    found = signals((absent, weighted(1, 0, 1)), (TWO, weighted(1, 1, 2)))
    assert found["gradient_share"] == pytest.approx({"a": 0.375, "b": 0.125, "c": 0.5})


def test_a_zero_gradient_has_no_direction() -> None:
    still = Gradients([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], [0.0, 1.0, 1.0])
    found = signals((still, weighted(1, 1, 1)))
    assert found["gradient_norm"]["a"] == 0.0
    assert found["cosine"] == {"a|b": None, "a|c": None, "b|c": -1.0}
    assert found["gradient_share"]["a"] == 0.0


def test_nothing_shared_means_no_cosines_and_no_conflicts() -> None:
    found = signals((ONE, weighted(1, 1, 1)), shared=False)
    assert set(found["cosine"].values()) == {None}
    assert found["conflict_rate"] is None
    assert found["gradient_norm"]["a"] == 5.0


def test_one_task_alone_has_no_conflicts() -> None:
    alone = Gradients([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]], [1.0, None, None])
    assert signals((alone, weighted(1, 0, 0)))["conflict_rate"] is None


def test_a_flush_forgets() -> None:
    log = SignalLog(TASKS, shared=True)
    assert log.flush() is None
    log.add(ONE, weighted(1, 1, 1), 0)
    assert log.flush() is not None
    assert log.flush() is None


numbers = st.floats(-1e3, 1e3, width=32)


@given(
    rows=st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=3, max_size=3),
    losses=st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=3, max_size=3),
    weights=st.lists(st.floats(0, 10), min_size=3, max_size=3),
)
def test_ranges(rows: list[list[float]], losses: list[float | None], weights: list[float]) -> None:
    found = signals((Gradients(rows, losses), weighted(*weights)))
    shares = [share for share in found["gradient_share"].values() if share is not None]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    assert all(cosine is None or -1 <= cosine <= 1 for cosine in found["cosine"].values())
    assert found["conflict_rate"] is None or 0 <= found["conflict_rate"] <= 1
    for task, loss in zip(TASKS, losses, strict=True):
        assert (found["loss"][task] is None) == (loss is None)
    assert list(found["cosine"]) == ["|".join(pair) for pair in itertools.combinations(TASKS, 2)]
    assert not math.isnan(sum(value for value in found["loss"].values() if value is not None))
