"""Runs that are trained together: what each would have become alone, and nothing of the others."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.balancing.gradients.stacked import StackedGradients
from mtctl.balancing.registry import KINDS
from mtctl.engine import run
from mtctl.engine.interrupt import Stop
from mtctl.engine.processor import use_one_thread
from mtctl.engine.result import RunResult
from mtctl.engine.spec import RunSpec
from mtctl.engine.together import execute_together
from mtctl.problems.contract import Record
from mtctl.problems.recipe import Recipe
from tests.engine.runs import (
    WINDOWS,
    StopAfter,
    assert_same_training,
    evaluate_run,
    last,
    metrics,
    run_json,
    train,
)
from tests.engine.test_every_method import REQUIRED

TASKS = WINDOWS.problem.tasks


def of(recipe: Recipe, seeds: Sequence[int], folder: Path, *, resume: bool = False) -> list[RunSpec]:
    return [RunSpec(recipe, seed, folder / f"{recipe.name}{seed}", resume=resume) for seed in seeds]


def together(specs: Sequence[RunSpec], **options: Any) -> list[RunResult]:
    use_one_thread()
    return execute_together(specs, **options)


def alone(specs: Sequence[RunSpec]) -> None:
    use_one_thread()
    for spec in specs:
        run.execute(spec).required()


def evaluation(directory: Path) -> Any:
    return json.loads((directory / "eval.json").read_text())


def assert_close(one: Any, other: Any, place: str = "") -> None:
    """Assert that JSON values have the same form, and numbers that agree to float tolerance."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_close(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_close(left, right, f"{place}.{index}")
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=2e-3, abs_tol=2e-5), f"{place}: {one} and {other}"
    else:
        assert one == other, place


def assert_same_runs(one: Sequence[RunSpec], other: Sequence[RunSpec]) -> None:
    for left, right in zip(one, other, strict=True):
        assert_close(metrics(left.directory), metrics(right.directory))
        assert_close(evaluation(left.directory), evaluation(right.directory))


def balanced(kind: str, **settings: Any) -> Recipe:
    by_task = {name: dict.fromkeys(TASKS, value) for name, value in REQUIRED.get(kind, {}).items()}
    return WINDOWS.revised({"balancer": {"kind": kind, **by_task, **settings}, "training.epochs": 2})


@pytest.mark.parametrize("kind", KINDS)
def test_three_seeds_become_what_they_become_alone(kind: str, tmp_path: Path) -> None:
    """With every method: losses, weights, gradients' norms and cosines, evaluations."""
    recipe = balanced(kind)
    apart, stacked = of(recipe, (0, 1, 5), tmp_path / "apart"), of(recipe, (0, 1, 5), tmp_path / "together")
    alone(apart)
    assert [result.status for result in together(stacked)] == ["completed"] * 3
    assert_same_runs(apart, stacked)


class Recorder:
    """Sees one run's records."""

    def __init__(self) -> None:
        self.seen: list[Record] = []

    def unit_ended(self, record: Record) -> None:
        self.seen.append(record)


class Asker:
    """Asks to stop, like Ctrl-C, as a run has done so many units."""

    def __init__(self, stop: Stop, units: int, times: int = 1) -> None:
        self._stop, self._units, self._times = stop, units, times

    def unit_ended(self, record: Record) -> None:
        if record["kind"] == "unit" and record["unit"] == self._units:
            for _ in range(self._times):
                self._stop.ask()


def test_a_run_directory_is_that_of_any_run(tmp_path: Path) -> None:
    """Its checkpoint has its own tensors, of its own size; it can be evaluated and resumed by itself."""
    specs = of(WINDOWS, range(3), tmp_path)
    together(specs)
    train(tmp_path / "alone", WINDOWS, seed=1)
    stacked, single = last(specs[1].directory), last(tmp_path / "alone")
    assert_same_form(stacked, single)
    files = [path / "checkpoints" / "last.pt" for path in (specs[1].directory, tmp_path / "alone")]
    assert files[0].stat().st_size == pytest.approx(files[1].stat().st_size, rel=0.05)
    assert evaluate_run(specs[1].directory) == evaluation(specs[1].directory)
    longer = WINDOWS.lasting(4)
    train(specs[1].directory, longer, seed=1, resume=True)
    train(tmp_path / "longer", longer, seed=1)
    assert_close(metrics(specs[1].directory), metrics(tmp_path / "longer"))


