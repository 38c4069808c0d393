"""Half precision: what float16 loses is kept by scaled losses, and what overflows is tried again."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mtctl.balancing.contract import Space
from mtctl.balancing.registry import KINDS
from mtctl.engine.fit import Diverged
from mtctl.errors import MtctlError
from mtctl.problems.python import precision
from mtctl.problems.python.precision import FIRST_SCALE, SMALLEST_SCALE, LossScale
from mtctl.problems.python.problem import OwnModel
from mtctl.problems.python.recipe import PythonRecipe
from tests.engine.runs import StopAfter, assert_same_training, metrics, train
from tests.problems.python.recipes import own
from tests.problems.python.test_problem import Trained, weights
from tests.problems.python.tiny import TwoHeads

HALF: dict[str, Any] = {"training__precision": "fp16"}
HERE = Path(__file__).with_name("half.py")


def skills(trained: Trained) -> dict[str, float]:
    scores = trained.problem.evaluate(None, "held_out")
    return {task: float(np.mean(found.scores)) for task, found in scores.items()}


def skipped(trained: Trained) -> int:
    return sum(record["extra"]["skipped_steps"] for record in trained.records)


def here(function: str, **changes: Any) -> PythonRecipe:
    return own(HERE, function, **HALF, **changes)


# ----- the scale


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=24))
def test_the_scale_moves_as_that_of_torch(steps: list[bool]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "GROWTH_INTERVAL", 3)
        torch_scaler = torch.amp.GradScaler("cpu", growth_interval=3)
        parameter = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        scale = LossScale()
        torch_scaler.scale(torch.zeros(()))  # which makes its state
        for finite in steps:
            parameter.grad = torch.ones(1) if finite else torch.full((1,), torch.inf)
            torch_scaler.step(optimizer)
            torch_scaler.update()
            if finite:
                scale.updated()
            else:
                assert scale.back_off()
            assert scale.value == torch_scaler.get_scale()
        assert scale.state_dict()["since"] == torch_scaler.state_dict()["_growth_tracker"]


def test_its_defaults_are_those_of_torch() -> None:
    known = torch.amp.GradScaler("cpu").state_dict()
    ours = (precision.FIRST_SCALE, precision.GROWTH, precision.BACKOFF, precision.GROWTH_INTERVAL)
    assert ours == tuple(
        known[key] for key in ("scale", "growth_factor", "backoff_factor", "growth_interval")
    )


def test_it_does_not_fall_where_it_cannot_help() -> None:
    scale, steps = LossScale(), 0
    while scale.back_off():
        steps += 1
    assert (scale.value, steps) == (SMALLEST_SCALE, 40)


# ----- trainings


def test_a_training_is_that_of_torch_and_its_scaler() -> None:
    problem = Trained(own(**HALF, training__epochs=6))
    model = TwoHeads()
    model.load_state_dict(deepcopy(problem.problem.policy_state()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    advance = problem.problem.advance

    def watched() -> Any:
        record = advance()
        places, side, height = problem.problem.batch.batch
        with torch.autocast("cpu", dtype=torch.float16):
            outputs = model(places)
        loss = F.cross_entropy(outputs["side"].float(), side) + F.mse_loss(outputs["height"].float(), height)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return record

    problem.problem.advance = watched  # type: ignore[method-assign]
    problem.train()
    expected = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert problem.records[0]["extra"] == {"loss_scale": 2.0**14, "skipped_steps": 2}
    assert scaler.get_scale() == problem.records[-1]["extra"]["loss_scale"]
    assert torch.allclose(weights(problem.problem), expected, atol=2e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"balancer": {"kind": "gradnorm", "layer": "features"}},
        {"balancer": {"kind": "gradnorm", "layer": "last_shared"}},
        {"balancer": {"kind": "pcgrad"}, "training__accumulate": 2, "training__epochs": 40},
        {"balancer": {"kind": "famo"}, "training__gradient_clip": 1.0},
    ],
    ids=["plain", "features", "last shared", "accumulated", "clipped"],
)
def test_both_tasks_are_learned(changes: dict[str, Any]) -> None:
    trained = Trained(own(**{"training__epochs": 20, **HALF, **changes})).train()
    assert skills(trained)["side"] > 60
    assert skills(trained)["height"] > 80


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("space", ["all_shared", "last_shared"])
def test_gradients_are_those_of_float32(space: Space, accumulate: int) -> None:
    found = []
    for changes in ({}, HALF):
        problem = OwnModel(own(**changes, training__accumulate=accumulate), 0)
        if problem._precision.scale is not None:
            problem._precision.scale.value = 2.0**12
        problem.advance()
        gradients = problem.gradients()
        gradients.combine(torch.tensor([2.0, 0.5]).double(), torch.tensor([1.0, 3.0]).double())
        combined = torch.cat(
            [one.grad.flatten() for one in problem.model.parameters() if one.grad is not None]
        )
        found.append((gradients.gramian(space), gradients.own_norms(), combined))
    for full, half in zip(*found, strict=True):
        assert half.flatten().tolist() == pytest.approx(full.flatten().tolist(), rel=0.02, abs=1e-3)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_method_trains(kind: str) -> None:
    needed = {"manual": {"weights": {"side": 2.0, "height": 0.5}}}
    trained = Trained(own(balancer={"kind": kind, **needed.get(kind, {})}, **HALF, training__epochs=8))
    before = trained.problem.evaluate(None, "held_out")["height"].measures["loss"]
    after = trained.train().problem.evaluate(None, "held_out")["height"].measures["loss"]
    assert after < 0.8 * before
    assert trained.records[-1]["signals"]["updates"] >= 3
    assert skipped(trained) >= 1  # the first scale is too large for means over 16 rows


@pytest.mark.parametrize("factor", [1.0, 2.0**-28])
def test_small_gradients_survive(factor: float) -> None:
    trained = Trained(here("small", problem__arguments={"factor": factor}, training__epochs=20)).train()
    assert skills(trained)["side"] > 60
    assert skills(trained)["height"] > 80


def test_without_a_scale_small_gradients_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "FIRST_SCALE", 1.0)
    recipe = here("small", problem__arguments={"factor": 2.0**-28}, training__epochs=20)
    assert max(skills(Trained(recipe).train()).values()) < 50


def test_steps_that_overflow_are_skipped_and_the_training_goes_on() -> None:
    recipe = here(
        "large",
        problem__arguments={"unit": 2000.0},
        training__epochs=30,
        training__standardise=["height"],
        training__loss_factor={"height": 4000.0},
        balancer={"kind": "uncertainty"},
    )
    trained = Trained(recipe).train()
    first = trained.records[0]
    assert first["extra"]["skipped_steps"] >= 3
    assert first["updates"] == 4 - first["extra"]["skipped_steps"]
    assert trained.problem.budget()["updates"] == 120 - skipped(trained)
    assert trained.records[-1]["extra"]["loss_scale"] == FIRST_SCALE * 0.5 ** skipped(trained)
    assert skills(trained)["height"] > 80


@pytest.mark.parametrize("kind", ["gradnorm", "pcgrad", "famo"])
def test_a_skipped_step_leaves_everything_as_it_was(kind: str) -> None:
    trained = Trained(here("large", problem__arguments={"unit": 1e4}, balancer={"kind": kind}))
    before = deepcopy((trained.problem.policy_state(), trained.balancing.state_dict()))
    trained.train(1)  # four batches, all of which overflow
    after = trained.problem.policy_state(), trained.balancing.state_dict()
    assert skipped(trained) == 4
    assert trained.records[0]["signals"] is None
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert torch.equal(before[1]["rng"], after[1]["rng"])
    assert before[1]["state"].keys() == after[1]["state"].keys()
    assert all(torch.equal(before[1]["state"][name], after[1]["state"][name]) for name in before[1]["state"])


@pytest.mark.parametrize("every", ["epoch", "update"])
def test_schedules_count_updates_that_were_made(every: str) -> None:
    trained = Trained(here("scheduled", problem__arguments={"every": every}, training__epochs=3)).train()
    assert [record["extra"]["skipped_steps"] for record in trained.records] == [1, 0, 0]
    assert trained.problem.rate == pytest.approx(1e-2 * 0.5**2)


def test_losses_of_one_s_own_may_be_in_float16() -> None:
    trained = Trained(here("own_losses", training__epochs=20)).train()
    assert skipped(trained) >= 1
    assert skills(trained)["height"] > 50


@pytest.mark.parametrize("interrupted_after", [1, 2])
def test_a_resumed_run_is_the_uninterrupted_one(interrupted_after: int, tmp_path: Path) -> None:
    recipe = here(
        "large",
        problem__arguments={"unit": 300.0},
        training__epochs=4,
        balancer={"kind": "pcgrad"},
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, recipe)
    train(parts, recipe, stop=StopAfter(interrupted_after))
    train(parts, recipe, resume=True)
    assert_same_training(whole, parts)
    scales = [record["extra"]["loss_scale"] for record in metrics(whole) if record["kind"] == "unit"]
    assert scales[0] != scales[interrupted_after]  # so that the state matters


def test_a_prolonged_run_is_one_that_was_longer_from_its_start(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {"problem__arguments": {"unit": 300.0}}
    train(whole, here("large", **changes, training__epochs=4))
    train(parts, here("large", **changes, training__epochs=2))
    train(parts, here("large", **changes, training__epochs=4), resume=True)
    assert (whole / "metrics.jsonl").read_bytes() == (parts / "metrics.jsonl").read_bytes()


# ----- what cannot be trained


def test_gradients_that_no_scale_helps_end_the_run() -> None:
    with pytest.raises(Diverged, match="task `height` has gradients that are not finite") as caught:
        Trained(here("hopeless", training__epochs=20)).train()
    assert "scaled by 6e-08" in caught.value.message
    assert "training.precision=bf16" in str(caught.value.hint)


def test_losses_that_are_not_finite_end_the_run_at_once() -> None:
    recipe = here("large", problem__arguments={"unit": 1e30})
    with pytest.raises(Diverged, match="task `height` has loss inf") as caught:
        Trained(recipe).train()
    assert "training.precision=bf16" in str(caught.value.hint)


def test_a_model_in_float16_is_refused() -> None:
    with pytest.raises(MtctlError, match=r"`trunk.0.weight` is in float16") as caught:
        OwnModel(here("halved"), 0)
    assert "without .half()" in str(caught.value.hint)


def test_samples_are_measured_in_float32() -> None:
    half, full = OwnModel(own(**HALF), 0), OwnModel(own(), 0)
    rows = [one.sampled_gradients(torch.Generator().manual_seed(0)) for one in (half, full)]
    assert torch.equal(*rows)
    assert all(descent == pytest.approx(1, abs=0.05) for descent in half.descents(0).values())


def test_gradients_that_are_looked_at_need_no_scale() -> None:
    found = []
    for changes in ({}, HALF):
        problem = OwnModel(own(**changes), 0)
        problem.advance()
        with problem.looking():
            gradients = problem.gradients()
        found.append(gradients.gramian("all_shared"))
    assert torch.equal(*found)


def test_other_precisions_record_no_scale(tmp_path: Path) -> None:
    train(tmp_path / "run", own())
    assert all(record["extra"] == {} for record in metrics(tmp_path / "run") if record["kind"] == "unit")
    assert "loss_scale" not in json.dumps(json.loads((tmp_path / "run" / "run.json").read_text()))
