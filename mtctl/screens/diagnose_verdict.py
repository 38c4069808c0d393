"""The verdict of a diagnosis: who does not learn, why, and what helps; the first lines of its screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import RenderableType

from mtctl.diagnosis.report import (
    Check,
    Confidence,
    Diagnosis,
    Finding,
    Severity,
    State,
    TaskState,
    Trial,
)
from mtctl.diagnosis.thresholds import MOST_OF_THE_GAIN, percent
from mtctl.recipes.resolved import text as yaml_text
from mtctl.screens.diagnose_tables import as_is_loss, bounds, cost, decimals, period, points, share
from mtctl.screens.figures import number
from mtctl.screens.prose import Command, Sentence
from mtctl.screens.remedy_code import code_lines
from mtctl.text import command_line

MARKS: Final[Mapping[Severity, tuple[str, str]]] = {
    "error": ("✘", "bold red"),
    "warning": ("⚠", "yellow"),
    "info": ("·", "cyan"),
}
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
_CONFIDENCES: Final[tuple[Confidence, ...]] = ("certain", "measured", "likely", "possible")
_LEARNING: Final[tuple[State, ...]] = ("learns", "at_floor")
_NOT_LEARNING: Final[tuple[State, ...]] = ("flat", "rising", "diverged")
_SHOWN_TASKS: Final = 4
"""Verdicts that are shown with their causes; the rest is one line."""
_SHOWN_CAUSES: Final = 2
"""Causes of one verdict that are shown: the first to do something about."""
_INDENT: Final = 2


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What is wrong with one task, or with several for the same causes.

    Args:
        tasks: names; none where it is about the run as a whole.
        severity: how bad.
        says: a sentence.
        causes: what to do something about first comes first; without what is only worth knowing.
    """

    tasks: tuple[str, ...]
    severity: Severity
    says: str
    causes: tuple[Finding, ...]


def task_verdicts(diagnosis: Diagnosis) -> list[TaskVerdict]:
    """Return what is wrong with which tasks, the worst first; empty if nothing is."""
    bad = [each for each in worst_first(diagnosis.findings) if each.severity != "info"]
    of_run = tuple(each for each in bad if each.task is None)
    states = {state.task: state for state in diagnosis.states}
    groups: dict[tuple[object, ...], list[str]] = {}
    for task in dict.fromkeys([*states, *(each.task for each in bad if each.task is not None)]):
        state = states.get(task)
        own = tuple(each for each in bad if each.task == task)
        if not own and not (state and state.state in (*_NOT_LEARNING, "slow")):
            continue
        key = (state.state if state else None, *((each.code, each.confidence) for each in own))
        # What was tried, and how much it helped, is one task's own.
        alone = (task,) if task == diagnosis.stuck or any(each.cure for each in own) else ()
        groups.setdefault((*key, *alone), []).append(task)
    found = [_of_tasks(diagnosis, tuple(tasks), states.get(tasks[0]), bad) for tasks in groups.values()]
    if of_run:
        severity = of_run[0].severity
        found.insert(0, TaskVerdict((), severity, "The run as a whole has a problem", of_run))
    stuck = diagnosis.stuck
    return sorted(
        found, key=lambda one: (SEVERITIES.index(one.severity), bool(one.tasks), stuck not in one.tasks)
    )


