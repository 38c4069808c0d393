"""A model of one's own as a kind of problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mtctl.problems.kind import Kind
from mtctl.problems.score import LOSSES, SKILL

if TYPE_CHECKING:
    from mtctl.problems.python.problem import OwnModel
    from mtctl.problems.python.recipe import PythonRecipe


def _recipe() -> type[PythonRecipe]:
    from mtctl.problems.python.recipe import PythonRecipe  # noqa: PLC0415 - for those who read recipes

    return PythonRecipe


def _build(recipe: PythonRecipe, seed: int) -> OwnModel:
    from mtctl.problems.python.problem import OwnModel  # noqa: PLC0415 - torch is for what is trained

    return OwnModel(recipe, seed)


def _complete(recipe: PythonRecipe) -> PythonRecipe:
    from mtctl.problems.python.tasks import complete  # noqa: PLC0415

    return complete(recipe)


def _code(recipe: PythonRecipe) -> dict[str, str]:
    from mtctl.problems.code import versions  # noqa: PLC0415
    from mtctl.problems.python.builder import files_of  # noqa: PLC0415

    return versions(files_of(recipe.problem.build))


PYTHON: Final = Kind(
    name="python",
    title="a model of your own",
    load_recipe=_recipe,
    build=_build,
    complete=_complete,
    code=_code,
    unit="epoch",
    item="row",
    score=SKILL,
    figures=LOSSES,
    steps_per_unit=None,
    glance=5,
    no_stack="whether your model's modules can work on the weights of all seeds at once, mtctl cannot know",
)
