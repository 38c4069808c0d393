"""`mtctl.train`, `evaluate`, `compare` and `diagnose`, on models that are trained in a second."""

from __future__ import annotations

import doctest
import inspect
import json
import random
import signal
import subprocess
import sys
import warnings
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mtctl
from mtctl.api.diagnosing import Options
from mtctl.api.results import TargetDiagnosis, TrainedRun, TrainedRuns
from mtctl.cli.diagnose import diagnose as verb
from mtctl.diagnosis.experiments import diagnose as diagnosing
from mtctl.errors import ExitCode
from mtctl.recipes.loading import load
from tests.diagnosis.experiments.documented import diagnosis
from tests.engine.runs import SHORT, WINDOWS
from tests.problems.python import tiny
from tests.problems.python.recipes import own as own_recipe

BUILD = "own.py:build"


def process() -> tuple[Any, ...]:
    """Return the settings of this process that a library must leave alone."""
    numbers: Any = np.random.get_state()
    return (
        torch.get_num_threads(),
        [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        random.getstate(),
        numbers[1].tolist(),
        torch.get_rng_state().tolist(),
        float(torch.tensor(1e-40) * 1) > 0,
        torch.is_grad_enabled(),
        list(sys.argv),
    )


@pytest.fixture
def run(own: Path) -> TrainedRun:
    return mtctl.train(BUILD, epochs=2)


def test_a_run_is_trained_without_a_word(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = process()
    run = mtctl.train(BUILD, 3, epochs=2)
    assert process() == before
    assert capfd.readouterr() == ("", "")
    assert (str(run.path), run.seed, list(run.scores)) == ("results/own/seed3", 3, ["side", "height"])
    assert run.average == pytest.approx(sum(run.scores.values()) / 2)
    first, *rest = repr(run).splitlines()
    assert first == "results/own/seed3 · last (epoch 2) · skill % over 40 held-out rows each"
    assert [line.split()[0] for line in rest] == ["side", "height", "average"]
    assert "Measures, in each task's own units" in str(run)


def test_the_figures_are_the_command_lines(own: Path) -> None:
    mtctl.train(BUILD, 1, epochs=2, overrides={"name": "door"})
    command = [sys.executable, "-m", "mtctl", "train", BUILD, "--seed", "1", "-o", "training.epochs=2", "-q"]
    root = str(Path(mtctl.__file__).parent.parent)
    subprocess.run(command, env={"PYTHONPATH": root}, check=True, capture_output=True)
    one, other = (Path(f"results/{name}/seed1") for name in ("door", "own"))
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    assert (one / "eval.json").read_bytes() == (other / "eval.json").read_bytes()


def test_progress_goes_to_stderr(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mtctl.train(BUILD, epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert (out, err.count("epoch ")) == ("", 2)


def test_recipes_of_every_problem_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = process()
    windows = mtctl.train(WINDOWS, epochs=1, results_dir="elsewhere")
    lander = mtctl.train("equal_blind", overrides=list(SHORT), episodes=3)
    assert process() == before
    assert (windows.path, windows.run.budget.done) == (Path("elsewhere/small_windows/seed0"), 1)
    assert (lander.run.budget.done, len(lander.scores)) == (3, 3)


def test_several_seeds_are_compared(own: Path) -> None:
    plain = mtctl.train(tiny.build, seeds=2, epochs=1)
    famo = mtctl.train(tiny.build, seeds=[0, 1], epochs=1, balancer="famo", jobs=2)
    assert isinstance(plain, TrainedRuns)
    assert [run.seed for run in famo] == [0, 1]
    assert repr(famo).startswith("2 runs\n  results/tiny_famo/seed0  side ")
    found = mtctl.compare(plain, famo, baseline="tiny")
    assert set(found.verdicts) == {"tiny", "tiny_famo"}
    assert (found.baseline, found.verdicts["tiny"]) == ("tiny", "baseline")
    assert repr(found).startswith("2 methods: average skill % over 40 rows per task\n  tiny")
    assert "the difference to tiny paired by seed" in str(found)
    alone = mtctl.compare("results/tiny")
    assert [method.label for method in alone.methods] == ["tiny"]
    assert repr(alone).startswith("1 method: ")


def test_a_run_goes_on(run: TrainedRun) -> None:
    longer = mtctl.train(BUILD, epochs=3, resume=True)
    assert longer.notes == ("is prolonged from 2 to 3 epochs",)
    assert longer.run.budget.done == 3
    with pytest.raises(mtctl.MtctlError, match="already holds a run") as caught:
        mtctl.train(BUILD, epochs=3)
    assert any(note.startswith("hint: --resume") for note in caught.value.__notes__)
    assert mtctl.train(BUILD, epochs=1, force=True).run.budget.done == 1


def test_the_command_in_a_run_continues_it(run: TrainedRun) -> None:
    assert run.run.command == "mtctl train results/own/seed0/recipe.yaml --seed 0 --results-dir results"


def test_failures_are_explained(own: Path) -> None:
    for arguments, says in (
        ({"resume": True, "force": True}, "exclude each other"),
        ({"seeds": []}, r"seeds=\[\]: expected distinct seeds"),
        ({"seeds": [1, 1]}, "expected distinct seeds"),
        ({"jobs": 0, "seeds": 2}, "jobs=0"),
        ({"episodes": 3}, "it learns from a data set, in epochs"),
        ({"epochs": 0}, "epochs"),
        ({"overrides": {"problem.arguments.row": 3}}, "`problem.arguments`|unexpected"),
    ):
        with pytest.raises(mtctl.MtctlError, match=says):
            mtctl.train(BUILD, **arguments)
    assert not Path("results").exists()


def test_of_several_runs_those_that_failed_are_named(own: Path) -> None:
    text = own.read_text().replace("del seed", "if seed == 1: raise ValueError('no such fold')\n    del seed")
    own.write_text(text)
    with pytest.raises(
        mtctl.MtctlError, match=r"(?s)^1 of 2 runs failed:\n  own/seed1: .*no such fold"
    ) as caught:
        mtctl.train(BUILD, seeds=2, epochs=1)
    assert caught.value.code is ExitCode.FAILED
    assert (Path("results/own/seed0") / "eval.json").exists()


# ----- evaluate


def test_a_run_is_evaluated(run: TrainedRun) -> None:
    assert mtctl.evaluate(run).scores == run.scores
    some = mtctl.evaluate(str(run.path), task="height", items=5, checkpoint="best")
    assert list(some.scores) == ["height"]
    assert some.evaluation.items == 5


def test_what_cannot_be_evaluated(run: TrainedRun) -> None:
    with pytest.raises(mtctl.MtctlError, match="no task `hight`"):
        mtctl.evaluate(run, task="hight")
    with pytest.raises(mtctl.MtctlError, match="the recipe that it was trained with"):
        mtctl.evaluate(run, overrides={"training.epochs": 3})
    mtctl.train(BUILD, 1, epochs=1)
    with pytest.raises(mtctl.MtctlError, match="results holds 2 runs"):
        mtctl.evaluate("results")


def test_code_that_has_changed_is_a_warning(own: Path, run: TrainedRun) -> None:
    own.write_text(own.read_text() + "# changed\n")
    with pytest.warns(RuntimeWarning, match=r"own.py has changed since this run was trained"):
        mtctl.evaluate(run)


# ----- compare


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"match": "epochs"}, "match='epochs': expected one of steps, updates, time"),
        ({"checkpoint": "first"}, "checkpoint='first'"),
        ({"match": "updates", "checkpoint": "best"}, "leave out one|held-out ones"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({}, "does not exist"),
    ],
)
def test_what_cannot_be_compared(options: dict[str, Any], says: str) -> None:
    with pytest.raises(mtctl.MtctlError, match=says):
        mtctl.compare("nowhere", **options)


# ----- diagnose


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let diagnoses be the one made by hand; return what they were asked with."""
    seen: dict[str, Any] = {}

    def diagnose_recipe(recipe: Any, **settings: Any) -> Any:
        seen.update(settings, recipe=recipe)
        return diagnosis()

    monkeypatch.setattr(diagnosing, "diagnose_recipe", diagnose_recipe)
    return seen


def test_a_recipe_is_diagnosed_as_the_verb_does(asked: dict[str, Any]) -> None:
    found = mtctl.diagnose(
        "windows_documented", task="ptr", jobs=2, budget=60, overrides={"training.lr": 0.1}
    )
    assert asked["recipe"] == load("windows_documented", ["training.epochs=5", "training.lr=0.1"])
    del asked["recipe"], asked["say"], asked["announce"]
    assert asked == {
        "seeds": [0, 1, 2],
        "verify": True,
        "task": "ptr",
        "jobs": 2,
        "seconds": 60,
        "shortened": True,
    }
    assert found.recipe == load("windows_documented", ["training.lr=0.1"])
    assert found.winner is not None
    assert found.cured().name == f"windows_documented_{found.winner.remedy.name}"
    assert repr(found).splitlines()[0] == str(found).splitlines()[0]
    assert str(found).index("Best remedy") < str(found).index("Symptom")
    assert json.dumps(found.document(), allow_nan=False)


def test_both_doors_to_a_diagnosis_take_its_options() -> None:
    options = {each.name for each in fields(Options)}
    assert options <= set(inspect.signature(mtctl.diagnose).parameters)
    assert {"tasks" if name == "columns" else name for name in options} <= set(
        inspect.signature(verb).parameters
    )


def test_players_are_diagnosed_by_experiment(asked: dict[str, Any]) -> None:
    mtctl.diagnose("gradnorm_blind", episodes=31)
    assert (asked["seeds"], asked["verify"], asked["seconds"]) == ([0, 1, 2, 3], True, 1800)
    assert asked["recipe"].problem.episodes_per_task == 11
    mtctl.diagnose("gradnorm_blind", verify=False)
    assert (asked["seeds"], asked["verify"], asked["seconds"]) == ([0], False, None)
    with pytest.raises(mtctl.MtctlError, match="use --episodes"):
        mtctl.diagnose("gradnorm_blind", epochs=3)
    with pytest.raises(mtctl.MtctlError, match="is trained once"):
        mtctl.diagnose("gradnorm_blind", seeds=2, verify=False)


def test_a_model_of_ones_own_is_diagnosed(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = process()
    found = mtctl.diagnose(tiny.build, epochs=2, seeds=1, verify=False, overrides={"training.device": "cpu"})
    assert process() == before
    assert capfd.readouterr() == ("", "")
    assert [state.task for state in found.states] == ["side", "height"]
    assert repr(found).startswith("tiny · python · 2 epochs (8 updates) · seed 0")
    with pytest.raises(mtctl.MtctlError, match="no remedy that is proven to help"):
        found.cured()
    with pytest.raises(mtctl.MtctlError, match="no such task"):
        mtctl.diagnose(own_recipe(), task="hight", seeds=1)


def test_runs_and_metrics_are_read(run: TrainedRun) -> None:
    for target in (run, run.path):
        found = mtctl.diagnose(target)
        assert found.diagnosis.subject.kind == "run"
        with pytest.raises(mtctl.MtctlError, match="was only read"):
            found.cured()
    Path("curves.csv").write_text("step,a\n" + "".join(f"{step},{1 / step}\n" for step in range(1, 30)))
    found = mtctl.diagnose("curves.csv", columns={"first": "a"})
    assert isinstance(found, TargetDiagnosis)
    assert found.diagnosis.subject.tasks == ("first",)
    with pytest.raises(mtctl.MtctlError, match="--seeds does not work with a run"):
        mtctl.diagnose(run, seeds=3)
    with pytest.raises(mtctl.MtctlError, match="--tasks names columns of a metrics file"):
        mtctl.diagnose(tiny.build, columns={"a": "b"})


# ----- the package


@pytest.mark.parametrize("name", ["training", "evaluation", "comparison", "diagnosis"])
def test_examples_are_python(name: str) -> None:
    module = import_module(f"mtctl.api.{name}")
    examples = [example for test in doctest.DocTestFinder().find(module) for example in test.examples]
    assert examples
    for example in examples:
        compile(example.source, name, "exec")


def test_the_package_is_light_until_a_door_is_opened() -> None:
    code = "import sys, mtctl; mtctl.MtctlError; mtctl.compare; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["False"]
    assert {"train", "evaluate", "compare", "diagnose", "MtctlError"} <= set(mtctl.__all__)


def test_memory_that_is_not_free_is_a_warning(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtctl.api.training.doubt", lambda _: "too large for now")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mtctl.train(BUILD, epochs=1)
    assert [str(each.message) for each in caught] == ["too large for now"]
    assert caught[0].filename == __file__
