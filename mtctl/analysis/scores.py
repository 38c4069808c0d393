"""Which runs can be compared: complete and evaluated ones. The others are named with their reason."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mtctl.analysis.formats import Evaluation, Run
from mtctl.analysis.runs import evaluation, find_runs, read_run
from mtctl.engine import layout

_DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """A completed run with its held-out evaluation."""

    run: Run
    evaluation: Evaluation

    @property
    def identity(self) -> tuple[str, str, int]:
        """Return what decides a run: its recipe's name and hash, and its seed."""
        return self.run.name, self.run.recipe_hash, self.run.seed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that a comparison cannot use.

    Args:
        run: the run.
        reason: why not, as the end of a sentence that starts with the run's path.
        remedy: the command that mends it; None if nothing needs mending.
    """

    run: Run
    reason: str
    remedy: str | None


def score_runs(paths: Iterable[Path]) -> tuple[list[ScoredRun], list[LeftOut]]:
    """Read the runs under `paths` and tell those with comparable scores from the rest.

    A second copy of a run (same recipe, same seed) is left out: it would count one seed twice.

    Raises:
        MtctlError: where a path holds no run or a file is corrupt.
    """
    scored: dict[tuple[str, str, int], ScoredRun] = {}
    left_out = []
    for path in find_runs(paths):
        found = _score(read_run(path))
        if isinstance(found, ScoredRun) and (first := scored.get(found.identity)):
            found = LeftOut(found.run, f"is a second copy of {first.run.path}", None)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            scored[found.identity] = found
    return list(scored.values()), left_out


def _score(run: Run) -> ScoredRun | LeftOut:
    if run.status != "completed":
        return LeftOut(run, _how_it_stopped(run), _resume(run))
    scores = evaluation(run.path)
    if scores is None:
        reason = f"has not been evaluated: it has no {layout.EVALUATION}"
    elif scores.definition_hash != run.definition_hash:
        reason = f"was evaluated under another definition of its tasks ({layout.EVALUATION})"
    elif scores.done != run.budget.done:
        reason = f"was evaluated at {run.unit} {scores.done}, before its end at {run.budget.done}"
    elif missing := [task for task in run.tasks if task not in scores.tasks]:
        reason = f"was not evaluated on {', '.join(missing)}"
    else:
        return ScoredRun(run, scores)
    return LeftOut(run, reason, f"mtctl eval {shlex.quote(str(run.path))}")


def _how_it_stopped(run: Run) -> str:
    if run.status == "running":
        return "is still running, or was killed"
    at = f"at {run.unit} {run.budget.done} of {run.budget.units}"
    if run.status == "interrupted":
        return f"was interrupted {at}"
    return f"failed {at}" + (f": {run.error.message}" if run.error else "")


def _resume(run: Run) -> str:
    words = ["mtctl", "train", str(run.path / layout.RECIPE), "--seed", str(run.seed)]
    root = run.path.parent.parent
    if root != _DEFAULT_RESULTS:
        words += ["--results-dir", str(root)]
    return shlex.join([*words, "--resume"])
