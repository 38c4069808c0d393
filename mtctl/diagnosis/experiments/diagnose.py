"""The whole of a diagnosis: wiring, the run as is, causes by experiment, remedies by trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.experiments import (
    causes,
    conflicts,
    divergence,
    inputs,
    potential,
    reduction,
    remedies,
    states,
    variations,
    wiring,
)
from mtctl.diagnosis.experiments.causes import Laboratory, OutOfTime
from mtctl.diagnosis.experiments.course import Course, supervised
from mtctl.diagnosis.plan import OUT_OF_TIME, Announce, Plan, unannounced
from mtctl.diagnosis.players.diagnose import diagnose_player
from mtctl.diagnosis.records.losses import symptom
from mtctl.diagnosis.report import (
    Check,
    Diagnosis,
    Experiment,
    Finding,
    Remedy,
    Subject,
    TaskState,
    Trial,
)
from mtctl.diagnosis.thresholds import (
    GRADIENT_MEASUREMENTS,
    LEARNED,
    WATCHED_BUDGETS,
)
from mtctl.errors import MtctlError
from mtctl.problems.code import pinned
from mtctl.problems.kinds import code_of, kind_of
from mtctl.problems.recipe import Recipe
from mtctl.problems.supervised.problem import Supervised
from mtctl.problems.supervised.recipe import SupervisedRecipe

_SILENT: Callable[[str], None] = lambda _: None  # noqa: E731 - a default that does nothing


def diagnose_recipe(
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    verify: bool,
    task: str | None = None,
    jobs: int = 1,
    seconds: float | None = None,
    shortened: bool = False,
    say: Callable[[str], None] = _SILENT,
    announce: Announce = unannounced,
) -> Diagnosis:
    """Find out why tasks of a recipe do not learn within its budget, and prove which remedy helps.

    Args:
        recipe: its units of training are the budget.
        seeds: experiments use the first, remedies and states are means over all.
        verify: whether to train remedies.
        task: the task to examine, whatever the others do; the one that moved least if left out.
        jobs: processes for the remedies.
        seconds: after which no new experiment or remedy is begun.
        shortened: whether its own length is a greater one: of what is played, that it needs longer says
            nothing then.
        say: gets a line about what is being done.
        announce: gets what is still to come, as soon as it is known.

    Raises:
        MtctlError: the recipe has no such task; its data cannot be read; …
    """
    if task is not None and task not in recipe.scored:
        raise MtctlError(
            f"--task {task}: {recipe.name} has no such task", hint=f"its tasks: {', '.join(recipe.scored)}"
        )
    with pinned(code_of(recipe)):
        if not isinstance(recipe, SupervisedRecipe):
            playing = kind_of(recipe).playing
            assert playing is not None
            return diagnose_player(
                recipe,
                playing(),
                seeds=seeds,
                verify=verify,
                task=task,
                jobs=jobs,
                seconds=seconds,
                shortened=shortened,
                say=say,
                announce=announce,
            )
        return _Experiments(recipe, seeds, task, jobs, seconds, say, announce).diagnose(verify=verify)


class _Experiments:
    """Diagnoses a supervised recipe by training variations of it."""

    def __init__(
        self,
        recipe: SupervisedRecipe,
        seeds: Sequence[int],
        task: str | None,
        jobs: int,
        seconds: float | None,
        say: Callable[[str], None],
        announce: Announce,
    ) -> None:
        self._recipe, self._seeds, self._task, self._say = recipe, tuple(seeds), task, say
        self._jobs, self._announce = jobs, announce
        self._verify, self._training = False, 0.0
        self._began = time.monotonic()
        self._deadline = None if seconds is None else self._began + seconds
        self._findings: list[Finding] = []
        self._checks: list[Check] = []
        self._notes: list[str] = []
        self._smallest: Trial | None = None

    def diagnose(self, *, verify: bool) -> Diagnosis:
        """Return the diagnosis."""
        recipe, seed, self._verify = self._recipe, self._seeds[0], verify
        self._say("wiring")
        fresh = supervised(recipe, seed)
        self._notes += _unpaired(fresh, supervised(recipe, seed))
        self._findings, self._checks = wiring.examine(fresh)
        self._recipe = recipe = self._usable()
        self._say("training as is")
        started = time.monotonic()
        joint = Course(recipe, seed, measure_every=max(1, fresh.planned_updates // GRADIENT_MEASUREMENTS))
        joint.run(recipe.units, lambda _: self._late())
        self._training = time.monotonic() - started
        if joint.problem.done < recipe.units and joint.diverged is None:
            rest = f"stopped after {joint.problem.done} of {recipe.units} {joint.problem.unit}s"
            self._checks.append(Check("the rest of the budget", "not_run", rest))
        laboratory = Laboratory(recipe, seed, joint, self._deadline, self._say)
        measured = {task: one.measures for task, one in joint.problem.evaluate(None, "monitor").items()}
        culprit = divergence.diverged(joint)
        angles = None if culprit else conflicts.measure(joint.problem, seed)
        stuck = [] if culprit and self._diverged(joint, culprit) else self._examine(laboratory)
        trials: tuple[Trial, ...] = ()
        if stuck:
            self._reduction(joint, laboratory.budget)
            trials = self._remedies(joint.problem, stuck[0], verify=verify)
            self._put_into_proportion(trials)
        if angles is not None and len(joint.problem.tasks) > 1:
            self._checks.append(conflicts.check(angles))
        return self._report(laboratory, stuck, trials, measured)

    # ----- what does not learn, and why

    def _usable(self) -> SupervisedRecipe:
        """Return the recipe without the tasks that have no usable targets, unless none is left."""
        without = [found.task for found in self._findings if found.code == Code.BAD_TARGETS and found.task]
        if not without or set(without) == set(self._recipe.problem.tasks):
            return self._recipe
        text = "its targets are unusable: repair them first; the other tasks were examined without it"
        self._checks += [Check(f"causes of {task}", "not_run", text) for task in without]
        return self._recipe.without(without)

    def _diverged(self, joint: Course, task: str) -> bool:
        """Say why a run diverged; return whether that is all there is to say."""
        if any((found.task, found.code) == (task, Code.BAD_TARGETS) for found in self._findings):
            self._checks.append(
                Check("experiments", "not_run", f"{task}'s targets are unusable: repair them first")
            )
            return True
        if (finding := divergence.examine(self._recipe, joint, task, self._say)) is None:
            return False
        self._findings.append(finding)
        if finding.severity != "error":
            return False
        self._checks.append(Check("other causes and remedies", "not_run", "the training diverges"))
        return True

    def _examine(self, laboratory: Laboratory) -> list[str]:
        """Examine the tasks that do not learn; return those that are stuck, the worst first."""
        if self._frozen(laboratory):
            self._checks.append(Check("experiments", "not_run", "the trunk is frozen: fix this first"))
            return []
        joint, known = laboratory.joint, {finding.task for finding in self._findings}
        tasks = [task for task in joint.problem.tasks if task not in known]
        patience = WATCHED_BUDGETS * self._recipe.units
        looked = [
            found for task in tasks if (found := inputs.examine(joint, task, laboratory.budget, patience))
        ]
        self._findings += looked
        ignoring = ", ".join(found.task or "" for found in looked if found.code == Code.IGNORES_INPUT)
        name = "tasks that learn use their inputs"
        if joint.problem.answers("monitor", 1).apart:
            self._checks.append(Check(name, "found" if ignoring else "passed", ignoring))
        else:
            reason = "the losses are known, not the outputs: give `tasks` and `forward` in place of `losses`"
            self._checks.append(Check(name, "not_run", reason))
        broken = [
            task
            for task in joint.problem.tasks
            if task in known and joint.at(task, laboratory.budget).skill < LEARNED
        ]
        try:
            stuck, late = causes.suspects(laboratory, tasks)
        except OutOfTime as reason:
            self._checks.append(Check("experiments", "not_run", f"no time left for: {reason}"))
            return broken
        self._checks.append(
            Check("every task beats a constant", "found" if stuck else "passed", ", ".join(stuck))
        )
        if behind := [*self._wanted(stuck), *self._wanted(broken)]:
            usual = variations.remedies(self._recipe, joint.problem, behind[0])
            self._announce_remedies(usual, complete=False)
        for task in self._wanted(stuck):
            self._find_causes(laboratory, task, causes.decide)
        for task in self._wanted(late):
            self._find_causes(laboratory, task, causes.held_back)
        for look in (causes.below_alone, potential.below_potential):
            told = {finding.task for finding in self._findings}
            named = {finding.task for finding in self._findings if finding.severity != "info"}
            for task in self._wanted(task for task in tasks if task not in stuck and task not in named):
                if laboratory.settled(task) >= LEARNED or task not in told:
                    self._find_causes(laboratory, task, look)
        return self._to_cure(joint, stuck, broken)

    def _wanted(self, tasks: Iterable[str]) -> list[str]:
        """Return the tasks that are to be examined among some."""
        return [task for task in tasks if self._task in (None, task)]

    def _to_cure(self, joint: Course, stuck: Sequence[str], broken: Sequence[str]) -> list[str]:
        """Return the tasks that remedies are for: stuck ones, then those that lose something."""
        costly = [
            finding.task
            for finding in self._findings
            if finding.severity != "info" and finding.task is not None and finding.cure
        ]
        tasks = dict.fromkeys([*self._wanted(stuck), *self._wanted(broken), *self._wanted(costly)])
        return [task for task in tasks if task in joint.problem.tasks]

    def _frozen(self, laboratory: Laboratory) -> bool:
        """Say whether the trunk is frozen and that is all there is to say.

        One that requires no gradient may be meant so, as a pretrained one. It is a mistake where no task
        learns.
        """
        for place, found in enumerate(self._findings):
            if found.code != Code.FROZEN_TRUNK:
                continue
            tasks = laboratory.joint.problem.tasks
            if found.severity == "error":
                return True
            if all(laboratory.skill(task) < LEARNED for task in tasks):
                self._findings[place] = replace(found, severity="error")
                return True
        return False

    def _find_causes(
        self, laboratory: Laboratory, task: str, look: Callable[[Laboratory, str], list[Finding]]
    ) -> None:
        found: list[Finding] = []
        try:
            found = look(laboratory, task)
            found = potential.instead_of_unknown(laboratory, task, found)
        except OutOfTime as reason:
            self._checks.append(Check(f"causes of {task}", "not_run", f"no time left for: {reason}"))
        self._findings += found

    def _reduction(self, joint: Course, budget: int) -> None:
        """Test the documented explanation where its symptom is present."""
        found = symptom([self._state(joint, task, budget) for task in joint.problem.tasks], budget)
        flat = [task for task in found.flat if joint.problem.averaged(task) > 1]
        if not found.present or not flat:
            return
        name = f"{flat[0]} summed over its outputs"
        if self._late():
            self._checks.append(Check(name, "not_run", OUT_OF_TIME))
            return
        self._say(f"experiment: {name}")
        self._findings.append(reduction.examine(self._recipe, joint, flat[0], found, budget))

    @staticmethod
    def _state(joint: Course, task: str, budget: int) -> TaskState:
        return states.state(joint, task, budget, {})

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    # ----- what helps

    def _remedies(self, problem: Supervised[Any], task: str, *, verify: bool) -> tuple[Trial, ...]:
        cures = [finding for finding in self._findings if finding.cure and finding.task in (None, task)]
        candidates = variations.remedies(self._recipe, problem, task, cures)
        self._announce_remedies(candidates, complete=True)
        if not verify:
            names = ", ".join(remedy.title for remedy in candidates)
            self._checks.append(Check("remedies", "not_run", f"--no-verify; candidates: {names}"))
            return ()
        with Crew(self._jobs) as crew:
            self._say("the recipe unchanged, every seed")
            as_is = (
                [] if self._late() else remedies.train_all(crew, self._recipe, self._seeds, self._deadline)
            )
            if not as_is or any(result.failure == OUT_OF_TIME for result in as_is):
                self._checks.append(Check("remedies", "not_run", OUT_OF_TIME))
                return ()
            trials, skipped = remedies.verify(
                self._recipe,
                task,
                candidates,
                self._seeds,
                as_is=as_is,
                crew=crew,
                deadline=self._deadline,
                say=self._say,
            )
            if trials and trials[0].verdict == "helps" and len(trials[0].remedy.changes) > 1:
                self._smallest = remedies.smallest_part(
                    self._recipe,
                    task,
                    trials[0],
                    self._seeds,
                    as_is=as_is,
                    crew=crew,
                    deadline=self._deadline,
                    say=self._say,
                )
        self._checks += skipped
        return tuple(trials)

    def _announce_remedies(self, candidates: Sequence[Remedy], *, complete: bool) -> None:
        """Announce the trials of remedies, from every seed, and the recipe unchanged before them."""
        passes = min(2, len(self._seeds))  # the first seed, then the others
        steps = 1 + passes * len(candidates) if self._verify else 0
        trainings = len(self._seeds) * (1 + len(candidates)) if self._verify else 0
        self._announce(Plan(steps, trainings * self._training / self._jobs, complete))

    def _put_into_proportion(self, trials: Sequence[Trial]) -> None:
        """Say what a better loss is worth where answers without any input are better than a constant too."""
        self._notes += [
            f"{trial.remedy.title} solves a different task: answers that ignore the inputs already score "
            f"{trial.blind:.2f} there, and the trained ones {trial.loss.mean:.2f}"
            for trial in trials
            if trial.blind is not None and trial.loss is not None
        ]

    # ----- the report

    def _report(
        self,
        laboratory: Laboratory,
        stuck: Sequence[str],
        trials: tuple[Trial, ...],
        measured: Mapping[str, Mapping[str, float]],
    ) -> Diagnosis:
        recipe, joint = self._recipe, laboratory.joint
        tasks = joint.problem.tasks
        found = tuple(states.state(joint, task, laboratory.budget, measured[task]) for task in tasks)
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
                recipe.problem.kind,
                joint.problem.unit,
                recipe.units,
                laboratory.budget,
                self._seeds,
                tasks,
            ),
            states=found,
            symptom=symptom(found, laboratory.budget),
            signals={name: {task: joint.signal(name, task) for task in tasks} for name in names},
            findings=tuple(sorted(self._findings, key=lambda one: severity[one.severity])),
            checks=tuple(self._checks),
            experiments=(*_as_is(laboratory), *laboratory.experiments),
            trials=trials,
            smallest=self._smallest,
            stuck=stuck[0] if stuck else None,
            notes=tuple(self._notes),
            seconds=time.monotonic() - self._began,
        )


def _as_is(laboratory: Laboratory) -> Iterator[Experiment]:
    """Yield what the experiments of each task are compared with."""
    joint = laboratory.joint
    for task in dict.fromkeys(one.task for one in laboratory.experiments):
        skill = joint.at(task, laboratory.budget).skill
        yield Experiment("as is", task, joint.steps(task), joint.updates, 1.0, skill)


def _unpaired(one: Supervised[Any], other: Supervised[Any]) -> Iterator[str]:
    """Yield what to know where two builds from one seed differ: experiments then differ by chance too."""
    weights, same = other.policy_state(), True
    for name, value in one.policy_state().items():
        same &= not isinstance(value, Tensor) or torch.equal(value, weights[name])
    losses = [problem.sampled_losses(torch.Generator().manual_seed(0)) for problem in (one, other)]
    # Kernels of a GPU need not give the same last digits twice.
    alike = all(
        torch.allclose(loss, losses[1][task], rtol=1e-4)
        for task, loss in losses[0].items()
        if task in losses[1]
    )
    if not same or not alike:
        yield (
            f"experiments are not paired: two builds from one seed differ in their "
            f"{'batches' if same else 'weights'}; draw both from the global generators, or from `seed`"
        )
