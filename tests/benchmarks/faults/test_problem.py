"""Every planted fault of model, and training does what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from mtctl.balancing.gradients import cosines
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.engine.fit import Diverged
from mtctl.problems.windows.problem import Windows
from tests.benchmarks.faults.small import fault, small
from tests.problems.windows.small import TASKS, Trainer, constant_losses_of, losses_of, weights


def first_gradients(problem: Windows) -> TaskGradients:
    problem.advance()
    return problem.gradients()


def norms(problem: Windows) -> tuple[dict[str, float], dict[str, float]]:
    """Return the norms of each task's gradient on the trunk and on its own head, in the first batch."""
    gradients = first_gradients(problem)
    trunk, own = gradients.norms("all_shared").tolist(), gradients.own_norms().tolist()
    return dict(zip(problem.tasks, trunk, strict=True)), dict(zip(problem.tasks, own, strict=True))


def moved(problem: Windows, tasks: Sequence[str] = TASKS) -> set[str]:
    """Return what an epoch changes: "trunk" and heads."""
    before = weights(problem)
    Trainer(problem).train(1)
    changed = {name for name, value in weights(problem).items() if not torch.equal(value, before[name])}
    parts = {name.split(".")[1].removesuffix("_head") if "heads." in name else "trunk" for name in changed}
    assert parts <= {"trunk", *tasks}
    return parts


def test_without_faults_everything_learns() -> None:
    trunk, own = norms(small())
    assert min(*trunk.values(), *own.values()) > 1e-4
    assert moved(small()) == {"trunk", *TASKS}


@pytest.mark.parametrize("task", TASKS)
class TestDetached:
    def test_its_gradient_stops_at_the_trunk(self, task: str) -> None:
        clean_trunk, clean_own = norms(small())
        trunk, own = norms(small(TASKS, fault("detached", task)))
        assert trunk == {**clean_trunk, task: 0.0}
        assert own == clean_own

    def test_values_stay(self, task: str) -> None:
        clean, other = small(), small(TASKS, fault("detached", task))
        inputs = clean.splits.held_out.inputs
        assert torch.equal(clean.raw(inputs)[task], other.raw(inputs)[task])

    def test_its_head_still_learns(self, task: str) -> None:
        assert moved(small([task], fault("detached", task)), [task]) == {task}


@pytest.mark.parametrize("task", TASKS)
class TestNotInOptimizer:
    def test_its_head_stays_where_it_is(self, task: str) -> None:
        assert moved(small(TASKS, fault("not_in_optimizer", task))) == {"trunk", *TASKS} - {task}

    def test_its_gradient_is_there(self, task: str) -> None:
        assert norms(small(TASKS, fault("not_in_optimizer", task))) == norms(small())


class TestFrozenTrunk:
    def test_only_heads_move(self) -> None:
        assert moved(small(TASKS, fault("frozen_trunk"))) == set(TASKS)

    def test_the_gradient_is_there(self) -> None:
        assert norms(small(TASKS, fault("frozen_trunk"))) == norms(small())

    def test_something_is_left_to_train(self) -> None:
        faults = [fault("frozen_trunk"), fault("not_in_optimizer", "ptr")]
        with pytest.raises(ValueError, match="empty parameter list"):
            small(["ptr"], *faults)


@pytest.mark.parametrize(
    ("task", "closed"),
    [
        *((task, fault("dead_head", task)) for task in TASKS),
        ("binary", fault("saturated_head", "binary")),
    ],
    ids=[*TASKS, "saturated"],
)
class TestClosedHeads:
    def test_neither_head_nor_trunk_gets_a_gradient(self, task: str, closed: dict[str, Any]) -> None:
        clean_trunk, clean_own = norms(small())
        trunk, own = norms(small(TASKS, closed))
        assert trunk == pytest.approx({**clean_trunk, task: 0.0}, abs=0)
        assert own == pytest.approx({**clean_own, task: 0.0}, abs=0)

    def test_what_it_answers_never_changes(self, task: str, closed: dict[str, Any]) -> None:
        problem = small(TASKS, closed)
        inputs = problem.splits.held_out.inputs

        def answers() -> torch.Tensor:
            return problem.objective.predictions(problem.raw(inputs))[task]

        before = answers()
        assert (before == before.flatten()[0]).all()
        Trainer(problem).train(1)
        assert torch.equal(answers(), before)


