"""The whole of a diagnosis: wiring, the run as is, causes by experiment, remedies by trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mtctl.diagnosis import causes, remedies, variations, wiring
from mtctl.diagnosis.causes import Laboratory, OutOfTime
from mtctl.diagnosis.course import LEARNED, Course
from mtctl.diagnosis.remedies import Crew, Result
from mtctl.diagnosis.report import (
    Check,
    Diagnosis,
    Evidence,
    Finding,
    State,
    Subject,
    Symptom,
    TaskState,
    Trial,
)
from mtctl.engine.processor import use_one_thread
from mtctl.errors import MtctlError
from mtctl.problems.windows.problem import Windows
from mtctl.recipes.recipe import LanderRecipe, Recipe, WindowsRecipe

FLAT: Final = 0.01
"""Relative change of a loss that counts as none; documented."""
IMPROVING: Final = 0.20
"""Relative improvement that counts as learning in the documented check."""
AT_FLOOR: Final = 0.5
"""Skill from which a task that does not move any more has arrived."""
MEASURED: Final = 6
"""Measurements of gradients over the budget: enough for a mean, at about the cost of the training itself."""
_SILENT: Callable[[str], None] = lambda _: None  # noqa: E731 - a default that does nothing


def diagnose_recipe(
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    verify: bool,
    task: str | None = None,
    jobs: int = 1,
    seconds: float | None = None,
    say: Callable[[str], None] = _SILENT,
) -> Diagnosis:
    """Find out why tasks of a recipe do not learn within its budget, and prove which remedy helps.

    Args:
        recipe: its units of training are the budget.
        seeds: experiments use the first, remedies and states are means over all.
        verify: whether to train remedies.
        task: the task to examine, whatever the others do; the one that moved least if left out.
        jobs: processes for the remedies.
        seconds: after which no new experiment or remedy is begun.
        say: gets a line about what is being done.

    Raises:
        MtctlError: the recipe has no such task; its data cannot be read; …
    """
    use_one_thread()
    if task is not None and task not in recipe.problem.tasks:
        raise MtctlError(
            f"--task {task}: no task of {recipe.name}", hint=f"its tasks: {', '.join(recipe.problem.tasks)}"
        )
    match recipe:
        case WindowsRecipe():
            return _Windows(recipe, seeds, task, jobs, seconds, say).diagnose(verify=verify)
        case LanderRecipe():
            from mtctl.diagnosis.lander import diagnose_lander  # noqa: PLC0415 - Box2D is for lander recipes only

            return diagnose_lander(recipe, seeds=seeds, seconds=seconds, say=say)
        case _:
            raise TypeError(f"a {type(recipe).__name__} cannot be diagnosed")


class _Windows:
    """Diagnoses a recipe of the windows problem."""

    def __init__(
        self,
        recipe: WindowsRecipe,
        seeds: Sequence[int],
        task: str | None,
        jobs: int,
        seconds: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._recipe, self._seeds, self._task, self._say = recipe, tuple(seeds), task, say
        self._jobs = jobs
        self._began = time.monotonic()
        self._deadline = None if seconds is None else self._began + seconds
        self._findings: list[Finding] = []
        self._checks: list[Check] = []
        self._notes: list[str] = []

    def diagnose(self, *, verify: bool) -> Diagnosis:
        """Return the diagnosis."""
        recipe, seed = self._recipe, self._seeds[0]
        self._say("wiring")
        self._findings, self._checks = wiring.examine(
            Windows(recipe.problem, recipe.model, recipe.training, seed)
        )
        unusable = {finding.task for finding in self._findings if finding.code == "bad-targets"}
        self._say("training as is")
        joint = Course(recipe, seed, measure_every=self._interval())
        joint.run(recipe.training.epochs)
        laboratory = Laboratory(recipe, seed, joint, self._deadline, self._say)
        measured = {task: one.measures for task, one in joint.problem.evaluate(None, "monitor").items()}
        stuck: list[str] = []
        if joint.diverged is not None or any(map(joint.spiked, set(recipe.problem.tasks) - unusable)):
            self._diverged(laboratory)
        else:
            stuck = self._examine(laboratory)
        trials: tuple[Trial, ...] = ()
        if stuck:
            self._reduction(laboratory, stuck[0])
            trials = self._remedies(stuck[0], verify=verify)
        return self._report(laboratory, stuck, trials, measured)

    def _interval(self) -> int:
        batches = -(-(self._recipe.problem.training_windows or 1000) // self._recipe.training.batch_size)
        return max(1, self._recipe.training.epochs * batches // MEASURED)

    # ----- what does not learn, and why

    def _examine(self, laboratory: Laboratory) -> list[str]:
        """Examine the tasks that do not learn; return those that are stuck, the worst first."""
        joint, known = laboratory.joint, {finding.task for finding in self._findings}
        tasks = [task for task in joint.problem.tasks if task not in known]
        self._look_at_inputs(joint, tasks, laboratory.budget)
        try:
            stuck, slow = causes.suspects(laboratory, tasks)
        except OutOfTime as reason:
            self._checks.append(Check("experiments", "not_run", f"no time left for: {reason}"))
            return []
        self._findings += slow
        wanted = [self._task] if self._task else stuck
        for task in wanted:
            if task in known:
                continue
            try:
                self._findings += causes.decide(laboratory, task)
            except OutOfTime as reason:
                self._checks.append(Check(f"causes of {task}", "not_run", f"no time left for: {reason}"))
        self._checks.append(
            Check("every task gets better than a constant", "found" if stuck else "passed", ", ".join(stuck))
        )
        broken = [task for task in joint.problem.tasks if task in known and task not in stuck]
        return wanted or [task for task in broken if joint.at(task, laboratory.budget).skill < LEARNED]

    def _look_at_inputs(self, joint: Course, tasks: Sequence[str], budget: int) -> None:
        """Tell a task that learned from the prices from one that learned to do without them."""
        ignoring = []
        for task in tasks:
            if joint.at(task, budget).skill < LEARNED:
                continue
            change = wiring.ignores_input(joint.problem, task)
            if change < wiring.IGNORED:
                ignoring.append(task)
                self._findings.append(
                    Finding(
                        "ignores-input",
                        task,
                        "error",
                        "measured",
                        f"{task} is better than a constant and does not look at its inputs: other windows' prices "
                        "give the same loss",
                        (
                            Evidence(
                                "change of the loss with other inputs",
                                100 * change,
                                "%",
                                f"below {wiring.IGNORED:.0%}",
                            ),
                        ),
                    )
                )
            elif self._flat(joint, task, budget) and joint.at(task, budget).skill >= AT_FLOOR:
                self._findings.append(
                    Finding(
                        "at-noise-floor",
                        task,
                        "info",
                        "measured",
                        f"{task} does not move because it has arrived",
                        (Evidence("skill", 100 * joint.at(task, budget).skill, "%"),),
                    )
                )
        self._checks.append(Check("tasks that learn look at their inputs", "found" if ignoring else "passed"))

    @staticmethod
    def _flat(joint: Course, task: str, budget: int) -> bool:
        first, last = joint.points[task][0].loss, joint.at(task, budget).loss
        return abs(last / first - 1) < FLAT

    def _diverged(self, laboratory: Laboratory) -> None:
        joint = laboratory.joint
        name = (
            joint.diverged.task if joint.diverged else next(t for t in joint.problem.tasks if joint.spiked(t))
        )
        if any(finding.task == name and finding.code == "bad-targets" for finding in self._findings):
            self._checks.append(
                Check("experiments", "not_run", f"{name} has no usable targets: mend these first")
            )
            return
        found = (
            f"{joint.diverged.message}" if joint.diverged else f"{name}'s loss rose far above where it began"
        )
        evidence = []
        for factor in (0.1, 0.01, 0.001):
            overrides = variations.learning_rate(self._recipe, factor)
            self._say(f"experiment: learning rate × {factor:g}")
            course = Course(variations.varied(self._recipe, overrides), laboratory.seed, causes.NEVER)
            course.run(self._recipe.training.epochs)
            calm = course.diverged is None and not any(map(course.spiked, course.problem.tasks))
            evidence.append(
                Evidence(f"with {factor:g} × the learning rate", "trains" if calm else "diverges too")
            )
            if calm:
                summary = f"{found}; a learning rate of {self._recipe.training.lr * factor:g} trains"
                self._findings.append(
                    Finding("learning-rate", name, "error", "measured", summary, tuple(evidence))
                )
                return
        self._findings.append(Finding("diverged", name, "error", "measured", found, tuple(evidence)))

    def _reduction(self, laboratory: Laboratory, task: str) -> None:
        """Test the documented story: that the mean over a task's outputs is what starves it."""
        if variations.OUTPUTS[task] == 1 or (
            self._deadline is not None and time.monotonic() > self._deadline
        ):
            return
        self._say(f"experiment: {task} summed over its outputs")
        recipe, joint = self._recipe, laboratory.joint
        course = Course(
            variations.varied(recipe, variations.summed(recipe, task)), laboratory.seed, causes.NEVER
        ).run(recipe.training.epochs)
        if course.diverged is not None:
            return
        mean, total = joint.at(task, laboratory.budget), course.at(task, laboratory.budget)
        change = (mean.loss - total.loss) / mean.loss
        elements = variations.OUTPUTS[task]
        evidence = (
            Evidence("validation loss with the mean", mean.loss),
            Evidence(
                f"validation loss with the sum over {elements} outputs",
                total.loss,
                "",
                f"{-100 * change:+.2f} %",
            ),
        )
        if abs(change) < FLAT:
            self._notes.append(
                f"the documented story does not hold here: summing {task}'s loss over its {elements} outputs instead of "
                f"taking the mean changes the result by {-100 * change:+.3f} %"
                + (
                    ""
                    if variations.is_plain(recipe)
                    else ", because the normaliser divides any constant out again"
                )
            )
            return
        if total.skill >= LEARNED > mean.skill:
            self._findings.append(
                Finding(
                    "reduction-bias",
                    task,
                    "warning",
                    "measured",
                    f"the mean over {elements} outputs keeps {task}'s loss too small beside the others: summed, it learns",
                    evidence,
                )
            )

    # ----- what helps

    def _remedies(self, task: str, *, verify: bool) -> tuple[Trial, ...]:
        candidates = variations.remedies(self._recipe, task)
        if not verify:
            names = ", ".join(remedy.title for remedy in candidates)
            self._checks.append(Check("remedies", "not_run", f"--no-verify; candidates: {names}"))
            return ()
        with Crew(self._jobs) as crew:
            self._say("as is, every seed")
            self._as_is = crew.train(self._recipe, self._seeds)
            trials, skipped = remedies.verify(
                self._recipe,
                task,
                candidates,
                self._seeds,
                as_is=self._as_is,
                crew=crew,
                deadline=self._deadline,
                say=self._say,
            )
        self._checks += skipped
        return tuple(trials)

    # ----- the report

    _as_is: Sequence[Result] = ()

    def _report(
        self,
        laboratory: Laboratory,
        stuck: Sequence[str],
        trials: tuple[Trial, ...],
        measured: Mapping[str, Mapping[str, float]],
    ) -> Diagnosis:
        recipe, joint = self._recipe, laboratory.joint
        tasks = joint.problem.tasks
        states = tuple(_state(joint, task, laboratory.budget, measured[task]) for task in tasks)
        names = (
            "own_weight",
            "gradient_norm",
            "gradient_share",
            "own_gradient_norm",
            "own_update",
            "reach",
            "relative_loss",
            "dead_units",
        )
        severity = {"error": 0, "warning": 1, "info": 2}
        return Diagnosis(
            subject=Subject(
                "recipe",
                recipe.name,
                "windows",
                "epoch",
                recipe.training.epochs,
                laboratory.budget,
                self._seeds,
                tasks,
            ),
            states=states,
            symptom=_symptom(states, laboratory.budget),
            signals={name: {task: joint.signal(name, task) for task in tasks} for name in names},
            findings=tuple(sorted(self._findings, key=lambda one: severity[one.severity])),
            checks=tuple(self._checks),
            experiments=tuple(laboratory.experiments),
            trials=trials,
            stuck=stuck[0] if stuck else None,
            notes=tuple(self._notes),
            seconds=time.monotonic() - self._began,
        )


