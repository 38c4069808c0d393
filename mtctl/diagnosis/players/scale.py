"""How far a policy has come: returns as shares of the way from random play to a reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mtctl.diagnosis.players.training import Played
from mtctl.diagnosis.thresholds import LEARNED
from mtctl.problems.playing import Reference
from mtctl.statistics import mean_of

_ERRORS: Final = 10.0
"""Standard errors of a mean return that the way to the best training is at least: what episodes differ by is
then a tenth of it."""
_NO_WAY: Final = 1e-9
"""Of a task whose returns are all the same."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Skill = (return − random)/(reached − random), by task.

    Args:
        references: of every task.
        measured: tasks whose reference is the best training of this diagnosis, over the untrained policy.
    """

    references: Mapping[str, Reference]
    measured: tuple[str, ...] = ()

    def skill(self, task: str, value: float) -> float:
        """Return the skill that a return shows."""
        return self.part(task, value - self.references[task].random)

    def part(self, task: str, difference: float) -> float:
        """Return a difference of returns as a part of the way."""
        reference = self.references[task]
        return difference / max(reference.reached - reference.random, _NO_WAY)

    def tenth(self, task: str) -> float:
        """Return the return at a skill of LEARNED, a tenth of the way."""
        reference = self.references[task]
        return reference.random + LEARNED * (reference.reached - reference.random)


def scale_of(tasks: Iterable[str], known: Mapping[str, Reference], trainings: Iterable[Played]) -> Scale:
    """Return the scale of tasks: references where they are known, else what the trainings show.

    Args:
        tasks: what is scored.
        known: references.
        trainings: made so far, at least one with scores.
    """
    scored = [each for each in trainings if each.returns]
    references: dict[str, Reference] = {}
    measured = []
    for task in tasks:
        if task in known:
            references[task] = known[task]
            continue
        measured.append(task)
        untrained = mean_of([each.untrained[task] for each in scored if task in each.untrained] or [0.0])
        best = max((each.returns[task] for each in scored if task in each.returns), default=untrained)
        noise = max((each.errors.get(task, 0.0) for each in scored), default=0.0)
        best = max(best, untrained + _ERRORS * noise)
        references[task] = Reference(untrained, best)
    return Scale(references, tuple(measured))
