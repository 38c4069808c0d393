"""Runs that are small enough to be made in a test, and what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from mtctl.balancing.gradnorm import GradNorm
from mtctl.engine import evaluate, run
from mtctl.engine.processor import use_one_thread
from mtctl.engine.result import Say, Status, silent
from mtctl.engine.spec import EvaluationSpec, RunSpec
from mtctl.problems.recipe import Checkpoints, Monitor, Recipe
from mtctl.problems.windows.parts import SequenceModel, SyntheticWindows, Training, WindowsProblem
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import load

SHORT = (
    "problem.episodes_per_task=2",
    "agent.hidden=[16,8]",
    "agent.replay.learning_starts=32",
    "evaluation.every=3",
    "evaluation.episodes=1",
    "evaluation.final_episodes=1",
    "checkpoints.every=2",
)
"""Six episodes of a few hundred steps: checkpoints after 2, 4 and 6, evaluations after 3 and 6."""


WINDOWS = WindowsRecipe(
    name="small_windows",
    problem=WindowsProblem(
        kind="windows", data=SyntheticWindows(kind="synthetic", windows=24, validation=6, held_out=8)
    ),
    model=SequenceModel(kind="bilstm", hidden=6, projection=4),
    training=Training(epochs=3, batch_size=8),
    balancer=GradNorm(initial_window=2),
    checkpoints=Checkpoints(every=2),
    monitor=Monitor(every=4),
)
"""Three epochs of three updates each; every fourth update is measured, so that the last epoch has one."""


def recipe(name: str = "equal_blind", *overrides: str) -> Recipe:
    return load(name, [*SHORT, *overrides])


def execute(
    of: Recipe, seed: int, directory: Path, *, resume: bool = False, force: bool = False, **options: Any
) -> Status:
    """Train in this process, set up as a command does; raise what ended the run."""
    use_one_thread()
    spec = RunSpec(of, seed, directory, "mtctl train equal_blind", resume, force)
    return run.execute(spec, **options).required().status


def train(directory: Path, of: Recipe | None = None, *, seed: int = 0, **options: Any) -> Status:
    return execute(of or recipe(), seed, directory, **options)


def evaluate_run(directory: Path, *, say: Say = silent, **choice: Any) -> dict[str, Any]:
    """Evaluate in this process, set up as a command does; return the document, or raise what ended it."""
    use_one_thread()
    found = evaluate.evaluate_run(EvaluationSpec(directory, **choice), say=say).required().evaluation
    assert found is not None
    return found


class StopAfter:
    """Asks for a stop at the end of a unit, as Ctrl-C does."""

    def __init__(self, units: int) -> None:
        self._left = units

    def __call__(self) -> bool:
        self._left -= 1
        return self._left <= 0


def run_json(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    return found


def metrics(directory: Path) -> list[dict[str, Any]]:
    text = (directory / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def last(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(directory / "checkpoints" / "last.pt", weights_only=True)
    return found


def tree(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory with its content."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def differences(a: Any, b: Any, place: str = "") -> list[str]:
    """Return the places where two stored values are not equal bit for bit."""
    match a, b:
        case torch.Tensor(), torch.Tensor():
            same = a.dtype == b.dtype and a.shape == b.shape and _bits(a) == _bits(b)
            return [] if same else [place]
        case dict(), dict():
            keys = [f"{place}.{key}" for key in a.keys() ^ b.keys()]
            return keys + [
                one for key in a.keys() & b.keys() for one in differences(a[key], b[key], f"{place}.{key}")
            ]
        case (list(), list()) | (tuple(), tuple()) if len(a) == len(b):
            pairs = enumerate(zip(a, b, strict=True))
            return [one for index, (x, y) in pairs for one in differences(x, y, f"{place}.{index}")]
        case _:
            return [] if type(a) is type(b) and a == b else [place]


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def assert_same_training(one: Path, other: Path) -> None:
    """Two runs did the same: records byte for byte, every tensor bit for bit; seconds aside."""
    for name in ("metrics.jsonl", "eval.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    states = []
    for directory in (one, other):
        state = last(directory)
        for timing in ("seconds", "started"):
            del state["training"][timing]
        states.append(state)
    assert differences(states[0], states[1]) == []
    assert _facts(one) == _facts(other)
    assert tree(one).keys() == tree(other).keys()


def _facts(directory: Path) -> dict[str, Any]:
    timings = ("seconds", "started", "ended", "command", "peak_memory_mb")
    return {key: value for key, value in run_json(directory).items() if key not in timings}
