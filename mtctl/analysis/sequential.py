"""Whether methods differ, asked again and again as seeds are added: the error of all looks together is held.

Looking at a t test after every few seeds, and stopping when it says yes, finds differences that are none in
far more than 5 % of cases. This test plans its looks: each may spend its share of the level.

Source: Mathieu, Della Vecchia, Shilova, Centa de Medeiros, Kohler, Maillard, Preux, "AdaStop: adaptive
statistical testing for sound comparisons of Deep RL agents" (2023), Algorithm 1, without early acceptance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.05
"""Chance of one false difference or more, over all pairs and all looks."""
PERMUTATIONS: Final = 10_000
"""The paper's: the level of a look, 0.05 of which it may spend a tenth or less, is met to some per cent."""
Verdict = Literal["higher", "lower", "undecided"]
Pair = tuple[str, str]


@dataclass(slots=True)
class GroupSequential:
    """A test of all pairs of methods, looked at after each group of seeds.

    At look k, T_ab = |Σ_{j ≤ k} (mean of a − mean of b in group j)|. Under the hypothesis that a and b do not
    differ, scores of a group may change places between them: T is held against its distribution over random
    exchanges, those left out that an earlier look would have decided by. The threshold is the least that
    keeps the level spent at level·k/K or below. The pair with the largest T is decided first, and the others
    are held against each other again (step-down), until none is above.

    Args:
        names: of the methods.
        size: seeds of a group.
        looks: how many there are at most.
        level: chance of a false difference.
        permutations: random exchanges; the first one exchanges nothing.
        seed: of the exchanges.

    Attributes:
        decided: of each pair whether the first one's scores are higher or lower.
    """

    names: Sequence[str]
    size: int
    looks: int
    level: float = LEVEL
    permutations: int = PERMUTATIONS
    seed: int = 0
    decided: dict[Pair, Verdict] = field(init=False)
    _spent: float = field(init=False, default=0.0)
    _done: int = field(init=False, default=0)
    _sums: dict[Pair, NDArray[np.float64]] = field(init=False)
    _left: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        pairs = list(combinations(self.names, 2))
        self.decided = dict.fromkeys(pairs, "undecided")
        self._sums = {pair: np.zeros(self.permutations) for pair in pairs}
        self._left = np.ones(self.permutations, dtype=bool)

    @property
    def open(self) -> list[Pair]:
        """The pairs that are undecided."""
        return [pair for pair, verdict in self.decided.items() if verdict == "undecided"]

    @property
    def needed(self) -> list[str]:
        """The methods that further seeds are needed of."""
        return [name for name in self.names if any(name in pair for pair in self.open)]

    @property
    def is_over(self) -> bool:
        """Whether every pair is decided, or no look is left."""
        return not self.open or self._done == self.looks

    def look(self, scores: Mapping[str, Sequence[float]]) -> list[Pair]:
        """Take in a group of seeds; return the pairs that it has decided.

        Args:
            scores: of each method that is needed, one for each seed of the group.
        """
        rng = np.random.default_rng([self.seed, self._done])
        order = rng.permuted(np.tile(np.arange(2 * self.size), (self.permutations, 1)), axis=1)
        order[0] = np.arange(2 * self.size)
        for one, other in self.open:
            both = np.array([*scores[one], *scores[other]])[order]
            self._sums[one, other] += both[:, : self.size].mean(1) - both[:, self.size :].mean(1)
        self._done += 1
        found: list[Pair] = []
        while pairs := self.open:
            largest, threshold, spent = self._threshold(pairs)
            best = max(pairs, key=lambda pair: abs(self._sums[pair][0]))
            if abs(self._sums[best][0]) <= threshold:
                self._left &= largest <= threshold
                self._spent = spent
                break
            self.decided[best] = "higher" if self._sums[best][0] > 0 else "lower"
            found.append(best)
        return found

    def _threshold(self, pairs: Sequence[Pair]) -> tuple[NDArray[np.float64], float, float]:
        """Return max T of each exchange, the threshold, and the level that is spent with it."""
        largest = np.abs([self._sums[pair] for pair in pairs]).max(0)
        values = np.sort(largest[self._left])
        above = len(values) - np.searchsorted(values, values, side="right")
        spent = self._spent + above / self.permutations
        allowed = spent <= self.level * self._done / self.looks
        place = int(allowed.argmax())  # the last one is always allowed: nothing is above the largest
        return largest, float(values[place]), float(spent[place])