def _state(joint: Course, task: str, budget: int, measures: Mapping[str, float]) -> TaskState:
    points = [point for point in joint.points[task] if point.updates <= budget]
    first, last = points[0], points[-1]
    change = last.loss / first.loss - 1
    return TaskState(
        task,
        _name(change, last.skill, diverged=joint.diverged is not None and joint.diverged.task == task),
        first.loss,
        last.loss,
        change,
        constant=first.loss / (1 - first.skill),
        skill=last.skill,
        steps=joint.steps(task),
        trend=_trend([point.loss for point in points]),
        measures=measures,
    )


def _name(change: float, skill: float, *, diverged: bool) -> State:
    if diverged:
        return "diverged"
    if skill >= AT_FLOOR and abs(change) < FLAT:
        return "at_floor"
    if skill >= LEARNED:
        return "learns"
    return "flat" if abs(change) < FLAT else "slow"


def _trend(losses: Sequence[float]) -> float | None:
    """Return the relative change over the last third."""
    third = len(losses) // 3
    if not third:
        return None
    return losses[-1] / losses[-1 - third] - 1


def _symptom(states: Sequence[TaskState], updates: int) -> Symptom:
    flat = tuple(one.task for one in states if abs(one.change) < FLAT)
    improving = tuple(one.task for one in states if one.change < -IMPROVING)
    return Symptom(bool(flat and improving), flat, improving, updates)
