"""The recipe that is meant: a Recipe itself, a path or name, `FILE.py:FUNCTION`, or the function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from mtctl.catalogue.settings import known_kind
from mtctl.errors import MtctlError
from mtctl.problems.kinds import complete
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.source import shown
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import dump, load, loads
from mtctl.recipes.resolved import text

GivenRecipe = Recipe | str | Path | Callable[..., Any]
"""A recipe, a path, the name of a built-in recipe, `FILE.py:FUNCTION`, or a function that a file defines."""
Overrides = Mapping[str, Any] | Sequence[str]
"""Values by dotted key, `{"training.lr": 0.1}`, or the arguments of `-o`, `["training.lr=0.1"]`."""

_PLACES: Final = ("problem.data.path=", "problem.build=")
"""What of a stored run's recipe can change: where its data or code is now."""
_imported: ContextVar[frozenset[str]] = ContextVar("files that are being imported", default=frozenset())


def load_recipe(given: GivenRecipe, overrides: Overrides = (), balancer: str | None = None) -> Recipe:
    """Return the recipe that is meant; code of the user's is not run.

    Args:
        given: a recipe, or what names one.
        overrides: values to change.
        balancer: a balancing method; another than the recipe's own ends its name, so that both can be
            compared.

    Raises:
        MtctlError: there is no such recipe, or it is wrong.
    """
    arguments = override_arguments(overrides)
    if balancer is None:
        return _load(given, arguments)
    if any(argument.startswith(("balancer=", "balancer.kind=")) for argument in arguments):
        raise MtctlError("--balancer and -o balancer.kind exclude each other")
    kind = known_kind(balancer)
    own = _load(given, [])
    if [method.kind for method in own.chain] == [kind]:
        return _load(given, arguments)
    return _load(given, [f"name={own.name}_{kind}", f"balancer={{kind: {kind}}}", *arguments])


def _load(given: GivenRecipe, arguments: Sequence[str]) -> Recipe:
    if isinstance(given, Recipe):
        return loads(dump(given), arguments, name=given.name) if arguments else given
    return load(given if isinstance(given, str | Path) else function_reference(given), arguments)


def override_arguments(overrides: Overrides) -> list[str]:
    """Return overrides as the arguments of `-o`."""
    if isinstance(overrides, str):
        return [overrides]
    if isinstance(overrides, Mapping):
        return [f"{key}={text(_plain(value))}" for key, value in overrides.items()]
    return list(overrides)


def _plain(value: Any) -> Any:
    """Return a value as a recipe can hold it: numbers of NumPy as Python's, a path as text."""
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case Path():
            return str(value)
        case _ if hasattr(value, "item"):
            return value.item()
    return value


def budget_override(recipe: Recipe, units: int) -> str:
    """Return the argument of `-o` with which a recipe lasts so many units, of all tasks together.

    Where units are of one task, every task has equally many.
    """
    return f"{recipe.budget_key}={-(-units * recipe.budget_value // recipe.units)}"


def require_places(overrides: Sequence[str]) -> None:
    """Refuse to change more of a stored run's recipe than where its data or code is now."""
    for override in overrides:
        if not override.startswith(_PLACES):
            raise MtctlError(
                f"-o {override}: a run is evaluated with the recipe that it was trained with",
                hint=f"only the place of its data or code can change: -o {_PLACES[0]}FILE, -o {_PLACES[1]}…",
            )


def function_reference(function: Callable[..., Any]) -> str:
    """Return `FILE.py:FUNCTION` of a function: its file is imported anew, here and in other processes.

    Raises:
        MtctlError: it is no function at the top of a file.
    """
    whole = inspect.unwrap(function) if callable(function) else function
    if not inspect.isfunction(whole):
        raise MtctlError(
            f"expected a recipe or a function that builds a training, not {type(function).__name__}",
            hint="name a recipe file, a built-in recipe or FILE.py:FUNCTION; arguments of a function are "
            'given by overrides={"problem.arguments.NAME": VALUE}',
        )
    name, file = whole.__name__, inspect.getsourcefile(whole)
    if file is None or not Path(file).is_file():
        raise MtctlError(
            f"`{name}` was defined in a notebook or a console; it must stand in a file, which mtctl imports",
            hint="in a notebook, begin its cell with `%%writefile own_model.py`, then pass "
            f'"own_model.py:{name}"',
        )
    if whole.__qualname__ != name or not name.isidentifier():
        raise MtctlError(
            f"{shown(file)}: `{whole.__qualname__}` does not stand at the top of its file",
            hint="define it there, with a name: def build(seed): …",
        )
    return f"{Path(file).absolute()}:{name}"


def completed(recipe: Recipe) -> Recipe:
    """Return the recipe with the tasks that its code names, which is run for that.

    Raises:
        MtctlError: the code fails, or asks mtctl for itself while it is imported.
    """
    file = recipe.file if isinstance(recipe, PythonRecipe) else None
    with _importing(file):
        return complete(recipe)


@contextmanager
def _importing(file: str | None) -> Iterator[None]:
    if file is None:
        yield
        return
    if file in _imported.get():
        raise MtctlError(
            f"{shown(file)} calls mtctl while mtctl imports it, which would never end",
            hint='put the call below `if __name__ == "__main__":`',
        )
    token = _imported.set(_imported.get() | {file})
    try:
        yield
    finally:
        _imported.reset(token)