def _of_tasks(
    diagnosis: Diagnosis, tasks: tuple[str, ...], state: TaskState | None, bad: Sequence[Finding]
) -> TaskVerdict:
    causes = tuple(each for each in bad if each.task == tasks[0])
    behind: Severity = "info" if state is None or state.state in (*_LEARNING, "unknown") else "warning"
    if state is not None and state.state in _NOT_LEARNING:
        behind = "error"
    severity = min((behind, *(each.severity for each in causes)), key=SEVERITIES.index)
    name, one = listed(tasks), len(tasks) == 1
    if state is not None and state.state in _NOT_LEARNING:
        says = f"{name} {'does' if one else 'do'} not learn in {period(diagnosis)}"
    elif state is not None and state.state == "slow":
        says = f"{name} {'learns' if one else 'learn'} too slowly for {period(diagnosis)}"
    elif causes and causes[0].confidence == "certain":
        says = f"{name} {'is' if one else 'are'} set up wrongly"
    elif state is not None and state.state in _LEARNING:
        says = f"{name} {'learns' if one else 'learn'}, and could do better"
    else:
        says = f"{name} {'has' if one else 'have'} a problem"
    return TaskVerdict(tasks, severity, says, causes)


def verdict_lines(diagnosis: Diagnosis, apply: str = "", *, full: bool = False) -> Iterator[RenderableType]:
    """Yield the verdict: each task that is behind with its causes and cure; then who learns.

    Args:
        diagnosis: what was found.
        apply: the command that writes or trains the best remedy; "" where there is none.
        full: leave nothing out.
    """
    verdicts = task_verdicts(diagnosis)
    shown = verdicts if full else verdicts[:_SHOWN_TASKS]
    common = not all(verdict.tasks for verdict in verdicts)
    for place, verdict in enumerate(shown):
        briefly = place > 0 and not full
        yield from _verdict(diagnosis, verdict, apply, common=common, full=full, briefly=briefly)
    if rest := verdicts[len(shown) :]:
        names = listed([task for verdict in rest for task in verdict.tasks])
        yield Sentence(f"{names}: behind too; `-v` says why", *MARKS[rest[0].severity])
    yield from _healthy(diagnosis, verdicts)


def _verdict(
    diagnosis: Diagnosis, verdict: TaskVerdict, apply: str, *, common: bool, full: bool, briefly: bool
) -> Iterator[RenderableType]:
    mark, style = MARKS[verdict.severity]
    shown = verdict.causes if full else verdict.causes[:_SHOWN_CAUSES]
    yield Sentence(f"{verdict.says}{':' if shown else '.'}", mark, style, tone="bold")
    for place, cause in enumerate(shown, start=1):
        edge = f"{place}." if len(verdict.causes) > 1 else "–"
        text = _cause(cause, verdict.tasks, named_only=briefly and place > 1)
        yield Sentence(text, edge, "dim", indent=_INDENT)
    if left := len(verdict.causes) - len(shown):
        yield Sentence(f"and {left} more: `-v` shows {'it' if left == 1 else 'them'}", indent=_INDENT)
    if not verdict.causes:
        why = _undecided(diagnosis, verdict.tasks, common=common)
        yield Sentence(why, "?", "yellow", indent=_INDENT)
    if diagnosis.stuck is not None and diagnosis.stuck in verdict.tasks:
        yield from _remedy(diagnosis, apply)
    if not (diagnosis.trials and diagnosis.stuck in verdict.tasks):
        yield from _cures(diagnosis, verdict)


def _cause(finding: Finding, tasks: Sequence[str], *, named_only: bool) -> str:
    if named_only:
        return f"{finding.code}, {finding.confidence}"
    others = f" (the same for {listed(tasks[1:])})" if len(tasks) > 1 else ""
    return f"{finding.code}, {finding.confidence}: {finding.summary}{others}"


def _undecided(diagnosis: Diagnosis, tasks: Sequence[str], *, common: bool) -> str:
    """Say why no cause is named: nothing was found, or nothing was looked for."""
    names = {"experiments", "other causes and remedies", *(f"causes of {task}" for task in tasks)}
    reason = next(
        (check.detail for check in diagnosis.checks if check.outcome == "not_run" and check.name in names), ""
    )
    if reason:
        return f"the cause is not decided: {reason}"
    if common:
        return "no cause of its own is known; see the run as a whole"
    if diagnosis.subject.kind != "recipe":
        return "no cause is known: what was recorded does not show one"
    return "no cause is known"


