"""Which step each row of a metrics file is of: counters that start again, go back after a resume, or lack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mtctl.diagnosis.records.column_names import COUNTERS, counter_of
from mtctl.diagnosis.records.formats.table import MetricsTable, is_number
from mtctl.errors import MtctlError
from mtctl.text import show_text

_LAST: Final = 2.0**53
"""Steps up to which floating point numbers tell one from the next."""
_INTERACTIONS: Final = {
    *("timestep", "timesteps", "total_timesteps", "timesteps_total", "num_timesteps", "env_steps", "frames"),
}
"""Counters of steps in an environment: of several for each update."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The step of each row.

    Args:
        values: by row; NaN where there is none and none is needed.
        unit: "epoch", "episode" or "step".
        counts_updates: whether they are updates of the parameters.
        resumed: whether the counter goes back, as in a log of a training that was resumed: of several values
            at one step, the last counts.
        note: what a reader should know; "" if nothing.
        column: that counts; None if rows are counted.
    """

    values: npt.NDArray[np.float64]
    unit: str
    counts_updates: bool
    resumed: bool = False
    note: str = ""
    column: str | None = None


def steps_of(table: MetricsTable, wanted: str | None, columns: Iterable[str]) -> Steps:
    """Return the steps of a table's rows.

    Args:
        table: what was read.
        wanted: the column that counts, if the user says so.
        columns: those whose values need a step.

    Raises:
        MtctlError: a value has no step, or one that is too large to count to.
    """
    needed = np.unique(np.concatenate([np.array(table.filled(name), dtype=np.int64) for name in columns]))
    known = counters(table) if wanted is None else {wanted: _column(table, wanted)}
    if not known:
        note = "no column counts the steps (step, iteration, epoch, …), so rows are counted"
        return Steps(np.arange(1, len(table.rows) + 1, dtype=np.float64), "step", False, note=note)
    complete = [name for name, values in known.items() if np.isfinite(values[needed]).all()]
    name = (complete or list(known))[0]
    values = known[name]
    _require_usable(table, name, values, needed)
    counted = counter_of(name) or name.lower()
    unit = next((unit for unit in ("epoch", "episode") if unit in counted), "step")
    steps = Steps(values, unit, unit == "step" and counted not in _INTERACTIONS, column=name)
    own = values[needed]
    backwards = np.flatnonzero(np.diff(own) < 0) + 1
    if not len(backwards):
        return steps
    line = table.place(int(needed[backwards[0]])).rpartition(":")[2]
    if _starts_again(own, backwards, [known[other][needed] for other in complete if other != name]):
        values = values.copy()
        values[needed] = _continued(own, backwards)
        note = f"`{show_text(name)}` starts again at line {line} and later: it was counted on"
        return replace(steps, values=values, note=note)
    note = f"steps go back at line {line}, as in a resumed log: sorted; of equal steps the last counts"
    return replace(steps, resumed=True, note=note)


def counters(table: MetricsTable) -> dict[str, npt.NDArray[np.float64]]:
    """Return the columns that count, the finest first, each with its value in every row; NaN for none."""
    names = {name: counter for name in dict.fromkeys(table.names) if (counter := counter_of(name))}
    ordered = sorted(names, key=lambda name: COUNTERS.index(names[name]))
    return {
        name: _column(table, name)
        for name in ordered
        if (rows := table.filled(name)) and is_number(table.cells(name)[rows[0]])
    }


def _column(table: MetricsTable, name: str) -> npt.NDArray[np.float64]:
    column = np.full(len(table.rows), np.nan)
    values, rows = table.numbers(name)
    column[rows] = values
    return column


def _require_usable(
    table: MetricsTable, name: str, values: npt.NDArray[np.float64], needed: npt.NDArray[np.int64]
) -> None:
    missing = needed[~np.isfinite(values[needed])]
    if len(missing):
        text = f"{table.place(int(missing[0]))}: column `{show_text(name)}` has no step here"
        raise MtctlError(text, hint="every row needs its step; --tasks step=COLUMN names another column")
    if len(far := needed[np.abs(values[needed]) > _LAST]):
        step = f"step {values[far[0]]:g}, which is too large"
        text = f"{table.place(int(far[0]))}: column `{show_text(name)}` has {step}"
        raise MtctlError(text, hint="write whole steps; --tasks step=COLUMN names another column")


def _starts_again(
    steps: npt.NDArray[np.float64],
    backwards: npt.NDArray[np.int64],
    others: list[npt.NDArray[np.float64]],
) -> bool:
    """Say whether a counter goes back because it counts within something: an epoch that another one counts.

    Without such a counter, one that always goes back to where it began starts again; one that goes back to
    the middle was resumed.
    """
    coarser = [other for other in others if (np.diff(other) >= 0).all()]
    if any((other[backwards] > other[backwards - 1]).all() for other in coarser):
        return True
    return bool((steps[backwards] == steps[0]).all())


def _continued(steps: npt.NDArray[np.float64], backwards: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    forward = np.diff(steps)
    stride = float(np.median(forward[forward > 0])) if (forward > 0).any() else 1.0
    jumps = np.zeros(len(steps))
    jumps[backwards] = steps[backwards - 1] + stride - steps[backwards]
    return np.asarray(steps + np.cumsum(jumps))
