"""Logs as the tools that they are for read them."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

Curves = dict[str, list[tuple[int, float]]]
"""Steps and values by tag."""


def event_curves(folder: Path) -> Curves:
    """Return what TensorBoard shows of a folder."""
    return curves_of(open_events(folder))


def curves_of(events: Any) -> Curves:
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def hyperparameters(folder: Path) -> dict[str, Any]:
    """Return what TensorBoard's table of hyperparameters shows of a folder."""
    read = import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData.FromString
    content = open_events(folder).PluginTagToContent("hparams")
    start = read(content["_hparams_/session_start_info"]).session_start_info
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}


def open_events(folder: Path) -> Any:
    reading = import_module("tensorboard.backend.event_processing.event_accumulator")
    return reading.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def table_curves(file: Path) -> Curves:
    """Return what a table holds; every row has as many cells as there are columns."""
    with file.open(encoding="utf-8", newline="") as text:
        head, *rows = csv.reader(text)
    assert {len(row) for row in rows} <= {len(head)}
    return {
        tag: [(int(row[0]), float(row[place])) for row in rows if row[place]]
        for place, tag in enumerate(head)
        if place
    }


def wandb_runs(folder: Path) -> list[tuple[dict[str, Any], Curves]]:
    """Return configuration and curves of the runs that W&B has kept below a folder for `wandb sync`."""
    return [_wandb_run(file) for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


def _wandb_run(file: Path) -> tuple[dict[str, Any], Curves]:
    read = import_module("wandb.proto.wandb_internal_pb2").Record.FromString
    config: dict[str, Any] = {}
    curves: Curves = {}
    for part in _leveldb_records(file.read_bytes()):
        record = read(part)
        config |= {each.key: json.loads(each.value_json) for each in record.run.config.update}
        for item in record.history.item:
            key = "/".join(item.nested_key)
            if not key.startswith("_"):
                curves.setdefault(key, []).append((record.history.step.num, json.loads(item.value_json)))
    return config, curves


def _leveldb_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format, which W&B's files have behind a head of 7 bytes."""
    block, head = 32_768, 7
    at, record = head, b""
    while at + head <= len(content):
        if block - at % block < head:
            at += block - at % block
        length, kind = struct.unpack_from("<HB", content, at + 4)
        record += content[at + head : at + head + length]
        at += head + length
        if kind in (1, 4):  # whole, or the last part of one
            yield record
            record = b""
