"""What is minimised and measured, against torch's own losses and a general minimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from mtctl.problems.windows.losses import (
    DELTA,
    MISSING,
    best_constant,
    countdown_from_start,
    measures,
    start_of,
    window_losses,
)
from mtctl.problems.windows.synthetic import generate
from mtctl.problems.windows.targets import targets
from mtctl.problems.windows.windows import LENGTH

TASKS = ("type", "ptr", "binary", "countdown")
UNTIMED = settings(max_examples=40, deadline=None)


def drawn(task: str, count: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random predictions and targets of a task."""
    rng = torch.Generator().manual_seed(seed)
    match task:
        case "type":
            return torch.randn(count, 3, generator=rng), torch.randint(3, (count,), generator=rng)
        case "ptr":
            return torch.randn(count, 2, generator=rng), torch.rand(count, 2, generator=rng)
        case "binary":
            target = torch.randint(2, (count, LENGTH), generator=rng).float()
            return torch.randn(count, LENGTH, generator=rng), target
        case _:
            prediction, target = torch.randn(2, count, LENGTH, generator=rng) * 10
            return prediction, target


def torchs(task: str, prediction: Tensor, target: Tensor) -> Tensor:
    match task:
        case "type":
            return functional.cross_entropy(prediction, target)
        case "binary":
            return functional.binary_cross_entropy_with_logits(prediction, target)
        case _:
            return functional.huber_loss(prediction, target, delta=0.08 if task == "ptr" else 1.0)


class TestWindowLosses:
    @pytest.mark.parametrize("task", TASKS)
    def test_their_mean_is_torchs(self, task: str) -> None:
        prediction, target = drawn(task)
        found = window_losses(task, prediction, target)
        assert found.shape == (7,)
        torch.testing.assert_close(found.mean(), torchs(task, prediction, target))

    @pytest.mark.parametrize("task", TASKS)
    def test_each_is_that_of_its_window_alone(self, task: str) -> None:
        prediction, target = drawn(task)
        found = window_losses(task, prediction, target)
        for row in range(len(found)):
            alone = torchs(task, prediction[row : row + 1], target[row : row + 1])
            torch.testing.assert_close(found[row], alone)

    @pytest.mark.parametrize("task", TASKS)
    def test_what_is_missing_has_none(self, task: str) -> None:
        prediction, target = drawn(task)
        known = window_losses(task, prediction, target)
        if task == "type":
            target[2] = MISSING
        else:
            target[2, 0] = torch.nan
        found = window_losses(task, prediction, target)
        assert found.isnan().tolist() == [row == 2 for row in range(7)]
        assert torch.equal(found[~found.isnan()], known[~found.isnan()])

    def test_where_huber_turns_linear_can_be_said(self) -> None:
        prediction, target = drawn("countdown")
        found = window_losses("countdown", prediction, target, 3.0).mean()
        torch.testing.assert_close(found, functional.huber_loss(prediction, target, delta=3.0))


class TestBestConstant:
    @UNTIMED
    @given(values=st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30))
    def test_of_a_countdown_is_a_minimum(self, values: list[float]) -> None:
        target = torch.tensor(values).reshape(-1, 1)
        found = best_constant("countdown", target)

        def loss(constant: float) -> float:
            return float(
                window_losses("countdown", torch.full_like(target, constant), target).double().mean()
            )

        best = minimize_scalar(loss, bounds=(-21, 21), method="bounded", options={"xatol": 1e-6})
        assert found.shape == (1,)
        assert loss(float(found)) <= best.fun + 1e-5

    def test_of_a_pointer_is_one_for_the_centre_and_one_for_the_length(self) -> None:
        rng = np.random.default_rng(0)
        target = torch.from_numpy(targets(generate(50, rng)).ptr)
        found = best_constant("ptr", target)
        for column in range(2):
            values = target[:, column].double()

            def loss(constant: float, values: Tensor = values) -> float:
                return float(functional.huber_loss(torch.full_like(values, constant), values, delta=0.08))

            best = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
            assert float(found[column]) == pytest.approx(best.x, abs=1e-4)

    def test_of_a_mask_is_the_share_of_marked_bars(self) -> None:
        target = torch.zeros(4, LENGTH)
        target[:, :21] = 1
        assert torch.sigmoid(best_constant("binary", target)).tolist() == pytest.approx([0.2])

    @pytest.mark.parametrize(("value", "sign"), [(0.0, -1), (1.0, 1)])
    def test_of_a_mask_that_never_changes_is_finite(self, value: float, sign: int) -> None:
        found = best_constant("binary", torch.full((3, LENGTH), value))
        assert sign * found > 10
        assert found.isfinite().all()

    def test_of_a_type_is_the_shares_of_the_classes(self) -> None:
        target = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
        assert best_constant("type", target).exp().tolist() == pytest.approx([0.6, 0.3, 0.1])

    def test_a_class_that_is_never_seen_counts_as_half_a_window(self) -> None:
        target = torch.tensor([0] * 60 + [1] * 40)
        expected = [60 / 100.5, 40 / 100.5, 0.5 / 100.5]
        assert best_constant("type", target).exp().tolist() == pytest.approx(expected)

    @pytest.mark.parametrize("task", TASKS)
    def test_leaves_out_what_is_missing(self, task: str) -> None:
        _, target = drawn(task)
        expected = best_constant(task, target)
        gap = torch.full_like(target[:2], MISSING if task == "type" else torch.nan)
        assert torch.equal(best_constant(task, torch.cat([gap, target])), expected)

    @pytest.mark.parametrize("task", ["ptr", "binary", "countdown"])
    def test_is_unknown_where_everything_is_missing(self, task: str) -> None:
        _, target = drawn(task)
        assert best_constant(task, torch.full_like(target, torch.nan)).isnan().all()

    @UNTIMED
    @given(seed=st.integers(0, 10_000), task=st.sampled_from(TASKS))
    def test_no_other_constant_is_better(self, seed: int, task: str) -> None:
        prediction, target = drawn(task, 20, seed)
        best = best_constant(task, target).expand(20, -1)
        if task in {"binary", "countdown"}:
            best, prediction = best.expand(20, LENGTH), prediction[:1, :1].expand(20, LENGTH)
        else:
            prediction = prediction[:1].expand(20, -1)
        losses = [window_losses(task, one, target).mean() for one in (best, prediction)]
        assert losses[0] <= losses[1] * (1 + 1e-6)


