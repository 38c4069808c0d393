"""`mtctl.diagnose`: what the verb does, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path

from mtctl.api.diagnosing import Options
from mtctl.api.failures import explained
from mtctl.api.recipes import GivenRecipe, Overrides, completed
from mtctl.api.results import EvaluatedRun, TargetDiagnosis
from mtctl.api.targets import Kind, kind_of, refuse_flags
from mtctl.diagnosis.plan import unannounced
from mtctl.terminal.console import err


def diagnose(
    target: GivenRecipe | EvaluatedRun | PathLike[str],
    *,
    epochs: int | None = None,
    episodes: int | None = None,
    overrides: Overrides = (),
    task: str | None = None,
    seeds: int | Iterable[int] | None = None,
    jobs: int | None = None,
    verify: bool | None = None,
    budget: float | None = None,
    columns: Mapping[str, str] | None = None,
    progress: bool = False,
) -> TargetDiagnosis:
    """Find out why a task does not learn, and which remedy helps, as `mtctl diagnose` does.

    >>> found = mtctl.diagnose("depth_normals.py:build", epochs=5)          # doctest: +SKIP
    >>> print(found)                                                        # doctest: +SKIP
    >>> mtctl.train(found.cured(), seeds=3)                                 # doctest: +SKIP

    A recipe is trained for a few epochs, or episodes; trainings that each change one thing then prove causes
    and remedies. A run or a metrics file is only read. A script that uses `jobs` must make its calls below
    `if __name__ == "__main__":`.

    Args:
        target: a recipe (as `mtctl.train` takes them), what `mtctl.train` returned, a run directory, or a
            .csv or .jsonl file of metrics.
        epochs: to train a supervised recipe for; 5 if left out.
        episodes: to train a recipe that is played for, over all tasks; 450 if left out, or 60 without
            proof.
        overrides: values to change: {"training.lr": 0.1}, or ["training.lr=0.1"].
        task: examine this task only.
        seeds: of the trainings, or how many, counted from 0; 3 if left out, or 4 for what is played: the
            first chooses what the others prove.
        jobs: how many trainings of a remedy run in parallel; 1 if left out, as more need that guard.
        verify: whether to prove causes and remedies by training; on if left out.
        budget: seconds after which no further experiment is begun; none if left out, but 1,800 for the lander
            and 900 for hybrid actions.
        columns: which column of a metrics file is which task's loss.
        progress: print what is under way to stderr.

    Raises:
        MtctlError: the target is wrong or cannot be trained. It names arguments as options of the verb.
    """
    options = Options(
        epochs=epochs,
        episodes=episodes,
        overrides=overrides,
        task=task,
        seeds=seeds,
        jobs=jobs,
        verify=verify,
        budget=budget,
        columns=columns,
    )
    with explained():
        if isinstance(target, EvaluatedRun):
            target = target.path
        if isinstance(target, str | PathLike):
            target = str(target)
            kind = kind_of(target)
            refuse_flags(kind, target, options.flags())
            if kind is not Kind.RECIPE:
                return TargetDiagnosis(options.read(kind, [Path(target)]))
        else:
            refuse_flags(Kind.RECIPE, "the target", options.flags())
        trainings = options.trainings(target, completed, options.flags())
        found = trainings.diagnose(_say if progress else _silent, unannounced)
        return TargetDiagnosis(found, trainings.whole)


_silent: Callable[[str], None] = lambda _: None  # noqa: E731 - a default that does nothing


def _say(text: str) -> None:
    err().print(text, soft_wrap=True)
