"""Random numbers for methods, from torch's generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtctl.balancing.contract import Array, Mask

Shape = tuple[int, ...]


class Draws:
    """What methods draw: `contract.Random` from the generator of a run, or from those of a stack of runs.

    Each run of a stack draws from its own generator what it would draw alone.

    Args:
        generators: one; or an array of them, one for each run.
    """

    def __init__(self, generators: torch.Generator | Sequence[torch.Generator] | NDArray[np.object_]) -> None:
        self._generators = np.array(generators, dtype=object)

    def permutations(self, shape: Shape) -> NDArray[np.intp]:
        return self._drawn(_permutations, shape)

    def normal(self, shape: Shape) -> Array:
        return self._drawn(_normal, shape)

    def of(self, runs: Mask) -> Draws:
        return Draws(self._generators[runs])

    def _drawn(self, draw: Callable[[Shape, torch.Generator], NDArray[Any]], shape: Shape) -> NDArray[Any]:
        if not self._generators.ndim:
            return draw(shape, self._generators.item())
        own = shape[self._generators.ndim :]
        return np.stack([draw(own, generator) for generator in self._generators.flat]).reshape(shape)


def _permutations(shape: Shape, generator: torch.Generator) -> NDArray[np.intp]:
    return torch.rand(shape, generator=generator).numpy().argsort(-1)


def _normal(shape: Shape, generator: torch.Generator) -> Array:
    return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()
