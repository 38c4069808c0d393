"""A diagnosis from what a run recorded, without training anything."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records import losses, playing, policies, sharing
from mtctl.diagnosis.records.held_out import overfitting
from mtctl.diagnosis.records.ranking import ranked
from mtctl.diagnosis.records.ruling import NEEDS_TRAINING, Ruling, not_run, ruling
from mtctl.diagnosis.records.trade_offs import trade_offs
from mtctl.diagnosis.report import Check, Diagnosis, Evidence, Finding, Severity, Subject, TaskState
from mtctl.diagnosis.thresholds import (
    FEW_UPDATES,
)
from mtctl.engine.lock import holder
from mtctl.history.formats import Evaluation, Failure, Run
from mtctl.history.history import History, read_history
from mtctl.history.runs import evaluation as read_evaluation
from mtctl.history.runs import read_run
from mtctl.problems.kind import Kind
from mtctl.problems.kinds import KINDS
from mtctl.problems.score import SKILL
from mtctl.statistics import mean_of

_IN_OPTIMIZER: Final = "parameters in the optimizer"
_UNSEEN: Final = (
    ("targets", "finite and not constant; " + NEEDS_TRAINING),
    ("trunk moves", NEEDS_TRAINING),
    (_IN_OPTIMIZER, NEEDS_TRAINING),
    ("answers depend on the input", NEEDS_TRAINING),
    ("counterfactual trainings", "alone, standardised, equalised; " + NEEDS_TRAINING),
)
"""What no record of a supervised run shows."""
_UNSEEN_LOOP: Final = tuple(
    (name, "a loop of one's own is not trained again") for name, _ in _UNSEEN if name != _IN_OPTIMIZER
)
"""What no record of a loop of one's own shows."""
ALONE: Final = "alone against jointly"
_UNSEEN_PLAYING: Final = (
    (_IN_OPTIMIZER, "records do not show them"),
    (ALONE, "train each task with `agent.network: independent`, then `mtctl compare`"),
)
"""What no record of a played run shows."""


_UNSEEN_POLICY: Final = ((_IN_OPTIMIZER, "records do not show them"),)
"""What no record of a policy's heads shows."""


def diagnose_run(path: Path) -> Diagnosis:
    """Return what a run's recorded signals say.

    Args:
        path: the run directory.

    Raises:
        MtctlError: there is no run, or its files are unusable.
    """
    run = read_run(path)
    return diagnose_recorded(run, read_history(run))


def diagnose_recorded(run: Run, history: History) -> Diagnosis:
    """Return what a run's recorded signals say, once they have been read.

    Raises:
        MtctlError: the run's evaluation is unusable.
    """
    subject = Subject(
        kind="run",
        name=str(run.path),
        problem=run.problem,
        unit=run.unit,
        units=run.budget.units,
        updates=run.budget.updates,
        seeds=(run.seed,),
        tasks=run.tasks,
    )
    notes = [*_unfinished(run), *([history.cut_off] if history.cut_off else [])]
    return diagnose_history(
        history,
        subject,
        evaluation=read_evaluation(run.path),
        failure=run.error,
        notes=tuple(notes),
        wiring=_wiring(run) if run.is_loop else None,
    )


def _wiring(run: Run) -> list[Ruling]:
    """Return what the monitor of a loop of one's own has seen for certain."""
    codes = {str(code): code for code in Code}
    found = [
        Finding(codes[fault.code], fault.task, "error", "certain", fault.text)
        for fault in run.faults
        if fault.code in codes
    ]
    left_out = [finding for finding in found if finding.code is Code.NOT_IN_OPTIMIZER]
    others = [finding for finding in found if finding.code is not Code.NOT_IN_OPTIMIZER]
    return [
        ruling(_IN_OPTIMIZER, left_out, "all that a loss reaches"),
        ruling("graphs of the losses", others, "every loss reaches its parameters"),
    ]


def _unfinished(run: Run) -> list[str]:
    if run.status == "completed":
        return []
    done = f"{run.budget.done:,} of {run.budget.units:,} {run.unit}s"
    killed = run.status == "running" and holder(run.path).state == "free"
    how = "ended without an error message (killed?)" if killed else f"is {run.status}"
    return [f"the run {how}: the findings are about the {done} that are recorded"]


