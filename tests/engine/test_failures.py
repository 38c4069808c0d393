"""Runs that die, run out of space or of numbers: what was saved stays, and what happened is told."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from numpy.linalg import LinAlgError

from benchmarks.faults import planted
from mtctl.engine.fit import Balancing
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.contract import TaskEvaluation
from mtctl.problems.lander.problem import Lander
from mtctl.problems.recipe import Recipe
from mtctl.problems.windows.problem import Windows
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import load
from tests.engine.runs import (
    WINDOWS,
    assert_same_training,
    evaluate_run,
    last,
    metrics,
    recipe,
    run_json,
    train,
    tree,
)
from tests.recipes.samples import revise, windows

EVERY = revise(WINDOWS, ["training.epochs=2", "checkpoints.every=1"])


class Dead(BaseException):
    """Ends a run as SIGKILL does: nothing is cleaned up and nothing is noted."""


class Death:
    """Comes before a certain file takes its place; from then on, nothing is removed."""

    def __init__(self, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.calls, self.came = at, 0, False
        replace, unlink = Path.replace, Path.unlink

        def replaced(path: Path, target: Path) -> Path:
            self.calls += 1
            self.came = self.came or self.calls == at
            if self.came:
                raise Dead
            return replace(path, target)

        def unlinked(path: Path, missing_ok: bool = False) -> None:
            if self.came:
                raise Dead
            unlink(path, missing_ok)

        monkeypatch.setattr(Path, "replace", replaced)
        monkeypatch.setattr(Path, "unlink", unlinked)


def test_killed_before_any_file_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is missing is made again, and nothing is left over."""
    assert train(tmp_path / "whole", EVERY) == "completed"
    at, came = 0, True
    while came:
        at += 1
        run = tmp_path / f"killed{at}"
        with monkeypatch.context() as patch:
            death = Death(at, patch)
            try:
                train(run, EVERY)
            except Dead:
                assert any(name.endswith(".tmp") for name in tree(run))
            came = death.came
        if came:
            assert train(run, EVERY, resume=True) == "completed"
            assert_same_training(run, tmp_path / "whole")
    assert at > 10


