"""Signals are finite, and silent about inactive tasks."""

from __future__ import annotations

import numpy as np
import pytest

from mtctl.balancing.contract import NOT_ASKED, NonFiniteSignal, observe
from tests.balancing.cases import drawn

BAD = (np.nan, np.inf, -np.inf)


def gramian() -> np.ndarray:
    rows = drawn(3, 4)
    return np.asarray(rows @ rows.T)


def test_entries_of_inactive_tasks_are_zero_whatever_they_were() -> None:
    active = np.array([True, False, True])
    products = gramian()
    products[1], products[:, 1] = np.nan, np.inf

    seen = observe(np.array([1.0, np.nan, 2.0]), active, np.array([3.0, np.inf, 4.0]), products)

    assert seen.losses.tolist() == [1.0, 0.0, 2.0]
    assert seen.norms.tolist() == [3.0, 0.0, 4.0]
    assert seen.gramian[1].tolist() == seen.gramian[:, 1].tolist() == [0.0] * 3
    assert seen.gramian[0, 2] == gramian()[0, 2]


def test_what_was_not_asked_stays_so_with_inactive_tasks() -> None:
    seen = observe(np.ones(2), np.array([True, False]))
    assert seen.norms is NOT_ASKED
    assert seen.gramian is NOT_ASKED


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", range(3))
def test_a_bad_loss_names_its_task(task: int, bad: float) -> None:
    losses = np.ones(3)
    losses[task] = bad
    with pytest.raises(NonFiniteSignal, match=f"task {task}: its loss is not finite") as error:
        observe(losses, np.ones(3, dtype=bool))
    assert error.value.task == task


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", range(3))
def test_a_bad_norm_names_its_task(task: int, bad: float) -> None:
    norms = np.ones(3)
    norms[task] = bad
    with pytest.raises(NonFiniteSignal, match="its gradient is not finite") as error:
        observe(np.ones(3), np.ones(3, dtype=bool), norms)
    assert error.value.task == task


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", range(3))
def test_a_bad_gradient_is_told_from_the_rows_and_columns_it_spoils(task: int, bad: float) -> None:
    products = gramian()
    products[task], products[:, task] = bad, bad
    with pytest.raises(NonFiniteSignal, match="its gradient is not finite") as error:
        observe(np.ones(3), np.ones(3, dtype=bool), gramian=products)
    assert error.value.task == task


def test_a_bad_inner_product_of_good_gradients_is_refused() -> None:
    products = gramian()
    products[0, 2] = np.nan
    with pytest.raises(NonFiniteSignal, match="inner products"):
        observe(np.ones(3), np.ones(3, dtype=bool), gramian=products)


def test_a_batch_names_the_first_bad_task() -> None:
    losses = np.ones((4, 3))
    losses[2, 1] = np.nan
    with pytest.raises(NonFiniteSignal) as error:
        observe(losses, np.ones((4, 3), dtype=bool))
    assert error.value.task == 1


def test_large_finite_values_are_fine_although_their_sum_overflows() -> None:
    seen = observe(np.full(3, 1e308), np.ones(3, dtype=bool))
    assert seen.losses.tolist() == [1e308] * 3
