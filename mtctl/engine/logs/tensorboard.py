"""TensorBoard's event files: scalars, and the recipe as hyperparameters.

A file is a sequence of records, each a protocol buffer with its length and two checksums around it (TFRecord;
tensorboardX knows buffers and checksum). Its SummaryWriter is not used: it writes in a thread of its own, and
whoever writes to it waits forever once that thread has met a full disk.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

from mtctl.engine import layout
from mtctl.engine.logs.log import Subject, require_package
from mtctl.engine.logs.scalars import Point

_NAME: Final = "events.out.tfevents"
_METRIC: Final = "eval/average"
"""That the table of hyperparameters shows beside them."""


def require_tensorboard() -> None:
    """Refuse to write event files where tensorboardX is not installed.

    Raises:
        MtctlError: names the command that installs it.
    """
    require_package("tensorboard", "tensorboardX")


def event_files(folder: Path) -> list[Path]:
    """Return the files in a folder that TensorBoard would read."""
    return sorted(folder.glob("*tfevents*"))


class TensorBoardLog:
    """Writes one event file; those that mtctl wrote into the folder before are emptied.

    Args:
        folder: of the run; made if need be.
        subject: the run.
    """

    def __init__(self, folder: Path, subject: Subject) -> None:
        self._event: Callable[..., Any] = import_module("tensorboardX.proto.event_pb2").Event
        self._summary: Callable[..., Any] = import_module("tensorboardX.proto.summary_pb2").Summary
        self._checksum: Callable[[bytes], int] = import_module("tensorboardX.record_writer").masked_crc32c
        hparams = import_module("tensorboardX.summary").hparams
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in event_files(folder):
            if earlier.name.endswith(layout.EVENTS_SUFFIX):
                os.truncate(earlier, 0)  # a TensorBoard that has read it would wait for it if it were gone
        self._file = _new_file(folder)
        values = {**subject.hyperparameters, "seed": subject.seed}
        experiment, start, self._end = hparams(values, {_METRIC: None})
        self._write(file_version="brain.Event:2")
        # A TensorBoard that has shown an earlier file forgets what it read there.
        self._write(step=0, session_log={"status": "START"})
        self._write(summary=experiment)
        self._write(summary=start)
        self._file.flush()

    def write(self, point: Point) -> None:
        values = [{"tag": tag, "simple_value": value} for tag, value in point.scalars.items()]
        self._write(step=point.step, summary=self._summary(value=values))
        self._file.flush()

    def close(self) -> None:
        with self._file:
            self._write(summary=self._end)

    def _write(self, **content: Any) -> None:
        record = self._event(wall_time=time.time(), **content).SerializeToString()
        length = struct.pack("<Q", len(record))
        for part in (length, record):
            self._file.write(part + struct.pack("<I", self._checksum(part)))


def _new_file(folder: Path) -> BinaryIO:
    """Open a file that comes after all others in the folder, in the order of names."""
    name = f"{_NAME}.{time.time_ns() // 1000}.{socket.gethostname()}.{os.getpid()}{layout.EVENTS_SUFFIX}"
    return (folder / name).open("xb")
