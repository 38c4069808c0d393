"""Short counterfactual trainings of one recipe, each made once and compared with the run as is by τ.

τ: updates until a task's skill reaches a tenth, searched in WATCHED_BUDGETS. r(run) = τ(as is)/τ(run).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean, median
from typing import Final

from mtctl.diagnosis.experiments import variations
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.report import Evidence, Experiment
from mtctl.diagnosis.thresholds import (
    CERTAIN_SKILL,
    FASTER,
    FEW_ROWS,
    HEART_UPDATES,
    HELD_BACK,
    KNOWN_BY_HEART,
    LEARNED,
    PATIENT_BUDGETS,
    PATIENT_UPDATES,
    USUAL_RATE,
    USUAL_RATE_OF_SGD,
    WATCHED_BUDGETS,
)
from mtctl.problems.supervised.interventions import RAW, Balanced, Intervention, Only, Rate, Standardised
from mtctl.problems.supervised.recipe import SupervisedRecipe

NEVER: Final = 10**9
"""Updates between two measurements of gradients where they are not needed."""


class OutOfTime(Exception):  # noqa: N818 - a reason, not a mistake
    """No new training may start."""


class Laboratory:
    """Makes experiments on one recipe with one seed.

    Args:
        recipe: as is; its epochs are the budget.
        seed: of all runs.
        joint: the run as is, trained for the budget.
        deadline: of `time.monotonic`, after which no run starts; None: there is none.
        say: gets a line about what is being done.
    """

    def __init__(
        self,
        recipe: SupervisedRecipe,
        seed: int,
        joint: Course,
        deadline: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.seed, self.joint = recipe, seed, joint
        self.budget = joint.updates
        self.experiments: list[Experiment] = []
        self.lost: set[str] = set()
        """Tasks that learned and lost it again: for them only what lasts for a budget counts."""
        self.told = False
        """Whether a cause of the whole run has been told."""
        self._deadline, self._say, self._what = deadline, say, ""
        self._courses: list[Course] = []
        self._pampered: dict[str, Course] = {}

    def watch(self, tasks: Sequence[str]) -> None:
        """Go on with the run as is until these tasks learn, or the budgets to watch it for are spent."""
        self._start(f"as is, up to {WATCHED_BUDGETS} budgets")
        epochs = WATCHED_BUDGETS * self.recipe.units
        self._train(self.joint, epochs, lambda course: all(course.steps(task) is not None for task in tasks))

    def as_is(self, task: str) -> float:
        """Return τ of the run as is; what was watched where it never came, or did not last."""
        found = self.steps(self.joint, task)
        return float(self.joint.updates) if found is None else found

    def steps(self, course: Course, task: str) -> float | None:
        """Return τ of a course; None if it did not come, or did not last where that is asked for."""
        return None if task in self.lost and not lasts(course, task) else course.steps(task)

    def skill(self, task: str) -> float:
        """Return a task's skill at the end of the budget, as is."""
        return self.joint.at(task, self.budget).skill

    def settled(self, task: str) -> float:
        """Return a task's skill at the end of the budget, as is, single dips apart."""
        return self.joint.settled(task, self.budget)

    def learned(self, task: str) -> bool:
        """Say whether a task is better than a constant at the end of the budget, beyond chance."""
        point = self.joint.at(task, self.budget)
        return point.skill >= max(LEARNED, CERTAIN_SKILL * point.error)

    def speedup(self, task: str, name: str, *interventions: Intervention) -> float:
        """Return r of a variation for a task; 1 for one that is not FASTER, or that changes nothing.

        A run is stopped once the task has learned, or once it cannot be FASTER any more. Variations that come
        to the same recipe share a run, and so do tasks.
        """
        found = next((one for one in self.experiments if (one.task, one.name) == (task, name)), None)
        if found is None:
            revised = self.varied(*interventions)
            if revised == self.recipe:
                return 1.0
            found = self._make(task, name, revised)
            self.experiments.append(found)
        speedup = found.speedup or 1.0
        return speedup if speedup >= FASTER else 1.0

    def _make(self, task: str, name: str, recipe: SupervisedRecipe) -> Experiment:
        self._start(name if task in name else f"{task}: {name}")
        course = self._course(recipe)
        epochs = self._epochs(course, self.as_is(task) / FASTER)
        lost = task in self.lost
        if lost or course.steps(task) is None:
            epochs = max(epochs, recipe.units) if lost else epochs
            self._train(course, epochs, lambda trained: not lost and trained.steps(task) is not None)
        return self._experiment(course, task, name)

    def _experiment(self, course: Course, task: str, name: str) -> Experiment:
        steps = self.steps(course, task)
        speedup = None if steps is None else self.as_is(task) / max(steps, 1.0)
        skill = course.at(task, self.budget).skill if course.updates >= self.budget else None
        return Experiment(name, task, steps, course.updates, speedup, skill)

    def _course(self, recipe: SupervisedRecipe) -> Course:
        """Return the course of a recipe: the one that is there, or a new one."""
        course = next((known for known in self._courses if known.recipe == recipe), None)
        if course is None:
            course = Course(recipe, self.seed, measure_every=NEVER)
            self._courses.append(course)
        return course

    def _epochs(self, course: Course, updates: float) -> int:
        """Return the epochs that so many updates take."""
        return max(1, int(-(-updates // (course.problem.planned_updates / course.recipe.units))))

    def reached(self, task: str, name: str, *interventions: Intervention) -> float:
        """Return a task's skill at the end of the budget with interventions."""
        recipe = self.varied(*interventions)
        if recipe == self.recipe:
            return self.settled(task)
        self._start(name if task in name else f"{task}: {name}")
        course = self._course(recipe)
        self._train(course, max(course.problem.units, self._epochs(course, self.budget)))
        experiment = self._experiment(course, task, name)
        self._keep(experiment)
        return course.settled(task, self.budget) if course.updates >= self.budget else -1.0

    def patient(self, task: str, enough: float, budgets: int = WATCHED_BUDGETS) -> float:
        """Return a task's best skill as is if it is watched for so many budgets, or until it is enough."""
        self._start(f"{task}: as is, up to {budgets} budgets")
        epochs = max(budgets * self.recipe.units, self.joint.problem.done)
        self._train(self.joint, epochs, lambda trained: trained.best(task) >= enough)
        return self.joint.best(task)

    def potential(self, task: str) -> float:
        """Return a task's best skill with all aids combined, within two budgets, or more of few updates."""
        name = f"{task}: all aids combined"
        self._start(name)
        course = self.pampered(task)
        best = self._reached_best(course, task, 1.0, max(PATIENT_UPDATES, 2 * self.budget))
        self._keep(self._experiment(course, task, name))
        return best

    def displaced(self, task: str, rows: int, enough: float) -> float:
        """Return the same where the task is asked for the targets of the rows so many places further on."""
        name = f"{task}: all aids combined, targets of the row {rows:+d}"
        self._start(name)
        course = Course(self.varied(*variations.shifted(task, rows)), self.seed, measure_every=NEVER)
        best = self._reached_best(course, task, enough, max(PATIENT_UPDATES // 2, self.budget))
        self._keep(self._experiment(course, task, name))
        return best

    def _reached_best(self, course: Course, task: str, enough: float, updates: int) -> float:
        epochs = self._epochs(course, updates)

        def over(trained: Course) -> bool:
            """Say whether the skill has fallen far below its best, as of rows that are known by heart."""
            return trained.best(task) - trained.settled(task) > HELD_BACK

        self._train(
            course,
            max(epochs, course.problem.done),
            lambda trained: (
                trained.best(task) >= enough or (trained.updates >= self.budget and over(trained))
            ),
        )
        return course.best(task)

    def at_its_best(self, task: str) -> Course:
        """Return the training with all aids combined, made again up to the task's best look."""
        self._start(f"{task}: all aids combined, up to its best")
        pampered = self.pampered(task)
        best = max(point.skill for point in pampered.points[task])
        course = Course(pampered.recipe, self.seed, measure_every=NEVER)
        self._train(course, pampered.problem.done, lambda trained: trained.points[task][-1].skill >= best)
        return course

    def learns_so_far(
        self, task: str, name: str, enough: float, updates: int, *changes: Intervention
    ) -> bool:
        """Say whether a task's skill is enough within so many updates with interventions."""
        self._start(name)
        course = self._course(self.varied(*changes))
        self._train(course, self._epochs(course, updates), lambda trained: trained.best(task) >= enough)
        self._keep(self._experiment(course, task, name))
        return course.best(task) >= enough

    def pampered(self, task: str) -> Course:
        """Return the training with everything done for a task, as far as it has come."""
        if task not in self._pampered:
            recipe = self.varied(*variations.pampered(task))
            self._pampered[task] = Course(recipe, self.seed, measure_every=NEVER)
        return self._pampered[task]

    def learns_within(self, task: str, name: str, updates: int, *interventions: Intervention) -> float | None:
        """Return τ with interventions; None where it is above so many updates."""
        self._start(name)
        course = self._course(self.varied(*interventions))
        self._train(course, self._epochs(course, updates), lambda trained: trained.steps(task) is not None)
        experiment = self._experiment(course, task, name)
        self._keep(experiment)
        return experiment.steps

    def _keep(self, experiment: Experiment) -> None:
        """Note an experiment in the place of an earlier look at it."""
        key = experiment.task, experiment.name
        self.experiments = [one for one in self.experiments if (one.task, one.name) != key]
        self.experiments.append(experiment)

    # ----- the variations that several causes ask for

    def varied(self, *interventions: Intervention) -> SupervisedRecipe:
        """Return the recipe with interventions."""
        return self.recipe.revised(self.recipe.changes(*self.joint.problem.applicable(*interventions)))

    def head_rate(self, task: str) -> float:
        """Return the rate of a task's head over the trunk's; 1 where groups have several."""
        problem = self.joint.problem
        head, trunk = ({id(p) for p in some} for some in (problem.head(task), problem.trunk()))
        rates: dict[bool, set[float]] = {True: set(), False: set()}
        for group in problem.optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) in head or id(parameter) in trunk:
                    rates[id(parameter) in head].add(float(group["lr"]))
        if not all(len(found) == 1 and min(found) > 0 for found in rates.values()):
            return 1.0
        return rates[True].pop() / rates[False].pop()

    @property
    def decays(self) -> bool:
        """Whether the optimizer decays weights."""
        return any(group.get("weight_decay") for group in self.joint.problem.optimizer.param_groups)

    def scale_free(self, task: str) -> bool:
        """Say whether a constant factor on all gradients changes no step, as with Adam."""
        return self.joint.problem.adam_step(task) is not None

    def standardised(self, task: str) -> float:
        """Return r with a standardised head."""
        return self.speedup(task, f"{task} standardised", Standardised((task,)))

    def alone(self, task: str) -> float:
        """Return r without the other tasks."""
        return self.speedup(task, f"{task} alone", *self.without_others(task))

    def both(self, task: str) -> float:
        """Return r without the other tasks and with a standardised head."""
        changes = *self.without_others(task), Standardised((task,))
        return self.speedup(task, f"{task} alone and standardised", *changes)

    def without_others(self, task: str, factor: float = 1.0) -> tuple[Intervention, ...]:
        """Return what leaves a task alone, at a multiple of its learning rate.

        Alone its loss has weight 1. Adam does not see a constant factor on a gradient; with SGD it is a part
        of the learning rate, so that the task gets the median of the others' multipliers: what the run was
        made for.
        """
        if not self.scale_free(task):
            others = [self.joint.signal("own_weight", one) for one in self.joint.problem.tasks if one != task]
            factor *= median([weight for weight in others if weight] or [1.0])
        return Only((task,)), RAW, *(() if factor == 1 else (Rate(factor),))

    def equal(self, task: str) -> Balanced:
        """Return what gives the tasks equal shares of the trunk's gradient, of as long an update as is."""
        lengths = [
            (self.joint.signal("own_weight", one) or 1.0) * (self.joint.signal("gradient_norm", one) or 0.0)
            for one in self.joint.problem.tasks
        ]
        length = 1.0 if self.scale_free(task) else sum(lengths)
        return variations.equalised(length if length > 0 else 1.0)

    def rates(self, factors: Sequence[float]) -> list[float]:
        """Return factors on the learning rate, and the one to a usual rate where that is beyond them."""
        problem = self.joint.problem
        adam = any(self.scale_free(task) for task in problem.tasks)
        usual = (USUAL_RATE if adam else USUAL_RATE_OF_SGD) / problem.rate
        beyond = usual > 2 * max(factors) or usual < min(factors) / 2
        return [*factors, usual] if beyond else list(factors)

    def patiently(self, task: str) -> Experiment:
        """Train with everything done for a task, for far longer than the budget, until it learns.

        Alone, standardised, without dropout, three times as fast with a clipped gradient.
        """
        name = f"{task}: all aids combined"
        self._start(name)
        course = self.pampered(task)
        updates = max(PATIENT_UPDATES, PATIENT_BUDGETS * self.budget)
        epochs = self._epochs(course, updates)
        self._train(course, epochs, lambda trained: lasts(trained, task) and _twice(trained, task))
        experiment = self._experiment(course, task, name)
        if not lasts(course, task):
            experiment = replace(experiment, steps=None, speedup=None)
        self.experiments.append(experiment)
        return experiment

    def noise(self, task: str) -> float:
        """Return the standard error of a task's skill as is over the rows that it is scored on.

        Row by row it is the gain over the constant: how hard a row is, is in both losses.
        """
        problem = self.joint.problem
        constant = problem.constant_losses("monitor")[task].double()
        losses = problem.answers("monitor").losses(task)
        return float(((constant - losses) / constant.mean()).std()) / sqrt(len(losses))

    def by_heart(self, task: str, rows: int = FEW_ROWS) -> float | None:
        """Return the training loss over the best constant's after learning a few rows by heart.

        None where outputs are not known, so that there is no best constant.
        """
        if not self.joint.problem.answers("monitor", 1).apart:
            return None
        name = f"{task}: memorising {rows} {self.joint.problem.item}s"
        self._start(name)
        recipe = self.varied(*variations.by_heart(task, rows)).lasting(HEART_UPDATES)
        course = Course(recipe, self.seed, measure_every=NEVER, watched=False)
        self._train(course, HEART_UPDATES, lambda trained: _left(trained, task) < KNOWN_BY_HEART / 2)
        return _left(course, task)

    def _start(self, what: str) -> None:
        self._what = what
        if self._late():
            raise OutOfTime(what)
        self._say(f"experiment: {what}")

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _train(self, course: Course, epochs: int, enough: Callable[[Course], bool] = lambda _: False) -> None:
        """Go on with a course until it is enough; give up at the end of the epoch in which time runs out."""
        course.run(epochs, lambda trained: enough(trained) or self._late())
        if self._late() and course.problem.done < epochs and course.diverged is None and not enough(course):
            raise OutOfTime(self._what)

    # ----- figures

    def evidence(self, task: str, name: str, speedup: float) -> Evidence:
        """Return a speed-up as a figure."""
        as_is = self.steps(self.joint, task)
        against = (
            f"as is: {as_is:.0f} updates"
            if as_is is not None
            else f"as is: not within {self.joint.updates} updates"
        )
        return Evidence(f"speed-up {name}", speedup, "×", against)

    def times(self, task: str, speedup: float) -> str:
        """Return a speed-up in words: "2.3 times"; "at least …" where the run as is never got there."""
        bound = "at least " if self.steps(self.joint, task) is None else ""
        return f"{bound}{speedup:.1f} times"

    def worst(self, task: str) -> float:
        """Return the highest training loss of an epoch, relative to the start's or the constant's."""
        start = max(1.0, 1 - self.joint.points[task][0].skill)
        return max(self.joint.relatives(task), default=start) / start


def lasts(course: Course, task: str) -> bool:
    """Say whether a task that has learned goes on to be better than a constant, single looks apart."""
    start = course.steps(task)
    since = [point.skill for point in course.points[task] if start is not None and point.updates >= start]
    return bool(since) and median(since) >= LEARNED


def _twice(course: Course, task: str) -> bool:
    """Say whether the last two looks at a task both found it better than a constant: one may be chance."""
    return all(point.skill >= LEARNED for point in course.points[task][-2:])


def _left(course: Course, task: str) -> float:
    """Return the mean of the last training losses, relative to the best constant's: one alone is noise."""
    found = course.relatives(task)[-3:]
    return fmean(found) if found and course.diverged is None else float("inf")
