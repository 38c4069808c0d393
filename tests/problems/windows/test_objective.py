"""What the heads' outputs mean, and what they are asked for."""

from __future__ import annotations

import pytest
import torch

from mtctl.problems.windows.losses import DELTA, countdown_from_start
from mtctl.problems.windows.windows import LENGTH
from tests.problems.windows.small import TASKS, constant_losses_of, losses_of, minimised, small, zeros

REGRESSIONS = tuple(DELTA)
SCALAR = {"countdown": "scalar"}


class TestAsDocumented:
    def test_the_loss_is_the_measured_one(self) -> None:
        problem = small()
        part = problem.splits.training
        raw = problem.raw(part.inputs)
        measured = losses_of(problem, raw, part)
        assert minimised(problem, raw) == pytest.approx(
            {task: float(losses.mean()) for task, losses in measured.items()}
        )

    @pytest.mark.parametrize("task", TASKS)
    def test_an_output_is_the_prediction(self, task: str) -> None:
        problem = small()
        raw = problem.raw(problem.splits.held_out.inputs)
        assert torch.equal(problem.objective.predictions(raw)[task], raw[task])

    @pytest.mark.parametrize("task", TASKS)
    def test_a_factor_is_on_what_is_minimised_and_not_on_what_is_measured(self, task: str) -> None:
        clean, other = small(), small(training={"loss_factor": {task: 105.0}})
        part = clean.splits.training
        raw = clean.raw(part.inputs)
        before, after = minimised(clean, raw), minimised(other, raw)
        assert after == pytest.approx({**before, task: 105 * before[task]})
        measured = [losses_of(problem, raw, part)[task].tolist() for problem in (clean, other)]
        assert measured[0] == measured[1]

    def test_distances_are_those_of_the_targets_from_0(self) -> None:
        problem = small()
        training = problem.splits.training
        for task in REGRESSIONS:
            expected = training.targets[task].square().mean().sqrt()
            assert problem.objective.distance(task, training) == pytest.approx(float(expected))
        assert problem.objective.distance("type", training) != problem.objective.distance("type", training)


class TestStandardised:
    @pytest.mark.parametrize("task", REGRESSIONS)
    def test_an_output_of_0_is_the_best_constant(self, task: str) -> None:
        problem = small(model={"standardise": [task]})
        part = problem.splits.training
        found = problem.objective.predictions(zeros(problem, part))[task]
        torch.testing.assert_close(found, problem.objective.constants[task].expand_as(found))

    @pytest.mark.parametrize("task", REGRESSIONS)
    def test_an_output_of_1_is_a_standard_deviation_away(self, task: str) -> None:
        problem = small(model={"standardise": [task]})
        part = problem.splits.training
        raw = zeros(problem, part)
        steps = problem.objective.predictions({task: raw[task] + 1})[task]
        steps = steps - problem.objective.predictions(raw)[task]
        target = part.targets[task]
        expected = target.std(0) if task == "ptr" else target.std()
        torch.testing.assert_close(steps, expected.expand_as(steps), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("task", TASKS)
    def test_a_head_without_weights_starts_at_the_best_constant(self, task: str) -> None:
        problem = small(model={"standardise": [task]})
        with torch.no_grad():
            problem.network.head(task).weight.zero_()
        part = problem.splits.held_out
        losses = losses_of(problem, problem.raw(part.inputs), part)[task]
        torch.testing.assert_close(losses, constant_losses_of(problem, part)[task])

    def test_weights_stay_as_they_were_drawn(self) -> None:
        plain, standardised = small(), small(model={"standardise": TASKS})
        for task in TASKS:
            assert torch.equal(plain.network.head(task).weight, standardised.network.head(task).weight)
            assert not torch.equal(plain.network.head(task).bias, standardised.network.head(task).bias)

    @pytest.mark.parametrize("task", REGRESSIONS)
    def test_distances_are_of_order_1(self, task: str) -> None:
        problem = small(model={"standardise": [task]})
        assert 0.9 < problem.objective.distance(task, problem.splits.training) < 1.5

    def test_the_loss_is_hubers_with_a_unit_threshold(self) -> None:
        problem = small(model={"standardise": ["countdown"]})
        part = problem.splits.training
        target = part.targets["countdown"]
        wanted = (target - problem.objective.constants["countdown"]) / target.std()
        expected = torch.nn.functional.huber_loss(torch.zeros_like(wanted), wanted, delta=1.0)
        assert minimised(problem, zeros(problem, part))["countdown"] == pytest.approx(
            float(expected), rel=1e-4
        )


class TestScalarCountdown:
    def test_a_start_is_answered_as_its_countdown(self) -> None:
        problem = small(model=SCALAR)
        start = torch.tensor([[0.0], [20.0], [52.5], [104.0]])
        found = problem.objective.predictions({"countdown": start / LENGTH})["countdown"]
        torch.testing.assert_close(found, countdown_from_start(start), atol=1e-4, rtol=0)

    def test_it_is_asked_for_the_start_in_windows(self) -> None:
        problem = small(model=SCALAR)
        part = problem.splits.training
        raw = zeros(problem, part)
        wanted = part.start[:, None].float() / LENGTH
        expected = torch.nn.functional.huber_loss(raw["countdown"], wanted, delta=1.0)
        assert minimised(problem, raw)["countdown"] == pytest.approx(float(expected))
        assert minimised(problem, {**raw, "countdown": wanted})["countdown"] == pytest.approx(0, abs=1e-12)

    def test_the_truth_has_no_loss(self) -> None:
        problem = small(model=SCALAR)
        part = problem.splits.held_out
        raw = {**zeros(problem, part), "countdown": part.start[:, None].float() / LENGTH}
        assert losses_of(problem, raw, part)["countdown"].max() < 1e-6

    def test_it_can_be_standardised(self) -> None:
        problem = small(model={**SCALAR, "standardise": ["countdown"]})
        part = problem.splits.training
        start = part.start.float()
        raw = {**zeros(problem, part), "countdown": ((start - start.mean()) / start.std())[:, None]}
        assert minimised(problem, raw)["countdown"] == pytest.approx(0, abs=1e-10)
        assert problem.objective.distance("countdown", part) == pytest.approx(1, abs=0.05)
