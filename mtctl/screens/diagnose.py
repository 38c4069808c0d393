"""What `mtctl diagnose` shows: the verdict, what it rests on, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from mtctl.diagnosis.records.ranking import ranked
from mtctl.diagnosis.report import Check, Confidence, Diagnosis, Evidence, Finding, Subject, Symptom
from mtctl.diagnosis.thresholds import FLAT, IMPROVING, percent
from mtctl.screens.diagnose_tables import (
    best_fixes,
    experiment_tables,
    fixes_table,
    measures_table,
    period,
    signals_meaning,
    signals_table,
    symptom_table,
)
from mtctl.screens.diagnose_verdict import MARKS, summary, verdict_lines
from mtctl.screens.figures import duration, measure
from mtctl.screens.prose import Command, Sentence, heading
from mtctl.text import show_text

__all__ = ["CONFIDENCES", "MARKS", "diagnosis_screen", "headline", "summary"]

CONFIDENCES: Final[Mapping[Confidence, str]] = {
    "certain": "read from the wiring or the data",
    "measured": "shown by an experiment",
    "likely": "suggested by signals, not tested by an experiment",
    "possible": "suggested by curves alone",
}
_SHOWN_REASONS: Final = 3
"""Reasons why something was not checked, and names of what was not, that the short screen has."""


def diagnosis_screen(
    diagnosis: Diagnosis, commands: Sequence[str], *, apply: str = "", full: bool = False
) -> Iterator[RenderableType]:
    """Yield the screen, part by part: the verdict first; sections without content are left out.

    Args:
        diagnosis: what was found.
        commands: what to do next, the first the most useful.
        apply: the command that writes or trains the best remedy; "" where there is none.
        full: show everything that was measured, not only what the verdict rests on.
    """
    yield Text(headline(diagnosis), style="bold")
    yield ""
    yield from verdict_lines(diagnosis, apply, full=full)
    sections = _FULL if full else _SHORT
    for section in sections:
        parts = list(section(diagnosis))
        if parts:
            yield ""
            yield from parts
    if full:
        yield ""
        yield heading("Summary")
        yield Sentence(" ".join(summary(diagnosis)))
    elif commands:
        yield ""
        yield heading("Next")
    yield from map(Command, commands)


def headline(diagnosis: Diagnosis) -> str:
    """Say what was diagnosed, in one line."""
    subject = diagnosis.subject
    parts = [show_text(subject.name), subject.problem, period(diagnosis), _seeds(subject)]
    if diagnosis.seconds >= 1:
        parts.append(f"took {duration(diagnosis.seconds)}")
    return " · ".join(part for part in parts if part)


def _seeds(subject: Subject) -> str:
    seeds = sorted(subject.seeds)
    if len(seeds) < 2:
        return f"seed {seeds[0]}" if seeds else ""
    if all(b - a == 1 for a, b in pairwise(seeds)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"


def _symptom(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if not diagnosis.states:
        return
    yield symptom_table(diagnosis)
    if diagnosis.symptom is not None:
        yield _documented_check(diagnosis.symptom, diagnosis.subject)
    if measures := measures_table(diagnosis):
        yield ""
        yield measures


def _symptom_in_short(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if diagnosis.states:
        yield symptom_table(diagnosis)


def _documented_check(symptom: Symptom, subject: Subject) -> Sentence:
    flat, improving = ", ".join(symptom.flat), ", ".join(symptom.improving)
    mark, style = "·", "cyan"
    verdict = f"is not triggered: every task's loss changed by at least {percent(FLAT)}."
    moved = f"{flat} changed by less than {percent(FLAT)}"
    if symptom.present:
        mark, style = "⚠", "yellow"
        verdict = f"is triggered: {moved}, {improving} improved by more than {percent(IMPROVING)}."
    elif flat:
        verdict = f"is not triggered: {moved}, but no task improved by more than {percent(IMPROVING)}."
    rule = ""
    if subject.unit != "step":
        units = f"{subject.units:,} {subject.unit}{' is' if subject.units == 1 else 's are'}"
        rule = f" {units} {symptom.updates:,} updates here, and the number of updates is what matters."
    return Sentence(f"The documented check {verdict}{rule}", mark, style)


def _signals(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if any(value is not None for by_task in diagnosis.signals.values() for value in by_task.values()):
        yield signals_table(diagnosis)
        yield Sentence(signals_meaning(diagnosis), tone="dim")


def _causes(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    checked = [check for check in diagnosis.checks if check.outcome != "not_run"]
    if not diagnosis.findings and not checked:
        return
    yield heading("Causes")
    for finding in ranked(diagnosis.findings):
        yield from _finding(finding)
    yield from _failed_checks(diagnosis)
    if passed := [_check(check) for check in checked if check.outcome == "passed"]:
        yield Sentence(f"checks passed: {' · '.join(passed)}", "✔", "green")
    confidences = {finding.confidence for finding in diagnosis.findings}
    meanings = [f"{word}: {meaning}" for word, meaning in CONFIDENCES.items() if word in confidences]
    if meanings:
        yield Sentence("; ".join(meanings), tone="dim")


def _failed_checks(diagnosis: Diagnosis, others: str = "") -> Iterator[RenderableType]:
    failed = [check for check in diagnosis.checks if check.outcome == "found"]
    if failed:
        told = " · ".join(f"“{check.name}”{f' ({check.detail})' if check.detail else ''}" for check in failed)
        yield Sentence(f"checks that failed: {told}{others}", "⚠", "yellow")


def _check(check: Check) -> str:
    return f"{check.name} ({check.detail})" if check.detail else check.name


def _finding(finding: Finding) -> Iterator[RenderableType]:
    mark, style = MARKS[finding.severity]
    whose = f" · {finding.task}" if finding.task else ""
    yield Sentence(f"{finding.code}{whose} · {finding.confidence}", mark, style, tone="bold")
    yield Sentence(finding.summary, indent=2)
    for evidence in finding.evidence:
        yield Sentence(evidence_text(evidence), "–", "dim", indent=2)


def evidence_text(evidence: Evidence) -> str:
    """Return a figure with its name, its unit and what it is held against."""
    value = evidence.value if isinstance(evidence.value, str) else measure(evidence.value)
    unit = f" {evidence.unit}" if evidence.unit else ""
    against = f" ({evidence.against})" if evidence.against else ""
    return f"{evidence.name}: {value}{unit}{against}"


def _experiments(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    for place, table in enumerate(experiment_tables(diagnosis)):
        if place:
            yield ""
        yield table


def _fixes(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if not diagnosis.trials:
        return
    yield fixes_table(diagnosis)
    legend = "differences are paired by seed; worst-hit other task: change of its skill in percentage points"
    if any(trial.verdict == "without_inputs" for trial in diagnosis.trials):
        legend += "; ignores inputs: the loss is lower, but shuffling the inputs does not raise it"
    yield Sentence(legend, tone="dim")
    for trial in diagnosis.trials:
        if trial.failure:
            yield Sentence(f"{trial.remedy.title} failed: {trial.failure}", "✘", "red")


def _not_checked(diagnosis: Diagnosis, *, short: bool = False) -> Iterator[RenderableType]:
    left: dict[str, list[str]] = {}
    for check in diagnosis.checks:
        if check.outcome == "not_run":
            left.setdefault(check.detail, []).append(check.name)
    if left:
        yield heading("Not checked")
    reasons = list(left.items())
    for reason, names in reasons[:_SHOWN_REASONS] if short else reasons:
        told = names[:_SHOWN_REASONS] if short else names
        more = f" and {len(names) - len(told)} more" if len(names) > len(told) else ""
        yield Sentence(f"{', '.join(told)}{more}{f': {reason}' if reason else ''}", "–", "dim")
    if short and len(reasons) > _SHOWN_REASONS:
        yield Sentence("and more: `-v` shows all", "–", "dim")


def _notes(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if diagnosis.notes:
        yield heading("Notes")
    for note in diagnosis.notes:
        yield Sentence(note, "·", "cyan")


def _remedies_in_short(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if table := best_fixes(diagnosis):
        yield table


def _remarks(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """Yield, in a line each, what is worth knowing besides the verdict."""
    for finding in diagnosis.findings:
        if finding.severity == "info":
            yield Sentence(f"{finding.code}: {finding.summary}", "·", "cyan")
    passed = sum(check.outcome == "passed" for check in diagnosis.checks)
    if any(check.outcome == "found" for check in diagnosis.checks):
        yield from _failed_checks(diagnosis, f"; {passed} passed")
    elif passed:
        yield Sentence(f"{passed} check{'' if passed == 1 else 's'} passed", "✔", "green")
    yield from (Sentence(note, "·", "cyan") for note in diagnosis.notes)
    yield from _not_checked(diagnosis, short=True)


_SHORT: Final = (_symptom_in_short, _remedies_in_short, _remarks)
_FULL: Final = (_symptom, _signals, _causes, _experiments, _fixes, _not_checked, _notes)
