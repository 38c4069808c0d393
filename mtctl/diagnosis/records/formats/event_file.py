"""TensorBoard event files: records of a protocol buffer each, of which the scalars are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from mtctl.diagnosis.records.formats.json_lines import table_of_objects
from mtctl.diagnosis.records.formats.table import MetricsTable
from mtctl.errors import MtctlError

_PROTOCOLS: Final = ("tensorboardX.proto.event_pb2", "tensorboard.compat.proto.event_pb2")
"""Modules that know the format; who wrote event files has one of them, as a rule."""
_LENGTH: Final = struct.Struct("<Q4x")
"""A record: its length in 8 bytes, their checksum in 4, the record, its checksum in 4."""
_CHECKSUM: Final = 4
_NUMBERS: Final = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}
"""Formats of a tensor's content by its type: float, double, int32 and int64."""


def read_event_file(path: Path, content: bytes) -> MetricsTable:
    """Return the scalars of an event file as a table, a row for each step.

    Raises:
        MtctlError: the extra that reads it is not installed, or it is not an event file.
    """
    protocol = _protocol(path)
    rows: dict[int, dict[str, Any]] = {}
    notes: tuple[str, ...] = ()
    at = 0
    while at < len(content):
        if at + _LENGTH.size > len(content):
            notes = _cut_off(path)
            break
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        if at + length + _CHECKSUM > len(content):
            notes = _cut_off(path)
            break
        try:
            event = protocol.Event.FromString(content[at : at + length])
        except Exception as error:  # protobuf's error is in different modules by its version
            raise MtctlError(
                f"{path} is not a TensorBoard event file", hint="copy it again: a record is damaged"
            ) from error
        at += length + _CHECKSUM
        for tag, value in _scalars(event):
            rows.setdefault(event.step, {"step": event.step})[tag] = value
    return table_of_objects(path, [rows[step] for step in sorted(rows)], notes=notes)


def _cut_off(path: Path) -> tuple[str, ...]:
    return (f"{path}: its last record is cut off and was left out",)


def _scalars(event: Any) -> Iterator[tuple[str, float]]:
    """Yield tags and numbers: of the old form, and of tensors without dimensions."""
    for value in event.summary.value:
        if value.HasField("simple_value"):
            yield value.tag, float(value.simple_value)
        elif value.HasField("tensor") and not value.tensor.tensor_shape.dim:
            tensor = value.tensor
            numbers = [*tensor.float_val, *tensor.double_val, *tensor.int_val, *tensor.int64_val]
            if numbers:
                yield value.tag, float(numbers[0])
            elif tensor.dtype in _NUMBERS and tensor.tensor_content:
                yield value.tag, float(struct.unpack_from(_NUMBERS[tensor.dtype], tensor.tensor_content)[0])


def _protocol(path: Path) -> Any:
    for module in _PROTOCOLS:
        try:
            return import_module(module)
        except ImportError:
            continue
    raise MtctlError(
        f"{path} is a TensorBoard event file, which mtctl reads with the extra `tensorboard`",
        hint="install it (pip install 'mtctl[tensorboard]'), or export the curves as CSV in TensorBoard",
    )
