"""Runs of schema 2 as runs of schema 3: the one place that knows how they differ.

Units were of two kinds, `episode` and `epoch`, each with keys of its own, and run.json did not say what the
records of units hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

SCHEMA: Final = 2
_FIGURES: Final = {
    "episode": {"followed": "return", "window": 50, "ending": "outcome", "extra": ["epsilon"]},
    "epoch": {"followed": "loss", "window": 1, "ending": None, "extra": []},
}
"""What units recorded, by their name."""
_LINE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PLAYED: Final = ("return", "steps", "outcome")


def upgraded_document(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return run.json or eval.json in today's format; what is damaged stays damaged."""
    unit = document.get("unit")
    figures = _FIGURES.get(unit) if isinstance(unit, str) else None
    return document if figures is None else {**document, "figures": figures}


def upgraded_lines(content: bytes) -> bytes:
    """Return lines of metrics.jsonl in today's format; what is damaged stays as it is, on its line."""
    return b"\n".join(map(_upgraded_line, content.split(b"\n")))


def _upgraded_line(line: bytes) -> bytes:
    try:
        parts = _LINE.decode(line)
        # Signals, by far the most of a line, are what they were: they are not even looked at.
        record = {key: part if key == "signals" else msgspec.json.decode(part) for key, part in parts.items()}
        return msgspec.json.encode(_upgraded(record))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return line


def _upgraded(record: dict[str, Any]) -> dict[str, Any]:
    kind = record["kind"]
    if kind == "evaluation":
        unit = record.pop("episode") if "episode" in record else record.pop("epoch")
        return {**record, "unit": unit}
    rest: dict[str, Any] = {
        key: record[key] for key in ("environment_steps", "updates", "signals") if key in record
    }
    if kind == "episode":
        played = {key: record[key] for key in _PLAYED}
        tasks, extra = {record["task"]: played}, {"epsilon": record["epsilon"]}
    else:
        tasks, extra = {task: {"loss": loss} for task, loss in record["loss"].items()}, {}
    return {"kind": "unit", "unit": record[kind], "tasks": tasks, "extra": extra, **rest}
