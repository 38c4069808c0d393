from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from mtctl.balancing.chain import Chain
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.signals import SignalLog
from mtctl.errors import MtctlError
from mtctl.problems.contract import Record
from mtctl.problems.python.problem import OwnModel
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.supervised.interventions import NoDropout
from tests.problems.python.recipes import own


class Recorder:
    """Keeps the records of a training."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def unit_ended(self, record: Record) -> None:
        self.records.append(deepcopy(record))


class Trained:
    """A problem that is trained as a run trains it."""

    def __init__(self, recipe: PythonRecipe, seed: int = 0) -> None:
        self.problem = OwnModel(recipe, seed)
        self.balancing = Balancing(Chain(recipe.chain), self.problem.tasks, seed)
        self.log = SignalLog(self.problem.tasks, shared=True, every=1, inspect=self.problem.inspect)
        self.recorder = Recorder()

    def train(self, units: int | None = None) -> Trained:
        self.problem.units = self.problem.units if units is None else units
        fit(self.problem, self.balancing, self.log, [self.recorder])
        return self

    @property
    def records(self) -> list[Record]:
        return self.recorder.records


def weights(problem: OwnModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in problem.model.parameters()])


def test_both_tasks_are_learned() -> None:
    trained = Trained(own(training__epochs=30)).train()
    scores = trained.problem.evaluate(None, "held_out")
    assert np.mean(scores["side"].scores) > 70
    assert np.mean(scores["height"].scores) > 80
    assert len(scores["side"].scores) == 40


@pytest.mark.parametrize("balancer", ["gradnorm", "pcgrad", "cagrad", "uncertainty", "dwa", "famo"])
def test_the_same_seed_gives_the_same_records(balancer: str) -> None:
    recipe = own(balancer={"kind": balancer}, problem__arguments={"dropout": 0.5})
    first, second = Trained(recipe).train(), Trained(recipe).train()
    assert first.records == second.records
    assert torch.equal(weights(first.problem), weights(second.problem))
    assert Trained(recipe, seed=1).train().records != first.records


def test_global_generators_are_left_as_they_were() -> None:
    states = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()
    trained = Trained(own(problem__arguments={"dropout": 0.5})).train()
    trained.problem.evaluate(None, "monitor")
    assert random.getstate() == states[0]
    assert repr(np.random.get_state()) == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_evaluations_do_not_change_the_training() -> None:
    recipe = own(problem__arguments={"dropout": 0.5})
    looked = Trained(recipe)
    for unit in (1, 2):
        looked.train(unit)
        looked.problem.evaluate(None, "monitor")
        looked.problem.sampled_gradients(torch.Generator().manual_seed(0))
        looked.problem.answers("held_out")
    assert looked.records == Trained(recipe).train().records


@pytest.mark.parametrize("balancer", ["equal", "gradnorm"])
def test_a_run_goes_on_from_its_state(balancer: str) -> None:
    recipe = own(balancer={"kind": balancer}, problem__arguments={"dropout": 0.5}, training__epochs=4)
    whole = Trained(recipe).train()
    half = Trained(recipe).train(2)
    rest = Trained(recipe)
    rest.problem.load_state_dict(deepcopy(half.problem.state_dict()))
    rest.balancing.load_state_dict(deepcopy(half.balancing.state_dict()))
    rest.train(4)
    assert [*half.records, *rest.records] == whole.records


def test_a_task_alone_starts_and_meets_the_batches_as_beside_the_others() -> None:
    joint, alone = Trained(own()), Trained(own(problem__tasks=["height"]))
    assert torch.equal(weights(joint.problem), weights(alone.problem))
    for trained in (joint, alone):
        trained.problem.advance()
        trained.problem.gradients()
    assert torch.equal(joint.problem.batch.batch[0], alone.problem.batch.batch[0])
    assert alone.problem.trunk() and len(alone.problem.head("height")) == 2


def test_parameters_are_told_apart() -> None:
    problem = OwnModel(own(), 0)
    names = {parameter: name for name, parameter in problem.model.named_parameters()}
    assert [names[parameter] for parameter in problem.trunk()] == ["trunk.0.weight", "trunk.0.bias"]
    assert [names[parameter] for parameter in problem.head("side")] == ["side_head.weight", "side_head.bias"]
    assert problem.parameter_count().shared == 48


@pytest.mark.parametrize("layer", ["features", "last_shared", "all_shared"])
def test_methods_measure_where_they_are_told_to(layer: str) -> None:
    trained = Trained(own(balancer={"kind": "gradnorm", "layer": layer}, training__epochs=12)).train()
    weight = trained.records[-1]["signals"]["weight"]
    assert weight["side"] > 1.05 > 0.95 > weight["height"]


def test_accumulated_batches_are_one_larger_batch() -> None:
    halves = Trained(own(training__accumulate=2, training__epochs=1)).train()
    assert halves.problem.budget() == {"updates": 2, "samples_per_update": 32}
    problem = OwnModel(own(training__accumulate=4), 0)
    problem.advance()
    gradients = problem.gradients()
    together = [part.batch for part in problem.batch.parts]
    whole = OwnModel(own(), 0)
    places, side, height = (torch.cat(parts) for parts in zip(*together, strict=True))
    raw = whole.model(places)
    losses = torch.nn.functional.cross_entropy(raw["side"], side), (raw["height"] - height).square().mean()
    assert gradients.losses.tolist() == pytest.approx([loss.item() for loss in losses], rel=1e-5)
    expected = [torch.autograd.grad(loss, whole.trunk(), retain_graph=True) for loss in losses]
    rows = torch.stack([torch.cat([one.flatten() for one in row]) for row in expected]).double()
    assert torch.allclose(gradients.gramian("all_shared"), rows @ rows.T, rtol=1e-4)


def test_accumulated_training_is_balanced_like_any_other() -> None:
    trained = Trained(own(training__accumulate=2, balancer={"kind": "pcgrad"}, training__epochs=30)).train()
    assert np.mean(trained.problem.evaluate(None, "held_out")["height"].scores) > 50


def test_the_best_constant_is_that_of_the_loss() -> None:
    problem = OwnModel(own(), 0)
    targets = problem._survey.targets["height"]
    constant, scale = problem.objectives["height"].constant, problem.objectives["height"].scale
    assert constant is not None and scale is not None
    assert float(constant) == pytest.approx(float(targets.mean()), abs=1e-4)
    assert float(scale) == pytest.approx(float(targets.std(correction=0)), rel=1e-4)
    shares = problem._survey.targets["side"].bincount().double() / 64
    logits = problem.objectives["side"].constant
    assert logits is not None
    assert logits.softmax(0).tolist() == pytest.approx(shares.tolist(), abs=1e-3)


def test_standardised_tasks_do_not_depend_on_the_unit_of_their_targets() -> None:
    skills = {}
    for unit in (1.0, 1000.0):
        recipe = own(training__standardise=["height"], training__epochs=5, problem__arguments={"unit": unit})
        trained = Trained(recipe).train()
        skills[unit] = np.mean(trained.problem.evaluate(None, "held_out")["height"].scores)
    assert skills[1000.0] == pytest.approx(skills[1.0], abs=0.5)
    raw = Trained(own(training__epochs=5, problem__arguments={"unit": 1000.0})).train()
    assert np.mean(raw.problem.evaluate(None, "held_out")["height"].scores) < 5


def test_rates_are_changed_where_asked() -> None:
    problem = OwnModel(own(training__lr_factor=3.0, training__head_lr={"height": 2.0}), 0)
    assert problem.rate == pytest.approx(0.03)
    assert problem.adam_step("side") == pytest.approx(0.03)
    assert problem.adam_step("height") == pytest.approx(0.06)
    assert OwnModel(own(training__adam=0.5), 0).rate == 0.5


def test_a_head_can_have_a_decay_of_its_own() -> None:
    found = OwnModel(own(training__weight_decay=0.3, training__head_decay={"height": 0.0}), 0)
    head = {id(parameter) for parameter in found.head("height")}
    for group in found.optimizer.param_groups:
        own_group = {id(parameter) for parameter in group["params"]} <= head
        assert group["weight_decay"] == (0.0 if own_group else 0.3)
    assert head == {
        id(parameter)
        for group in found.optimizer.param_groups
        for parameter in group["params"]
        if not group["weight_decay"]
    }


def test_dropout_is_switched_off_only_where_there_is_any() -> None:
    change = NoDropout()
    assert OwnModel(own(problem__arguments={"dropout": 0.1}), 0).applicable(change) == (change,)
    assert OwnModel(own(problem__arguments={"dropout": 0.0}), 0).applicable(change) == ()


def test_few_rows_are_one_batch() -> None:
    trained = Trained(own(problem__limit=8, training__epochs=3)).train()
    assert trained.problem.budget() == {"updates": 3, "samples_per_update": 8}


def test_dropout_can_be_switched_off() -> None:
    dropped = OwnModel(own(training__dropout=False, problem__arguments={"dropout": 0.9}), 0)
    plain = OwnModel(own(), 0)
    for problem in (dropped, plain):
        problem.advance()
    assert dropped.gradients().losses.tolist() == plain.gradients().losses.tolist()


def test_evaluations_score_the_first_rows() -> None:
    problem = OwnModel(own(), 0)
    some, everything = problem.evaluate(35, "held_out"), problem.evaluate(None, "held_out")
    assert some["height"].scores == pytest.approx(everything["height"].scores[:35])


def test_runs_are_comparable_where_the_held_out_targets_are_the_same() -> None:
    definitions = [OwnModel(own(), seed).definition for seed in (0, 1)]
    assert definitions[0] == definitions[1]
    other = OwnModel(own(problem__arguments={"unit": 2.0}), 0).definition
    assert other != definitions[0]


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(MtctlError, match="no task `depth`"):
        OwnModel(own(problem__tasks=["depth", "side"]), 0)


def test_data_are_passed_over_once_for_builds_that_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    survey = OwnModel._survey_data

    def counted(problem: OwnModel) -> Any:
        passes.append(1)
        return survey(problem)

    monkeypatch.setattr(OwnModel, "_survey_data", counted)
    first = OwnModel(own(problem__arguments={"rows": 80}), 7)
    again = OwnModel(own(problem__arguments={"rows": 80}, training__standardise=["height"]), 7)
    assert len(passes) == 1
    assert first.definition == again.definition
    assert again.objectives["height"].scale is first.objectives["height"].scale
    OwnModel(own(problem__arguments={"rows": 96}), 7)
    assert len(passes) == 2


def test_targets_are_told_by_their_unit() -> None:
    problem = OwnModel(own(problem__arguments={"unit": 1000.0}), 0)
    unit = problem.target_unit("height")
    assert unit is not None
    assert unit[1] == pytest.approx(float(problem._survey.targets["height"].std(correction=0)), rel=1e-4)
    assert (problem.is_of_classes("side"), problem.is_of_classes("height")) == (True, False)
    assert problem.target_unit("side") is None
