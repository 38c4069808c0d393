"""Which runs a process is going to train: a file in the folder of results, there as long as the process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mtctl.engine.files import open_to_append
from mtctl.engine.lock import READING, try_lock, try_share
from mtctl.errors import MtctlError

_NAME: Final = ".queue-"
_LARGEST: Final = 10_000_000
"""Bytes of such a file that are read: 10,000 seeds of many recipes take one."""


@contextmanager
def queue(root: Path, runs: Iterable[Path]) -> Iterator[None]:
    """Announce runs to whoever follows the folder of results; nothing depends on it, so it may fail.

    Args:
        root: the folder of results.
        runs: directories below it.
    """
    place = root / f"{_NAME}{os.getpid()}"
    try:
        file = open_to_append(place)
    except (OSError, MtctlError):
        yield
        return
    try:
        with file:
            with suppress(OSError):
                try_lock(file)
                file.truncate(0)
                file.write(json.dumps([run.relative_to(root).parts for run in runs]).encode())
                file.flush()
            yield
    finally:
        with suppress(OSError):
            place.unlink()


def queued(root: Path) -> Iterator[Path]:
    """Yield the runs that living processes have announced in a folder, those included that have begun.

    Args:
        root: a folder, which may hold no results.
    """
    for place in sorted(root.glob(f"{_NAME}*")):
        with suppress(OSError, ValueError), os.fdopen(os.open(place, os.O_RDONLY | READING), "rb") as file:
            if try_share(file):
                continue  # its process is gone
            for parts in json.loads(file.read(_LARGEST)):
                match parts:
                    case [str(name), str(seed)] if is_plain(name) and is_plain(seed):
                        yield root / name / seed


def is_plain(name: str) -> bool:
    """Say whether a name is that of something in a folder, and leads nowhere else."""
    return Path(name).name == name and name not in ("", "..")
