"""Which files hold curves, by their names alone: for those who look before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EVENTS: Final = "tfevents"
"""Stands in the name of every TensorBoard event file."""
ENDINGS: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".log", ".txt", ".out")


def is_curve_file(path: Path) -> bool:
    """Say whether a file's name is that of a file of curves."""
    return path.suffix.lower() in ENDINGS or EVENTS in path.name