def assert_same_form(one: Any, other: Any) -> None:
    """Assert that two checkpoints differ in numbers at most."""
    if isinstance(one, torch.Tensor):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert one.untyped_storage().nbytes() == other.untyped_storage().nbytes()
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_form(one[key], other[key])
    else:
        assert type(one) is type(other)


def test_stopped_runs_go_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """All stop after the same epoch; what follows is that of an uninterrupted program, bit for bit."""
    stop = Stop()
    specs = of(WINDOWS, range(3), tmp_path / "stopped")
    results = together(specs, stop=stop, observers=lambda spec: [Asker(stop, 1)] if spec.seed == 1 else [])
    assert [(result.status, result.done) for result in results] == [("interrupted", 2)] * 3
    assert {run_json(spec.directory)["status"] for spec in specs} == {"interrupted"}
    results = together(of(WINDOWS, range(3), tmp_path / "stopped", resume=True))
    assert [result.status for result in results] == ["completed"] * 3
    whole = of(WINDOWS, range(3), tmp_path / "whole")
    together(whole)
    for spec, other in zip(specs, whole, strict=True):
        assert_same_training(spec.directory, other.directory)


def test_two_requests_drop_the_epoch_that_is_under_way(tmp_path: Path) -> None:
    stop = Stop()
    specs = of(WINDOWS, range(2), tmp_path)
    results = together(specs, stop=stop, observers=lambda spec: [Asker(stop, 1, 2)] if spec.seed == 0 else [])
    assert [(result.status, result.done) for result in results] == [("interrupted", 1)] * 2
    assert [record["unit"] for record in metrics(specs[0].directory) if record["kind"] == "unit"] == [1]


