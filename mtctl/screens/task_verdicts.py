"""What is wrong with which task, as its findings and its state say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mtctl.diagnosis.records.ranking import SEVERITIES, ranked
from mtctl.diagnosis.report import Check, Diagnosis, Finding, Severity, State, TaskState
from mtctl.screens.diagnose_tables import period
from mtctl.text import listed

LEARNING: Final[tuple[State, ...]] = ("learns", "at_floor")
_NOT_LEARNING: Final[tuple[State, ...]] = ("flat", "rising", "diverged")


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
    bad = [each for each in ranked(diagnosis.findings) if each.severity != "info"]
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
    behind: Severity = "info" if state is None or state.state in (*LEARNING, "unknown") else "warning"
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
    elif state is not None and state.state in LEARNING:
        says = f"{name} {'learns' if one else 'learn'}, and could do better"
    else:
        says = f"{name} {'has' if one else 'have'} a problem"
    return TaskVerdict(tasks, severity, says, causes)


def is_healthy(diagnosis: Diagnosis) -> bool:
    """Return whether every task learns, and nothing is wrong."""
    learning = all(state.state in LEARNING for state in diagnosis.states)
    return learning and not any(each.severity == "error" for each in diagnosis.findings)


def not_run(diagnosis: Diagnosis, start: str) -> Iterator[Check]:
    """Yield the checks that were left out, of those whose name begins so."""
    return (
        check for check in diagnosis.checks if check.outcome == "not_run" and check.name.startswith(start)
    )
