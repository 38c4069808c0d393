"""What held-out losses tell beside those of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import (
    CurveSummary,
    Values,
    blocks,
    course,
    ends_unusable,
    finite,
    lowest_point,
    relative,
    resolution,
)
from mtctl.diagnosis.report import Confidence, Evidence, Finding
from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    FEWEST_RECORDS,
    HALVED,
    IMPROVING,
    OVERFITTED,
    SINCE_LOWEST,
)


def overfitting(
    pairs: Mapping[str, tuple[Values, Values]],
    confidence: Confidence,
    alone: Mapping[str, Values] | None = None,
) -> Ruling:
    """Find tasks whose held-out loss rises from its lowest point while the training loss falls.

    Args:
        pairs: by task, training losses and held-out losses, each in order of time.
        confidence: of what is said.
        alone: held-out losses of tasks without training losses: that these fall is taken for granted.
    """
    pairs = {**pairs, **{task: (values, values) for task, values in (alone or {}).items()}}
    long_enough = {task: pair for task, pair in pairs.items() if len(pair[1]) >= FEWEST_RECORDS}
    if not long_enough:
        return not_run("overfitting", f"needs held-out losses: {FEWEST_RECORDS} records or more")
    findings = [
        finding
        for task, (training, held_out) in long_enough.items()
        for finding in _overfitted(task, training, held_out, confidence)
    ]
    return ruling("overfitting", findings, "held-out losses stay near their lowest")


def _overfitted(task: str, training: Values, held_out: Values, confidence: Confidence) -> Iterator[Finding]:
    usable = finite(held_out)
    if not usable.any() or ends_unusable(training):
        return
    means = blocks(held_out[usable])
    known = course(training[finite(training)])
    if training is not held_out and _never_generalised(known, course(held_out[usable])):
        evidence = (Evidence("training loss, last", known.last), Evidence("held-out loss, last", means[-1]))
        text = f"{task}'s held-out loss never falls, while its training loss does"
        yield Finding(Code.OVERFITTING, task, "warning", confidence, text, evidence)
        return
    width, error = resolution(means)
    lowest, since = lowest_point(means)
    if since < SINCE_LOWEST - 1:
        return
    last = float(np.median(means[-max(SINCE_LOWEST, width, len(means) // 10) :]))
    rise = relative(lowest, last)
    beyond = last - lowest > BEYOND_NOISE * np.sqrt(2) * error
    falls = known.direction == "falling" or (training is held_out and since < len(means) - 1)
    if rise > OVERFITTED and beyond and falls:
        evidence = (
            Evidence("held-out loss, lowest", lowest),
            Evidence("held-out loss, last", last, "", f"{100 * rise:.0f} % higher"),
        )
        how = "after it fell" if training is held_out else "while its training loss falls"
        text = f"{task}'s held-out loss rises {how}"
        yield Finding(Code.OVERFITTING, task, "warning", confidence, text, evidence)


def _never_generalised(training: CurveSummary, held_out: CurveSummary) -> bool:
    """Say whether a held-out loss stays where the training loss began, while that one fell by half.

    One that is level and low is that of a task that was learned before the first record of it.
    """
    fell = 0 < training.last < (1 - HALVED) * training.first
    return fell and held_out.direction != "falling" and held_out.last > (1 - IMPROVING) * training.first
