"""What is asked of heads whose targets have a fault, and how they are measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.problems.windows.losses import DELTA, window_losses
from tests.benchmarks.faults.small import fault, small
from tests.problems.windows.small import TASKS, constant_losses_of, losses_of, minimised, zeros

REGRESSIONS = tuple(DELTA)
SCALAR = {"countdown": "scalar"}


class TestScaledTargets:
    @settings(max_examples=8, deadline=None)
    @given(
        factor=st.floats(1e-2, 1e2),
        task=st.sampled_from(REGRESSIONS),
        model=st.sampled_from([{}, {"standardise": REGRESSIONS}, SCALAR]),
    )
    def test_predictions_and_losses_are_measured_in_the_studys_units(
        self, factor: float, task: str, model: dict[str, Any]
    ) -> None:
        plain, other = (
            small(model=model),
            small(TASKS, fault("scaled_targets", task, factor=factor), model=model),
        )
        part = plain.splits.held_out
        raw = plain.raw(part.inputs)
        # The head that says the same in the other unit: a standardised one does not notice.
        answer = raw[task] if task in model.get("standardise", ()) else raw[task] * factor
        same = {**raw, task: answer}
        found = losses_of(other, same, other.splits.held_out)[task]
        torch.testing.assert_close(found, losses_of(plain, raw, part)[task], rtol=1e-3, atol=1e-5)
        constants = (constant_losses_of(one, one.splits.held_out)[task] for one in (plain, other))
        torch.testing.assert_close(*constants, rtol=1e-3, atol=1e-5)

    def test_what_is_minimised_is_in_the_targets_unit(self) -> None:
        plain, other = small(), small(TASKS, fault("scaled_targets", "countdown", factor=50.0))
        raw = zeros(plain, plain.splits.training)
        wanted = plain.splits.training.targets["countdown"] * 50
        expected = window_losses("countdown", torch.zeros_like(wanted), wanted).mean()
        assert minimised(other, raw)["countdown"] == pytest.approx(float(expected), rel=1e-5)
        assert minimised(other, raw)["ptr"] == minimised(plain, raw)["ptr"]

    def test_two_factors_multiply(self) -> None:
        twice = small(
            TASKS, fault("scaled_targets", "ptr", factor=4.0), fault("scaled_targets", "ptr", factor=5.0)
        )
        once = small(TASKS, fault("scaled_targets", "ptr", factor=20.0))
        part = twice.splits.held_out
        raw = twice.raw(part.inputs)
        found = losses_of(twice, raw, part)["ptr"]
        torch.testing.assert_close(found, losses_of(once, raw, once.splits.held_out)["ptr"])


class TestOtherTargets:
    def test_what_does_not_vary_keeps_its_unit(self) -> None:
        constant = fault("constant_targets", "countdown")
        problem = small(TASKS, constant, model={"standardise": ["countdown"]})
        raw = zeros(problem, problem.splits.training)["countdown"]
        assert (problem.objective.predictions({"countdown": raw + 1})["countdown"] == 21).all()

    @pytest.mark.parametrize("kind", ["shuffled_targets", "constant_targets"])
    def test_faults_of_the_countdown_reach_its_start(self, kind: str) -> None:
        plain, other = small(model=SCALAR), small(TASKS, fault(kind, "countdown"), model=SCALAR)
        raw = plain.raw(plain.splits.training.inputs)
        assert minimised(plain, raw)["countdown"] != minimised(other, raw)["countdown"]

    def test_a_countdown_that_is_missing_is_a_start_that_is_missing(self) -> None:
        problem = small(TASKS, fault("missing_targets", "countdown"), model=SCALAR)
        loss = minimised(problem, problem.raw(problem.splits.training.inputs))["countdown"]
        assert loss != loss
