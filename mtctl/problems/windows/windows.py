"""Labelled windows of price bars: what the sequence model learns from, whoever made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mtctl.errors import MtctlError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LENGTH: Final = 105
"""Bars of a window, one minute each."""
PRICES: Final = ("open", "high", "low", "close")
"""The columns of a bar."""
TYPES: Final = ("consolidation", "retracement")
"""What may come before an expansion: a quiet range, or a move against its direction."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindows:
    """N windows, each with one expansion: a run of bars that moves the price in one direction.

    Args:
        bars: [N, 105, 4] open, high, low and close, in the market's price unit.
        label: [N] what came before the expansion, as an index in `TYPES`.
        start: [N] first bar of the expansion.
        end: [N] last bar of the expansion, start ≤ end ≤ 104.
        ids: [N] names, for messages and results.
        base: [N] number of the stretch of prices a window was cut from. Windows of one stretch overlap, so
            they must stay on one side of every split.

    Raises:
        MtctlError: if shapes do not fit, a bar is not a bar (low ≤ open, close ≤ high; all positive and
            finite), or an expansion is not inside its window.
    """

    bars: Floats
    label: Integers
    start: Integers
    end: Integers
    ids: tuple[str, ...]
    base: Integers

    def __post_init__(self) -> None:
        mistake = next(self._mistakes(), None)
        if mistake is not None:
            raise mistake

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: npt.ArrayLike) -> LabelledWindows:
        """Return the windows at `indices`, integers in any order, possibly repeated."""
        rows = np.asarray(indices, dtype=np.int64)
        return LabelledWindows(
            self.bars[rows],
            self.label[rows],
            self.start[rows],
            self.end[rows],
            tuple(self.ids[row] for row in rows),
            self.base[rows],
        )

    def _mistakes(self) -> Iterator[MtctlError]:
        """Yield what is wrong, in an order in which each check may rely on those before it."""
        count = len(self)
        if self.bars.shape != (count, LENGTH, len(PRICES)):
            yield MtctlError(
                f"bars of {count} windows have the shape {self.bars.shape}",
                hint=f"give {LENGTH} bars of {', '.join(PRICES)} per window",
            )
        for name in ("label", "start", "end", "base"):
            shape = getattr(self, name).shape
            if shape != (count,):
                yield MtctlError(
                    f"`{name}` of {count} windows has the shape {shape}",
                    hint=f"give one per window: [{count}]",
                )
        yield from self._mistaken_bars()
        for name, wrong, hint in (
            ("label", (self.label < 0) | (self.label >= len(TYPES)), f"0 is {TYPES[0]}, 1 is {TYPES[1]}"),
            ("start", (self.start < 0) | (self.start >= LENGTH), f"bars count from 0 to {LENGTH - 1}"),
            (
                "end",
                (self.end < self.start) | (self.end >= LENGTH),
                f"it is the last bar of the expansion: from its start to {LENGTH - 1}",
            ),
        ):
            for row in np.flatnonzero(wrong):
                value = getattr(self, name)[row]
                yield MtctlError(f"window `{self.ids[row]}`: `{name}` is {value}", hint=hint)

    def _mistaken_bars(self) -> Iterator[MtctlError]:
        opened, high, low, closed = np.moveaxis(self.bars, -1, 0)
        body_fits = (low <= np.minimum(opened, closed)) & (np.maximum(opened, closed) <= high)
        fits = body_fits & (low > 0) & (high < np.inf)
        for row, bar in np.argwhere(~fits):
            prices = ", ".join(
                f"{name} {price:g}" for name, price in zip(PRICES, self.bars[row, bar], strict=True)
            )
            yield MtctlError(
                f"window `{self.ids[row]}`, bar {bar}: {prices}",
                hint="prices must be positive, low the lowest of the four and high the highest",
            )
