"""Trainings of one recipe that is played, and of changes of it, paired by seed, within a limit of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.plan import OUT_OF_TIME, Announce, Plan
from mtctl.diagnosis.players.scale import Scale, scale_of
from mtctl.diagnosis.players.training import Order, Played, play
from mtctl.diagnosis.report import Check
from mtctl.errors import MtctlError
from mtctl.problems.playing import Alternative, Reference
from mtctl.problems.recipe import Recipe
from mtctl.statistics import mean_of


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the recipe, and what it makes of it.

    Args:
        alternative: what is changed.
        recipe: with the change.
    """

    alternative: Alternative
    recipe: Recipe


class Laboratory:
    """Makes trainings and keeps what came of them.

    Args:
        recipe: as is; its units are the budget of every training.
        seeds: the first is the one that changes are tried with; the others prove them.
        episodes: of each task that score a policy.
        known: references of tasks.
        crew: trains.
        deadline: of `time.monotonic`, after which no training begins; None: there is none.
        say: gets a line about what is being done.
        announce: gets what is still to come.
    """

    def __init__(
        self,
        recipe: Recipe,
        seeds: Sequence[int],
        episodes: int,
        known: Mapping[str, Reference],
        crew: Crew,
        deadline: float | None,
        say: Callable[[str], None],
        announce: Announce,
    ) -> None:
        self.recipe, self.seeds = recipe, tuple(seeds)
        self.unchanged: dict[int, Played] = {}
        """What came of the recipe as it is, by seed."""
        self.tried: dict[str, dict[int, Played]] = {}
        """What came of changes, by title and seed."""
        self.left_out: list[Check] = []
        self._episodes, self._known, self._crew = episodes, known, crew
        self._deadline, self._say, self._announce = deadline, say, announce
        self._seconds = 0.0  # that trainings take which are made at a time, by the latest

    @property
    def scale(self) -> Scale:
        """How far returns are, by all trainings so far."""
        everything = [*self.as_is, *(each for by_seed in self.tried.values() for each in by_seed.values())]
        return scale_of(self.recipe.scored, self._known, everything)

    def train_as_is(self, seeds: Sequence[int]) -> None:
        """Train the recipe as it is from seeds, those left out that it has been trained from."""
        seeds = [seed for seed in seeds if seed not in self.unchanged]
        orders = [(f"as is, seed {seed}", self._order(self.recipe, seed)) for seed in seeds]
        self.unchanged |= dict(zip(seeds, self._train(orders), strict=True))

    def change(self, alternative: Alternative) -> Change | None:
        """Return a change of the recipe; None, and why is noted, where it makes no valid one."""
        try:
            return Change(alternative, self.recipe.revised(alternative.changes))
        except MtctlError as error:
            self.left_out.append(Check(f"experiment: {alternative.title}", "not_run", error.message))
            return None

    def attempt(
        self, changes: Sequence[Change], seeds: Sequence[int], *, reserve: int = 0, length: int = 1
    ) -> None:
        """Train changes from seeds, as many as there is time for, the first ones first.

        Args:
            changes: of the recipe.
            seeds: of the trainings.
            reserve: trainings that time is left for, unless there is too little for any other then.
            length: of such a training, in budgets.
        """
        trainings = self.affordable()
        affordable = (trainings - reserve if trainings > reserve else trainings) // (length * len(seeds))
        for change in changes[affordable:]:
            self.left_out.append(Check(f"experiment: {change.alternative.title}", "not_run", OUT_OF_TIME))
        wanted = [(change, seed) for change in changes[:affordable] for seed in seeds]
        orders = [
            (f"{change.alternative.title}, seed {seed}", self._order(change.recipe, seed))
            for change, seed in wanted
        ]
        for (change, seed), found in zip(wanted, self._train(orders), strict=True):
            self.tried.setdefault(change.alternative.title, {})[seed] = found

    def affordable(self) -> int:
        """Return how many trainings end before the deadline."""
        if self._deadline is None:
            return 1_000_000
        rounds = int((self._deadline - time.monotonic()) / max(self._seconds, 1e-3))
        return max(0, rounds * self._crew.jobs)

    def _order(self, recipe: Recipe, seed: int) -> Order:
        first = recipe is self.recipe and seed == self.seeds[0]
        return Order(recipe, seed, self._episodes, self._deadline, records=first)

    def _train(self, orders: Sequence[tuple[str, Order]]) -> list[Played]:
        began, found = time.monotonic(), list[Played]()
        rounds = -(-len(orders) // self._crew.jobs)
        self._announce(Plan(len(orders), rounds * self._seconds, complete=False))
        results = self._crew.map(play, [(order,) for _, order in orders])
        for title, _ in orders:
            self._say(title)
            found.append(next(results))
        if orders:
            self._seconds = (time.monotonic() - began) / rounds
        return found

    # ----- what came of it

    @property
    def as_is(self) -> list[Played]:
        """The trainings of the recipe as it is."""
        return list(self.unchanged.values())

    def returned(self, played: Played, task: str) -> float | None:
        """Return a final policy's mean return, if it has one; one that diverged is worth random play."""
        return self.scale.references[task].random if played.findings else played.returns.get(task)

    def skill(self, played: Played, task: str) -> float | None:
        """Return the skill of a final policy; None where there is none."""
        value = self.returned(played, task)
        return None if value is None else self.scale.skill(task, value)

    def skill_as_is(self, task: str) -> float | None:
        """Return the mean skill of the final policies as is; None where none was scored."""
        skills = [self.skill(each, task) for each in self.as_is]
        known = [skill for skill in skills if skill is not None]
        return mean_of(known) if known else None

    def pairs(self, title: str, task: str, seeds: Sequence[int]) -> list[tuple[float, float]]:
        """Return the returns as is and with a change, from each seed that has both."""
        tried = self.tried.get(title, {})
        both = [seed for seed in seeds if seed in self.unchanged and seed in tried]
        found = [
            (self.returned(self.unchanged[each], task), self.returned(tried[each], task)) for each in both
        ]
        return [(before, after) for before, after in found if before is not None and after is not None]

    def gains(self, title: str, task: str, seeds: Sequence[int]) -> list[float]:
        """Return what a change gains in skill, from each seed that has both scores."""
        return [self.scale.part(task, after - before) for before, after in self.pairs(title, task, seeds)]


def together(alternatives: Sequence[Alternative], title: str) -> Alternative:
    """Return several changes as one."""
    changes: dict[str, Any] = {}
    for each in alternatives:
        changes |= each.changes
    return Alternative("together", title, changes)
