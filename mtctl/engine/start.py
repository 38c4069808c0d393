"""How a run begins: anew, or where it has stopped; what stands in its way, and what its user should know.

Nothing here changes what is there. Only `_Run` does (see run.py), once all of this has been found in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.lock import holder
from mtctl.engine.result import Note, Say
from mtctl.engine.scores import definition_hash, final_evaluation
from mtctl.engine.spec import RunSpec
from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem
from mtctl.problems.kinds import LOOP
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import differences, load, recipe_hash

_UNIT: Final = b'{"kind":"unit",'
"""How the record of a unit begins."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a run has done so far.

    Args:
        content: of its last checkpoint.
        units: that were asked for when the checkpoint was made.
        earlier: units that were asked for at other times.
        evaluation: the document of its final evaluation, if that is there.
        complete: whether run.json says that it is completed.
        moved: where its data lies now, if that is another place than its recipe says.
        changed: what has changed about the user's code, if anything has.
    """

    content: Mapping[str, Any]
    units: int
    earlier: tuple[int, ...]
    evaluation: dict[str, Any] | None
    complete: bool
    moved: str | None
    changed: str | None

    @property
    def covered(self) -> int:
        """How many bytes of the metrics the checkpoint covers."""
        return int(self.content["training"]["metrics_bytes"])


def check_target(place: RunDirectory, spec: RunSpec) -> Recipe:
    """Refuse a directory that this run may not be written into.

    Returns:
        The recipe as the run knows it: data that has moved keeps its name.
    """
    recipe = spec.recipe
    place.refuse_broken_link()
    if not place.used:
        return recipe
    place.refuse_foreign()
    if spec.force:
        return recipe
    if not spec.resume:
        raise _taken(place)
    _refuse_other_schema(place)
    if place.told.get("begun") is False:
        return _about_to_begin(place, recipe)
    stored = place.path / layout.RECIPE
    if not stored.is_file():
        raise MtctlError(
            f"{place.path}: there is no {layout.RECIPE} to resume from",
            hint="restore it, or start again with --force",
        )
    before = load(stored)
    recipe = known_as_before(recipe, before)
    _refuse_changes(place, before, recipe)
    return recipe


def _taken(place: RunDirectory) -> MtctlError:
    found = holder(place.path)
    if found.state == "held":
        return MtctlError(
            f"{place.path}: already holds a run, and {found} is training it",
            hint="wait for it or stop it; `-o name=NEW` or another --seed makes a separate run",
        )
    status = place.told.get("status")
    keep = "`-o name=NEW` or another --seed keeps it"
    what = "prolongs it with a larger budget" if status == "completed" else "continues it"
    loop = place.told.get("problem") == LOOP
    resume = "" if _other_schema(place) or loop else f"--resume {what}, "
    return MtctlError(
        f"{place.path}: already holds a run ({status or 'unreadable'})",
        hint=f"{resume}--force replaces it, {keep}",
    )


def _refuse_other_schema(place: RunDirectory) -> None:
    """Refuse to go on in a run whose files have another format than those that would be added to them."""
    if (schema := _other_schema(place)) is None:
        return
    by_name = place.told.get("versions")
    version = by_name.get("mtctl") if isinstance(by_name, Mapping) else None
    writer = f"mtctl {version}" if isinstance(version, str) else "another version of mtctl"
    raise MtctlError(
        f"{place.path}: {writer} wrote this run in schema {schema}, but this version continues only runs of "
        f"schema {layout.SCHEMA}",
        hint="continue it with the version that wrote it, or train again: `-o name=NEW` keeps it, --force "
        "replaces it; compare, report, diagnose and eval can read it",
    )


def _other_schema(place: RunDirectory) -> int | None:
    """Return the schema of a run's files where it is not this version's."""
    schema = place.told.get("schema")
    if schema is None and place.metrics.is_file():  # run.json is lost: the records tell
        with place.metrics.open("rb") as file:
            first = file.readline()
        schema = layout.SCHEMA if first.startswith(_UNIT) or not first.endswith(b"\n") else layout.READABLE[0]
    return schema if isinstance(schema, int) and schema != layout.SCHEMA else None


def _about_to_begin(place: RunDirectory, recipe: Recipe) -> Recipe:
    """Return the recipe if it is the one with which a run was about to begin here."""
    if place.told.get("recipe_hash") != recipe_hash(recipe):
        raise MtctlError(
            f"{place.path}: a run with another recipe was stopped here before it began",
            hint="start again with --force, or use `-o name=NEW` for a separate run",
        )
    return recipe


def known_as_before(recipe: Recipe, before: Recipe) -> Recipe:
    """Return the recipe with the name that the run has for its data; its content says whether it is that."""
    now, then = recipe.data_path, before.data_name
    return recipe if now is None or then is None else recipe.with_data(now, then)


def _moved(before: Recipe, recipe: Recipe) -> str | None:
    return None if recipe.data_path == before.data_path else recipe.data_path


def _refuse_changes(place: RunDirectory, before: Recipe, recipe: Recipe) -> None:
    """Refuse a recipe that differs in more than its budget."""
    alike = before.lasting(recipe.units) if type(before) is type(recipe) else before
    if changes := differences(alike, recipe):
        rows = "\n".join(f"  {key}: {then!r} in the run, {now!r} now" for key, then, now in changes)
        raise MtctlError(
            f"{place.path}: cannot resume with a changed recipe\n{rows}",
            hint=f"resume with the unchanged recipe, {place.path / layout.RECIPE}, or use `-o name=NEW` for "
            "a separate run",
        )
    if before.units != recipe.units and (bound := recipe.bound_to_budget):
        raise MtctlError(
            f"{place.path}: its budget cannot change from {before.units:,} to {recipe.units:,}: "
            f"`{bound[0]}` depends on the length of the whole run, so its first part would differ",
            hint="train the longer run from its start: `-o name=NEW` keeps this one, --force replaces it",
        )


def recall(place: RunDirectory, recipe: Recipe, seed: int, problem: Problem, say: Say) -> Past | None:
    """Return what a run to resume has done so far; None if it stopped before it had saved anything.

    Raises:
        MtctlError: what it needs to go on is missing, unreadable or not its own.
    """
    told, path = place.told, place.checkpoint(layout.LAST)
    if told.get("begun") is False:
        say(Note("anew", "was stopped before it began; it starts now"))
        return None
    if not _is_there(path):
        _refuse_lost(place, recipe, problem)
        say(Note("anew", "stopped before its first checkpoint; it starts again"))
        return None
    refuse_other_data(place.path, told, problem)
    _refuse_other_device(place.path, told, problem)
    known = known_recipes(recipe, told)
    content = checkpoint.load_to_resume(
        path, recipe_hash=known.keys(), definition_hash=definition_hash(problem.definition), seed=seed
    )
    complete = told.get("status") == "completed"
    _refuse_damaged_metrics(place, content, complete=complete)
    if content["done"] > recipe.units:
        least = -(-content["done"] * recipe.budget_value // recipe.units)
        raise MtctlError(
            f"{place.path}: {content['done']:,} {problem.unit}s are done, but the recipe now asks for only "
            f"{recipe.units:,}",
            hint=f"ask for at least as many: -o {recipe.budget_key}={least}",
        )
    return Past(
        content,
        units=known[content["recipe_hash"]],
        earlier=tuple(units for units in known.values() if units != recipe.units),
        evaluation=final_evaluation(place.path / layout.EVALUATION, problem, recipe.units),
        complete=complete,
        moved=_moved(load(place.path / layout.RECIPE), recipe),
        changed=_code_change(told, problem),
    )


def known_recipes(recipe: Recipe, told: Mapping[str, Any]) -> dict[str, int]:
    """Return the hashes of a run's recipe with each budget that it has had, and these, in units.

    Args:
        recipe: of the run.
        told: what its run.json says.
    """
    budget = told.get("budget")
    found = budget if isinstance(budget, Mapping) else {}
    earlier = found.get("earlier")
    budgets = [recipe.units, found.get("units"), *(earlier if isinstance(earlier, list) else [])]
    units = dict.fromkeys(each for each in budgets if isinstance(each, int) and each > 0)
    return {recipe_hash(recipe.lasting(each)): each for each in units}


def refuse_other_data(place: Path, told: Mapping[str, Any], problem: Problem) -> None:
    """Refuse data with another content than the run has learned from."""
    then, now = (_digest(found) for found in (told.get("definition"), problem.definition))
    if then and now and then != now:
        raise MtctlError(
            f"{place}: its data differs from its training data: sha256 {now[:12]}… now, {then[:12]}… then",
            hint="name the file that it was trained on: -o problem.data.path=…",
        )


def _refuse_other_device(place: Path, told: Mapping[str, Any], problem: Problem) -> None:
    """Refuse to go on elsewhere: generators on a GPU draw other numbers, and sums are rounded otherwise."""
    then, now = told.get("device"), problem.device.type
    if isinstance(then, str) and then != now:
        raise MtctlError(
            f"{place}: was trained on {then} so far, and training.device finds {now} on this machine",
            hint=f"resume it on a machine with {then}, or train again here: `-o name=NEW` keeps it, --force "
            "replaces it; eval, compare and report read it anywhere",
        )


def _code_change(told: Mapping[str, Any], problem: Problem) -> str | None:
    """Say that a run goes on with other code of the user's than it began with; None where it does not."""
    code = told.get("code")
    then = code.get("sha256") if isinstance(code, Mapping) else None
    if problem.code is None or not isinstance(then, str) or then == problem.code["sha256"]:
        return None
    now = problem.code["sha256"]
    return (
        f"goes on with a changed {Path(problem.code['file']).name}: its SHA-256 is {now[:12]}…, and was "
        f"{then[:12]}… before"
    )


