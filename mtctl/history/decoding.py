"""Bytes of metrics.jsonl to records: the one decoder, and what it says of lines that are none.

A question that needs a few figures of each line has a type of its own with these fields only: what else a
line holds is passed over many times faster than it is read.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.documents import NEEDS, decode, parse, show
from mtctl.history.formats import Run
from mtctl.history.records import RECORDS
from mtctl.history.schema2 import upgraded_lines
from mtctl.reading import read_bytes
from mtctl.text import show_text

REMEDY: Final = "restore it from a copy, or train this run again with --force"
_PIECE: Final = 1 << 17
Decoded = TypeVar("Decoded")


def foreign_task(file: Path, number: int, task: str) -> MtctlError:
    """Return what is to be said of a line that is about a task that the run does not have."""
    text = f"{file}:{number} is of task `{show_text(task)}`, which the run does not have"
    return MtctlError(text, hint=REMEDY)


def not_a_record(place: str, what: str) -> MtctlError:
    """Return what is to be said of a line that is JSON and no record."""
    return MtctlError(f"{place} does not have mtctl's format: {what}", hint=REMEDY)


def read_lines(run: Run) -> tuple[bytes, str | None]:
    """Return a run's complete lines in today's format, each with its line break.

    A run that was killed, or is under way, may have its last line cut off: that line is left out.

    Returns:
        The lines, and what says that one was left out; None if none was.

    Raises:
        MtctlError: the file cannot be read, or is of a completed run and cut off.
    """
    file = run.path / layout.METRICS
    content = read_bytes(file, remedy=REMEDY, needs=NEEDS)
    if run.schema_number != layout.SCHEMA:
        content = upgraded_lines(content)
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return content, None
    last = content.count(b"\n") + 1
    try:
        decode_records(content[end:] + b"\n", file, RECORDS, first=last)
    except MtctlError:
        if run.status == "completed":
            raise
        return content[:end], f"{file}:{last} is cut off and was left out"
    return content + b"\n", None


def decode_records(
    content: bytes, file: Path, decoder: msgspec.json.Decoder[Decoded], *, first: int = 1
) -> list[Decoded]:
    """Return what complete lines hold, a value for each.

    Args:
        content: lines, each with its line break.
        file: that they are from, for messages.
        decoder: of a line.
        first: the number of the first line.

    Raises:
        MtctlError: names file, line and what is wrong there.
    """
    try:
        records: list[Decoded] = decoder.decode_lines(content)
        if len(records) == count_lines(content):
            return records
    except (ValueError, RecursionError):
        pass  # it takes a second look to tell where
    lines = content.split(b"\n")[:-1]
    return [_decode_line(line, file, number, decoder) for number, line in enumerate(lines, first)]


def count_lines(content: bytes) -> int:
    """Return the number of line breaks, several times faster than `bytes.count`: piece by piece."""
    letters = np.frombuffer(content, np.uint8)
    pieces = (letters[begin : begin + _PIECE] for begin in range(0, len(letters), _PIECE))
    return sum(int(np.count_nonzero(piece == ord("\n"))) for piece in pieces)


def _decode_line(line: bytes, file: Path, number: int, decoder: msgspec.json.Decoder[Decoded]) -> Decoded:
    try:
        return decoder.decode(line)
    except (ValueError, RecursionError) as error:
        place = f"{file}:{number}"
        value = parse(decode(line, place, remedy=REMEDY), file, remedy=REMEDY, line=number)
        what = _explained(error, value, decoder) if isinstance(error, msgspec.ValidationError) else f"{error}"
        raise not_a_record(place, what) from error


_WORDS: Final = {
    "float": "number",
    "int": "whole number",
    "str": "text",
    "array": "list",
    " | ": " or ",
}
"""JSON's words for msgspec's."""


def _explained(error: Exception, value: Any, decoder: msgspec.json.Decoder[Any]) -> str:
    """Say what a value is and should be, and where it stands in its line."""
    problem, _, path = str(error).partition(" - at `$")
    words = re.compile(
        "|".join(rf"\b{re.escape(word)}\b" if word.isalpha() else re.escape(word) for word in _WORDS)
    )
    problem = words.sub(lambda match: _WORDS[match[0]], problem.replace("`", ""))
    keys, culprit = [], value
    for name in re.findall(r"\.(\w+)|\[\.\.\.\]", path):
        key = name or _culprit(culprit, value, str(error), decoder)
        if key is None:
            break
        keys.append(key)
        culprit = culprit[key]
    expected, got, _ = problem.partition(", got ")
    expected = f"{expected[0].lower()}{expected[1:]}{f', found {show(culprit)}' if got else ''}"
    return f"{show_text('.'.join(keys))}: {expected}" if keys else expected


def _culprit(values: dict[str, Any], line: Any, text: str, decoder: msgspec.json.Decoder[Any]) -> str | None:
    """Return the key under which `values`, a part of `line`, holds what is refused: it alone still is."""
    entries = dict(values)
    culprit = None
    for key, value in entries.items():
        values.clear()
        values[key] = value
        try:
            # A number that is too large has become infinite: it is written as one that is too large again.
            decoder.decode(json.dumps(line).replace("Infinity", "1e999"))
        except ValueError as error:
            if str(error) == text:
                culprit = key
                break
    values.clear()
    values.update(entries)
    return culprit