def diagnose_history(
    seen: History,
    subject: Subject,
    *,
    evaluation: Evaluation | None = None,
    failure: Failure | None = None,
    notes: tuple[str, ...] = (),
    wiring: Sequence[Ruling] | None = None,
) -> Diagnosis:
    """Return what the records of one training say.

    Args:
        seen: what was recorded.
        subject: what it is of.
        evaluation: on held-out data at the end, if there was one.
        failure: why the training failed, if it did.
        notes: what a reader should know besides.
        wiring: what was seen of the training's wiring, which records do not show, if it was looked at.
    """
    started = time.perf_counter()
    played = subject.played
    unseen: tuple[tuple[str, str], ...]
    if played is None:
        kind = KINDS.get(subject.problem)
        skills = kind is not None and kind.score == SKILL
        states = tuple(_loss_state(seen, task, evaluation, skills=skills) for task in seen.tasks)
        rulings, unseen = _of_losses(seen, states, wiring or ()), _UNSEEN if wiring is None else _UNSEEN_LOOP
    else:
        states = tuple(playing.task_state(seen, task, played.score) for task in seen.scored)
        if seen.scored != seen.tasks:  # the tasks are the heads of one policy
            rulings, unseen = _of_policy(seen, states, played), _UNSEEN_POLICY
        else:
            rulings, unseen = _of_play(seen, states, played), _UNSEEN_PLAYING
    updates = max(seen.updates, subject.updates or 0)
    rulings = [_failed(failure, seen, updates, played=played is not None), *rulings]
    return Diagnosis(
        subject=subject,
        states=states,
        symptom=None if played is not None or not len(seen.units) else losses.symptom(states, seen.updates),
        signals=seen.latest(),
        findings=ranked(_distinct(finding for ruling in rulings for finding in ruling.findings)),
        checks=(
            *(ruling.check for ruling in rulings),
            *(Check(name, "not_run", why) for name, why in unseen),
        ),
        notes=(*notes, *_notes(seen, played=played is not None)),
        seconds=time.perf_counter() - started,
    )


def _failed(failure: Failure | None, seen: History, updates: int, *, played: bool) -> Ruling:
    """Find what made the run fail: a loss or gradient that is not finite ends it before it is recorded."""
    if failure is None:
        return Ruling(Check("run did not fail", "passed", ""))
    check = Check("run did not fail", "found", failure.message)
    task, found = failure.task, failure.found
    if task not in seen.tasks or found is None:
        return Ruling(check)
    evidence = (Evidence("found", found, "", f"after {updates:,} updates"),)
    text = f"training ended with {task}: {found}"
    diverged = Finding(Code.DIVERGED, task, "error", "certain", text, evidence)
    if len(seen.units) or "nan" not in found or played:
        return Ruling(check, (diverged,))
    if updates:
        text = (
            f"{task} has {found} in the first pass over the data, after {updates} updates: the learning rate "
        )
        text += "is too high, or targets or inputs of that batch are not finite"
        return Ruling(check, (replace(diverged, summary=text),))
    text = f"{task} has {found} before the first update: its targets or the inputs are not finite"
    return Ruling(check, (Finding(Code.BAD_TARGETS, task, "error", "likely", text, evidence),))


def _loss_state(seen: History, task: str, evaluation: Evaluation | None, *, skills: bool) -> TaskState:
    """Return a task's state: its training losses, and its skill on the best data that there is.

    Args:
        seen: what was recorded.
        task: its name.
        evaluation: on held-out data.
        skills: whether evaluations score skill, in percent.
    """
    values, relative = seen.losses(task), seen.last("relative_loss", task)
    constant = float(values[-1]) / relative if relative and len(values) else None
    skill = None if relative is None else 1 - relative
    score: float | None = None
    measures: dict[str, float] = {}
    during = [record.tasks[task] for record in seen.evaluations if task in record.tasks]
    if evaluation is not None and task in evaluation.tasks:
        scored = evaluation.tasks[task]
        score, measures = mean_of(scored.scores), dict(scored.measures)
    elif during:
        score, measures = during[-1].mean, dict(during[-1].measures)
    if skills and score is not None:
        skill = score / 100
    if "loss" in measures:
        measures["held_out_loss"] = measures.pop("loss")
    return losses.task_state(task, values, constant=constant, skill=skill, measures=measures)