class TestStart:
    def test_is_exact_on_true_countdowns(self) -> None:
        starts = torch.arange(LENGTH, dtype=torch.float32)
        assert torch.equal(start_of(countdown_from_start(starts[:, None])), starts)

    def test_is_that_of_the_targets(self) -> None:
        windows = generate(40, np.random.default_rng(0))
        found = start_of(torch.from_numpy(targets(windows).countdown))
        assert found.tolist() == windows.start.tolist()

    @UNTIMED
    @given(seed=st.integers(0, 10_000))
    def test_is_the_nearest_by_least_squares(self, seed: int) -> None:
        countdown, _ = drawn("countdown", 5, seed)
        all_starts = countdown_from_start(torch.arange(LENGTH)[:, None].float())
        distances = (countdown[:, None].double() - all_starts).square().sum(-1)
        chosen = distances.gather(1, start_of(countdown).long()[:, None]).squeeze(1)
        torch.testing.assert_close(chosen, distances.min(1).values)

    def test_a_start_gives_its_countdown(self) -> None:
        found = countdown_from_start(torch.tensor([[30.0]])).tolist()[0]
        assert found[:12] == [20.0] * 11 + [19.0]
        assert found[30] == 0
        assert found[60:] == [-20.0] * 45


class TestMeasures:
    start = torch.tensor([30, 50])
    end = torch.tensor([35, 50])

    def found(self, task: str, prediction: Tensor) -> dict[str, float]:
        target = torch.tensor([0, 1])
        return measures(task, prediction, target, self.start, self.end)

    def test_accuracy(self) -> None:
        assert self.found("type", torch.tensor([[2.0, 1, 0], [2.0, 1, 0]])) == {"accuracy": 0.5}

    def test_pointer_error_is_the_mean_of_both_ends_in_bars(self) -> None:
        exact = torch.stack([(self.start + self.end) / 2, (self.end - self.start).float()], 1) / LENGTH
        assert self.found("ptr", exact)["pointer_error"] == pytest.approx(0, abs=1e-5)
        longer = exact + torch.tensor([0.0, 4 / LENGTH])
        assert self.found("ptr", longer)["pointer_error"] == pytest.approx(2, abs=1e-5)
        later = exact + torch.tensor([3 / LENGTH, 0.0])
        assert self.found("ptr", later)["pointer_error"] == pytest.approx(3, abs=1e-5)

    def test_span_f1_counts_bars_over_all_windows(self) -> None:
        logits = torch.full((2, LENGTH), -1.0)
        assert self.found("binary", logits) == {"span_f1": 0.0}
        logits[0, 30:34] = 1.0
        # 4 bars of 7 are found, and none too many.
        assert self.found("binary", logits)["span_f1"] == pytest.approx(2 * 4 / (4 + 7))
        logits[0, 30:36] = logits[1, 50] = 1.0
        assert self.found("binary", logits) == {"span_f1": 1.0}

    def test_start_mae_is_in_bars(self) -> None:
        countdown = countdown_from_start(torch.tensor([[33.0], [50.0]]))
        assert self.found("countdown", countdown) == {"start_mae": 1.5}


def test_the_studys_huber_thresholds() -> None:
    assert DELTA == {"ptr": 0.08, "countdown": 1.0}
    assert math.isclose(float(window_losses("countdown", torch.zeros(1, 1), torch.full((1, 1), 20.0))), 19.5)
