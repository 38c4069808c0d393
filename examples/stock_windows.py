"""Label windows of daily stock prices and write them in mtctl's schema.

    pip install bokeh_sampledata
    python examples/stock_windows.py out.csv

The prices are the daily bars of AAPL, FB, GOOG, IBM and MSFT up to March 2013 that the package ships; nothing
is downloaded. Each bar is multiplied by adj_close / close, which takes splits and dividends out and keeps its
four prices consistent. A day whose prices contradict one another is left out; release 2026.1 has none.

Windows. Every stock is cut into stretches of 125 days, 5 days apart, and every stretch into three windows of
105 days that start 10 days after one another. Windows of one stretch overlap and have one base; windows of
two stretches have no day in common. mtctl finds that out by itself, so the file has no base_id.

Labels. With h, l, c high, low and close of a day:

    run         days on which the close keeps rising, or keeps falling, as long as possible in the window
    strength    |c at the run's end − c before the run| / mean of h − l over the 20 days before the run
    expansion   the strongest run of at least 3 days with 20 days of the window on either side
    label       retracement if over the 10 days before the run the close moved against it, by at least the
                mean of h − l over the 20 days before the run; else consolidation

A window without such a run is left out. No random numbers are drawn: the file is always the same.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mtctl.problems.windows.windows import LENGTH, PRICES, TYPES

Bars = npt.NDArray[np.float64]

STOCKS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
COLUMNS: Final = (
    *("window_id", "label", "expansion_start", "expansion_end"),
    *(f"{price}_{bar}" for bar in range(LENGTH) for price in PRICES),
)
STARTS: Final = (0, 10, 20)
"""First days of a stretch's windows."""
STRETCH: Final = STARTS[-1] + LENGTH
GAP: Final = 5
TRAILING: Final = 20
BEFORE: Final = 10
SHORTEST: Final = 3


@dataclass(frozen=True, slots=True)
class Expansion:
    """The first and last bar of a window's expansion, and what came before it."""

    start: int
    end: int
    label: str


def adjusted(stock: Any) -> tuple[Bars, list[str]]:
    """Return adjusted bars, [days, 4], and their dates."""
    raw = np.array([stock[price] for price in PRICES], dtype=np.float64).T
    # One factor per bar, and rounding, keep the order of its prices.
    bars = np.round(raw * (np.array(stock["adj_close"]) / raw[:, 3])[:, None], 6)
    sound = (bars[:, 2] == bars.min(axis=1)) & (bars[:, 1] == bars.max(axis=1)) & (bars[:, 2] > 0)
    return bars[sound], [date for date, keep in zip(stock["date"], sound, strict=True) if keep]


def label(bars: Bars) -> Expansion | None:
    """Return the expansion of a window, [105, 4]; None if it has none."""
    close = bars[:, 3]
    spread = bars[:, 1] - bars[:, 2]
    strongest, found = 0.0, None
    for start, end in runs(close):
        if start < TRAILING or end >= LENGTH - TRAILING or end - start + 1 < SHORTEST:
            continue
        before = start - 1
        typical = spread[start - TRAILING : start].mean()
        move = close[end] - close[before]
        if abs(move) > strongest * typical:
            strongest = abs(move) / typical
            against = (close[before - BEFORE] - close[before]) * np.sign(move)
            found = Expansion(start, end, TYPES[int(against >= typical)])
    return found


def runs(close: Bars) -> Iterator[tuple[int, int]]:
    """Yield the first and last bar of every stretch in which the close keeps rising or keeps falling."""
    direction = np.sign(np.diff(close))
    turns = [0, *(np.flatnonzero(np.diff(direction)) + 1), len(direction)]
    for first, past in pairwise(turns):
        if direction[first]:
            yield int(first) + 1, int(past)


def rows() -> Iterator[list[object]]:
    """Yield a row of the schema for every window."""
    from bokeh_sampledata import stocks  # noqa: PLC0415 - optional

    for name in STOCKS:
        bars, dates = adjusted(getattr(stocks, name))
        for stretch in range(0, len(bars) - STRETCH + 1, STRETCH + GAP):
            for first in (stretch + start for start in STARTS):
                window = bars[first : first + LENGTH]
                if (found := label(window)) is not None:
                    yield [
                        f"{name}-{dates[first]}",
                        found.label,
                        found.start,
                        found.end,
                        *window.ravel().tolist(),
                    ]


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description="Label windows of daily stock prices.")
    parser.add_argument("out", type=Path, help="the CSV file to write")
    out = parser.parse_args().out
    try:
        written = list(rows())
        with out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(written)
    except ModuleNotFoundError as error:
        parser.exit(2, f"error: {error.name} is not installed: pip install bokeh_sampledata\n")
    except OSError as error:
        parser.exit(2, f"error: {out} cannot be written: {error.strerror}\n")
    print(f"{len(written)} windows in {out}")


if __name__ == "__main__":
    main()
