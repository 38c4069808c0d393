"""Where a recipe's text comes from: a file, or the argument of `-o`; and places in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mtctl.errors import MtctlError
from mtctl.reading import open_file

#: Bytes. Recipes have a few hundred; this only keeps somebody's data set from being parsed as one.
LARGEST = 1_000_000

#: What PyYAML counts as the end of a line.
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class Source:
    """A text and what it is called on screen. An `argument` has one line, whose number says nothing."""

    name: str
    text: str
    argument: bool = False

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines without their ends."""
        return _LINE_END.split(self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line; `line` and `column` count from 0, `width` counts characters."""

    source: Source
    line: int
    column: int
    width: int = 1


def read(path: Path) -> Source:
    """Return a recipe file's text.

    Raises:
        MtctlError: it is a directory, unreadable, too large, binary or not UTF-8.
    """
    try:
        with open_file(path, remedy=None, pipes=True) as file:
            data = file.read(LARGEST + 1)
            once = not file.seekable()
    except OSError as error:
        raise MtctlError(f"{path} cannot be read: {error.strerror or error}") from error
    except MtctlError as error:
        if isinstance(error.__cause__, IsADirectoryError):
            raise MtctlError(f"{path} is a directory, not a recipe") from error.__cause__
        raise
    if once and not data:
        raise MtctlError(f"{path} is a pipe that has nothing to read", hint="write the recipe into a file")
    if len(data) > LARGEST:
        raise MtctlError(f"{path} is larger than {LARGEST // 1_000_000} MB, which is too large for a recipe")
    if b"\0" in data:
        raise MtctlError(f"{path} is a binary file, not a recipe", hint="a recipe is YAML text in UTF-8")
    try:
        return Source(str(path), data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MtctlError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}",
            hint="save it as UTF-8",
        ) from error
