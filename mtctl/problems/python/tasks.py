"""Which tasks a user's function names."""

from __future__ import annotations

from typing import Final

from mtctl.errors import MtctlError
from mtctl.problems.device import device_of
from mtctl.problems.python.batches import iterated
from mtctl.problems.python.builder import Builder, find_builder, training_of
from mtctl.problems.python.calling import call
from mtctl.problems.python.generators import Generators
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.training import Training

BUILD: Final = 2**31 + 2
"""The stream of random numbers that building draws from: those of the epochs are counted from 0."""


def complete(recipe: PythonRecipe) -> PythonRecipe:
    """Return the recipe with the tasks that its function names, where it names none itself."""
    if recipe.problem.tasks:
        return recipe
    builder = find_builder(recipe.problem.build)
    with Generators(device_of(recipe.training.device)).fresh(0, BUILD):
        names = names_of(training_of(builder, 0, recipe.problem.arguments))
    return recipe.revised({"problem.tasks": list(names)})


def names_of(training: Training) -> tuple[str, ...]:
    """Return the tasks' names: those of `tasks`, or of the losses of a first batch, which draws."""
    if training.losses is None:
        return tuple(training.tasks)
    batch = next(iterated(training.train, "`train`"))
    return tuple(str(name) for name in call("`losses`", training.losses, batch))


def refuse_unknown(builder: Builder, tasks: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse tasks of a recipe that its function does not name."""
    if unknown := [task for task in tasks if task not in known]:
        raise MtctlError(
            f"{builder.name} has no task `{unknown[0]}`",
            hint=f"its tasks: {', '.join(known)}; change `problem.tasks`",
        )