@pytest.mark.parametrize("task", TASKS)
def test_a_reversed_gradient_has_the_other_sign_in_the_trunk_only(task: str) -> None:
    found = []
    for faults in ([], [fault("reversed_gradient", task)]):
        problem = small(TASKS, *faults)
        gradients = first_gradients(problem)
        only = torch.tensor([float(one == task) for one in TASKS], dtype=torch.float64)
        gradients.combine(only, only)
        trunk = [parameter.grad for parameter in problem.trunk() if parameter.grad is not None]
        head = [parameter.grad for parameter in problem.head(task) if parameter.grad is not None]
        found.append((gradients.losses, trunk, head))
    (losses, trunk, head), (other_losses, reversed_trunk, other_head) = found
    assert torch.equal(losses, other_losses)
    assert len(trunk) > 0
    assert len(head) == 2
    assert all(torch.equal(one, -other) for one, other in zip(trunk, reversed_trunk, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(head, other_head, strict=True))


class TestContradiction:
    contradiction = fault("contradiction", "countdown", by="ptr")

    def test_the_two_tasks_pull_in_opposite_directions(self) -> None:
        gradients = first_gradients(small(TASKS, self.contradiction))
        place = {task: index for index, task in enumerate(TASKS)}
        angles = cosines(gradients.gramian("all_shared"))
        assert angles[place["countdown"], place["ptr"]] < -0.99
        ordinary = cosines(first_gradients(small()).gramian("all_shared"))
        assert ordinary[place["countdown"], place["ptr"]] > -0.9

    def test_they_share_one_head_and_the_other_one_stays(self) -> None:
        problem = small(TASKS, self.contradiction)
        assert problem.head("ptr") == problem.head("countdown") == []
        shared = [id(parameter) for parameter in problem.trunk()]
        assert {id(parameter) for parameter in problem.network.head("countdown").parameters()} <= set(shared)
        assert moved(problem) == {"trunk", "type", "binary", "countdown"}
        count = problem.parameter_count()
        assert count.total == small().parameter_count().total - sum(
            parameter.numel() for parameter in problem.network.head("ptr").parameters()
        )

    def test_the_one_that_contradicts_wants_the_negative(self) -> None:
        problem = small(TASKS, self.contradiction)
        part = problem.splits.held_out
        truth = {**problem.raw(part.inputs), "countdown": part.targets["countdown"]}
        assert losses_of(problem, truth, part)["countdown"].max() == 0
        opposite = {**truth, "countdown": -part.targets["countdown"]}
        assert losses_of(problem, opposite, part)["ptr"].max() == 0

    def test_both_are_measured_against_the_best_constant(self) -> None:
        problem = small(TASKS, self.contradiction)
        constants = constant_losses_of(problem, problem.splits.held_out)
        assert torch.equal(constants["ptr"], constants["countdown"])
        found = problem.evaluate(None, "held_out")
        assert set(found) == set(TASKS)
        assert found["ptr"].measures.keys() == {"loss"}

    @pytest.mark.parametrize("alone", ["ptr", "countdown"])
    def test_nothing_is_wrong_with_one_of_them_alone(self, alone: str) -> None:
        tasks = ["type", alone]
        clean, other = small(tasks), small(tasks, self.contradiction)
        assert norms(clean) == norms(other)
        assert other.head(alone) != []


@pytest.mark.parametrize("task", TASKS)
def test_a_missing_target_is_told_before_anything_is_learned_from_it(task: str) -> None:
    problem = small(TASKS, fault("missing_targets", task, fraction=1.0))
    before = weights(problem)
    with pytest.raises(Diverged, match=rf"epoch 1, step 0: task `{task}` has loss nan") as caught:
        Trainer(problem).train()
    assert caught.value.task == task
    assert all(torch.equal(value, before[name]) for name, value in weights(problem).items())


def test_faults_can_be_planted_together() -> None:
    faults = [fault("detached", "ptr"), fault("dead_head", "type"), fault("not_in_optimizer", "binary")]
    trunk, own = norms(small(TASKS, *faults))
    assert [task for task in TASKS if trunk[task] == 0] == ["type", "ptr"]
    assert [task for task in TASKS if own[task] == 0] == ["type"]
    assert moved(small(TASKS, *faults)) == {"trunk", "ptr", "countdown", "type"}
