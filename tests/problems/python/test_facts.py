"""What is found out about a user's model without asking: seeds, parameters, targets, reductions, batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.diagnosis.experiments import wiring
from mtctl.diagnosis.experiments.course import Course
from mtctl.problems.python.problem import OwnModel
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.tasks import complete
from mtctl.problems.supervised.interventions import FewRows, Only

BUILD = f"{Path(__file__).with_name('models.py')}:build"


def recipe(kind: str, **arguments: Any) -> PythonRecipe:
    told = {
        "name": kind,
        "problem": {"kind": "python", "build": BUILD, "arguments": {"kind": kind, **arguments}},
        "training": {"epochs": 2, "device": "cpu"},
        "balancer": {"kind": "equal"},
    }
    return complete(PythonRecipe.model_validate(told))


def problem(kind: str, **arguments: Any) -> OwnModel:
    return OwnModel(recipe(kind, **arguments), 0)


def weight(found: OwnModel, name: str) -> torch.Tensor:
    return found.model.get_parameter(name)


def parameters(found: OwnModel, module: str) -> set[int]:
    return {id(one) for one in found.model.get_submodule(module).parameters()}


def test_the_function_is_called_under_the_seed() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = (
        OwnModel(recipe("plain"), 0),
        OwnModel(recipe("plain"), 0),
        OwnModel(recipe("plain"), 1),
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weight(first, "trunk.weight"), weight(second, "trunk.weight"))
    assert not torch.equal(weight(first, "trunk.weight"), weight(other, "trunk.weight"))


def test_a_detached_task_uses_the_trunk_that_its_loss_does_not_reach() -> None:
    found = problem("detached")
    assert {id(p) for p in found.trunk()} == parameters(found, "trunk")
    assert {id(p) for p in found.head("b")} == parameters(found, "b")
    findings, _ = wiring.examine(found)
    assert [(one.code, one.task) for one in findings] == [("detached-task", "a")]


def test_looking_for_detached_tasks_leaves_the_parameters_as_they_are() -> None:
    found, plain = problem("detached"), problem("plain")
    assert torch.equal(weight(found, "trunk.weight"), weight(plain, "trunk.weight"))
    assert torch.equal(weight(found, "a.bias"), weight(plain, "a.bias"))


def test_a_trunk_that_requires_no_gradient_is_known() -> None:
    found = problem("frozen")
    assert {id(p) for p in found.frozen()} == parameters(found, "trunk")
    findings, _ = wiring.examine(found)
    assert [(one.code, one.severity) for one in findings] == [("frozen-trunk", "info")]
    assert found.sampled_gradients(torch.Generator()).shape == (2, 0)


def test_classes_that_there_are_not() -> None:
    bad = problem("counted_from_one").bad_targets("a")
    assert bad is not None
    assert 0 < bad.rows < bad.of == 24


@pytest.mark.parametrize("number", [-1, 255])
def test_a_class_that_the_loss_leaves_out_is_a_missing_target(number: int) -> None:
    found = problem("left_out", number=number)
    assert found.bad_targets("a") is None
    assert len(found.answers("monitor").losses("a")) == 16


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_answers_that_broadcast_with_their_targets() -> None:
    bad = problem("flat_targets").bad_targets("b")
    assert bad is not None
    assert "[8, 1] and targets [8] broadcast" in bad.misfit
    assert problem("squeezed").bad_targets("b") is None


def test_padded_sequences_have_a_loss_for_each_row() -> None:
    found = problem("padded")
    assert found.bad_targets("a") is None
    assert found.bad_targets("b") is None
    assert found.objectives["a"].reduction == found.objectives["b"].reduction == "elements"
    for task in found.tasks:
        losses = found.answers("monitor").losses(task)
        assert len(losses) == 24
        batches = [found.objectives[task].loss(pair) for pair in pairs(found, task)]
        assert float(losses.mean()) == pytest.approx(float(torch.stack(batches).mean()), rel=1e-4)


def pairs(found: OwnModel, task: str) -> list[Any]:
    return [found._forward.pair(task, raw, rows) for raw, rows in found.answers("monitor").parts]


def test_targets_that_are_partly_missing_are_wrong_where_the_loss_does_not_bear_it() -> None:
    bad = problem("padded", bears=False).bad_targets("b")
    assert bad is not None
    assert bad.rows == 18


def test_a_batch_for_each_task() -> None:
    found = problem("by_task")
    assert found.updates_per_epoch == 6
    assert found.tasks == ("a", "b")
    gradients = found.sampled_gradients(torch.Generator().manual_seed(0))
    assert (gradients.norm(dim=1) > 0).all()
    findings, _ = wiring.examine(found)
    assert not findings
    assert {task: len(found.answers("monitor").losses(task)) for task in found.tasks} == {"a": 24, "b": 15}
    assert len(found.answers("monitor").dealt("b", 1, 8)) == 15


def test_a_task_alone_keeps_the_order_and_the_number_of_updates() -> None:
    whole = recipe("by_task")
    course = Course(whole.revised(whole.changes(Only(("b",)))), 0).run(1)
    assert course.updates == 6
    assert course.problem.evaluate(None, "monitor").keys() == {"b"}


def test_few_rows_hold_some_of_every_task() -> None:
    whole = recipe("by_task")
    found = OwnModel(whole.revised(whole.changes(FewRows(3))), 0)
    batches = [rows.batch for rows in found.batches()]
    assert [{task: len(part[0]) for task, part in batch.items()} for batch in batches] == [{"a": 3}, {"b": 3}]


def test_a_stream_has_no_length() -> None:
    assert problem("stream").updates_per_epoch == 3


def test_without_outputs_nobody_is_accused_of_ignoring_inputs() -> None:
    answers = problem("own_losses").answers("monitor")
    assert not answers.apart
    assert wiring.ignores_input(answers, "a") == math.inf
