"""`mtctl.train`: what the verb does, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

from mtctl.api.failures import explained
from mtctl.api.recipes import (
    GivenRecipe,
    Overrides,
    budget_override,
    completed,
    load_recipe,
    override_arguments,
)
from mtctl.api.results import TrainedRun, TrainedRuns
from mtctl.api.seeds import seed_numbers
from mtctl.api.targets import refuse_for_problem
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained as explained_files
from mtctl.engine.fit import Observer
from mtctl.engine.launch.launcher import follow
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.result import Note, RunResult
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from mtctl.engine.start import check_target
from mtctl.errors import ExitCode, MtctlError
from mtctl.following.launched import Launched
from mtctl.following.progress import Plan, Progress
from mtctl.history.formats import Evaluation
from mtctl.history.runs import read_run
from mtctl.problems.kinds import code_of
from mtctl.problems.recipe import Recipe
from mtctl.problems.sizes import doubt, require_memory
from mtctl.screens.live import Lines
from mtctl.screens.several import SeveralTrained
from mtctl.terminal.console import err
from mtctl.text import command_line


@overload
def train(
    recipe: GivenRecipe,
    seed: int = 0,
    *,
    overrides: Overrides = (),
    balancer: str | None = None,
    epochs: int | None = None,
    episodes: int | None = None,
    results_dir: str | PathLike[str] = "results",
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
) -> TrainedRun: ...


@overload
def train(
    recipe: GivenRecipe,
    *,
    seeds: int | Iterable[int],
    jobs: int = 1,
    overrides: Overrides = (),
    balancer: str | None = None,
    epochs: int | None = None,
    episodes: int | None = None,
    results_dir: str | PathLike[str] = "results",
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
) -> TrainedRuns: ...


def train(
    recipe: GivenRecipe,
    seed: int = 0,
    *,
    seeds: int | Iterable[int] | None = None,
    jobs: int = 1,
    overrides: Overrides = (),
    balancer: str | None = None,
    epochs: int | None = None,
    episodes: int | None = None,
    results_dir: str | PathLike[str] = "results",
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
) -> TrainedRun | TrainedRuns:
    """Train a recipe into results/NAME/seedK, as `mtctl train` does.

    >>> runs = mtctl.train("depth_normals.py:build", seeds=3, epochs=5)     # doctest: +SKIP
    >>> runs[0].scores                                                      # doctest: +SKIP
    {'depth': 83.1, 'normals': 61.0}

    In this process, torch's own settings hold; with `jobs`, each run has a process and one thread, as with
    the verb. A script that uses `jobs` must make its calls below `if __name__ == "__main__":`.

    Args:
        recipe: a path, the name of a built-in recipe, `FILE.py:FUNCTION`, a function that stands in a file
            and builds a `Training`, or a recipe.
        seed: decides everything that the recipe leaves to chance.
        seeds: several seeds, or how many, counted from 0: the result is a tuple of runs then.
        jobs: how many of them are trained in parallel; more than 1 need that guard.
        overrides: values to change: {"training.lr": 0.1}, or ["training.lr=0.1"].
        balancer: balance the tasks by this method, which then ends the recipe's name.
        epochs: of a supervised recipe, in place of its own.
        episodes: of a recipe that is played, over all tasks, in place of its own.
        results_dir: the folder for run directories.
        resume: go on with a run that stopped, or train a finished one for longer.
        force: replace an existing run.
        progress: print a line to stderr now and then.

    Raises:
        MtctlError: the recipe is wrong, its directory is taken, training diverged, … Of several seeds, those
            that did not fail are trained and stored.
    """
    with explained():
        if resume and force:
            raise MtctlError("resume=True and force=True exclude each other")
        if jobs < 1:
            raise MtctlError(f"jobs={jobs}: expected at least 1")
        numbers = [seed] if seeds is None else seed_numbers(seeds)
        arguments = override_arguments(overrides)
        whole = completed(_lasting(recipe, arguments, balancer, epochs, episodes))
        require_memory(whole)
        if found := doubt(whole):
            warnings.warn(found, RuntimeWarning, stacklevel=2)
        specs = [_spec(whole, number, Path(results_dir), resume=resume, force=force) for number in numbers]
        for spec in specs if len(specs) > 1 else ():
            with explained_files(spec.directory):
                check_target(RunDirectory(spec.directory), spec)
        side_by_side = jobs > 1 and len(specs) > 1
        results = (
            _side_by_side(specs, jobs, progress=progress)
            if side_by_side
            else [_here(spec, progress=progress) for spec in specs]
        )
        runs = TrainedRuns(_runs(specs, results))
        return runs[0] if seeds is None else runs


def _lasting(
    given: GivenRecipe,
    arguments: Sequence[str],
    balancer: str | None,
    epochs: int | None,
    episodes: int | None,
) -> Recipe:
    recipe = load_recipe(given, arguments, balancer)
    units = epochs if episodes is None else episodes
    if units is None:
        return recipe
    lengths = {"--epochs": epochs, "--episodes": episodes}
    refuse_for_problem(recipe, [flag for flag, length in lengths.items() if length is not None])
    return load_recipe(given, [*arguments, budget_override(recipe, units)], balancer)


def _spec(recipe: Recipe, seed: int, results: Path, *, resume: bool, force: bool) -> RunSpec:
    """Return a run, and the command that trains it too: of the recipe that lies in its directory."""
    directory = results / recipe.name / f"seed{seed}"
    words = ["mtctl", "train", str(directory / "recipe.yaml"), "--seed", str(seed)]
    return RunSpec(
        recipe,
        seed,
        directory,
        command_line([*words, "--results-dir", str(results)]),
        resume=resume,
        force=force,
        code=code_of(recipe),
    )


def _here(spec: RunSpec, *, progress: bool) -> RunResult:
    """Train a run in this process."""
    if not progress:
        return execute(spec)
    course = Progress(Plan.of_recipe(spec.recipe, spec.seed))

    def say(note: Note) -> None:
        err().print(f"{spec.directory} {note.text}", soft_wrap=True)

    observers: list[Observer] = [course, Lines(course)]
    return execute(spec, observers=observers, say=say)


def _side_by_side(specs: Sequence[RunSpec], jobs: int, *, progress: bool) -> list[RunResult]:
    """Train runs in processes of their own, all of them to their end."""
    launcher = LocalLauncher(jobs)
    handles = [launcher.submit(spec) for spec in specs]
    watch: Callable[[], None] = lambda: None  # noqa: E731 - nothing is shown
    if progress:
        watched = [Launched(spec, handle) for spec, handle in zip(specs, handles, strict=True)]
        watch = SeveralTrained(watched, quiet=True).look
    follow(launcher, handles, watch, lambda: 0)
    return [handle.result for handle in handles if handle.result is not None]


def _runs(specs: Sequence[RunSpec], results: Sequence[RunResult]) -> list[TrainedRun]:
    """Return the runs.

    Raises:
        MtctlError: one has failed; of several, all that failed are named.
    """
    if len(specs) == 1:
        results[0].required()
    failed = [
        f"{spec.label}: {result.error.message if result.error else result.status}"
        for spec, result in zip(specs, results, strict=True)
        if result.status != "completed"
    ]
    if failed:
        head = f"{len(failed)} of {len(specs)} runs failed:"
        raise MtctlError("\n  ".join([head, *failed]), code=ExitCode.FAILED)
    return [
        TrainedRun(
            read_run(spec.directory),
            Evaluation.model_validate(result.evaluation),
            tuple(note.text for note in result.notes),
        )
        for spec, result in zip(specs, results, strict=True)
    ]
