"""Logs for people: lines such as `epoch 3 loss_a=0.1 val_loss_a: 0.2`, whatever stands around the figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mtctl.diagnosis.records.column_names import COUNTERS, HELD_OUT, LOSS, TRAINING
from mtctl.diagnosis.records.formats.json_lines import table_of_objects
from mtctl.diagnosis.records.formats.table import WHAT_IT_IS, MetricsTable
from mtctl.errors import MtctlError

_TOKEN: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d\S*|\d+:\d\d(?::\d\d)?(?:[.,]\d+)?)"
    r"|(?P<number>(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]*[A-Za-z_])|(?<!\w)[-+]?(?:nan|inf)(?!\w))"
    r"|(?P<word>[A-Za-z_][\w./]*(?:-[A-Za-z][\w.]*)*)"
    r"|(?P<mark>[^\s\w])",
    re.IGNORECASE,
)
_JOINS: Final = frozenset("=:['\"({")
"""Marks that may stand between a name and its number …"""
_BAR: Final = "|"
"""… as may a bar, which else stands between one name and the next."""
_LEVELS: Final = frozenset({"info", "debug", "warning", "error", "root", "train.py", "main"})
_SPLITS: Final = TRAINING | HELD_OUT
_HEADING: Final = re.compile(r"[\W_]*([A-Za-z]+)[\W_]*")
"""A line of one word, such as `Validation:`."""
_LONGEST_LINE: Final = 10_000


def read_text_log(path: Path, text: str) -> MetricsTable:
    """Return the named numbers of a log as a table, a row for each line that has figures.

    A counter that stands in a line of its own holds for the lines that follow, and so does a word such as
    `train:` or `val:` for the figures after it in its line.

    Raises:
        MtctlError: no line has a named number.
    """
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    counters: dict[str, float] = {}
    split = ""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            continue
        if heading := _HEADING.fullmatch(line):
            split = heading[1].lower() if heading[1].lower() in _SPLITS else ""
        figures: dict[str, float] = {}
        for name, value in _figures(line, split):
            last_word = re.split(r"[\W_]+", name.lower())[-1]
            if last_word in COUNTERS:
                counters[last_word] = value
            else:
                figures[name] = value
        if figures:
            rows.append({**counters, **figures})
            lines.append(number)
    if not rows:
        raise MtctlError(f"{path} has no line with a named number, such as `loss_a=0.1`", hint=WHAT_IT_IS)
    start = dict.fromkeys(counters, 0.0)  # of figures that stand above the first counter
    return table_of_objects(path, [start | row for row in rows], lines, text)


def _figures(line: str, split: str) -> Iterator[tuple[str, float]]:
    """Yield the names and numbers of a line, in their order; `split` is what they are of to begin with."""
    words: list[str] = []
    barred = False
    for token in _TOKEN.finditer(line.rsplit("\r", 1)[-1]):
        text = token[0]
        match token.lastgroup:
            case "word":
                words = [text] if barred else [*words, text]
                barred = False
                if text.lower() in _SPLITS:
                    split = text.lower()
            case "mark" if text == _BAR:
                barred = True
            case "mark" if text in _JOINS:
                pass
            case "number":
                if words:
                    yield _name(words, split), float(text)
                words, barred = [], False
            case _:
                words, barred = [], False


def _name(words: list[str], split: str) -> str:
    """Return what a number is called: the last word, and those before it that belong to it."""
    name = words[-1]
    parts = set(re.split(r"[\W_]+", name.lower()))
    if parts <= LOSS and len(words) > 1 and words[-2].lower() not in _SPLITS | _LEVELS:
        name = f"{words[-2]}_{name}"
    if split and not parts & _SPLITS and not parts & set(COUNTERS):
        name = f"{split}/{name}"
    return name