def test_three_requests_leave_at_once(tmp_path: Path) -> None:
    """Every run says that it was interrupted, and can be resumed."""
    stop = Stop()
    specs = of(WINDOWS, range(2), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        together(specs, stop=stop, observers=lambda spec: [Asker(stop, 2, 3)] if spec.seed == 1 else [])
    assert {run_json(spec.directory)["status"] for spec in specs} == {"interrupted"}
    results = together(of(WINDOWS, range(2), tmp_path, resume=True))
    assert [result.status for result in results] == ["completed"] * 2


def test_runs_that_are_not_equally_far_go_on_together(tmp_path: Path) -> None:
    """One was stopped earlier, another is complete, a third has not begun."""
    for seed, units in ((0, 1), (1, 2)):
        train(tmp_path / f"small_windows{seed}", WINDOWS, seed=seed, stop=StopAfter(units))
    train(tmp_path / "small_windows2", WINDOWS, seed=2)
    results = together(of(WINDOWS, range(4), tmp_path, resume=True))
    assert [result.status for result in results] == ["completed"] * 4
    assert [note.kind for note in results[2].notes] == ["idle"]
    apart = of(WINDOWS, range(4), tmp_path / "apart")
    alone(apart)
    assert_same_runs(apart, of(WINDOWS, range(4), tmp_path))


def test_one_that_diverges_leaves_and_the_others_do_not_notice(tmp_path: Path) -> None:
    """A learning rate that is far too high; its error is that of a run alone, its last checkpoint is kept."""
    wild = WINDOWS.revised({"name": "wild", "training.lr": 1e38, "balancer": {"kind": "equal"}})
    calm = wild.revised({"name": "calm", "training.lr": 1e-3})
    specs = [*of(calm, (0,), tmp_path), *of(wild, (1,), tmp_path), *of(calm, (2,), tmp_path)]
    results = together(specs)
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    error = run.execute(RunSpec(wild, 1, tmp_path / "alone")).error
    assert error is not None
    assert results[1].error is not None
    assert results[1].error.stored() == error.stored()
    assert results[1].error.kind == "diverged"
    assert run_json(specs[1].directory)["status"] == "failed"
    apart = of(calm, (0, 2), tmp_path / "apart")
    alone(apart)
    assert_same_runs(apart, [specs[0], specs[2]])


def test_one_whose_method_cannot_go_on_leaves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the others drew is not drawn twice: their weights are those that they have alone."""
    recipe = WINDOWS.revised({"balancer": [{"kind": "rlw"}, {"kind": "gradnorm", "initial_window": 1}]})
    apart, stacked = of(recipe, range(3), tmp_path / "apart"), of(recipe, range(3), tmp_path / "together")
    alone(apart)
    losses = StackedGradients.__init__

    def spoiled(self: StackedGradients, *arguments: Any, **options: Any) -> None:
        losses(self, *arguments, **options)
        if len(self.losses) == 3:
            self.norms = lambda space: norms(self, space)  # type: ignore[method-assign]

    def norms(self: StackedGradients, space: Any) -> torch.Tensor:
        found = StackedGradients.norms(self, space)
        found[1, 2] = torch.nan
        return found

    monkeypatch.setattr(StackedGradients, "__init__", spoiled)
    results = together(stacked)
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    assert results[1].error is not None
    assert results[1].error.task == TASKS[2]
    assert_same_runs([apart[0], apart[2]], [stacked[0], stacked[2]])


def test_variants_of_a_recipe_are_one_program(tmp_path: Path) -> None:
    """Learning rates, decay, clipping, factors of losses, settings of the method: each run has its own."""
    base = balanced("gradnorm", initial_window=2)
    variants = [
        base,
        base.revised({"name": "fast", "training.lr": 5e-3, "training.head_lr": {"ptr": 3.0}}),
        base.revised({"name": "calm", "training.gradient_clip": 0.1, "training.weight_decay": 0.3}),
        base.revised({"name": "keen", "balancer.alpha": 0.5, "training.loss_factor": {"binary": 5.0}}),
        base.revised({"name": "sgd", "training.optimizer": "sgd", "training.epochs": 1}),
    ]
    apart = [spec for recipe in variants for spec in of(recipe, (0, 3), tmp_path / "apart")]
    stacked = [spec for recipe in variants for spec in of(recipe, (0, 3), tmp_path / "together")]
    alone(apart)
    assert {result.status for result in together(stacked)} == {"completed"}
    assert_same_runs(apart, stacked)


@pytest.mark.parametrize(
    "changes",
    [
        {"model.standardise": list(TASKS), "model.countdown": "scalar"},
        {"problem.tasks": ["ptr", "countdown"], "model.countdown": "scalar"},
        {"problem.tasks": ["binary"], "training.batch_size": 7},
    ],
)
def test_other_heads_and_fewer_tasks(changes: dict[str, Any], tmp_path: Path) -> None:
    recipe = WINDOWS.revised({**changes, "balancer": {"kind": "equal"}})
    apart, stacked = of(recipe, range(2), tmp_path / "apart"), of(recipe, range(2), tmp_path / "together")
    alone(apart)
    together(stacked)
    assert_same_runs(apart, stacked)


def test_a_directory_that_is_taken_fails_one_run(tmp_path: Path) -> None:
    train(tmp_path / "small_windows1", WINDOWS, seed=1)
    results = together(of(WINDOWS, range(3), tmp_path))
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    assert results[1].error is not None
    assert "already holds a run" in results[1].error.message


def test_observers_see_their_own_run(tmp_path: Path) -> None:
    recorders = {seed: Recorder() for seed in range(2)}
    specs = of(WINDOWS, range(2), tmp_path)
    ends: list[int] = []
    together(specs, observers=lambda spec: [recorders[spec.seed]], ended=lambda place, _: ends.append(place))
    for spec in specs:
        assert recorders[spec.seed].seen == metrics(spec.directory)
    assert ends == [0, 1]
