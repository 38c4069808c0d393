"""The signals of a whole file as columns of numbers.

All lines that a training wrote have the same names and keys: a type that is made of the first ones is decoded
several times faster than dictionaries. A file that is not so, or has names that no such type takes, is read
with the type that holds for every file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from mtctl.history.decoding import count_lines, decode_records, not_a_record
from mtctl.history.documents import show
from mtctl.history.records import COUNTED, RECORDS, Count, EvaluationRecord, Number, Positive, UnitRecord
from mtctl.history.series import Array
from mtctl.text import show_text

Keys = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of signals, each with its keys; those of all tasks together have none."""


class Columns(NamedTuple):
    """What a file holds.

    Args:
        records: of its lines: evaluations, and units; where all signals were asked for, these have at least
            `unit`, `tasks`, `updates` and `extra`.
        learned: those of the M units that have signals.
        counted: by name, [M]; NaN where there is none.
        signals: by name and key, [M]; NaN where there is none.
    """

    records: list[Any]
    learned: list[Any]
    counted: dict[str, Array]
    signals: dict[str, dict[str, Array]]


def decode_columns(content: bytes, file: Path, only: tuple[str, ...] | None = None) -> Columns:
    """Return what complete lines hold.

    Args:
        content: lines, each with its line break.
        file: that they are from, for messages.
        only: the signals that are asked for, besides those of all tasks together: others, and what units say
            of their tasks, may be left out, since what is passed over takes less time than what is read.

    Raises:
        MtctlError: names file, line and what is wrong there.
    """
    return _regular(content, only) or _any(content, file)


def _regular(content: bytes, only: tuple[str, ...] | None) -> Columns | None:
    """Return what lines hold that all have the same signals; None if they do not."""
    try:
        keys = _first_keys(content)
        if only is not None:
            keys = tuple((name, inner) for name, inner in keys if name in COUNTED or name in only)
        decoder, row = _decoder(keys, whole=only is None)
        records = decoder.decode_lines(content)
    except (ValueError, RecursionError):
        return None
    if len(records) != count_lines(content) or (only and len(keys) < len(COUNTED) + len(only)):
        return None
    learned = [each for each in records if type(each) is not EvaluationRecord and each.signals is not None]
    names = [(name, key) for name, inner in keys for key in (("",) if name in COUNTED else inner)]
    table = np.array([row(each.signals) for each in learned], dtype=np.float64).reshape(-1, len(names)).T
    columns = dict(zip(names, table, strict=True))
    return Columns(
        records,
        learned,
        {name: columns[name, ""] for name in COUNTED},
        {name: {key: columns[name, key] for key in inner} for name, inner in keys if name not in COUNTED},
    )


def _first_keys(content: bytes) -> Keys:
    """Return the names and keys of the first signals; those that every signal has if there are none."""
    for line in BytesIO(content):
        record = RECORDS.decode(line)
        if isinstance(record, UnitRecord) and record.signals is not None:
            return tuple(
                (name, tuple(value) if isinstance(value, dict) else ())
                for name, value in record.signals.items()
            )
    return tuple((name, ()) for name in COUNTED)


@lru_cache(maxsize=16)
def _decoder(keys: Keys, *, whole: bool) -> tuple[msgspec.json.Decoder[Any], attrgetter[tuple[Any, ...]]]:
    """Return a decoder of lines with these signals, and what makes a row of numbers of such signals.

    Args:
        keys: of the signals that are read.
        whole: whether they are all that lines have, and units are read in full.
    """
    options: dict[str, Any] = {"forbid_unknown_fields": True, "gc": False}
    fields: list[tuple[str, Any]] = []
    paths = []
    for place, (name, inner) in enumerate(keys):
        if name in COUNTED:
            fields.append((f"f{place}", COUNTED[name]))
            paths.append(f"f{place}")
            continue
        own = [f"f{number}" for number in range(len(inner))]
        values = [(field, Number | None) for field in own]
        renamed = dict(zip(own, inner, strict=True))
        fields.append((f"f{place}", msgspec.defstruct("Values", values, rename=renamed, **options)))
        paths += [f"f{place}.{field}" for field in own]
    names = {f"f{place}": name for place, (name, _) in enumerate(keys)}
    options["forbid_unknown_fields"] = whole
    signals = msgspec.defstruct("Signals", fields, rename=names, **options)
    parts: list[Any] = [("signals", signals | None)]
    if whole:
        parts += [
            ("unit", Positive),
            ("tasks", dict[str, dict[str, Number | str]]),
            ("updates", Count),
            ("extra", dict[str, Number], {}),
        ]
    unit = msgspec.defstruct("Unit", parts, tag_field="kind", tag="unit", gc=False)
    return msgspec.json.Decoder(unit | EvaluationRecord), attrgetter(*paths)


def _any(content: bytes, file: Path) -> Columns:
    """Return what any lines hold."""
    records = decode_records(content, file, RECORDS)
    learned = [each for each in records if isinstance(each, UnitRecord) and each.signals is not None]
    rows = [each.signals or {} for each in learned]
    for number, record in enumerate(records, 1):
        signals = record.signals if isinstance(record, UnitRecord) else None
        for name, values in (signals or {}).items():
            if name not in COUNTED and not isinstance(values, dict):
                what = f"signals.{show_text(name)}: expected object, found {show(values)}"
                raise not_a_record(f"{file}:{number}", what)
    names = dict.fromkeys(name for row in rows for name in row if name not in COUNTED)
    return Columns(
        records,
        learned,
        {name: _column([row[name] for row in rows]) for name in COUNTED},
        {name: _by_key([each.by_name(name) for each in learned]) for name in names},
    )


def _by_key(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Array]:
    keys = dict.fromkeys(chain.from_iterable(rows))
    return {key: _column([row.get(key) for row in rows]) for key in keys}


def _column(values: Sequence[Any]) -> Array:
    return np.array(values, dtype=np.float64)
