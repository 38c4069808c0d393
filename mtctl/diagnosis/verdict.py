"""What came of a change, judged by its paired interval over seeds."""

from __future__ import annotations

from mtctl.diagnosis.report import Verdict
from mtctl.statistics import Estimate


def verdict(improvement: Estimate, least: float) -> Verdict:
    """Return the verdict on an improvement; one seed has no interval, and proves nothing.

    Args:
        improvement: paired by seed; positive is better.
        least: below which it is none, in the same units.
    """
    if abs(improvement.mean) < least:
        return "no_effect"
    if improvement.interval is None or improvement.interval.low <= 0 <= improvement.interval.high:
        return "unclear"
    return "helps" if improvement.mean > 0 else "harms"
