"""How figures are written, on every screen alike."""

from __future__ import annotations

from collections.abc import Sequence

from mtctl.statistics import Estimate, Interval

NOTHING = "–"


def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number with `digits` decimals; very large ones in powers of ten."""
    if value is None:
        return NOTHING
    form = f"{'+' if sign else ''}{f',.{digits}f' if abs(value) < 1e9 else '.3g'}"
    return format(value, form)


def measure(value: float | None) -> str:
    """Return a number of any size with three significant digits: a loss, an error, a rate."""
    if value is None:
        return NOTHING
    if 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def interval(ends: Interval | None, *, sign: bool = False) -> str:
    """Return "[low, high]"."""
    return NOTHING if ends is None else f"[{number(ends.low, sign=sign)}, {number(ends.high, sign=sign)}]"


def estimates(column: Sequence[Estimate | None], *, sign: bool = False) -> tuple[str, ...]:
    """Return "mean ± half-width" for a column, aligned at the ±; only the mean where there is no interval."""
    means = [NOTHING if each is None else number(each.mean, sign=sign) for each in column]
    known = [None if each is None else each.half_width for each in column]
    halves = ["" if half is None else number(half) for half in known]
    width = max(map(len, halves))
    padded = [f" ± {half:>{width}}" if half else " " * (width + 3 if width else 0) for half in halves]
    return tuple(mean + half for mean, half in zip(means, padded, strict=True))


def estimate_text(shown: Estimate) -> str:
    """Return "mean ± half-width"; only the mean where there is no interval."""
    half = "" if shown.half_width is None else f" ± {number(shown.half_width)}"
    return f"{number(shown.mean)}{half}"


def percent(share: float | None) -> str:
    """Return a share in per cent, without decimals."""
    return NOTHING if share is None else f"{100 * share:.0f} %"


def duration(seconds: float | None) -> str:
    """Return "m:ss", or "h:mm:ss" from one hour on."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_words(name: str) -> str:
    """Return a key's name as a header: "timed out"."""
    return name.replace("_", " ")
