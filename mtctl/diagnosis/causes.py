"""Why a task does not learn, decided by experiment.

Everything is compared by τ, the updates until a task's skill reaches a tenth, searched up to four times the budget.
The core is a 2 × 2 counterfactual, {joint, alone} × {as is, standardised}; all four share seed, data, initial
weights and order. With the speed-up r(run) = τ(as is)/τ(run), and 1 for runs that are not twice as fast,

    multiplier-dominance   r(alone) ≥ 2 or r(both)/r(standardised) ≥ 2: the others' end makes the difference
    target-out-of-reach    r(standardised) ≥ 2 or r(both)/r(alone) ≥ 2: the unit makes the difference
    conflict               in place of dominance where equal shares of the trunk's gradient do not help either

and if none of the three is twice as fast, the task is its own problem:

    learning-rate          another one helps
    budget-too-small       a somewhat higher one does, or there are hardly any updates at all
    unlearnable            a few windows are learned by heart, and nothing that holds on others
    dead-head              not even those

Only the runs that the next line needs are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mtctl.diagnosis import variations
from mtctl.diagnosis.course import LEARNED, Course
from mtctl.diagnosis.report import Check, Confidence, Evidence, Experiment, Finding
from mtctl.recipes.recipe import WindowsRecipe

WATCHED: Final = 4
"""Budgets that the run as is is watched for: a task that needs longer is not helped by patience alone."""
FASTER: Final = 2.0
"""Speed-up that counts: τ of equal runs with different seeds varies by less than a factor of 1.6."""
SLOW: Final = 1.5
"""Budgets within which a task that learns is only slow."""
FEW_UPDATES: Final = 100
"""Updates in all, four budgets, below which no experiment tells anything but that they are few."""
RATES: Final = (3.0, 30.0, 0.3, 0.03)
"""Factors on the learning rate that are tried."""
HEART_UPDATES: Final = 400
"""Updates to learn a few windows by heart: 200 have been too few for class labels."""
KNOWN_BY_HEART: Final = 0.5
"""Training loss relative to the best constant's below which windows are known by heart."""


class OutOfTime(Exception):  # noqa: N818 - a reason, not a mistake
    """No new training may start."""


