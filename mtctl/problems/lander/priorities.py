"""Priorities of the rows of replay, in one sum tree for each ring.

Node k of a tree is the sum of nodes 2k and 2k + 1; the leaves are the rows' priorities. Every node is added
up from its two children whenever one of them changes, so that a tree is a function of its leaves alone: one
that is built again from them after a resume has the same sums to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtctl.problems.lander.agents import Priority

_Places = npt.NDArray[np.int64]


class Priorities:
    """What decides how often each row is drawn: P(i) = pᵢ^α / Σ pⱼ^α within its ring, pᵢ = |TD error| + ε.

    Args:
        settings: the recipe's.
        rings: R.
        capacity: rows of each ring. Row i of ring r has the place r·capacity + i.
    """

    def __init__(self, settings: Priority, rings: int, capacity: int) -> None:
        self._alpha, self._epsilon = settings.alpha, settings.epsilon
        self._capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._leaves = 1 << self._depth
        self._nodes = np.zeros(rings * 2 * self._leaves)
        self._largest = np.ones(rings)
        self._new: list[int] = []
        self._marked = self._nodes, self._largest

    def add(self, place: int) -> None:
        """Give a new row the largest priority that its ring has seen, so that it is drawn soon."""
        self._new.append(place)

    def revise(self, places: Tensor, errors: Tensor) -> None:
        """Set the priorities of rows [N] that have been learned from by their TD errors [N].

        Errors that are not finite say nothing: the step that they belong to is refused by the loop.
        """
        if not bool(errors.isfinite().all()):
            return
        self._settle()
        where = places.numpy()
        values = (errors.abs().double().numpy() + self._epsilon) ** self._alpha
        np.maximum.at(self._largest, where // self._capacity, values)
        self._set(where, values)

    def draw(self, rings: range, draws: Tensor, sizes: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return places [R', N] and N'·P [R', N], N' the ring's rows: 1 for a row of mean priority.

        Each ring's priorities, in a row, are cut into N equal stretches, and one point of each is drawn.

        Args:
            rings: R' of them.
            draws: [R', N] float64 from the unit interval: where in its stretch each point lies.
            sizes: [R'] rows of each ring.
        """
        self._settle()
        start = np.array(rings)[:, None] * 2 * self._leaves
        total = self._nodes[start + 1]
        count = draws.shape[1]
        point = (np.arange(count) + draws.numpy()) / count * total
        node = np.broadcast_to(start + 1, point.shape)
        for _ in range(self._depth):
            node = 2 * node - start
            left = self._nodes.take(node)
            right = point >= left
            np.subtract(point, left, out=point, where=right)
            node = node + right
        # Rounding may leave a point at the very end, beyond the last row: it is that row's.
        node = np.minimum(node, start + self._leaves + sizes[:, None] - 1)
        places = node - start - self._leaves + np.array(rings)[:, None] * self._capacity
        chances = sizes[:, None] * self._nodes.take(node) / total
        return torch.from_numpy(places), torch.from_numpy(chances)

    def _settle(self) -> None:
        if self._new:
            where = np.array(self._new)
            self._new.clear()
            self._set(where, self._largest[where // self._capacity])

    def _set(self, places: _Places, values: npt.NDArray[np.float64]) -> None:
        ring, row = np.divmod(places, self._capacity)
        start = ring * 2 * self._leaves
        node = start + row + self._leaves
        self._nodes[node] = values
        for _ in range(self._depth):
            node = (node + start) // 2
            below = 2 * node - start
            self._nodes[node] = self._nodes.take(below) + self._nodes.take(below + 1)

    def state_dict(self, sizes: list[int]) -> dict[str, Any]:
        """Return the priorities of the rows that each ring holds."""
        self._settle()
        starts = [(2 * ring + 1) * self._leaves for ring in range(len(sizes))]
        filled = [self._nodes[start : start + size] for start, size in zip(starts, sizes, strict=True)]
        return {
            "priorities": [torch.from_numpy(values.copy()) for values in filled],
            "largest": torch.from_numpy(self._largest.copy()),
        }

    def mark(self) -> None:
        """Remember what stands here now."""
        self._settle()
        self._marked = self._nodes.copy(), self._largest.copy()

    def rewind(self) -> None:
        """Go back to the last mark."""
        self._nodes[:], self._largest[:] = self._marked
        self._new.clear()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._largest[:] = state["largest"].numpy()
        self._nodes[:] = 0.0
        self._new.clear()
        for ring, values in enumerate(state["priorities"]):
            if len(values):
                self._set(np.arange(len(values)) + ring * self._capacity, values.numpy())
