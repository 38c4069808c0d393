"""Topology: a tree that grows to its limit, sheds what withers, and is worth what its edges are.

There are K slots for nodes, of which an episode begins with one taken, by the root: age 0, worth 1. Each node
asks for four numbers, its demand, which are drawn from U[0, 1) when it is born. Each step, in this order:

1. Nodes that choose `delete` are removed.
2. Nodes that choose `spawn`, of age below 8, get one child each, in the order of their slots, as long as
   there are free slots: the child takes the first of these. Its age is 0 and its worth max(−1, 1 − 4e),
   where e is the mean over the four parameters of |p − demand of its parent|, p being the parameter brought
   from its bounds to [0, 1]. The parameters describe the edge: direction in [−1, 1]; length, width and
   stiffness in [0, 1].
3. All nodes but the children just born grow one step older. A node of age 8 or more is withered: its worth
   is −1.
4. The reward is the sum of the worth of all nodes over K.
5. The episode ends when no node is left (`died_out`), or after 20 steps: `thriving`, if the last reward is
   0.8 or more, which counts as success, or else `stunted`. The clock is observed, so these are terminations.

Observation: of each slot: whether a node is there, (8 − age, not below 0) / 8, worth, and demand, all 0 where
there is none; then steps / 20.

The best return is Σₜ min(K, 2ᵗ) / K over t = 1 … steps: no tree has more than 2ᵗ nodes after step t, none is
worth more than 1, and the policy that meets every demand, spawns wherever it can and deletes nodes of age 7
gets there (at most half of the nodes go at once, and the others replace them in the same step).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mtctl.problems.hybrid.environments.copies import RUNNING, Copies, Flags, Floats, Integers
from mtctl.problems.hybrid.environments.draws import uniform
from mtctl.problems.hybrid.environments.single import Single

KEEP, SPAWN, DELETE = range(3)
PARAMETERS: Final = ("direction", "length", "width", "stiffness")
LOW: Final = np.array([-1.0, 0.0, 0.0, 0.0], np.float32)
HIGH: Final = np.array([1.0, 1.0, 1.0, 1.0], np.float32)
LIFE: Final = 8
STRICTNESS: Final = 4.0
"""Random parameters miss by 1/3 on average: a child is then worth −1/3, and it is better not to spawn."""
THRIVING: Final = 0.8
MOST_NODES: Final = 2 ** (LIFE - 1)
"""A tree that is not full before its root withers has another best return."""

_THRIVING, _STUNTED, _DIED_OUT = range(3)
_NUMBERS: Final = 7  # observed of each slot


def best_return(nodes: int, steps: int) -> float:
    """Return the highest undiscounted return: Σₜ min(K, 2ᵗ) / K."""
    return sum(min(nodes, 1 << step) for step in range(1, steps + 1)) / nodes


class Topology(Copies):
    """Copies of the tree.

    Args:
        copies: N.
        nodes: K, from 2 to 128; the default is small enough for a plain network and full after 4 steps.
        steps: after which an episode ends; by default 20, in which every node of a full tree is replaced once
            or twice.
    """

    name = "topology"
    outcomes = ("thriving", "stunted", "died_out")
    _state = ("_present", "_age", "_worth", "_demand")

    def __init__(self, copies: int, *, nodes: int = 16, steps: int = 20) -> None:
        if not 2 <= nodes <= MOST_NODES:
            raise ValueError(f"{nodes} nodes: there must be 2 to {MOST_NODES}")
        if steps < 1:
            raise ValueError(f"{steps} steps: there must be one at least")
        low = np.array([*[0, 0, -1, 0, 0, 0, 0] * nodes, 0], np.float32)
        action = spaces.Dict(
            {
                "choice": spaces.MultiDiscrete([3] * nodes),
                "spawn": spaces.Box(np.tile(LOW, (nodes, 1)), np.tile(HIGH, (nodes, 1))),
            }
        )
        super().__init__(copies, spaces.Box(low, np.ones(_NUMBERS * nodes + 1, np.float32)), action)
        self.nodes, self.steps = nodes, steps
        self.uses = {f"choice[{node}]": {SPAWN: (f"spawn[{node}]",)} for node in range(nodes)}
        self.best_return = best_return(nodes, steps)
        self._present: Flags = np.zeros((copies, nodes), np.bool_)
        self._age: Integers = np.zeros((copies, nodes), np.int64)
        self._worth: Floats = np.zeros((copies, nodes))
        self._demand: Floats = np.zeros((copies, nodes, len(PARAMETERS)))
        shown = np.broadcast_to(self._present[..., None], self._demand.shape)  # a view, always up to date
        self.active = {"choice": self._present, "spawn": shown}

    def _begin(self, rows: Integers) -> None:
        self._present[rows] = np.arange(self.nodes) == 0
        root = np.zeros_like(rows)
        self._bear(rows, root, np.ones(len(rows)), root)
        self._observe(self.observations, rows)

    def _advance(self, actions: Mapping[str, Any]) -> None:
        choice = np.asarray(actions["choice"])
        self._present &= choice != DELETE
        spawning = self._present & (choice == SPAWN) & (self._age < LIFE)
        rows, slots, parents = _places(spawning, ~self._present)
        asked = np.asarray(actions["spawn"], np.float64)[rows, parents]
        missed = np.abs(np.clip((asked - LOW) / (HIGH - LOW), 0.0, 1.0) - self._demand[rows, parents])
        self._age += self._present
        self._worth[self._age >= LIFE] = -1.0
        self._bear(rows, slots, np.maximum(-1.0, 1.0 - STRICTNESS * missed.mean(axis=1)), self.lengths[rows])
        np.divide((self._worth * self._present).sum(axis=1), self.nodes, out=self.rewards)
        self._judge()
        self._observe(self.final_observations, slice(None))

    def _bear(self, rows: Integers, slots: Integers, worth: Floats, step: Integers) -> None:
        self._present[rows, slots] = True
        self._age[rows, slots] = 0
        self._worth[rows, slots] = worth
        numbers = slots[:, None] * len(PARAMETERS) + np.arange(len(PARAMETERS))
        words = self._seeds[rows, None], self._episodes[rows, None], step[:, None], numbers
        self._demand[rows, slots] = uniform(*words)

    def _judge(self) -> None:
        died = ~self._present.any(axis=1)
        late = ~died & (self.lengths >= self.steps)
        thriving = late & (self.rewards >= THRIVING)
        np.logical_or(died, late, out=self.terminated)
        self.success[:] = thriving
        self.outcome[:] = RUNNING
        self.outcome[died], self.outcome[late], self.outcome[thriving] = _DIED_OUT, _STUNTED, _THRIVING

    def _observe(self, out: npt.NDArray[np.float32], rows: Any) -> None:
        present = self._present[rows]
        seen = np.empty((*present.shape, _NUMBERS), np.float32)
        seen[..., 0] = present
        seen[..., 1] = np.maximum(LIFE - self._age[rows], 0) / LIFE * present
        seen[..., 2] = self._worth[rows] * present
        seen[..., 3:] = self._demand[rows] * present[..., None]
        out[rows, :-1] = seen.reshape(len(present), -1)
        out[rows, -1] = self.lengths[rows] / self.steps if out is self.final_observations else 0.0


def _places(spawning: Flags, free: Flags) -> tuple[Integers, Integers, Integers]:
    """Return copies, slots and parents' slots of all children: the k-th free slot is the k-th parent's."""
    rank = np.cumsum(free, axis=1) - 1
    rows, slots = np.nonzero(free & (rank < spawning.sum(axis=1, keepdims=True)))
    order = np.argsort(~spawning, axis=1, kind="stable")
    return rows, slots, order[rows, rank[rows, slots]]


def single(*, nodes: int = 16, steps: int = 20) -> Single:
    """Return Topology as an environment of gymnasium: `gymnasium.make("mtctl/Topology-v0")`."""
    return Single(Topology(1, nodes=nodes, steps=steps))
