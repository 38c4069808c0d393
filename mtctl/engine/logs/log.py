"""What a log is: it is told of a run once, and then gets one point after the other."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from mtctl.engine.logs.scalars import Names, Point
from mtctl.errors import MtctlError


@dataclass(frozen=True, slots=True)
class Subject:
    """The run that a log is about.

    Args:
        name: of its recipe.
        seed: its seed.
        hyperparameters: the recipe's values by dotted key.
        names: what the run calls things.
        identity: tells this training from any other; the same once it is resumed.
    """

    name: str
    seed: int
    hyperparameters: dict[str, str | int | float | bool]
    names: Names
    identity: str = ""

    @property
    def label(self) -> str:
        """What a person calls the run."""
        return f"{self.name}/seed{self.seed}"


class Log(Protocol):
    """Takes points in order of time. Once it has raised anything, it gets nothing more, and is closed."""

    def write(self, point: Point) -> None: ...

    def close(self) -> None: ...


def require_package(kind: str, package: str) -> None:
    """Refuse a log whose package is not installed.

    Args:
        kind: of the log, which is the extra's name too.
        package: that it needs.

    Raises:
        MtctlError: names the command that installs it.
    """
    try:
        import_module(package)
    except ImportError as error:
        raise MtctlError(
            f"the {kind} log needs {package}, which cannot be imported: {error}",
            hint=f'pip install "mtctl[{kind}]"',
        ) from error
