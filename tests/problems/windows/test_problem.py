"""The windows problem as the engine sees it: epochs, records, scores, state."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.balancing.contract import Method
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem
from mtctl.problems.windows.problem import Windows
from tests.benchmarks.faults.small import fault
from tests.benchmarks.faults.small import small as with_faults
from tests.problems.windows.small import (
    DATA,
    TASKS,
    Trainer,
    constant_losses_of,
    losses_of,
    skills,
    small,
    weights,
)

LONG = {"epochs": 4}
METHODS: dict[str, tuple[Method, ...]] = {
    "running_mean": (RunningMean(),),
    "uncertainty": (Uncertainty(),),
    "gradnorm": (GradNorm(initial_window=5),),
}


def same(one: Windows, other: Windows) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_a_problem() -> None:
    problem: Problem = small()
    assert (problem.unit, problem.item, problem.units, problem.done) == ("epoch", "window", 2, 0)
    assert (problem.score.name, problem.score.higher_is_better, problem.score.success) == (
        "skill %",
        True,
        None,
    )


class TestEpochs:
    def test_each_shows_every_training_window_once(self) -> None:
        problem = small()
        inputs = problem.splits.training.inputs.flatten(1)
        orders = []
        for epoch in range(2):
            batches, record = [], None
            while record is None:
                record = problem.advance()
                batches.append(problem.batch.inputs.flatten(1))
            assert [len(batch) for batch in batches] == [8, 8, 4]
            assert problem.done == record["unit"] == epoch + 1
            seen = torch.cat(batches)
            orders.append([(inputs == window).all(1).nonzero().item() for window in seen])
        assert all(sorted(order) == list(range(20)) for order in orders)
        assert orders[0] != orders[1]

    def test_every_batch_is_an_update(self) -> None:
        problem = small()
        records = Trainer(problem).train()
        assert [record["updates"] for record in records] == [3, 6]
        assert problem.budget() == {"updates": 6, "samples_per_update": 8}
        assert problem.planned_updates == 6

    def test_records_hold_the_mean_loss_of_the_epoch_in_the_studys_units(self) -> None:
        still = {"lr": 1e-12, "weight_decay": 0.0, "epochs": 1}
        problem = small(model={"dropout": 0.0, "head_dropout": 0.0}, training=still)
        part = problem.splits.training
        expected = losses_of(problem, problem.raw(part.inputs), part)
        record = Trainer(problem).train()[0]
        losses = {task: figures["loss"] for task, figures in record["tasks"].items()}
        assert losses == pytest.approx({task: float(expected[task].mean()) for task in TASKS}, rel=1e-5)
        assert json.loads(json.dumps(record, allow_nan=False)) == record

    def test_standardised_heads_do_not_change_the_unit_of_records(self) -> None:
        still = {"lr": 1e-12, "weight_decay": 0.0, "epochs": 1}
        problem = small(model={"standardise": TASKS, "dropout": 0.0, "head_dropout": 0.0}, training=still)
        record = Trainer(problem).train()[0]
        assert 10 < record["tasks"]["countdown"]["loss"] < 20
        assert record["signals"]["loss"]["countdown"] < 2

    def test_the_next_epochs_losses_are_not_added_to_a_record(self) -> None:
        problem = small()
        kept: list[dict[str, Any]] = []

        class Keeper:
            def unit_ended(self, record: dict[str, Any]) -> None:
                kept.append(record)

        copies = Trainer(problem).train(None, Keeper())
        assert [record["tasks"] for record in kept] == [record["tasks"] for record in copies]


class TestChance:
    def test_the_same_seed_gives_the_same_training(self) -> None:
        one, other = small(), small()
        assert Trainer(one).train() == Trainer(other).train()
        assert same(one, other)
        assert one.evaluate(None, "held_out") == other.evaluate(None, "held_out")

    def test_another_seed_gives_another(self) -> None:
        assert Trainer(small()).train() != Trainer(small(seed=1)).train()

    def test_the_order_is_the_same_for_a_task_alone(self) -> None:
        joint, alone = small(), small(["ptr"])
        for _ in range(4):
            joint.advance()
            alone.advance()
            assert torch.equal(joint.batch.inputs, alone.batch.inputs)

    def test_the_first_losses_of_a_task_alone_are_those_beside_the_others(self) -> None:
        joint, alone = small(), small(["countdown"])
        for problem in (joint, alone):
            problem.advance()
        assert joint.gradients().losses[3] == alone.gradients().losses[0]


class TestScores:
    def test_the_best_constant_scores_0(self) -> None:
        problem = small(model={"standardise": TASKS})
        with torch.no_grad():
            for task in TASKS:
                problem.network.head(task).weight.zero_()
        assert skills(problem) == pytest.approx(dict.fromkeys(TASKS, 0.0), abs=1e-4)

    def test_an_untrained_model_is_no_better(self) -> None:
        assert all(skill < 1 for skill in skills(small()).values())

    def test_skill_and_measures_are_of_the_held_out_windows(self) -> None:
        problem = small()
        part = problem.splits.held_out
        losses = losses_of(problem, problem.raw(part.inputs), part)
        constants = constant_losses_of(problem, part)
        found = problem.evaluate(None, "held_out")
        for task in TASKS:
            expected = 100 * (1 - losses[task].double() / constants[task].double().mean())
            assert found[task].scores == pytest.approx(tuple(expected.tolist()))
            assert found[task].measures["loss"] == pytest.approx(float(losses[task].mean()))
        names = {task: set(one.measures) - {"loss"} for task, one in found.items()}
        assert names == {
            "type": {"accuracy"}, "ptr": {"pointer_error"}, "binary": {"span_f1"}, "countdown": {"start_mae"}
        }  # fmt: skip

    def test_the_lists_are_validation_and_held_out_windows(self) -> None:
        problem = small()
        monitor, held_out = (problem.evaluate(None, name)["ptr"].scores for name in ("monitor", "held_out"))
        assert (len(monitor), len(held_out)) == (12, 16)

    def test_some_items_and_some_tasks(self) -> None:
        problem = small()
        found = problem.evaluate(5, "held_out", ("binary",))
        assert list(found) == ["binary"]
        assert len(found["binary"].scores) == 5
        losses = problem.evaluate(None, "held_out")["binary"].measures["loss"]
        assert found["binary"].measures["loss"] != losses
        assert len(problem.evaluate(99, "held_out")["ptr"].scores) == 16

    def test_many_windows_are_scored_as_they_would_be_alone(self) -> None:
        problem = small(data={**DATA, "held_out": 300})
        part = problem.splits.held_out
        alone = problem.raw(part.inputs[280:281])
        whole = problem.raw(part.inputs)
        for task in TASKS:
            torch.testing.assert_close(whole[task][280:281], alone[task], rtol=1e-4, atol=1e-5)

    def test_constant_targets_keep_scores_finite(self) -> None:
        for task in TASKS:
            problem = with_faults(TASKS, fault("constant_targets", task))
            assert all(math.isfinite(value) for value in problem.evaluate(None, "held_out")[task].scores)


class TestOptimizer:
    @pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
    def test_each_learns(self, name: str) -> None:
        problem = small(training={"optimizer": name, "lr": 2e-2, "epochs": 6})
        first, *_, last = Trainer(problem).train()
        assert last["tasks"]["binary"]["loss"] < first["tasks"]["binary"]["loss"]

    def test_only_decay_tells_adam_from_adamw(self) -> None:
        one, other = (small(training={"optimizer": name, "weight_decay": 0.0}) for name in ("adam", "adamw"))
        assert Trainer(one).train() == Trainer(other).train()
        decayed = small(training={"optimizer": "adam", "weight_decay": 0.5})
        assert Trainer(decayed).train() == Trainer(small(training={"optimizer": "adam"})).train()
        assert Trainer(small(training={"weight_decay": 0.5})).train() != Trainer(small()).train()

    def test_a_head_can_have_a_rate_of_its_own(self) -> None:
        problem = small(training={"head_lr": {"countdown": 20.0}})
        rates = {group["lr"] for group in problem.optimizer.param_groups}
        assert rates == {0.01, 0.2}
        before = weights(problem)
        problem.advance()
        ones = torch.ones(4, dtype=torch.float64)
        problem.gradients().combine(ones, ones)
        problem.update()
        # Adam's first step is the learning rate.
        name = "heads.countdown_head.bias"
        assert float((weights(problem)[name] - before[name]).abs()) == pytest.approx(0.2, rel=0.05)

    def test_a_head_can_have_a_decay_of_its_own(self) -> None:
        problem = small(training={"weight_decay": 0.2, "head_decay": {"ptr": 0.0}})
        decays = {
            id(p): group["weight_decay"] for group in problem.optimizer.param_groups for p in group["params"]
        }
        assert {decays[id(p)] for p in problem.head("ptr")} == {0.0}
        assert {decays[id(p)] for p in (*problem.trunk(), *problem.head("type"))} == {0.2}

    def test_a_clipped_gradient_has_the_asked_length(self) -> None:
        problem = small(training={"gradient_clip": 1e-3, "optimizer": "sgd", "weight_decay": 0.0, "lr": 1.0})
        before = weights(problem)
        problem.advance()
        ones = torch.ones(4, dtype=torch.float64)
        problem.gradients().combine(ones, ones)
        problem.update()
        after = weights(problem)
        squares = [(after[name] - before[name]).double().square().sum() for name in before]
        assert float(torch.stack(squares).sum().sqrt()) == pytest.approx(1e-3, rel=1e-3)


class TestParameters:
    def test_only_what_the_tasks_use_counts(self) -> None:
        joint, alone = small().parameter_count(), small(["type"]).parameter_count()
        assert joint.shared == alone.shared
        assert alone.total - alone.shared == 5 * 3 + 3

    def test_the_countdowns_form_counts(self) -> None:
        per_step, scalar = small(), small(model={"countdown": "scalar"})
        assert per_step.parameter_count().total - scalar.parameter_count().total == 12 - 5


class TestState:
    @pytest.mark.parametrize("name", METHODS)
    def test_a_restored_training_goes_on_bit_for_bit(self, name: str) -> None:
        whole = small(training=LONG)
        expected = Trainer(whole, *METHODS[name]).train()
        part, rest = small(training=LONG), small(training=LONG)
        first, second = Trainer(part, *METHODS[name]), Trainer(rest, *METHODS[name], seed=9)
        found = first.train(2)
        rest.load_state_dict(part.state_dict())
        second.balancing.load_state_dict(first.balancing.state_dict())
        found += second.train()
        assert found == expected
        assert same(rest, whole)
        assert rest.evaluate(None, "held_out") == whole.evaluate(None, "held_out")

    def test_it_survives_a_file(self, tmp_path: Path) -> None:
        problem = small(training=LONG)
        Trainer(problem).train(2)
        torch.save(problem.state_dict(), tmp_path / "state.pt")
        other = small(training=LONG)
        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert Trainer(other).train() == Trainer(problem).train()

    def test_an_evaluation_needs_the_weights_only(self) -> None:
        trained, fresh = small(), small(seed=3)
        Trainer(trained).train()
        fresh.load_policy_state(trained.policy_state())
        inputs = trained.splits.held_out.inputs
        assert all(torch.equal(trained.raw(inputs)[task], fresh.raw(inputs)[task]) for task in TASKS)

    def test_there_is_none_within_an_epoch(self) -> None:
        problem = small()
        problem.advance()
        with pytest.raises(RuntimeError, match="an epoch is under way"):
            problem.state_dict()


def test_there_are_no_episodes_to_show() -> None:
    with pytest.raises(MtctlError, match="no episodes to show"):
        small().show("ptr", 1)


def test_choices_hold_the_losses_of_all_classes_and_numbers_those_of_none() -> None:
    problem = small()
    for task, classes, rows in (("type", 3, 1), ("binary", 2, 105)):
        found = problem.choices(task, "monitor")
        assert found is not None
        own = found.losses.gather(1, found.labels[:, None])
        expected = problem.answers("monitor").losses(task).mean()
        assert found.losses.shape == (rows * len(problem.splits.validation), classes)
        assert float(own.mean()) == pytest.approx(float(expected), rel=1e-5)
        assert problem.numbers(task, "monitor") is None
    assert problem.choices("ptr", "monitor") is None
    numbers = problem.numbers("ptr", "held_out")
    assert numbers is not None
    assert numbers.answers.shape == numbers.targets.shape == (len(problem.splits.held_out), 2)
