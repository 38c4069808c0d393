"""What is to be done with a run, as data that goes through JSON to any process or machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from mtctl.problems.code import Code
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import dump, loads


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run to train.

    Args:
        recipe: resolved.
        seed: decides everything that the recipe leaves to chance.
        directory: results/<name>/seed<k>; must be new or empty, unless `resume` or `force` say otherwise.
        command: what the user typed, kept in the run.
        resume: go on from the last checkpoint; a run that stopped before its first one starts again. A
            completed one gets the evaluation that it lacks, or goes on if the recipe asks for more units.
        force: replace a run that is there; files in its directory that no run writes stay.
        code: the versions of the user's files that the command began with, which the run refuses others than.
    """

    recipe: Recipe
    seed: int
    directory: Path
    command: str = ""
    resume: bool = False
    force: bool = False
    code: Code = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.recipe.name}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """A stored run to evaluate on the first `items` of the held-out list.

    Args:
        directory: the run.
        checkpoint: last, best, ep0100, or the path of a checkpoint file of the same recipe.
        items: episodes or windows of each task; None for as many as a final score takes.
        tasks: which tasks; None for all of them.
        overrides: where the data is now, if it has moved: `problem.data.path=…`.
        video: the folder into which the first `shown` episodes of each task are filmed afterwards.
        shown: how many episodes of each task are shown or filmed.
        command: what the user typed.
    """

    directory: Path
    checkpoint: str = "last"
    items: int | None = None
    tasks: tuple[str, ...] | None = None
    overrides: tuple[str, ...] = ()
    video: Path | None = None
    shown: int = 0
    command: str = ""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return str(self.directory)


Spec = RunSpec | EvaluationSpec


def spec_to_json(spec: Spec) -> str:
    """Return a spec as JSON; a recipe is YAML text in it."""
    values = {one.name: getattr(spec, one.name) for one in fields(spec)}
    return json.dumps(values, default=lambda value: dump(value) if isinstance(value, Recipe) else str(value))


def spec_from_json(text: str) -> Spec:
    """Return the spec that `spec_to_json` has written."""
    values = json.loads(text)
    values["directory"] = Path(values["directory"])
    if "recipe" in values:
        return RunSpec(**{**values, "recipe": loads(values["recipe"])})
    for name, kind in (("video", Path), ("tasks", tuple), ("overrides", tuple)):
        values[name] = None if values[name] is None else kind(values[name])
    return EvaluationSpec(**values)
