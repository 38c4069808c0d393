"""What a windows problem tells of its tasks besides their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mtctl.problems.windows.problem import Windows
from tests.benchmarks.faults.small import fault
from tests.benchmarks.faults.small import small as with_faults
from tests.problems.windows.small import TASKS, Recorder, Trainer, constant_losses_of, small

SIGNALS = ("relative_loss", "own_update", "reach", "dead_units")


def signals(problem: Windows, epochs: int = 1) -> dict[str, dict[str, float | None]]:
    """Return the signals of the last epoch."""
    found: dict[str, dict[str, float | None]] = Trainer(problem).train(epochs)[-1]["signals"]
    return {name: found[name] for name in SIGNALS}


def number(value: float | None) -> float:
    assert value is not None
    return value


def test_every_task_has_its_figures() -> None:
    found = signals(small())
    assert all(set(figures) == set(TASKS) for figures in found.values())
    assert {task for task in TASKS if found["reach"][task] is None} == {"type", "binary"}
    assert all(value is not None for name in SIGNALS if name != "reach" for value in found[name].values())


class TestRelativeLoss:
    def test_is_the_epochs_loss_over_that_of_the_best_constant(self) -> None:
        problem = small()
        record = Trainer(problem).train(1)[0]
        constants = constant_losses_of(problem, problem.splits.training)
        for task in TASKS:
            expected = record["tasks"][task]["loss"] / float(constants[task].mean())
            assert record["signals"]["relative_loss"][task] == pytest.approx(expected, rel=1e-5)

    def test_is_none_where_the_best_constant_is_never_wrong(self) -> None:
        found = signals(with_faults(TASKS, fault("constant_targets", "countdown")))["relative_loss"]
        assert found["countdown"] is None
        assert found["ptr"] is not None


def head(problem: Windows, task: str) -> torch.Tensor:
    """Return a copy of a head's parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in problem.head(task)])


class TestOwnUpdate:
    def test_is_how_far_a_head_went_per_update(self) -> None:
        problem = small()
        before = {task: head(problem, task) for task in TASKS}
        found = signals(problem)["own_update"]
        for task in TASKS:
            length = float((head(problem, task) - before[task]).norm())
            assert found[task] == pytest.approx(length / 3, rel=1e-5)

    def test_counts_from_the_last_record(self) -> None:
        problem = small()
        trainer = Trainer(problem)
        trainer.train(1)
        before = head(problem, "ptr")
        found = trainer.train(1)[0]["signals"]["own_update"]["ptr"]
        assert found == pytest.approx(float((head(problem, "ptr") - before).norm()) / 3, rel=1e-5)

    def test_is_0_for_a_head_that_the_optimizer_was_not_given(self) -> None:
        assert signals(with_faults(TASKS, fault("not_in_optimizer", "ptr")))["own_update"]["ptr"] == 0

    def test_is_none_without_a_head_of_its_own(self) -> None:
        found = signals(with_faults(TASKS, fault("contradiction", "countdown", by="ptr")))
        for name in ("own_update", "reach"):
            assert found[name]["ptr"] is None
            assert found[name]["countdown"] is None


class TestReach:
    def test_is_the_distance_over_what_adam_can_move_an_answer(self) -> None:
        problem = small(model={"dropout": 0.0, "head_dropout": 0.0}, training={"epochs": 1, "batch_size": 20})
        features = problem.network.features(problem.splits.training.inputs, None)
        found = signals(problem)["reach"]
        for task in ("ptr", "countdown"):
            seen = features[task].detach()
            seen = seen[:, ::7] if task == "countdown" else seen  # every seventh bar tells enough
            length = float(seen.abs().sum(-1).mean())
            distance = problem.objective.distance(task, problem.splits.training)
            assert found[task] == pytest.approx(distance / (0.01 * (length + 1) * 1), rel=1e-4)

    @pytest.mark.parametrize(
        ("change", "factor"),
        [
            ({"training": {"lr": 2e-2}}, 0.5),
            ({"training": {"epochs": 4}}, 0.5),
            ({"training": {"head_lr": {"countdown": 20.0}}}, 0.05),
            ({"training": {"optimizer": "adam"}}, 1.0),
        ],
    )
    def test_falls_with_what_lets_an_answer_move_further(self, change: dict[str, Any], factor: float) -> None:
        before, after = signals(small())["reach"], signals(small(**change))["reach"]
        # The batch's features have moved on a little differently.
        assert number(after["countdown"]) == pytest.approx(factor * number(before["countdown"]), rel=0.2)

    def test_a_documented_countdown_is_far_and_a_standardised_one_near(self) -> None:
        far, near = (
            number(signals(small(model=model))["reach"]["countdown"])
            for model in ({}, {"standardise": ["countdown"]})
        )
        assert far > 10 * near

    def test_is_none_where_nothing_bounds_a_step(self) -> None:
        found = signals(small(training={"optimizer": "sgd"}))["reach"]
        assert set(found.values()) == {None}


class TestDeadUnits:
    def test_are_features_that_never_vary(self) -> None:
        problem = small(model={"dropout": 0.0, "head_dropout": 0.0}, training={"lr": 1e-6})
        assert signals(problem)["dead_units"] == dict.fromkeys(TASKS, 0.0)
        with torch.no_grad():
            problem.network.projection.weight[:2] = 0
        found = Trainer(problem).train(1)[0]["signals"]["dead_units"]
        assert found["type"] == found["ptr"] == pytest.approx(2 / 5)
        assert found["binary"] == found["countdown"] == 0


def test_evaluations_between_epochs_change_nothing() -> None:
    plain, watched = small(), small()
    expected = Trainer(plain).train()

    class Watcher(Recorder):
        def unit_ended(self, record: dict[str, Any]) -> None:
            watched.evaluate(None, "monitor")

    assert Trainer(watched).train(None, Watcher()) == expected
