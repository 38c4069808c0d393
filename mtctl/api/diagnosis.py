"""`mtctl.diagnose`: what the verb does, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Final

from mtctl.api.failures import explained
from mtctl.api.recipes import GivenRecipe, Overrides, completed, override_arguments
from mtctl.api.results import EvaluatedRun, TargetDiagnosis
from mtctl.api.targets import Kind, kind_of, recipes_of, refuse_flags, refuse_for_problem
from mtctl.api.training import seed_numbers
from mtctl.diagnosis.experiments.diagnose import diagnose_recipe
from mtctl.diagnosis.records.curves import diagnose_metrics
from mtctl.diagnosis.records.run import diagnose_run
from mtctl.errors import MtctlError
from mtctl.problems.kinds import kind_of as problem_of
from mtctl.terminal.console import err

_SEEDS: Final = range(3)
"""The fewest that give an interval worth reading."""


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

    A recipe is trained for a few epochs; short trainings that each change one thing then prove causes and
    remedies. A run or a metrics file is only read. A script that uses `jobs` must make its calls below
    `if __name__ == "__main__":`.

    Args:
        target: a recipe (as `mtctl.train` takes them), what `mtctl.train` returned, a run directory, or a
            .csv or .jsonl file of metrics.
        epochs: to train a supervised recipe for; 5 if left out.
        episodes: to train a recipe that is played for, over all tasks; 60 if left out.
        overrides: values to change: {"training.lr": 0.1}, or ["training.lr=0.1"].
        task: examine this task only.
        seeds: of the trainings, or how many, counted from 0; 3 if left out.
        jobs: how many trainings run in parallel.
        verify: whether to prove causes and remedies by training; on for supervised recipes if left out.
        budget: seconds after which no further experiment is begun.
        columns: which column of a metrics file is which task's loss.
        progress: print what is under way to stderr.

    Raises:
        MtctlError: the target is wrong or cannot be trained. It names arguments as options of the verb.
    """
    given = {
        "--epochs": epochs is not None,
        "--episodes": episodes is not None,
        "-o": bool(overrides),
        "--task": task is not None,
        "--seeds": seeds is not None,
        "--jobs": jobs is not None,
        "--verify": verify is True,
        "--no-verify": verify is False,
        "--budget": budget is not None,
        "--tasks": columns is not None,
    }
    flags = [flag for flag, is_given in given.items() if is_given]
    say = _say if progress else _silent
    with explained():
        if isinstance(target, EvaluatedRun):
            target = target.path
        if isinstance(target, str | PathLike):
            target = str(target)
            kind = kind_of(target)
            refuse_flags(kind, target, flags)
            if kind is Kind.RUN:
                return TargetDiagnosis(diagnose_run(Path(target)))
            if kind is Kind.METRICS:
                return TargetDiagnosis(diagnose_metrics([Path(target)], columns))
        else:
            refuse_flags(Kind.RECIPE, "the target", flags)
        units = epochs if episodes is None else episodes
        full, short = recipes_of(target, override_arguments(overrides), units, completed)
        refuse_for_problem(full, flags)
        problem = problem_of(full)
        tried = problem.no_experiments is None
        numbers = seed_numbers(seeds) if seeds is not None else [*_SEEDS] if tried else [0]
        if not tried and len(numbers) > 1:
            raise MtctlError(f"seeds={seeds}: {problem.title} is trained once", hint="one seed: seeds=[3]")
        found = diagnose_recipe(
            short,
            seeds=numbers,
            verify=tried if verify is None else verify,
            task=task,
            jobs=jobs or 1,
            seconds=budget,
            say=say,
        )
        return TargetDiagnosis(found, full)


_silent: Callable[[str], None] = lambda _: None  # noqa: E731 - a default that does nothing


def _say(text: str) -> None:
    err().print(text, soft_wrap=True)
