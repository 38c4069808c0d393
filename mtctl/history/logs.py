"""The logs of a run that other tools read, made from its records: the same as those that are written live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mtctl.engine import layout
from mtctl.engine.files import write_output
from mtctl.engine.logs.log import Subject
from mtctl.engine.logs.scalars import Names, Point
from mtctl.engine.logs.table import table_text
from mtctl.engine.logs.tensorboard import TensorBoardLog
from mtctl.errors import MtctlError
from mtctl.history.decoding import decode_records, read_lines
from mtctl.history.formats import Run
from mtctl.history.records import RECORDS
from mtctl.recipes.resolved import flattened
from mtctl.yaml.sources import read


def points(run: Run) -> Iterator[Point]:
    """Yield the scalars that a run has recorded, in order of time.

    Raises:
        MtctlError: the records are missing or corrupt.
    """
    names = _names(run)
    for record in decode_records(read_lines(run)[0], run.path / layout.METRICS, RECORDS):
        yield names.point(msgspec.to_builtins(record))


def export_tensorboard(run: Run, folder: Path) -> None:
    """Write a run's event file into a folder, in place of one that mtctl has written there.

    Raises:
        MtctlError: the run's records are missing or corrupt.
    """
    found = list(points(run))
    log = TensorBoardLog(folder, Subject(run.name, run.seed, _hyperparameters(run), _names(run)))
    for point in found:
        log.write(point)
    log.close()


def export_csv(run: Run, file: Path) -> None:
    """Write a run's scalars as a table.

    Raises:
        MtctlError: the run's records are missing or corrupt.
    """
    write_output(file, table_text(points(run)))


def _names(run: Run) -> Names:
    return Names(run.unit, run.score.name)


def _hyperparameters(run: Run) -> dict[str, str | int | float | bool]:
    file = run.path / layout.RECIPE
    if not file.exists():
        raise MtctlError(f"{run.path} has no {layout.RECIPE}", hint="restore it from a copy")
    source = read(file)
    return flattened(source.text, str(file))
