"""A function by name, `FILE.py:FUNCTION` or `package.module:FUNCTION`: where it stands. Nothing is run."""

from __future__ import annotations

import ast
import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from mtctl.errors import MtctlError
from mtctl.reading import read_bytes
from mtctl.yaml.mistakes import closest

SUFFIX: Final = ".py"
_LARGEST: Final = 10_000_000
"""Bytes of a Python file."""
_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FORM: Final = "name it as FILE.py:FUNCTION or package.module:FUNCTION"


def split(name: str) -> tuple[str, str]:
    """Return what stands before and after the last colon: a file or a module, and a function.

    Raises:
        MtctlError: no function is named.
    """
    place, _, function = name.rpartition(":")
    if place and function.isidentifier():
        return place, function
    if name.endswith(SUFFIX):
        known = functions_of(Path(name)) or ["build"]
        raise MtctlError(
            f"{name} names a file, but no function in it", hint=f"such as {name}:{_likely(known)}"
        )
    raise MtctlError(f"`{name}` names no function", hint=_FORM)


def is_module(place: str) -> bool:
    """Return whether a place is the name of a module, such as `package.module`, and no path."""
    if place.endswith(SUFFIX) or not _MODULE.fullmatch(place):
        return False
    path = Path(place)
    return not path.is_file() and (not path.is_dir() or (path / "__init__.py").exists())


def require_file(place: str) -> Path:
    """Return the absolute path of a Python file.

    Raises:
        MtctlError: there is none, or it is something else.
    """
    path = Path.cwd() / place
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise MtctlError(f"{place} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if is_folder:
        inside = sorted(path.glob(f"*{SUFFIX}"))[:1]
        hint = f"name a file in it, such as {Path(place) / inside[0].name}" if inside else _FORM
        raise MtctlError(f"{place} is a directory, not a Python file", hint=hint)
    if not exists:
        raise MtctlError(f"there is no file {shown(place)}", hint=_nearest(Path(shown(place))))
    if path.suffix != SUFFIX:
        raise MtctlError(f"{place} is not a Python file: its name does not end in {SUFFIX}", hint=_FORM)
    return path


def read(path: Path) -> bytes:
    """Return the text of a Python file.

    Raises:
        MtctlError: it cannot be read.
    """
    return read_bytes(path, remedy=None, largest=_LARGEST)


def digest_of(text: bytes) -> str:
    """Return the SHA-256 of a Python file's text in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a Python file in hexadecimal; None where it cannot be read."""
    with suppress(MtctlError):
        return digest_of(read(path))
    return None


def functions_of(path: Path) -> list[str]:
    """Return the names of the functions at the top of a Python file; none where it is not Python."""
    with suppress(MtctlError, SyntaxError, ValueError, RecursionError):
        return [node.name for node in ast.parse(read(path)).body if isinstance(node, ast.FunctionDef)]
    return []


def shown(path: Path | str) -> str:
    """Return a path as a user would write it: relative where it lies below the current folder."""
    path = Path(path)
    with suppress(OSError):
        if path.is_relative_to(Path.cwd()):
            return str(path.relative_to(Path.cwd()))
    return str(path)


def _likely(names: list[str]) -> str:
    return closest("build", names) or names[-1]


def _nearest(path: Path) -> str | None:
    with suppress(OSError, ValueError):
        others = [str(other) for other in path.parent.iterdir() if other.suffix == SUFFIX]
        if match := closest(str(path), others):
            return f"did you mean `{match}`?"
    if path.is_absolute():
        return "if it has moved, say where it is now: -o problem.build=FILE.py:FUNCTION"
    return "paths are relative to the folder in which mtctl runs"
