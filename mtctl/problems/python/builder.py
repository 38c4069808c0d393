"""The user's function: found by its name, called, and what it returns checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mtctl.errors import MtctlError
from mtctl.problems.python import importing, source
from mtctl.problems.python.calling import call
from mtctl.problems.python.checks import require_training, type_of
from mtctl.problems.python.generators import seeded
from mtctl.problems.python.importing import import_file, import_module
from mtctl.problems.python.training import Training
from mtctl.yaml.mistakes import suggestion

__all__ = ["Builder", "call", "file_digest", "find_builder", "seeded", "training_of"]

_SEED = "seed"


@dataclass(frozen=True, slots=True)
class Builder:
    """A function that builds a `Training`.

    Args:
        name: as recipes write it: `FILE.py:FUNCTION`.
        function: itself.
        file: where it stands.
    """

    name: str
    function: Callable[..., Any]
    file: Path

    @property
    def label(self) -> str:
        """The name with a path as a user would write it."""
        place, function = source.split(self.name)
        return f"{source.shown(place)}:{function}"

    @property
    def place(self) -> str:
        """File and line, and the function's name."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        file = source.shown(code.co_filename if code else self.file)
        line = f":{code.co_firstlineno}" if code else ""
        return f"{file}{line} {source.split(self.name)[1]}"


def find_builder(name: str) -> Builder:
    """Return the function that `FILE.py:FUNCTION` or `package.module:FUNCTION` names; its file is imported.

    Raises:
        MtctlError: there is none, or its file cannot be imported.
    """
    place, function_name = source.split(name)
    module = import_module(place) if source.is_module(place) else import_file(place)
    file = Path(module.__file__ or place)
    function = getattr(module, function_name, None)
    if function is None:
        raise MtctlError(
            f"{source.shown(file)} has no function `{function_name}`",
            hint=suggestion(function_name, _functions(module)) or "write it: def build(seed): …",
        )
    if not callable(function):
        raise MtctlError(
            f"{source.shown(file)}: `{function_name}` is no function: it is {type_of(function)}",
            hint=suggestion(function_name, _functions(module)) or None,
        )
    return Builder(name, function, file)


def files_of(name: str) -> list[Path]:
    """Return the files that a function's module consists of: its own, and those beside it that it imports.

    Raises:
        MtctlError: there is no such function, or its file cannot be imported.
    """
    find_builder(name)
    return importing.files_of(source.split(name)[0])


def training_of(builder: Builder, seed: int, arguments: Mapping[str, Any]) -> Training:
    """Return what the function builds, called while the global generators start from `seed`.

    Raises:
        MtctlError: it cannot be called so, it fails, or it returns something else than a `Training` that can
            be trained.
    """
    _require_arguments(builder, arguments)
    with seeded(seed):
        training = call(builder.label, builder.function, seed=seed, **arguments)
    if training is None:
        raise MtctlError(
            f"{builder.place}: returned nothing", hint="end the function with `return mtctl.Training(…)`"
        )
    if not isinstance(training, Training):
        raise MtctlError(
            f"{builder.place}: returned {type_of(training)}, not a Training",
            hint="end the function with `return mtctl.Training(…)`",
        )
    require_training(training, builder.place)
    return training


def file_digest(builder: Builder) -> str | None:
    """Return the SHA-256 of the function's file in hexadecimal; None where it cannot be read."""
    return source.file_digest(builder.file)


def _require_arguments(builder: Builder, arguments: Mapping[str, Any]) -> None:
    """Refuse a function that cannot take `seed` and what `arguments:` gives it."""
    try:
        parameters = inspect.signature(builder.function).parameters
    except (TypeError, ValueError):  # a function in C does not tell
        return
    if _SEED in arguments:
        raise MtctlError(
            f"{builder.place}: `seed` stands in `problem.arguments`, but it is the run's",
            hint="leave it out, and give --seed",
        )
    taken = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if _SEED not in taken and not any_name:
        told = ", ".join(parameters) or "nothing"
        raise MtctlError(
            f"{builder.place}: takes {told}, but no argument `seed`",
            hint=f"write `def {source.split(builder.name)[1]}(seed, …)`: mtctl calls it with the run's seed",
        )
    others = tuple(name for name in taken if name != _SEED)
    for name in arguments:
        if name not in taken and not any_name:
            raise MtctlError(
                f"{builder.place}: takes no argument `{name}`, which `problem.arguments` gives it",
                hint=suggestion(name, others) or "it takes `seed` only",
            )
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and name not in {_SEED, *arguments}
    ]
    if missing:
        raise MtctlError(
            f"{builder.place}: needs {_listed(missing)}, which `problem.arguments` does not give it",
            hint=f"add it: -o problem.arguments.{missing[0]}=VALUE, or give it a default",
        )


def _functions(module: ModuleType) -> list[str]:
    """Return the names of the functions that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
