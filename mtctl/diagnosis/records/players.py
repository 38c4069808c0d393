"""What curves of players tell: whether returns rise, and whether a value function blows up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, ruling
from mtctl.diagnosis.records.trends import Values, blocks, course, finite, mann_kendall, relative
from mtctl.diagnosis.report import Evidence, Finding, TaskState
from mtctl.diagnosis.thresholds import EXPLODED, FEWEST_RECORDS, OUT_OF_SCALE, TWO_SIDED

_PART: Final = 5
"""A fifth of the returns is a beginning, and a fifth an end."""


def return_state(task: str, values: Values) -> TaskState:
    """Return how a task does by its returns, or by means of them: it learns if these rise beyond chance."""
    known = values[finite(values)]
    if not len(known):
        return TaskState(task, "unknown", float("nan"), float("nan"), float("nan"))
    means = blocks(known)
    part = max(1, len(means) // _PART)
    first, last = float(means[:part].mean()), float(means[-part:].mean())
    rises = last > first and (mann_kendall(means) >= TWO_SIDED or course(-known).direction == "falling")
    few = len(known) < FEWEST_RECORDS
    return TaskState(
        task, "unknown" if few else "learns" if rises else "flat", first, last, relative(first, last)
    )


def returns_rise(states: Sequence[TaskState]) -> Ruling:
    """Find returns that do not rise."""
    findings = []
    for state in states:
        if state.state == "flat":
            how = "falls" if state.change < -0.1 else "does not rise"
            text = f"{state.task} {how}: {state.first:.4g} in the first fifth, {state.last:.4g} in the last"
            evidence = (Evidence("first fifth", state.first), Evidence("last fifth", state.last))
            findings.append(Finding(Code.FLAT_TASK, state.task, "warning", "possible", text, evidence))
    return ruling("returns rise", findings, "by more than chance")


def scale_of(returns: Sequence[Values]) -> float | None:
    """Return the largest return in size, or None where none is known."""
    known = [values[finite(values)] for values in returns]
    sizes = [float(np.abs(values).max()) for values in known if len(values)]
    return max(1.0, *sizes) if sizes else None


def values_bounded(curves: Mapping[str, tuple[str, Values]], scale: float | None) -> Ruling:
    """Find losses of value functions, or values, that grow without bound.

    Such a loss grows with the returns, so growth alone says nothing: it must have grown EXPLODED-fold, and
    be OUT_OF_SCALE times as large as the largest return.

    Args:
        curves: task, and losses or values, by what they are called.
        scale: the largest return in size; None if it is not known: then it must be beyond EXPLODED², too.
    """
    findings = []
    for name, (task, values) in curves.items():
        known = np.abs(values[finite(values)])
        if len(known) < FEWEST_RECORDS:
            continue
        means = blocks(known)
        part = max(1, len(means) // 10)
        first, last = float(np.median(means[:part])), float(np.median(means[-part:]))
        limit = OUT_OF_SCALE * scale if scale is not None else EXPLODED**2
        if last > EXPLODED * first and last > limit:
            text = f"{name} grew from {first:.3g} to {last:.3g}: the value function diverges"
            against = "" if scale is None else f"the largest return is {scale:.3g}"
            evidence = (Evidence("first", first), Evidence("last", last, "", against))
            findings.append(Finding(Code.DIVERGED, task, "error", "likely", text, evidence))
    return ruling("values bounded", findings, "no value function blows up")