@pytest.fixture
def limit() -> Iterator[Any]:
    """Return what sets the bytes that a file of this process may have: what a quota does, by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or before[0], before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "status"), [(600, "running"), (30_000, "failed")])
def test_a_full_disk(tmp_path: Path, limit: Any, size: int, status: str) -> None:
    """A checkpoint, or nothing at all, fits: the last one stays, and --resume goes on from it."""

    class Full:
        def unit_ended(self, record: dict[str, Any]) -> None:
            if record["unit"] == 3:
                limit(size)

    of = recipe("equal_blind", "agent.hidden=[64,64]")
    assert train(tmp_path / "whole", of) == "completed"
    run = tmp_path / "full"
    with pytest.raises(MtctlError, match="no space left on the device; what was saved before is") as caught:
        train(run, of, observers=[Full()])
    limit(None)
    assert caught.value.message.startswith(f"{run}: ")
    assert caught.value.hint == "free some space, then continue with --resume"
    assert run_json(run)["status"] == status
    assert last(run)["done"] == 2
    assert not [name for name in tree(run) if name.endswith(".tmp")]
    assert train(run, of, resume=True) == "completed"
    assert_same_training(run, tmp_path / "whole")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("out of order"), "RuntimeError: out of order"),
        (MemoryError(), "there is not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "something is nested too deeply"),
        (MtctlError("explained"), "explained"),
    ],
)
def test_any_error_marks_the_run(tmp_path: Path, error: Exception, said: str) -> None:
    class Broken:
        def unit_ended(self, record: dict[str, Any]) -> None:
            if record["unit"] == 4:
                raise error

    # A mistake in mtctl is raised as it is, all else is told by the result.
    with pytest.raises(RuntimeError if "order" in said else MtctlError, match=said.rsplit(maxsplit=1)[-1]):
        train(tmp_path, observers=[Broken()])
    found = run_json(tmp_path)
    assert (found["status"], found["ended"] is None) == ("failed", False)
    assert found["error"]["message"].startswith(said)
    assert train(tmp_path, resume=True) == "completed"


RAW = [
    "training.epochs=1",
    "problem.data={kind: synthetic, windows: 24, validation: 6, held_out: 8}",
    "model.hidden=4",
    "model.projection=4",
    "training.batch_size=24",
]


FAST = ["training.optimizer=sgd", "training.lr=1e38"]
TINY = {"kind": "scaled_targets", "task": "countdown", "factor": 1e-39}


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (windows("windows_raw", [*RAW, *FAST]), "has skill % nan"),
        (windows("windows_raw", [*RAW, *FAST, "evaluation.every=0"]), "has skill % nan"),
        (planted(windows("windows_raw", RAW), TINY), "`countdown` has"),
    ],
    ids=["evaluation", "final evaluation", "record"],
)
def test_figures_that_are_not_finite_are_a_divergence(tmp_path: Path, of: WindowsRecipe, says: str) -> None:
    with pytest.raises(MtctlError, match=r"diverged in .*epoch 1, step 1: task `\w+` has .*") as caught:
        train(tmp_path, of)
    assert says in caught.value.message
    assert (caught.value.code, bool(caught.value.hint)) == (ExitCode.FAILED, True)
    assert run_json(tmp_path)["status"] == "failed"
    assert run_json(tmp_path)["error"]["message"] == caught.value.message
    for file in ("metrics.jsonl", "run.json"):
        assert "NaN" not in (tmp_path / file).read_text()
        assert "Infinity" not in (tmp_path / file).read_text()


def test_a_run_that_diverged_does_so_again(tmp_path: Path) -> None:
    of = load("windows_raw", [*RAW, *FAST])
    for resume in (False, True):
        with pytest.raises(MtctlError, match="diverged"):
            train(tmp_path, of, resume=resume)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), 1e200])
def test_a_score_that_no_file_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float) -> None:
    def evaluate(self: Lander, *_: object) -> dict[str, TaskEvaluation]:
        return {task: TaskEvaluation((1.0, score), (1, 1), ("landed", "crashed")) for task in self.tasks}

    train(tmp_path / "good", recipe("equal_blind", "problem.episodes_per_task=1"))
    monkeypatch.setattr(Lander, "evaluate", evaluate)
    with pytest.raises(MtctlError, match=r"evaluation after episode 3, step \d+: task `standard` has return"):
        train(tmp_path / "bad")
    assert [record["kind"] for record in metrics(tmp_path / "bad")] == ["unit"] * 3
    assert last(tmp_path / "bad")["done"] == 2
    before = tree(tmp_path / "good")
    with pytest.raises(MtctlError):
        evaluate_run(tmp_path / "good")
    assert tree(tmp_path / "good") == before


def test_signals_that_no_file_may_hold_are_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect = Windows.inspect

    def overflowing(self: Windows) -> dict[str, dict[str, float | None]]:
        return {**inspect(self), "reach": {"type": float("inf"), "ptr": float("nan"), "binary": 1e150}}

    monkeypatch.setattr(Windows, "inspect", overflowing)
    assert train(tmp_path, WINDOWS) == "completed"
    signals = [record["signals"] for record in metrics(tmp_path) if record["kind"] == "unit"]
    assert [each["reach"] for each in signals] == [{"type": None, "ptr": None, "binary": None}] * 3


@pytest.mark.parametrize("error", [OverflowError(34, "too large"), LinAlgError("singular")])
def test_a_method_that_cannot_compute_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def balance(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(Balancing, "balance", balance)
    with pytest.raises(MtctlError, match="epoch 1, step 0: the balancing method cannot work with losses of"):
        train(tmp_path, WINDOWS)
    assert run_json(tmp_path)["status"] == "failed"


def test_json_has_no_constants_of_its_own(tmp_path: Path) -> None:
    """Python's own reader takes NaN for a number, and nobody else's does."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    of: Recipe = revise(WINDOWS, ["monitor.every=1000"])  # nothing is measured
    train(tmp_path, of)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
