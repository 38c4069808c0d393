"""Re-evaluating a finished or interrupted run from one of its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.interrupt import Stop
from mtctl.engine.lock import Taken, holder
from mtctl.engine.result import Note, RunResult, Say, outcome, silent
from mtctl.engine.scores import definition_hash, evaluate, evaluation_document
from mtctl.engine.spec import EvaluationSpec
from mtctl.engine.start import known_as_before, known_recipes, refuse_other_data
from mtctl.engine.stored import fill_policy
from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem
from mtctl.problems.device import is_there
from mtctl.problems.kinds import LOOP
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load


def restore(
    directory: Path, name: str = layout.LAST, overrides: Sequence[str] = ()
) -> tuple[Problem, dict[str, Any]]:
    """Return a run's problem with a checkpoint's policy, and the checkpoint.

    Args:
        directory: the run.
        name: last, best, ep0100, or the path of a checkpoint file of the same recipe.
        overrides: where the data is now, if it has moved: `problem.data.path=…`.

    Raises:
        MtctlError: the recipe or the checkpoint is missing, corrupt or does not belong to the other.
    """
    told = RunDirectory(directory).told
    if told.get("problem") == LOOP:
        raise MtctlError(
            f"{directory}: a loop of your own (mtctl.Monitor) wrote this run: mtctl can neither build its "
            "model nor has its weights",
            hint="monitor.epoch(validation_losses) records losses on validation data, which `mtctl compare` "
            "reads",
        )
    stored = directory / layout.RECIPE
    if not stored.is_file():
        raise MtctlError(f"{directory}: the run has no {layout.RECIPE}", hint="train it again with --force")
    if told.get("begun") is False:
        raise MtctlError(
            f"{directory}: the run was stopped before it began, so there is nothing to evaluate",
            hint="start it: `mtctl train` with --resume",
        )
    recipe = load(stored)
    if overrides:
        recipe = known_as_before(load(stored, overrides), recipe)
    path = _path(directory, name)
    if name == layout.BEST and not path.exists():
        _refuse_unselected(path, recipe)
    content = checkpoint.load(path, recipe_hash=known_recipes(recipe, told).keys())
    # A policy scores the same wherever it is computed, but for rounding.
    here = recipe if is_there(recipe.device) else recipe.on("auto")
    problem = build_problem(here, content["seed"])
    refuse_other_data(directory, told, problem)
    if content["definition_hash"] != definition_hash(problem.definition):
        raise MtctlError(
            f"{path}: the tasks were defined differently when this checkpoint was made",
            hint="evaluate it with the version of mtctl that wrote it (see run.json), or train again",
        )
    fill_policy(path, content, problem)
    return problem, content


def evaluate_run(spec: EvaluationSpec, *, stop: Stop | None = None, say: Say = silent) -> RunResult:
    """Evaluate a stored run; return its document (see engine/layout.py) of the tasks that were asked for.

    With a choice of tasks, an earlier result of the same checkpoint and protocol keeps its other tasks;
    otherwise only a result of all tasks is written into the run, since a part would hide what was there.
    Nothing is written for a checkpoint from elsewhere: it says nothing about this run. Nor is it for one that
    a training under way has replaced meanwhile, or is about to replace. What can be explained and ends the
    evaluation is an error in the result.

    Args:
        spec: what to evaluate; filming is left to `mtctl.engine.rendering`.
        stop: a request ends the evaluation that is under way: half of one is none.
        say: told why a result is not written.
    """

    def evaluated(tell: Say) -> RunResult:
        with (stop or Stop()).leaving(1):
            document = _evaluate(spec, tell)
        return RunResult("completed", document, document["done"])

    return outcome(evaluated, say)


def _evaluate(spec: EvaluationSpec, say: Say) -> dict[str, Any]:
    directory, name = spec.directory, spec.checkpoint
    path = _path(directory, name)
    before = _version(path)
    problem, content = restore(directory, name, spec.overrides)
    unknown = [task for task in spec.tasks or () if task not in problem.scored]
    if unknown:
        raise MtctlError(
            f"{directory}: this run has no task `{unknown[0]}`",
            hint=f"its tasks: {', '.join(problem.scored)}",
        )
    scores = evaluate(problem, spec.items, "held_out", spec.tasks)
    label = Path(name).stem
    document = evaluation_document(scores, label, content["done"], problem)
    if spec.items is not None and document["items"] < spec.items:
        raise MtctlError(
            f"{directory}: {spec.items:,} {problem.item}s of each task were asked for, and there are "
            f"{document['items']:,}",
            hint=f"leave out --{problem.item}s, which takes all, or ask for {document['items']:,} at most",
        )
    file = directory / (layout.EVALUATION if label == layout.LAST else f"eval-{label}.json")
    place = RunDirectory(directory)
    if path.parent.resolve() == place.checkpoints.resolve():
        with explained(directory, hint="evaluate a copy of the run in a writable folder"):
            _store(place, file, document, problem, lambda: _version(path) == before, say)
    return document


def _store(
    place: RunDirectory,
    file: Path,
    document: dict[str, Any],
    problem: Problem,
    current: Callable[[], bool],
    say: Say,
) -> None:
    """Write a result, unless the run has gone on since its checkpoint was read; `current` tells."""
    kept = f"{problem.unit} {document['done']:,}: the result is shown but not stored"
    try:
        place.acquire(training=False)
    except Taken:
        if file.name == layout.EVALUATION:  # which the training will write
            trained = f"is being trained by {holder(place.path)}"
            say(Note("not_stored", f"{trained} and was evaluated at {kept}"))
            return
    except MtctlError:
        pass  # no locks here: what `current` says has to do
    try:
        if not current():
            say(Note("not_stored", f"was trained further meanwhile and was evaluated at {kept}"))
        elif (merged := _merged(file, document, problem.scored)) is not None:
            place.write(file.name, merged)
    finally:
        place.release()


def _version(path: Path) -> tuple[int, int, int] | None:
    """Tell one checkpoint of a name from the next; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_unselected(path: Path, recipe: Recipe) -> None:
    """Explain a best checkpoint that is missing because no evaluation selects one."""
    every, units = recipe.evaluation.every, recipe.units
    if 0 < every <= units:
        return
    found = "are no evaluations" if every == 0 else f"is none within {units} units"
    raise MtctlError(
        f"{path}: no such checkpoint: evaluations during training select it, but there {found} "
        f"(`evaluation.every` is {every})",
        hint="evaluate the final policy with --checkpoint last",
    )


def _path(directory: Path, name: str) -> Path:
    return Path(name) if name.endswith(".pt") else RunDirectory(directory).checkpoint(name)


def _merged(file: Path, document: dict[str, Any], tasks: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the document with all tasks, the missing ones from `file`; None if that has other conditions."""
    if document["tasks"].keys() >= set(tasks):
        return document
    try:
        before = json.loads(file.read_text())
        kept = before.pop("tasks")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if before.get("schema") not in layout.READABLE:
        return None
    before["schema"] = document["schema"]
    if before != {key: value for key, value in document.items() if key != "tasks"}:
        return None
    both = {**kept, **document["tasks"]}
    return {**document, "tasks": {task: both[task] for task in tasks if task in both}}
