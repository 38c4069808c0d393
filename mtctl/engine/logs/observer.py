"""The logs that a recipe asks for, as an observer of its run.

metrics.jsonl is the truth, and a log is made from it: when a run begins or goes on, all its records so far
are written, and then each further one. So a resumed run has each point once, whatever was written before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from mtctl.engine import layout
from mtctl.engine.logs.log import Log, Subject
from mtctl.engine.logs.table import CsvLog
from mtctl.engine.logs.tensorboard import TensorBoardLog, require_tensorboard
from mtctl.engine.logs.weights_and_biases import WandbLog, require_wandb
from mtctl.engine.result import Note, RunError, Say


class _Kind(NamedTuple):
    """A kind of log.

    Args:
        require: refuses it where it cannot work.
        open: return the log of a run in this directory.
    """

    require: Callable[[], None]
    open: Callable[[Path, Subject], Log]


_KINDS: Final[Mapping[str, _Kind]] = {
    "tensorboard": _Kind(
        require_tensorboard, lambda run, subject: TensorBoardLog(run / layout.TENSORBOARD, subject)
    ),
    "csv": _Kind(lambda: None, lambda run, _: CsvLog(run / layout.SCALARS)),
    "wandb": _Kind(require_wandb, WandbLog),
}
"""By their names in recipes."""


def require(kinds: Iterable[str]) -> None:
    """Refuse logs that cannot work on this machine.

    Args:
        kinds: as recipes name them.

    Raises:
        MtctlError: says what to install, or to do.
    """
    for kind in kinds:
        _KINDS[kind].require()


class Logs:
    """Writes every record into logs; one that fails is given up, and the training goes on.

    Args:
        kinds: of logs, as recipes name them.
        run: its directory.
        describe: returns what the logs are told of it; not called where there are none.
        say: told once of each log that fails.
    """

    def __init__(self, kinds: Iterable[str], run: Path, describe: Callable[[], Subject], say: Say) -> None:
        self._kinds = tuple(kinds)
        self._run, self._describe, self._say = run, describe, say
        self._open: dict[str, Log] = {}

    def begin(self) -> None:
        """Open the logs, and write what the run has recorded so far."""
        if self._kinds:
            self._subject = self._describe()
        for kind in self._kinds:
            self._try(kind, partial(self._begin, kind))

    def unit_ended(self, record: Mapping[str, Any]) -> None:
        if not self._open:
            return
        point = self._subject.names.point(record)
        for kind, log in list(self._open.items()):
            self._try(kind, partial(log.write, point))

    def close(self) -> None:
        for kind, log in list(self._open.items()):
            self._try(kind, log.close)
        self._open.clear()

    def _begin(self, kind: str) -> None:
        self._open[kind] = log = _KINDS[kind].open(self._run, self._subject)
        with (self._run / layout.METRICS).open("rb") as file:
            for line in file:
                log.write(self._subject.names.point(json.loads(line)))

    def _try(self, kind: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever befalls a log, the training goes on
            if (log := self._open.pop(kind, None)) is not None:
                with suppress(Exception):
                    log.close()
            found = f"has no {kind} log from here on ({RunError.of(error).message})"
            rest = "the training goes on and records everything, of which `mtctl export` makes the log"
            self._say(Note("unlogged", f"{found}; {rest}"))
