"""The whole of a diagnosis of what is played: the recipe as is, then changes of it that prove causes.

Every training is a whole one, scored by held-out episodes of its final policy. Changes are tried with the
first seed; those that promise something are proven with the other seeds, which had no part in choosing them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.plan import OUT_OF_TIME, Announce
from mtctl.diagnosis.players import causes
from mtctl.diagnosis.players.laboratory import Change, Laboratory, together
from mtctl.diagnosis.players.training import Order, Played, play
from mtctl.diagnosis.records.playing import shown
from mtctl.diagnosis.records.run import ALONE, diagnose_history
from mtctl.diagnosis.report import Check, Diagnosis, Evidence, Experiment, Finding, Subject, TaskState, Trial
from mtctl.diagnosis.thresholds import (
    COSTLY,
    HOVERING,
    LONGER,
    MOST_PROMISING,
    PROMISING,
    SINGLY,
    WELL_PLAYED,
    percent,
)
from mtctl.errors import MtctlError
from mtctl.history.history import observed_history
from mtctl.problems.kinds import kind_of
from mtctl.problems.playing import Alternative, Aspect, Playing
from mtctl.problems.recipe import Recipe

_COMPANY: Final = ("alone", "weights", "encoding")
"""Aspects of how tasks share; others are settings of the learner."""
_TESTED_BY: Final[Mapping[Code, Aspect]] = {
    Code.CONFLICT: "alone",
    Code.WEIGHTS_COLLAPSED: "weights",
    Code.HEAD_STARVED: "weights",
    Code.REPLAY_STARVATION: "replay",
    Code.ENTROPY_COLLAPSED: "exploration",
    Code.CLIP_BINDS: "clip",
    Code.POLICY_JUMPS: "rate",
}
"""The change that ends what records suggest, if they are right."""
_AT_FIRST: Final = 2
"""Seeds that the recipe is trained from before anything else; the others only where something is proven."""
_CANNOT: Final = "`mtctl train` says more; a diagnosis needs a recipe that trains"
_SYMPTOMS: Final = (Code.FLAT_TASK, Code.SLOW)
"""What records say where they do not know why: less than a cause that was measured."""


def diagnose_player(
    recipe: Recipe,
    playing: Playing[Recipe],
    *,
    seeds: Sequence[int],
    verify: bool,
    task: str | None,
    jobs: int,
    seconds: float | None,
    shortened: bool,
    say: Callable[[str], None],
    announce: Announce,
) -> Diagnosis:
    """Find out what keeps a player from learning.

    Args:
        recipe: its units are the budget of every training.
        playing: how recipes of its kind are diagnosed.
        seeds: of the trainings; without `verify` the first only is used.
        verify: whether to train anything but the recipe as it is.
        task: to examine; the one with the least skill if left out.
        jobs: processes.
        seconds: after which no training begins.
        shortened: whether the recipe's own length is a greater one.
        say: gets a line about what is being done.
        announce: gets what is still to come.
    """
    began = time.monotonic()
    deadline = None if seconds is None else began + seconds
    if not verify:
        say(f"training {recipe.units:,} {kind_of(recipe).unit}s")
        played = play(Order(recipe, seeds[0], 0, deadline, records=True))
        _require_any([played])
        return replace(_by_records(recipe, played, seeds[:1]), seconds=time.monotonic() - began)
    with Crew(jobs) as crew:
        laboratory = Laboratory(
            recipe, seeds, playing.episodes, playing.references(recipe), crew, deadline, say, announce
        )
        laboratory.train_as_is(seeds[:_AT_FIRST])
        _require_any(laboratory.as_is)
        found = _Examination(laboratory, playing, task, shortened=shortened).diagnose()
    return replace(found, seconds=time.monotonic() - began)


def _require_any(trainings: Sequence[Played]) -> None:
    """Refuse a recipe that cannot be trained, which no change of a setting explains."""
    failures = [each.failure for each in trainings if each.failure and not each.findings]
    if len(failures) == len(trainings):
        raise MtctlError(failures[0], hint=_CANNOT)


def _by_records(recipe: Recipe, played: Played, seeds: Sequence[int]) -> Diagnosis:
    """Return what the records of one training say."""
    kind = kind_of(recipe)
    subject = Subject(
        "recipe",
        recipe.name,
        recipe.problem.kind,
        kind.unit,
        played.done,
        played.updates,
        tuple(seeds),
        recipe.problem.tasks,
    )
    judged = diagnose_history(observed_history(played.records, subject.tasks, recipe.scored), subject)
    rest: tuple[Check, ...] = ()
    if played.done < recipe.units:
        text = played.failure or f"stopped after {played.done} of {recipe.units} {kind.unit}s"
        rest = (Check("the rest of the budget", "not_run", text),)
    return replace(judged, findings=(*played.findings, *judged.findings), checks=(*judged.checks, *rest))


class _Examination:
    """Looks for what keeps one task back, once the recipe as it is has been trained."""

    def __init__(
        self, laboratory: Laboratory, playing: Playing[Recipe], task: str | None, *, shortened: bool
    ) -> None:
        self._laboratory, self._playing, self._wanted = laboratory, playing, task
        self._shortened = shortened
        self._recipe = laboratory.recipe
        self._records = _by_records(self._recipe, laboratory.as_is[0], laboratory.seeds)
        self._tried: list[Change] = []
        self._trials: list[tuple[Change, Trial]] = []

    def diagnose(self) -> Diagnosis:
        """Return the diagnosis."""
        laboratory = self._laboratory
        if not any(each.complete for each in laboratory.as_is) and not self._diverged():
            return self._unfinished()
        task = self._worst()
        findings: list[Finding] = []
        if task is not None:
            self._try(task)
            findings = self._causes(task)
        findings += self._hovering()
        return self._report(task, findings)

    def _diverged(self) -> bool:
        return any(each.findings for each in self._laboratory.as_is)

    def _unfinished(self) -> Diagnosis:
        text = f"not one training of {self._recipe.units:,} {self._records.subject.unit}s came to its end"
        check = Check("experiments", "not_run", f"{text} within --budget")
        return replace(self._records, checks=(*self._records.checks, check))

    def _worst(self) -> str | None:
        """Return the task to examine: the one asked for, else the one with least skill, if it needs help."""
        if self._wanted is not None:
            return self._wanted
        skills = {task: self._laboratory.skill_as_is(task) for task in self._recipe.scored}
        worst = min(skills, key=lambda task: -1e9 if (skill := skills[task]) is None else skill)
        skill = skills[worst]
        measured = worst in self._laboratory.scale.measured
        return worst if skill is None or measured or skill < WELL_PLAYED else None

    # ----- what is tried

    def _try(self, task: str) -> None:
        """Try changes with the first seed, and prove those that promise something with the others."""
        laboratory, first = self._laboratory, self._laboratory.seeds[:1]
        proofs = (1 + MOST_PROMISING) * len(laboratory.seeds[1:])
        changes = [
            change
            for each in self._playing.alternatives(self._recipe, task)
            if (change := laboratory.change(each)) is not None
        ]
        company = [change for change in changes if change.alternative.aspect in _COMPANY]
        settings = [change for change in changes if change.alternative.aspect not in _COMPANY]
        if len(settings) > SINGLY:
            everything = laboratory.change(self._all_usual(changes))
            aids = [] if everything is None else [everything]
            laboratory.attempt([*aids, *company], first, reserve=proofs)
            if not aids or self._promises(aids[0], task):
                laboratory.attempt(settings, first, reserve=proofs)
            else:
                self._leave_out(settings)
            changes = [*aids, *changes]
        else:
            laboratory.attempt(changes, first, reserve=proofs)
        if not any(self._promises(each, task) for each in changes) and self._needs_more(task):
            changes = [*changes, *self._longer()]
        self._prove(changes, task)

    def _needs_more(self, task: str) -> bool:
        """Say whether a task is far enough from being played well to be trained for longer."""
        if self._shortened:
            return False
        skill = self._laboratory.skill_as_is(task)
        return skill is None or task in self._laboratory.scale.measured or skill < 1 - COSTLY

    def _longer(self) -> list[Change]:
        """Train the recipe for longer, with the first seed."""
        recipe = self._recipe
        alternative = Alternative(
            "length", f"{LONGER} times as long", {recipe.budget_key: LONGER * recipe.budget_value}
        )
        change = self._laboratory.change(alternative)
        if change is None:
            return []
        self._laboratory.attempt([change], self._laboratory.seeds[:1], length=LONGER)
        return [change]

    @staticmethod
    def _all_usual(changes: Sequence[Change]) -> Alternative:
        usual = [each.alternative for each in changes if each.alternative.aspect not in ("alone", "encoding")]
        return together(usual, "usual settings, all together")

    def _leave_out(self, settings: Sequence[Change]) -> None:
        text = "all usual settings together gain nothing"
        self._laboratory.left_out += [
            Check(f"experiment: {each.alternative.title}", "not_run", text) for each in settings
        ]

    def _promises(self, change: Change, task: str) -> bool:
        """Say whether a change gains something with the first seed, or mends a training that failed."""
        return self._gain(change, task) >= PROMISING

    def _gain(self, change: Change, task: str) -> float:
        laboratory, title = self._laboratory, change.alternative.title
        seed = laboratory.seeds[0]
        if gains := laboratory.gains(title, task, (seed,)):
            return gains[0]
        after = laboratory.tried.get(title, {}).get(seed)
        skill = None if after is None else laboratory.skill(after, task)
        return -1.0 if skill is None or laboratory.unchanged[seed].complete else skill

    def _prove(self, changes: Sequence[Change], task: str) -> None:
        """Train the most promising changes from the seeds that had no part in choosing them."""
        laboratory = self._laboratory
        self._tried = [each for each in changes if each.alternative.title in laboratory.tried]
        promising = [each for each in self._tried if self._promises(each, task)]
        promising = sorted(promising, key=lambda each: -self._gain(each, task))[:MOST_PROMISING]
        seeds = laboratory.seeds[1:]
        if promising and seeds and laboratory.affordable() >= 2 * len(seeds):
            laboratory.train_as_is(seeds)
            length = LONGER if promising[0].alternative.aspect == "length" else 1
            laboratory.attempt(promising, seeds, length=length)
        else:
            laboratory.left_out += [
                Check(_proof_of(each), "not_run", OUT_OF_TIME) for each in promising if seeds
            ]
            seeds = laboratory.seeds[:1]
        proven = [(each, causes.trial(laboratory, each, task, seeds)) for each in promising]
        self._trials = sorted(
            proven, key=lambda pair: (pair[1].verdict != "helps", -self._gain(pair[0], task))
        )

    # ----- what it says

    def _causes(self, task: str) -> list[Finding]:
        changes, trials = [pair[0] for pair in self._trials], [pair[1] for pair in self._trials]
        opposed = any(each.code is Code.CONFLICT for each in self._records.findings)
        found = causes.proven(self._laboratory, changes, trials, task, opposed)
        return found or causes.unexplained(self._laboratory, task, self._laboratory.tried)

    def _hovering(self) -> list[Finding]:
        """Find tasks whose final policies neither succeed nor fail, but run out of time."""
        kind = kind_of(self._recipe)
        if "timed_out" not in kind.score.outcomes:
            return []
        findings = []
        for task in self._recipe.scored:
            ended = [outcome for each in self._laboratory.as_is for outcome in each.outcomes.get(task, ())]
            share = ended.count("timed_out") / len(ended) if ended else 0.0
            if share >= HOVERING:
                text = f"{task}: {100 * share:.0f} % of the final policies' episodes run out of time"
                evidence = (
                    Evidence("episodes that run out of time", 100 * share, "%", f"from {percent(HOVERING)}"),
                    Evidence(
                        f"episodes that end with {kind.score.outcomes[0]}",
                        100 * ended.count(kind.score.outcomes[0]) / len(ended),
                        "%",
                    ),
                )
                findings.append(Finding(Code.HOVERING, task, "warning", "certain", text, evidence))
        return findings

    def _report(self, task: str | None, findings: Sequence[Finding]) -> Diagnosis:
        laboratory, records = self._laboratory, self._records
        measured = {each.task for each in findings if each.code is not Code.HOVERING}
        told = [each for each in records.findings if not (each.code in _SYMPTOMS and each.task in measured)]
        told = [each for each in told if not any(_same(each, other) for other in findings)]
        told = [self._tested(each, task) for each in told]
        return replace(
            records,
            states=tuple(self._state(each) for each in records.states),
            findings=(*findings, *told),
            checks=(*_without_advice(records.checks), *laboratory.left_out),
            experiments=() if task is None else tuple(self._experiments(task)),
            trials=tuple(self._remedies()),
            stuck=task if self._trials or findings else None,
            notes=(*records.notes, *self._notes(task)),
        )

    def _remedies(self) -> Iterator[Trial]:
        """Yield the trials of what can be done; a task alone is no cure for all."""
        for change, trial in self._trials:
            if change.alternative.aspect != "alone":
                yield trial

    def _tested(self, finding: Finding, task: str | None) -> Finding:
        """Return what records suggest; no more than worth knowing where what would cure it gains nothing."""
        aspect = _TESTED_BY.get(Code(finding.code))
        change = next((each for each in self._tried if each.alternative.aspect == aspect), None)
        if finding.confidence == "certain" or task is None or change is None:
            return finding
        if self._gain(change, task) >= PROMISING:
            return finding
        text = f"{finding.summary}; but {change.alternative.title} gains nothing"
        return replace(finding, severity="info", summary=text)

    def _state(self, state: TaskState) -> TaskState:
        """Add the skill of the final policies; one that plays well learns, however its returns came about."""
        skill = self._laboratory.skill_as_is(state.task)
        if skill is None:
            return state
        steps = self._laboratory.as_is[0].steps_to(state.task, self._laboratory.scale.tenth(state.task))
        well = skill >= WELL_PLAYED and state.task not in self._laboratory.scale.measured
        return replace(state, skill=skill, steps=steps, state="learns" if well else state.state)

    def _experiments(self, task: str) -> list[Experiment]:
        laboratory = self._laboratory
        before = laboratory.unchanged[laboratory.seeds[0]]
        steps = before.steps_to(task, laboratory.scale.tenth(task))
        as_is = Experiment(
            "as is", task, steps, before.environment_steps, 1.0, laboratory.skill(before, task)
        )
        return [as_is, *(causes.experiment(laboratory, title, task) for title in laboratory.tried)]

    def _notes(self, task: str | None) -> Iterator[str]:
        seeds, scale = self._laboratory.seeds, self._laboratory.scale
        if task is not None and len(seeds) > 1:
            yield f"changes are tried with seed {seeds[0]}, and proven with the {len(seeds) - 1} other seeds"
        random = {each: shown(scale.references[each].random) for each in self._recipe.scored}
        reached = {each: shown(scale.references[each].reached) for each in self._recipe.scored}
        worst, best = "random play", "a good policy"
        if scale.measured:
            worst, best = "the untrained policy", "the best training"
        ends = f"of {worst} ({_by_task(random)}), 100 % that of {best} ({_by_task(reached)})"
        yield f"skill: 0 % is the return {ends}"


def _by_task(values: Mapping[str, str]) -> str:
    """Return values by task, or the one that all have."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{task} {value}" for task, value in values.items())


def _without_advice(checks: Sequence[Check]) -> list[Check]:
    """Return checks without what a user is told to train where no experiments are made."""
    return [check for check in checks if check.name != ALONE]


def _proof_of(change: Change) -> str:
    alternative = change.alternative
    return f"{'experiment' if alternative.aspect == 'alone' else 'remedy'}: {alternative.title}, other seeds"


def _same(one: Finding, other: Finding) -> bool:
    return (one.code, one.task) == (other.code, other.task)
