"""The user's function: found by its name, called, and what it returns checked."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mtctl.errors import MtctlError
from mtctl.problems.python.training import Training

T = TypeVar("T")


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


def find_builder(name: str) -> Builder:
    """Return the function that `FILE.py:FUNCTION` or `package.module:FUNCTION` names.

    Raises:
        MtctlError: there is none, or its file cannot be imported.
    """
    place, _, function = name.rpartition(":")
    path = Path(place)
    spec = importlib.util.spec_from_file_location(f"mtctl_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MtctlError(f"{name}: there is no such file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Builder(name, getattr(module, function), path)


def training_of(builder: Builder, seed: int, arguments: Mapping[str, Any]) -> Training:
    """Return what the function builds.

    Raises:
        MtctlError: it fails, or it returns something else than a `Training` that can be trained.
    """
    training = call(f"{builder.name}", builder.function, seed, **arguments)
    if not isinstance(training, Training):
        raise MtctlError(f"{builder.name} returned {type(training).__name__}, not mtctl.Training")
    return training


def call(what: str, function: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
    """Return what a function of the user's returns.

    Args:
        what: it is, for messages: "the loss of `depth`".
        function: to call.
        *arguments: its arguments.
        **named: its arguments by name.

    Raises:
        MtctlError: it raises; with the place in the user's own file.
    """
    try:
        return function(*arguments, **named)
    except Exception as error:
        raise MtctlError(f"{what} failed: {type(error).__name__}: {error}") from error


def file_digest(builder: Builder) -> str | None:
    """Return the SHA-256 of the file that the function stands in."""
    return hashlib.sha256(builder.file.read_bytes()).hexdigest()
