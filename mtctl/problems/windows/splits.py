"""Which windows were cut from one stretch of prices, and parts that never tear such windows apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mtctl.errors import MtctlError
from mtctl.problems.windows.windows import Floats, Integers

COMMON_BARS: Final = 5
"""Consecutive bars in common from which on two windows are taken to overlap. Four prices agree by chance now
and then where ticks are coarse; five times four in a row do not."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Indices of the windows of each part, ascending: every window is in exactly one."""

    train: Integers
    validation: Integers
    test: Integers


def find_bases(bars: Floats, base_ids: Sequence[str | None]) -> Integers:
    """Return the number of the base window that each window belongs to.

    Two windows belong together if they have the same base id, or if the same 5 bars follow one another in
    both, wherever they stand; and so do two windows that both belong to a third. 5 bars that are all alike do
    not count: they are padding, or a market that stands still, and would join windows of different days.

    Args:
        bars: [N, T, 4] prices; bars are the same if all four prices are equal.
        base_ids: [N] ids that the data's author gave; None where there is none.

    Returns:
        [N] numbers from 0, in the order in which the bases first occur.
    """
    parent = list(range(len(bars)))

    def root(window: int) -> int:
        while parent[window] != window:
            parent[window] = window = parent[parent[window]]
        return window

    for one, other in [*_overlaps(bars), *_namesakes(base_ids)]:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    roots = np.array([root(window) for window in range(len(bars))], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def split(base: Integers, fractions: tuple[float, float], rng: np.random.Generator) -> Split:
    """Deal whole base windows out to three parts at random.

    The test part is filled first, then the validation part; the rest is for training. The number of windows
    of a part is off its share by at most half of the smallest base that was left when it was filled.

    Args:
        base: [N] number of each window's base window.
        fractions: shares of the windows that are for validation and for the test, each above 0 and together
            below 1.
        rng: decides which bases go where.

    Raises:
        MtctlError: if there are fewer than three base windows, so that a part would be empty, or if
            `fractions` leave nothing to train on.
    """
    validation, test = fractions
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise MtctlError(
            f"shares of {validation:g} for validation and {test:g} for the test cannot be split off",
            hint="choose two shares above 0 that together stay below 1",
        )
    names, owner, sizes = np.unique(base, return_inverse=True, return_counts=True)
    if len(names) < 3:
        raise MtctlError(
            f"{len(base)} windows of {len(names)} base {'window' if len(names) == 1 else 'windows'} cannot be"
            " split into training, validation and test: windows that overlap must stay in one part",
            hint="add windows that share no bars with these, until there are at least 3 base windows;\n"
            "windows cut from one series need a gap here and there that no window covers",
        )
    order = [int(index) for index in rng.permutation(len(names))]
    tested = _fill(order, sizes, test * len(base), leave=2)
    rest = [index for index in order if index not in tested]
    validated = _fill(rest, sizes, validation * len(base), leave=1)
    part = np.array([1 if index in validated else 2 if index in tested else 0 for index in range(len(names))])
    train, validation_rows, test_rows = (np.flatnonzero(part[owner] == number) for number in range(3))
    return Split(train, validation_rows, test_rows)


def _fill(order: Sequence[int], sizes: Integers, target: float, *, leave: int) -> set[int]:
    """Return at least one of the bases, and not the last `leave`, with about `target` windows together.

    All that fit are taken in turn. What remains to the target is then smaller than every base that was left,
    and the smallest of these is added if that brings the sum nearer.
    """
    taken: set[int] = set()
    missing = target
    for index in order:
        if sizes[index] <= missing and len(taken) < len(order) - leave:
            taken.add(index)
            missing -= sizes[index]
    smallest = min((index for index in order if index not in taken), key=lambda index: sizes[index])
    nearer = sizes[smallest] - missing < missing and len(taken) < len(order) - leave
    return taken | {smallest} if nearer or not taken else taken


def _overlaps(bars: Floats) -> Iterable[tuple[int, int]]:
    """Yield pairs of windows with a run of bars in common: enough of them to connect all such windows."""
    windows, length = bars.shape[:2]
    starts = length - COMMON_BARS + 1
    if windows < 2 or starts < 1:
        return
    prices = [_numbered(column) for column in np.moveaxis(bars, -1, 0)]
    bar = _joined(_joined(prices[0], prices[1]), _joined(prices[2], prices[3]))
    run = bar[:, :starts]
    alike = np.ones((windows, starts), dtype=bool)
    for offset in range(1, COMMON_BARS):
        run = _joined(run, bar[:, offset : offset + starts])
        alike &= bar[:, offset : offset + starts] == bar[:, :starts]
    window = np.broadcast_to(np.arange(windows)[:, None], run.shape)[~alike]
    run = run[~alike]
    order = np.argsort(run, kind="stable")
    run, window = run[order], window[order]
    neighbours = (run[1:] == run[:-1]) & (window[1:] != window[:-1])
    pairs = np.unique(np.stack([window[:-1][neighbours], window[1:][neighbours]], axis=1), axis=0)
    yield from pairs.tolist()


def _numbered(values: Floats | Integers) -> Integers:
    """Return the values' ranks: equal where and only where the values are."""
    _, rank = np.unique(values, return_inverse=True)
    return rank.reshape(values.shape).astype(np.int64)


def _joined(first: Integers, second: Integers) -> Integers:
    """Return numbers that are equal where and only where both are; exact, unlike a hash.

    Numbers are ranks among N × T entries, so their products fit into 64 bits up to 10⁷ windows.
    """
    return _numbered(first * (int(second.max()) + 1) + second)


def _namesakes(base_ids: Sequence[str | None]) -> Iterable[tuple[int, int]]:
    first: dict[str, int] = {}
    for window, name in enumerate(base_ids):
        if name is not None:
            yield first.setdefault(name, window), window