def _digest(definition: object) -> str | None:
    data = definition.get("data") if isinstance(definition, Mapping) else None
    found = data.get("sha256") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else None


def _is_there(path: Path) -> bool:
    """Say whether there is anything of this name, be it readable or not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading it says what is wrong
    return True


def _refuse_lost(place: RunDirectory, recipe: Recipe, problem: Problem) -> None:
    """Refuse to start again where there must have been a checkpoint."""
    told, recorded = place.told, _recorded(place.metrics)
    budget = told.get("budget")
    done = budget.get("done") if isinstance(budget, Mapping) else None
    saved = done and told.get("status") in ("running", "interrupted", "completed", "failed")
    # A run may have been killed after the record of a unit, and before the checkpoint that was due with it.
    if not (saved or recorded > recipe.checkpoints.every or (recorded and not told)):
        return
    raise MtctlError(
        f"{place.checkpoint(layout.LAST)}: the checkpoint to resume from is missing, but {recorded:,} "
        f"{problem.unit}s are recorded",
        hint="mount its disk or restore the file from a copy, then --resume; --force starts again",
    )


def _recorded(metrics: Path) -> int:
    """Return how many units are on record."""
    try:
        with metrics.open("rb") as file:
            return sum(line.startswith(_UNIT) and line.endswith(b"\n") for line in file)
    except FileNotFoundError:
        return 0


def _refuse_damaged_metrics(place: RunDirectory, content: Mapping[str, Any], *, complete: bool) -> None:
    """Refuse records that lack what the checkpoint covers; of a completed run, also those with more."""
    if place.metrics.is_symlink():
        raise MtctlError(
            f"{place.metrics} is a link, and runs do not write through links",
            hint="put the file itself there, or start again with --force, which keeps the link's target",
        )
    covered = content["training"]["metrics_bytes"]
    for file in (place.path / layout.restated(content["recipe_hash"]), place.metrics):
        size = file.stat().st_size if file.exists() else 0
        if size == covered or (size > covered and not complete):
            return
    length = "shorter" if size < covered else "longer"
    raise MtctlError(
        f"{place.metrics}: {length} than when the checkpoint was saved ({size} bytes instead of {covered})",
        hint="restore the file, or train again with --force",
    )