def _of_losses(seen: History, states: tuple[TaskState, ...], known: Sequence[Ruling]) -> list[Ruling]:
    """Apply the rules in order; what is wired wrongly or diverges needs no further cause."""
    curves = {task: seen.losses(task) for task in seen.tasks}
    wiring = [
        *known,
        sharing.gradients_reach(seen),
        sharing.heads_move(seen),
        sharing.dead_inputs(seen, states),
        losses.diverged(states, curves, "likely"),
        losses.gaps(states, curves),
        sharing.weights_not_zero(seen, states),
        sharing.learning_rate(seen, states),
    ]
    rest = behind = _unexplained(states, wiring)
    causes = [
        sharing.targets_in_reach(seen, rest),
        sharing.multipliers(seen, rest),
        sharing.conflicts(seen, rest),
        playing.weights(seen, rest),
    ]
    rest = _unexplained(rest, causes)
    opposed = trade_offs(rest, curves)
    flat: Severity = "warning" if seen.updates < FEW_UPDATES else "error"
    pairs = {task: (curves[task], seen.held_out(task, "loss")) for task in seen.tasks}
    rulings = [
        *wiring,
        *causes,
        opposed,
        losses.stuck(_unexplained(rest, [opposed]), flat, "likely", "no signal explains it"),
        losses.too_few_updates(behind, seen.updates),
        overfitting(pairs, "likely"),
    ]
    if not len(seen.units):
        return [_unless_found(ruling, "nothing is recorded yet") for ruling in rulings]
    if states and not behind:
        reason = "a cause was found already, for all tasks"
        return [*wiring, *(_unless_found(ruling, reason) for ruling in rulings[len(wiring) :])]
    return rulings


def _unless_found(ruling: Ruling, reason: str) -> Ruling:
    """Return a ruling as not made where nothing was found: there was nothing, or no task, to look at."""
    return not_run(ruling.check.name, reason) if ruling.check.outcome == "passed" else ruling


def _of_play(seen: History, states: tuple[TaskState, ...], kind: Kind[Any]) -> list[Ruling]:
    wiring = [playing.experience(seen), sharing.gradients_reach(seen), playing.values_bounded(seen)]
    rest = _unexplained(states, wiring)
    causes = [playing.weights(seen, rest), sharing.conflicts(seen, rest)]
    return [
        *wiring,
        *causes,
        playing.returns_improve(seen, _unexplained(rest, causes), kind.score),
        playing.successes(seen, kind),
        playing.exploration(seen),
    ]


def _of_policy(seen: History, states: tuple[TaskState, ...], kind: Kind[Any]) -> list[Ruling]:
    ratios, steps = policies.ratios_start_at_one(seen), policies.steps_bounded(seen, states)
    return [
        ratios,
        sharing.gradients_reach(seen),
        steps,
        policies.clip_leaves_room(seen, (*ratios.findings, *steps.findings)),
        policies.undecided_long_enough(seen, states),
        policies.heads_share(seen),
        policies.parameters_used(seen),
        sharing.conflicts(seen, ()),
        playing.returns_improve(seen, states, kind.score),
    ]


def _unexplained(states: Iterable[TaskState], rulings: Iterable[Ruling]) -> tuple[TaskState, ...]:
    """Return the tasks that nothing was found about; a finding without a task is about all of them."""
    found = {finding.task for ruling in rulings for finding in ruling.findings}
    return tuple(state for state in states if None not in found and state.task not in found)


def _distinct(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Return findings, of those with one cause of one task the first alone."""
    found: dict[tuple[Code, str | None], Finding] = {}
    for finding in findings:
        found.setdefault((finding.code, finding.task), finding)
    return found.values()


def _notes(seen: History, *, played: bool) -> list[str]:
    if not len(seen.units):
        return ["nothing is recorded yet, so little can be diagnosed"]
    if played:
        return [
            "first and last are returns: a value function's loss grows with them and does not show learning"
        ]
    return []
