"""A laboratory whose results are given, so that decisions are tested without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Experiment
from mtctl.problems.supervised.interventions import Intervention


class Scripted(Laboratory):
    """A laboratory whose results are given.

    Args:
        joint: the run as is, with a budget of 40 updates of the 130 that it was watched for.
        speedups: of the ptr task by what was changed; others are 1.
        heart: relative training loss after learning by heart.
        budget: updates.
        patience: τ of a long training with everything done for the task.
        without: names of trainings with some aids in which the task does not learn.
        skills: at the end of the budget, by what was changed; others as is.
    """

    def __init__(
        self,
        joint: Course,
        speedups: dict[str, float] | None = None,
        heart: float = 0.1,
        budget: int = 40,
        patience: float | None = None,
        without: Sequence[str] = (),
        skills: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(joint.recipe, 0, joint, None, lambda _: None)
        self.budget = budget
        self.asked: list[str] = []
        self._speedups, self._heart, self._patience = speedups or {}, heart, patience
        self._without, self._skills = without, skills or {}

    def watch(self, tasks: Sequence[str]) -> None:
        pass

    def speedup(self, task: str, name: str, *interventions: Intervention) -> float:
        what = name.removeprefix(f"{task} ")
        self.asked.append(what)
        found = self._speedups.get(what, 1.0)
        return found if found >= 2 else 1.0

    def patiently(self, task: str) -> Experiment:
        return Experiment("patiently", task, self._patience, 400, None, None)

    def learns_within(self, task: str, name: str, updates: int, *interventions: Intervention) -> float | None:
        what = name.removeprefix(f"{task}: ")
        self.asked.append(what)
        return None if what in self._without else 20.0

    def reached(self, task: str, name: str, *interventions: Intervention) -> float:
        what = name.removeprefix(f"{task} ")
        self.asked.append(what)
        return self._skills.get(what, self.skill(task))

    def noise(self, task: str) -> float:
        return 0.01

    def potential(self, task: str) -> float:
        return self._skills.get("all aids combined", self.skill(task))

    def patient(self, task: str, enough: float, budgets: int = 4) -> float:
        return self._skills.get("patiently", self.skill(task))

    def displaced(self, task: str, rows: int, enough: float) -> float:
        return self._skills.get(f"row {rows:+d}", 0.0)

    def learns_so_far(
        self, task: str, name: str, enough: float, updates: int, *changes: Intervention
    ) -> bool:
        return name.removeprefix(f"{task}: ").partition(",")[0] not in self._without

    def by_heart(self, task: str, rows: int = 16) -> float:
        return self._heart
