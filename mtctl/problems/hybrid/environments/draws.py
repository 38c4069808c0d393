"""Random numbers that are a function of integers: an episode's draws follow from its seed and number alone.

No generator is kept, so thousands of copies begin an episode at once, and how many there are changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_FACTORS: Final = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS: Final = np.uint64(30), np.uint64(27), np.uint64(31)
_ONE: Final = np.uint64(1)
_SPARE_BITS: Final = np.uint64(11)  # of 64, beyond the 53 of a float's fraction


def bits(*words: npt.ArrayLike) -> Words:
    """Return 64 random bits for each tuple of words, elementwise.

    Args:
        words: non-negative integers, arrays that broadcast together; the result has one dimension at least.
    """
    state: Words = np.zeros(1, np.uint64)
    for word in words:
        state = _mixed(state + _GAMMA * (np.atleast_1d(np.asarray(word, np.uint64)) + _ONE))
    return state


def uniform(*words: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return a draw from U[0, 1) for each tuple of words, elementwise (see `bits`)."""
    return (bits(*words) >> _SPARE_BITS).astype(np.float64) * 2.0**-53


def _mixed(state: Words) -> Words:
    state = (state ^ (state >> _SHIFTS[0])) * _FACTORS[0]
    state = (state ^ (state >> _SHIFTS[1])) * _FACTORS[1]
    return state ^ (state >> _SHIFTS[2])
