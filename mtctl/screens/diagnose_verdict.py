"""The verdict of a diagnosis: who does not learn, why, and what helps; the first lines of its screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import RenderableType

from mtctl.diagnosis.report import Diagnosis, Finding, Severity
from mtctl.screens.diagnose_remedies import INDENT, cure_lines, remedy_lines, remedy_sentences
from mtctl.screens.diagnose_tables import period
from mtctl.screens.prose import Sentence
from mtctl.screens.task_verdicts import LEARNING, TaskVerdict, not_run, task_verdicts
from mtctl.text import listed

MARKS: Final[Mapping[Severity, tuple[str, str]]] = {
    "error": ("✘", "bold red"),
    "warning": ("⚠", "yellow"),
    "info": ("·", "cyan"),
}
_SHOWN_TASKS: Final = 4
"""Verdicts that are shown with their causes; the rest is one line."""
_SHOWN_CAUSES: Final = 2
"""Causes of one verdict that are shown: the first to do something about."""


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
        yield Sentence(text, edge, "dim", indent=INDENT)
    if left := len(verdict.causes) - len(shown):
        yield Sentence(f"and {left} more: `-v` shows {'it' if left == 1 else 'them'}", indent=INDENT)
    if not verdict.causes:
        why = _undecided(diagnosis, verdict.tasks, common=common)
        yield Sentence(why, "?", "yellow", indent=INDENT)
    if diagnosis.stuck is not None and diagnosis.stuck in verdict.tasks:
        yield from remedy_lines(diagnosis, apply)
    if not (diagnosis.trials and diagnosis.stuck in verdict.tasks):
        yield from cure_lines(diagnosis, verdict.causes)


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
    learning = [state.task for state in diagnosis.states if state.state in LEARNING]
    named = {task for verdict in verdicts for task in verdict.tasks}
    fine = [task for task in learning if task not in named]
    if not verdicts and len(learning) == len(diagnosis.states):
        yield Sentence(f"Every task learns in {period(diagnosis)}.", "✔", "green", tone="bold")
    elif fine:
        yield Sentence(f"{listed(fine)} {'learns' if len(fine) == 1 else 'learn'}.", "✔", "green")
    if unknown := [state.task for state in diagnosis.states if state.state == "unknown"]:
        learns = "learns" if len(unknown) == 1 else "learn"
        yield Sentence(f"Whether {listed(unknown)} {learns} is not known.", "?", "yellow")
    tasks = [check.name.removeprefix("causes of ") for check in not_run(diagnosis, "causes of ")]
    if open_tasks := [task for task in tasks if task in fine]:
        reason = next(not_run(diagnosis, "causes of ")).detail
        yield Sentence(
            f"Whether {listed(open_tasks)} could do better was not decided: {reason}.", "?", "yellow"
        )


def summary(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the verdict in sentences: who does not learn and why, who learns, and what helped most."""
    verdicts = task_verdicts(diagnosis)
    for verdict in verdicts:
        causes = ", ".join(f"{each.code} ({each.confidence})" for each in verdict.causes)
        yield f"{verdict.says}{f': {causes}' if causes else ''}."
    yield from (sentence.text for sentence in _healthy(diagnosis, verdicts))
    yield from (sentence.text for sentence in remedy_sentences(diagnosis))
