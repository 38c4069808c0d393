"""The contract of environments: copies of one environment that are stepped together.

    copies = Moving(1024)
    observations = copies.reset(seeds)
    observations, rewards, terminated, truncated = copies.step(actions)

Copies that ended have begun their next episode when `step` returns: `observations` shows its start, and
`final_observations` what the step led to. Arrays belong to the copies and are overwritten by the next `step`:
copy what is kept. The k-th episode of a copy depends on its own seed, k and its actions, and neither on how
many copies there are nor on the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.uses import Uses

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Observations = npt.NDArray[np.float32]
Step = tuple[Observations, Floats, Flags, Flags]

RUNNING = -1
"""In `Copies.outcome`: the last step did not end the episode."""


class Copies(ABC):
    """N copies of one environment.

    Args:
        copies: N.
        observation_space: of one copy.
        action_space: of one copy.

    Attributes:
        name: the environment's, as in recipes.
        uses: which parameters a choice uses, see `uses.Uses`.
        outcomes: names of how an episode can end.
        best_return: the highest undiscounted return that there is, where it is known.
        solved: mean return from which the environment counts as solved, where that is agreed on.
        observations: of the episodes under way [N, d] float32.
        final_observations: what the last step led to [N, d], before any copy began anew.
        rewards: of the last step [N] float64.
        terminated: whether the last step ended the episode by the task's own rules [N] bool.
        truncated: whether it was cut off from outside, so that learners bootstrap from
            `final_observations` [N] bool; never together with `terminated`.
        ended: either of them [N] bool.
        outcome: index into `outcomes` of how it ended [N] int64; `RUNNING` where it did not.
        success: whether it ended well [N] bool; False where it did not end.
        returns: undiscounted sum of rewards of the episode that the last step belongs to [N] float64.
        lengths: steps of that episode [N] int64.
        active: by path in the action, which elements mean something for `observations` [N, …] bool, in the
            shape of the array there; what is not named always does.
        allowed: which options may be chosen for `observations` [N, Σ options], see `options.allowed_options`;
            None where the environment never forbids one.
    """

    name: str
    uses: Uses = MappingProxyType({})
    outcomes: tuple[str, ...]
    best_return: float | None = None
    solved: float | None = None

    #: Arrays that decide the future, besides those of this class.
    _state: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, copies: int, observation_space: gymnasium.spaces.Box, action_space: gymnasium.Space[Any]
    ) -> None:
        if copies < 1:
            raise ValueError(f"{copies} copies: there must be one at least")
        self.copies = copies
        self.observation_space = observation_space
        self.action_space = action_space
        shape = (copies, *observation_space.shape)
        self.observations: Observations = np.zeros(shape, np.float32)
        self.final_observations: Observations = np.zeros(shape, np.float32)
        self.rewards: Floats = np.zeros(copies)
        self.returns: Floats = np.zeros(copies)
        self.terminated: Flags = np.zeros(copies, np.bool_)
        self.truncated: Flags = np.zeros(copies, np.bool_)
        self.ended: Flags = np.zeros(copies, np.bool_)
        self.success: Flags = np.zeros(copies, np.bool_)
        self.outcome: Integers = np.full(copies, RUNNING, np.int64)
        self.lengths: Integers = np.zeros(copies, np.int64)
        self.active: dict[str, Flags] = {}
        self.allowed: Flags | None = None
        self._seeds = np.zeros(copies, np.uint64)
        self._episodes = np.zeros(copies, np.uint64)
        self._ahead = np.zeros(0, np.uint64)
        self._started = False

    def reset(self, seeds: npt.ArrayLike, ahead: npt.ArrayLike = ()) -> Observations:
        """Begin the first episode of every copy; return their observations [N, d].

        Args:
            seeds: of each copy [N], integers from 0 to 2⁶⁴ − 1.
            ahead: further seeds. A copy that ends takes the next of them and begins its first episode, those
                that end together in the order of their numbers; when all are taken, copies go on with the
                next episode of the seed they have.
        """
        given = np.asarray(seeds, np.uint64)
        if given.shape != (self.copies,):
            raise ValueError(f"seeds have shape {given.shape}: expected ({self.copies},), one a copy")
        self._seeds[:] = given
        self._ahead = np.asarray(ahead, np.uint64)
        for array in (self._episodes, self.rewards, self.returns, self.lengths):
            array[:] = 0
        for flags in (self.terminated, self.truncated, self.ended, self.success):
            flags[:] = False
        self.outcome[:] = RUNNING
        self._begin(np.arange(self.copies))
        np.copyto(self.final_observations, self.observations)
        self._started = True
        return self.observations

    def step(self, actions: Any) -> Step:
        """Move every copy by one step; those that end begin their next episode.

        Args:
            actions: in the structure of `action_space`, each array with a leading dimension N: what
                `ActionLayout.assemble` makes and gymnasium's vector environments take.

        Returns:
            `observations`, `rewards`, `terminated` and `truncated`.

        Raises:
            MtctlError: an observation or a reward is not finite.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded(f"{self.name}: call reset(seeds) before step")
        self.lengths[self.ended] = 0
        self.returns[self.ended] = 0.0
        self.lengths += 1
        self._advance(actions)
        self._require_finite()
        self.returns += self.rewards
        np.logical_or(self.terminated, self.truncated, out=self.ended)
        np.copyto(self.observations, self.final_observations)
        if len(rows := np.flatnonzero(self.ended)):
            self._episodes[rows] += np.uint64(1)
            self._take_seeds(rows[: len(self._ahead)])
            self._begin(rows)
        return self.observations, self.rewards, self.terminated, self.truncated

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all arrays that decide the future."""
        return {name: getattr(self, name).copy() for name in self._names}

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from where `state_dict` was taken."""
        for name in self._names:
            np.copyto(getattr(self, name), state[name], casting="no")
        self._ahead = np.zeros(0, np.uint64)
        self._started = True

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return what the first copy looks like [height, width, 3], where it was made to draw.

        Raises:
            MtctlError: it draws nothing.
        """
        raise MtctlError(f"{self.name} draws no pictures", hint="leave out --render and --video")

    def close(self) -> None:
        """Release what the environments hold; by default they hold nothing."""
        self._started = False

    def _take_seeds(self, rows: Integers) -> None:
        self._seeds[rows], self._ahead = self._ahead[: len(rows)], self._ahead[len(rows) :]
        self._episodes[rows] = 0

    @property
    def _names(self) -> tuple[str, ...]:
        own = ("_seeds", "_episodes", "lengths", "returns", "ended", "observations")
        return (*own, *self._state)

    @abstractmethod
    def _begin(self, rows: Integers) -> None:
        """Begin episode `_episodes[rows]` of these copies, and write their rows of `observations`."""

    @abstractmethod
    def _advance(self, actions: Any) -> None:
        """Move every copy, whose `lengths` count this step already, and write `final_observations`,
        `rewards`, `terminated`, `truncated`, `outcome` and `success`.
        """

    def _require_finite(self) -> None:
        if np.isfinite(self.rewards).all() and np.isfinite(self.final_observations).all():
            return
        bad = ~np.isfinite(np.column_stack([self.final_observations, self.rewards]))
        copy, place = (int(one[0]) for one in np.nonzero(bad))
        row = self.final_observations[copy]
        if place == len(row):
            what = f"the reward is {self.rewards[copy]}"
        else:
            what = f"number {place} of the observation is {row[place]}"
        raise MtctlError(
            f"environment {self.name}, copy {copy}, step {self.lengths[copy]} of its episode"
            f" {self._episodes[copy]}: {what}",
            hint="mend the environment, or bound the actions that lead there",
        )
