"""Which files hold curves, by their names alone: for those who look before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EVENTS: Final = "tfevents"
"""Stands in the name of every TensorBoard event file."""
ENDINGS: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".log", ".txt", ".out")
_DEPTHS: Final = ("", "*/", "*/*/", "*/*/*/")
"""Folders in which event files of one training may lie: logs/run/train/."""


def is_curve_file(path: Path) -> bool:
    """Say whether a file's name is that of a file of curves."""
    return path.suffix.lower() in ENDINGS or EVENTS in path.name


def curve_files_in(folder: Path) -> list[Path]:
    """Return a folder's event files, in its folders too; where it has none, its other files of curves."""
    events = sorted(path for depth in _DEPTHS for path in folder.glob(f"{depth}*{EVENTS}*") if path.is_file())
    return events or sorted(path for path in folder.iterdir() if is_curve_file(path) and path.is_file())
