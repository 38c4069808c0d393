"""The registry of the kinds of problems.

A new kind is a folder beside `lander` and `windows`: recipe.py (what its recipes say), problem.py (see
contract.py) and kind.py (what others ask before a problem is built), and its entry in `KINDS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mtctl.problems.hybrid.kind import HYBRID
from mtctl.problems.kind import Kind
from mtctl.problems.lander.kind import LANDER
from mtctl.problems.python.kind import PYTHON
from mtctl.problems.windows.kind import WINDOWS

if TYPE_CHECKING:
    from mtctl.problems.code import Code
    from mtctl.problems.contract import Problem
    from mtctl.problems.recipe import Recipe

KINDS: Final[dict[str, Kind[Any]]] = {kind.name: kind for kind in (LANDER, WINDOWS, PYTHON, HYBRID)}
"""By `problem.kind`."""
LOOP: Final = "loop"
"""The `problem` of runs that a loop of one's own has recorded: there is no recipe, nothing can be built."""


def kind_of(recipe: Recipe) -> Kind[Any]:
    """Return the kind of a recipe's problem."""
    return KINDS[recipe.problem.kind]


def complete(recipe: Recipe) -> Recipe:
    """Return the recipe with what only its code can tell, such as which tasks there are.

    Raises:
        MtctlError: the code cannot be run.
    """
    completed: Recipe = kind_of(recipe).complete(recipe)
    return completed


def code_of(recipe: Recipe) -> Code:
    """Return the versions of the user's files that trainings of a recipe run, as they are now.

    Raises:
        MtctlError: the code cannot be imported.
    """
    return kind_of(recipe).code(recipe)


def build(recipe: Recipe, seed: int) -> Problem:
    """Return the recipe's problem, freshly initialised from `seed`.

    Raises:
        MtctlError: it does not fit into this machine's memory, or it cannot be built.
    """
    from mtctl.problems.sizes import require_memory  # noqa: PLC0415 - for those who train

    require_memory(recipe)
    return kind_of(recipe).build(recipe, seed)