class Laboratory:
    """Makes experiments on one recipe with one seed, each once.

    Args:
        recipe: as is; its epochs are the budget.
        seed: of all runs.
        joint: the run as is, trained for the budget.
        deadline: of `time.monotonic`, after which no run starts; None: there is none.
        say: gets a line about what is being done.
    """

    def __init__(
        self,
        recipe: WindowsRecipe,
        seed: int,
        joint: Course,
        deadline: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.seed, self.joint = recipe, seed, joint
        self.budget = joint.updates
        self.experiments: list[Experiment] = []
        self._deadline, self._say = deadline, say

    def watch(self, tasks: Sequence[str]) -> None:
        """Go on with the run as is until these tasks learn, or four budgets are spent."""
        self._start(f"as is, up to {WATCHED} budgets")
        epochs = WATCHED * self.recipe.training.epochs
        self.joint.run(epochs, lambda course: all(course.steps(task) is not None for task in tasks))

    def as_is(self, task: str) -> float:
        """Return τ of the run as is; what was watched where it never came."""
        found = self.joint.steps(task)
        return float(self.joint.updates) if found is None else found

    def speedup(self, task: str, name: str, overrides: Sequence[str]) -> float:
        """Return r of a variation; 1 for one that is not FASTER.

        A run is stopped once it has learned, or once it cannot be twice as fast any more.
        """
        experiment = next((one for one in self.experiments if (one.task, one.name) == (task, name)), None)
        if experiment is None:
            experiment = self._make(task, name, overrides)
            self.experiments.append(experiment)
        speedup = experiment.speedup or 1.0
        return speedup if speedup >= FASTER else 1.0

    def _make(self, task: str, name: str, overrides: Sequence[str]) -> Experiment:
        self._start(name)
        reference = self.as_is(task)
        course = Course(variations.varied(self.recipe, overrides), self.seed, measure_every=NEVER)
        per_epoch = self.budget / self.recipe.training.epochs
        epochs = max(1, -(-int(reference / FASTER) // max(1, int(per_epoch))))
        course.run(epochs, lambda one: one.steps(task) is not None)
        steps = course.steps(task)
        return Experiment(
            name,
            task,
            steps,
            course.updates,
            None if steps is None else reference / max(steps, 1.0),
            course.at(task, max(self.budget, 0)).skill,
        )

    def by_heart(self, task: str) -> float:
        """Return the training loss, relative to the best constant's, after learning a few windows by heart."""
        name = f"{task}: {variations.FEW_WINDOWS} windows by heart"
        self._start(name)
        overrides = [*variations.by_heart(self.recipe, task), f"training.epochs={HEART_UPDATES}"]
        course = Course(
            variations.varied(self.recipe, overrides), self.seed, measure_every=NEVER, watched=False
        )
        course.run(HEART_UPDATES, lambda one: (one.relative(task) or 1.0) < KNOWN_BY_HEART / 2)
        return course.relative(task) or float("inf")

    def _start(self, what: str) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTime(what)
        self._say(f"experiment: {what}")


NEVER: Final = 10**9
"""Updates between two measurements of gradients where they are not needed."""


def decide(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return why a task does not learn: one cause, or two; the more effective first."""
    if WATCHED * laboratory.budget < FEW_UPDATES:
        return [_few(laboratory, task, "likely")]
    recipe = laboratory.recipe
    unit = laboratory.speedup(task, f"{task} standardised", variations.standardised(recipe, task))
    if len(recipe.problem.tasks) == 1:
        return [_reach(laboratory, task, unit)] if unit >= FASTER else [_of_itself(laboratory, task)]
    alone = laboratory.speedup(task, f"{task} alone", variations.alone(task))
    overrides = [*variations.alone(task), *variations.standardised(recipe, task)]
    both = laboratory.speedup(task, f"{task} alone and standardised", overrides)
    found = []
    if (effect := max(alone, both / unit)) >= FASTER:
        found.append((effect, _of_others(laboratory, task, alone, both)))
    if (effect := max(unit, both / alone)) >= FASTER:
        found.append((effect, _reach(laboratory, task, effect, beside=unit < FASTER)))
    found.sort(key=lambda one: one[0], reverse=True)
    return [finding for _, finding in found] or [_of_itself(laboratory, task)]


def _of_others(laboratory: Laboratory, task: str, alone: float, both: float) -> Finding:
    """Tell dominance from conflict: the task learns without the others."""
    if alone < FASTER:
        return _dominance(laboratory, task, both, None, beside=True)
    unit = laboratory.speedup(task, f"{task} standardised", ())
    equal = laboratory.speedup(task, f"{task} with equal gradient shares", variations.equalised())
    if equal >= FASTER or unit >= FASTER:
        return _dominance(laboratory, task, alone, equal)
    return _finding(
        "conflict",
        task,
        f"{task} learns alone and not beside the others, and equal shares of the trunk's gradient do not help: "
        "the tasks pull the same parameters in opposite directions",
        _speed(laboratory, task, "alone", alone),
        _speed(laboratory, task, "with equal gradient shares", equal),
    )


def _of_itself(laboratory: Laboratory, task: str) -> Finding:
    """Name what keeps a task from learning that learns in no company."""
    recipe = laboratory.recipe
    tried = []
    for factor in RATES:
        r = laboratory.speedup(
            task,
            f"{task} alone, learning rate × {factor:g}",
            [*variations.alone(task), *variations.learning_rate(recipe, factor)],
        )
        tried.append(Evidence(f"speed-up with {factor:g} × the learning rate", r))
        if r >= FASTER and factor == min(RATES, key=lambda one: abs(one - 3)):
            return _few(laboratory, task, "measured", *tried)
        if r >= FASTER:
            word = "low" if factor > 1 else "high"
            return _finding(
                "learning-rate",
                task,
                f"the learning rate is too {word} for {task}: {factor:g} times as much learns",
                *tried,
            )
    left = laboratory.by_heart(task)
    fact = Evidence(
        f"training loss of {variations.FEW_WINDOWS} windows, relative to the best constant",
        left,
        "",
        f"known by heart below {KNOWN_BY_HEART:g}",
    )
    if left < KNOWN_BY_HEART:
        return _finding(
            "unlearnable",
            task,
            f"{task} learns a few windows by heart and nothing that holds on others, in any company and at any "
            "learning rate: its targets do not follow from these inputs",
            fact,
            *tried,
        )
    return _finding(
        "dead-head",
        task,
        f"{task} does not even learn {variations.FEW_WINDOWS} windows by heart: its head is stuck",
        fact,
        *tried,
    )


def _few(laboratory: Laboratory, task: str, confidence: Confidence, *evidence: Evidence) -> Finding:
    return Finding(
        "budget-too-small",
        task,
        "warning",
        confidence,
        f"{laboratory.budget} updates are too few for {task}: nothing but more of them, or longer ones, gets it further",
        (Evidence("updates in the budget", laboratory.budget), *evidence),
    )


def _reach(laboratory: Laboratory, task: str, effect: float, *, beside: bool = False) -> Finding:
    evidence = [_speed(laboratory, task, "standardised" + (", once alone" if beside else ""), effect)]
    if (reach := laboratory.joint.signal("reach", task)) is not None:
        evidence.append(
            Evidence("distance of the targets over what the optimizer can move the head", reach, "×")
        )
    return _finding(
        "target-out-of-reach",
        task,
        f"the {task} head has to travel further than its steps take it: in units of the target's spread, starting at "
        f"the best constant, it learns {effect:.1f} times as fast" + (" once it is alone" if beside else ""),
        *evidence,
    )


def _dominance(
    laboratory: Laboratory, task: str, effect: float, equal: float | None, *, beside: bool = False
) -> Finding:
    joint = laboratory.joint
    evidence = [_speed(laboratory, task, "alone" + (", once standardised" if beside else ""), effect)]
    if equal is not None:
        evidence.append(_speed(laboratory, task, "with equal gradient shares", equal))
    if (share := joint.signal("gradient_share", task)) is not None:
        evidence.append(Evidence("share of the trunk's gradient", 100 * share, "%"))
    if (multiplier := joint.signal("own_weight", task)) is not None:
        largest = max(joint.signal("own_weight", one) or 0.0 for one in joint.problem.tasks)
        evidence.append(Evidence("multiplier ∂total/∂loss", multiplier, "", f"largest {largest:.4g}"))
    return _finding(
        "multiplier-dominance",
        task,
        f"the other tasks' gradients drown {task} in the trunk: without them it learns {effect:.1f} times as fast"
        + (" once it is standardised" if beside else ""),
        *evidence,
    )


def _speed(laboratory: Laboratory, task: str, name: str, speedup: float) -> Evidence:
    as_is = laboratory.joint.steps(task)
    against = (
        f"as is {as_is:.0f} updates"
        if as_is is not None
        else f"as is not within {laboratory.joint.updates} updates"
    )
    return Evidence(f"speed-up {name}", speedup, "×", against)


def _finding(code: str, task: str, summary: str, *evidence: Evidence) -> Finding:
    return Finding(code, task, "error", "measured", summary, evidence)


def suspects(laboratory: Laboratory, tasks: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """Return the tasks that do not learn, those that moved least first, and findings on those that are only slow."""
    late = [task for task in tasks if laboratory.joint.at(task, laboratory.budget).skill < LEARNED]
    if not late:
        return [], []
    laboratory.watch(late)
    slow = [
        task
        for task in late
        if laboratory.as_is(task) <= SLOW * laboratory.budget and laboratory.joint.steps(task) is not None
    ]
    stuck = sorted((task for task in late if task not in slow), key=lambda task: _moved(laboratory, task))
    return stuck, [_slow(laboratory, task) for task in slow]


def _moved(laboratory: Laboratory, task: str) -> float:
    first, last = laboratory.joint.points[task][0], laboratory.joint.at(task, laboratory.budget)
    return 1 - last.loss / first.loss


def _slow(laboratory: Laboratory, task: str) -> Finding:
    steps = laboratory.as_is(task)
    return Finding(
        "slow",
        task,
        "info",
        "measured",
        f"{task} learns, and needs {steps:.0f} updates to get a tenth better than a constant: the budget has {laboratory.budget}",
        (Evidence("updates to skill 10 %", steps, "", f"budget {laboratory.budget}"),),
    )


def unrun(task: str, reason: str) -> Iterator[Check]:
    """Say of a task's experiments that they were not made."""
    yield Check(f"experiments on {task}", "not_run", reason)
