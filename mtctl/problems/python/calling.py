"""Functions of a user's, called: what they raise is told with the places in the user's own files."""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import mtctl
from mtctl.errors import MtctlError
from mtctl.faults import is_of_memory
from mtctl.problems.python.source import shown

T = TypeVar("T")

_FRAMES: Final = 4
"""Places that a message shows: the last ones."""
_LINES: Final = 6
"""Lines of an exception's own text that a message shows."""
_INSTALLED: Final = {"site-packages", "dist-packages"}
_FROM_WORKER: Final = "Original Traceback (most recent call last):"
"""What a DataLoader writes into the exception of a worker process, before its traceback."""
_TRACED: Final = re.compile(r'^ +File "(.+)", line (\d+), in (.+)\n +(.+)$', re.MULTILINE)
_NO_CLASS: Final = re.compile(r"Target -?\d+ is out of bounds\.")
"""What torch's cross-entropy says of a target beyond its outputs."""


def call(what: str, function: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
    """Return what a function of the user's returns. What it prints goes to stderr.

    Args:
        what: it is, for messages: "the loss of `depth`".
        function: to call.
        *arguments: its arguments.
        **named: its arguments by name.

    Raises:
        MtctlError: it raises; with the places in the user's own files.
        MemoryError: there is not enough; torch has errors of its own for it, which also pass.
    """
    try:
        with redirect_stdout(sys.stderr):
            return function(*arguments, **named)
    except MtctlError:
        raise
    except (Exception, SystemExit) as error:
        if is_of_memory(error):
            raise
        raise failure(what, error) from error


def failure(what: str, error: BaseException) -> MtctlError:
    """Return what a user is told about an exception of their code.

    Args:
        what: failed.
        error: with its traceback.
    """
    text, places = str(error), _places(error)
    if _FROM_WORKER in text:
        traced = text.partition(_FROM_WORKER)[2]
        text = traced.strip().splitlines()[-1].partition(": ")[2]
        places = [*places, *_places_in(traced)]
    head, *rest = text.strip().splitlines()[:_LINES] or [""]
    name = type(error).__name__
    told = [f"{what} failed: {name}: {head}" if head else f"{what} failed: {name}"]
    told += [f"    {line}" for line in rest]
    told += [f"  {place}" for place in places[-_FRAMES:]]
    return MtctlError("\n".join(told), hint=_remedy(error))


def _remedy(error: BaseException) -> str | None:
    match error:
        case ModuleNotFoundError(name=str(module)):
            return f"install it where mtctl runs: `{sys.executable} -m pip install {module.split('.')[0]}`"
        case IndexError() if _NO_CLASS.fullmatch(str(error)):
            return "count classes from 0, give the head an output for each; `ignore_index=` leaves one out"
        case SystemExit():
            return 'put what a script does by itself below `if __name__ == "__main__":`'
    return None


def _places(error: BaseException) -> list[str]:
    """Return the user's own places that an exception came through, the last one last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        _place(frame.filename, frame.lineno or 0, frame.name, frame.line or "")
        for frame in frames
        if _is_users(frame.filename)
    ]


def _places_in(traced: str) -> Iterator[str]:
    for file, line, function, text in _TRACED.findall(traced):
        if _is_users(file):
            yield _place(file, int(line), function, text)


def _place(file: str, line: int, function: str, text: str) -> str:
    inside = "" if function == "<module>" else f" in {function}"
    return f"{shown(file)}:{line}{inside}: {text.strip()}"


@cache
def _is_users(file: str) -> bool:
    """Return whether a file is neither mtctl's, nor Python's, nor of an installed package."""
    if file.startswith("<"):
        return False
    path = Path(file).absolute()
    library = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    own = Path(mtctl.__file__).parent
    return not _INSTALLED & set(path.parts) and not any(map(path.is_relative_to, [own, *library]))