def _healthy(diagnosis: Diagnosis, verdicts: Sequence[TaskVerdict]) -> Iterator[Sentence]:
    """Yield who learns, and what was left open for them."""
    learning = [state.task for state in diagnosis.states if state.state in _LEARNING]
    named = {task for verdict in verdicts for task in verdict.tasks}
    fine = [task for task in learning if task not in named]
    if not verdicts and len(learning) == len(diagnosis.states):
        yield Sentence(f"Every task learns in {period(diagnosis)}.", "✔", "green", tone="bold")
    elif fine:
        yield Sentence(f"{listed(fine)} {'learns' if len(fine) == 1 else 'learn'}.", "✔", "green")
    if unknown := [state.task for state in diagnosis.states if state.state == "unknown"]:
        learns = "learns" if len(unknown) == 1 else "learn"
        yield Sentence(f"Whether {listed(unknown)} {learns} is not known.", "?", "yellow")
    tasks = [check.name.removeprefix("causes of ") for check in _not_run(diagnosis, "causes of ")]
    if open_tasks := [task for task in tasks if task in fine]:
        reason = next(_not_run(diagnosis, "causes of ")).detail
        yield Sentence(
            f"Whether {listed(open_tasks)} could do better was not decided: {reason}.", "?", "yellow"
        )


def _not_run(diagnosis: Diagnosis, start: str) -> Iterator[Check]:
    return (
        check for check in diagnosis.checks if check.outcome == "not_run" and check.name.startswith(start)
    )


# ----- what helps


def _remedy(diagnosis: Diagnosis, apply: str) -> Iterator[RenderableType]:
    """Yield what trials of remedies showed for the stuck task."""
    for sentence in remedy_sentences(diagnosis):
        yield Sentence(sentence.text, sentence.mark, sentence.style, indent=_INDENT)
    best = diagnosis.winner
    if best is None:
        return
    yield Command(overrides_line(best.remedy.overrides))
    if apply:
        yield Command(apply)
    yield from _code(diagnosis, (diagnosis.smallest or best).remedy.changes)


def overrides_line(overrides: Iterable[str]) -> str:
    """Return overrides as they are typed."""
    return command_line(word for override in overrides for word in ("-o", override))


def _cures(diagnosis: Diagnosis, verdict: TaskVerdict) -> Iterator[RenderableType]:
    """Yield the first change that removed a cause in an experiment; no trial has proven it."""
    cause = next((cause for cause in verdict.causes if cause.cure), None)
    if cause is None:
        return
    changes = overrides_line(f"{key}={yaml_text(value)}" for key, value in cause.cure.items())
    seeds = f", measured with seed {diagnosis.subject.seeds[0]} only" if diagnosis.subject.seeds else ""
    yield Command(f"{changes}  # cures {cause.code}{seeds}")
    yield from _code(diagnosis, cause.cure)


def _code(diagnosis: Diagnosis, changes: Mapping[str, object]) -> Iterator[RenderableType]:
    """Yield the same as lines of Python, where the model is the user's own."""
    if diagnosis.subject.problem != "python" or not (lines := code_lines(changes, diagnosis.states)):
        return
    yield Sentence("or in your own training loop:", indent=_INDENT)
    yield from map(Command, lines)


