"""The formats that are read, and a reader for each: a further one is a file beside this and a line here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mtctl.diagnosis.records.formats.delimited import is_clock, looks_delimited, read_delimited
from mtctl.diagnosis.records.formats.event_file import read_event_file
from mtctl.diagnosis.records.formats.json_document import read_json
from mtctl.diagnosis.records.formats.json_lines import read_json_lines
from mtctl.diagnosis.records.formats.long_form import with_columns
from mtctl.diagnosis.records.formats.names import ENDINGS, EVENTS, curve_files_in
from mtctl.diagnosis.records.formats.table import WHAT_IT_IS, MetricsTable
from mtctl.diagnosis.records.formats.text_log import read_text_log
from mtctl.engine import layout
from mtctl.engine.files import is_stream
from mtctl.errors import MtctlError
from mtctl.history.documents import decode
from mtctl.reading import LARGEST, read_bytes, require_room

Reader = Callable[[Path, str], MetricsTable]

_NEEDS: Final = 18.0
"""Bytes of memory for a byte of such a file, measured on one of a million rows …"""
_ROW: Final = 150
"""… and for a row, however short it is."""
_MOST_FILES: Final = 200


def _by_content(path: Path, text: str) -> MetricsTable:
    """Read what only its content tells: JSON, JSONL, a table or a text log."""
    if text.lstrip().startswith(("{", "[")):
        first = text.lstrip().partition("\n")[0].rstrip()
        lines = first.startswith("{") and first.endswith("}") and '"' in first
        if lines or text.lstrip()[1:].lstrip()[:1] in {'"', "{", "["}:
            return (read_json_lines if lines and "\n" in text.strip() else read_json)(path, text)
    # A pipe's first line of names tells a table that is otherwise broken, whose errors are clearer.
    table = looks_delimited(text) or (is_stream(path) and not set("=:") & set(text.partition("\n")[0]))
    return (read_delimited if table else read_text_log)(path, text)


READERS: Final[Mapping[str, Reader]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".log": _by_content,
    ".txt": _by_content,
    ".out": _by_content,
}
"""By the ending of the file's name. TensorBoard's event files are known by `tfevents` in their name."""


@dataclass(frozen=True, slots=True)
class CurveFiles:
    """Columns of one or several files.

    Args:
        name: of all files together, for messages.
        columns: table and name there, by the name here, which begins with the file's where several files
            have the same.
        repeated: names that one file has more than once, with how often.
        notes: what a reader should know.
    """

    name: str
    columns: Mapping[str, tuple[MetricsTable, str]]
    repeated: Mapping[str, int]
    notes: tuple[str, ...]


def read_curve_files(paths: Sequence[Path]) -> CurveFiles:
    """Return the columns of files, and of what is in folders.

    Args:
        paths: files, or folders: of a folder, its event files (in its folders too), or else its other files.

    Raises:
        MtctlError: there are none, too many, or one that was named is unusable.
    """
    tables: dict[str, MetricsTable] = {}
    notes: list[str] = []
    for path in paths:
        if not path.is_dir():
            tables[path.stem] = read_table(path)
            continue
        files = curve_files_in(path)
        if len(files) > _MOST_FILES:
            text = f"{path} holds {len(files)} files of curves; at most {_MOST_FILES} are read"
            raise MtctlError(text, hint="name those that matter, or a folder of one training")
        for file in files:
            try:
                tables[_key(file, path)] = read_table(file)
            except MtctlError as error:
                if len(files) == 1 or EVENTS in file.name:
                    raise
                notes.append(f"left out: {error.message}")
    if not tables:
        name = ", ".join(map(str, paths))
        raise MtctlError(f"{name} holds no curves", hint="; ".join(notes) or WHAT_IT_IS)
    counts = Counter(name for table in tables.values() for name in set(table.names))
    columns, repeated = {}, {}
    for key, table in tables.items():
        for name, times in Counter(table.names).items():
            alike = counts[name] > 1 and key and not is_clock(name)
            shown = f"{key}/{name}" if alike else name
            columns[shown] = (table, name)
            if times > 1:
                repeated[shown] = times
    notes.extend(note for table in tables.values() for note in table.notes)
    return CurveFiles(", ".join(map(str, paths)), columns, repeated, tuple(notes))


def _key(file: Path, folder: Path) -> str:
    """Return what tells a file from others in its folder: of an event file, the folder that it is in."""
    inside = file.relative_to(folder)
    return "/".join(inside.parent.parts) if EVENTS in file.name else file.stem


def read_table(path: Path) -> MetricsTable:
    """Return a file of curves as a table.

    Args:
        path: a file whose name tells its format; a pipe (`<(…)`, /dev/stdin) may have any name.

    Raises:
        MtctlError: it cannot be read, is empty, is of no known format, or is not what its name says.
    """
    events = EVENTS in path.name
    reader = READERS.get(path.suffix.lower())
    if reader is None and not events and not is_stream(path):
        endings = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        text = f"{path} is not a metrics file: its name does not end in {endings}"
        raise MtctlError(text, hint=WHAT_IT_IS)
    if path.name == layout.METRICS and (path.parent / layout.RUN).is_file():
        raise MtctlError(
            f"{path} belongs to a run",
            hint=f"diagnose the run, which says more: `mtctl diagnose {path.parent}`",
        )
    content = read_bytes(path, remedy=WHAT_IT_IS, needs=_NEEDS, pipes=True)
    if events:
        return read_event_file(path, content)
    needs = _NEEDS + _ROW * (content.count(b"\n") + content.count(b"\r")) / max(1, len(content))
    require_room(path, len(content), largest=LARGEST, needs=needs, remedy=WHAT_IT_IS)
    text = decode(content, str(path), remedy=WHAT_IT_IS).removeprefix("\ufeff")
    if not text.strip():
        raise MtctlError(f"{path} is empty", hint=WHAT_IT_IS)
    return with_columns((reader or _by_content)(path, text))
