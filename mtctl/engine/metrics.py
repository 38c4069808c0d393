"""metrics.jsonl: one JSON object per line, appended as training goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mtctl.engine.files import open_to_append
from mtctl.errors import MtctlError


class MetricsFile:
    """Appends records. Holds no wall-clock, so that equal runs write equal bytes.

    Args:
        path: the file.
        keep: bytes to keep of what is there: those that the resumed checkpoint covers; 0 starts anew.

    Raises:
        MtctlError: the file lacks some of those bytes.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        found = path.stat().st_size if path.exists() else 0
        if found < keep:
            raise MtctlError(
                f"{path}: shorter than when the checkpoint was saved ({found} of {keep} bytes are left)",
                hint="restore the file, or train again with --force",
            )
        self._file = open_to_append(path)
        self._file.truncate(keep)
        self._file.seek(0, os.SEEK_END)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record and hand it to the operating system, where others can read it."""
        self._file.write(encoded(record))
        self._file.flush()

    def sync(self) -> int:
        """Force everything to disk; return the file's length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def encoded(record: dict[str, Any]) -> bytes:
    """Return a record as its line in the file."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return line.encode() + b"\n"