def remedy_sentences(diagnosis: Diagnosis) -> Iterator[Sentence]:
    """Yield what came of the remedies: the best one with its figures, or that none is proven, and why."""
    trials, left = diagnosis.trials, list(_not_run(diagnosis, "remed"))
    if not trials:
        if left:
            reason = left[0].detail.partition(";")[0]
            yield Sentence(f"No remedy was tried: {reason}.", "?", "yellow")
        return
    tried = f"{len(trials)} of {len(trials) + len(left)}" if left else f"{len(trials)}"
    if (best := diagnosis.winner) is not None:
        said = f"Best remedy, of {tried} tried: {best.remedy.title}. {gain(diagnosis, best)}"
        yield Sentence(said, "✔", "green")
        if cost(best) is not None:
            free = (one for one in trials if one.verdict == "helps" and cost(one) is None)
            if (other := next(free, None)) is not None:
                said = f"Without such a cost: {other.remedy.title}. {gain(diagnosis, other)}"
                yield Sentence(said, "✔", "green")
        if (part := diagnosis.smallest) is not None:
            least = percent(MOST_OF_THE_GAIN)
            said = f"Its smallest part with {least} of the gain: {part.remedy.title}. {gain(diagnosis, part)}"
            yield Sentence(said, "✔", "green")
        return
    one = len(trials) + len(left) == 1
    said = f"{tried} remed{'y was' if one else 'ies were'} tried"
    unclear = [trial for trial in trials if trial.verdict == "unclear" and trial.improvement is not None]
    promising = max(unclear, key=_mean_gain, default=None)
    if promising is None:
        helps = "none helps" if all(map(_useless, trials)) else "none is proven to help"
        yield Sentence(f"{said}; {helps}.", "✘", "red")
        return
    seeds = len(diagnosis.subject.seeds)
    why = "one seed proves nothing" if seeds == 1 else f"the {seeds} seeds differ too much to tell"
    said += f"; none is proven to help: {why}."
    if _mean_gain(promising) > 0:
        best_so_far = f"{promising.remedy.title}. {gain(diagnosis, promising)}"
        said += f" Best so far: {best_so_far} More seeds may prove it."
    yield Sentence(said, "?", "yellow")


def _useless(trial: Trial) -> bool:
    return trial.verdict in ("no_effect", "harms", "failed")


def _mean_gain(trial: Trial) -> float:
    return trial.improvement.mean if trial.improvement is not None else 0.0


def gain(diagnosis: Diagnosis, trial: Trial) -> str:
    """Return what a remedy did, in figures: "Loss 15.59 → 9.60 (by 5.99 [+5.56, +6.43]), skill 37 %."."""
    parts, as_is = [], as_is_loss(diagnosis)
    if trial.loss is not None and trial.improvement is not None and as_is is not None:
        digits = decimals(as_is)
        spread = trial.improvement.interval
        by = (
            f", better by {number(trial.improvement.mean, digits)} {bounds(spread, digits)}" if spread else ""
        )
        parts.append(f"loss {number(as_is, digits)} → {number(trial.loss.mean, digits)}{by}")
    if trial.skill is not None:
        parts.append(f"skill {share(trial.skill.mean)}")
    if (lost := cost(trial)) is not None:
        parts.append(f"at a cost: {lost[0]} loses {points(lost[1])} points of skill")
    others = trial.others.items()
    if winners := [task for task, change in others if change.interval and change.interval.low > 0]:
        parts.append(f"{listed(winners)} {'gains' if len(winners) == 1 else 'gain'} skill too")
    if trial.remedy.changes_model:
        parts.append("older checkpoints do not fit")
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


# ----- in a few words


def summary(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the verdict in sentences: who does not learn and why, who learns, and what helped most."""
    verdicts = task_verdicts(diagnosis)
    for verdict in verdicts:
        causes = ", ".join(f"{each.code} ({each.confidence})" for each in verdict.causes)
        yield f"{verdict.says}{f': {causes}' if causes else ''}."
    yield from (sentence.text for sentence in _healthy(diagnosis, verdicts))
    yield from (sentence.text for sentence in remedy_sentences(diagnosis))


def is_healthy(diagnosis: Diagnosis) -> bool:
    """Return whether every task learns, and nothing is wrong."""
    learning = all(state.state in _LEARNING for state in diagnosis.states)
    return learning and not any(each.severity == "error" for each in diagnosis.findings)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of their severity, then of how sure they are."""
    return sorted(
        findings,
        key=lambda one: (SEVERITIES.index(one.severity), _CONFIDENCES.index(one.confidence)),
    )


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
