"""What `mtctl diagnose` shows: symptom, signals, causes, experiments, fixes, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from mtctl.diagnosis.report import (
    Check,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Severity,
    State,
    Subject,
    Symptom,
)
from mtctl.diagnosis.thresholds import FLAT, IMPROVING, percent
from mtctl.screens.diagnose_tables import (
    as_is_loss,
    decimals,
    experiment_tables,
    fixes_table,
    measures_table,
    period,
    share,
    signals_meaning,
    signals_table,
    symptom_table,
)
from mtctl.screens.figures import duration, measure, number
from mtctl.screens.prose import Command, Sentence, heading
from mtctl.text import command_line, show_text

MARKS: Final[Mapping[Severity, tuple[str, str]]] = {
    "error": ("✘", "bold red"),
    "warning": ("⚠", "yellow"),
    "info": ("·", "cyan"),
}
CONFIDENCES: Final[Mapping[Confidence, str]] = {
    "certain": "read from the wiring or the data",
    "measured": "shown by an experiment",
    "likely": "suggested by signals, not tested by an experiment",
    "possible": "suggested by curves alone",
}
_LEARNING: Final[tuple[State, ...]] = ("learns", "at_floor")
_NOT_LEARNING: Final[tuple[State, ...]] = ("flat", "rising", "diverged")
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")


def diagnosis_screen(diagnosis: Diagnosis, commands: Sequence[str]) -> Iterator[RenderableType]:
    """Yield the screen, part by part; sections without content are left out.

    Args:
        diagnosis: what was found.
        commands: what to do next, the first the most useful.
    """
    yield Text(headline(diagnosis), style="bold")
    sections = (_symptom, _signals, _causes, _experiments, _fixes, _not_checked, _notes)
    for section in sections:
        parts = list(section(diagnosis))
        if parts:
            yield ""
            yield from parts
    yield ""
    yield heading("Summary")
    yield Sentence(" ".join(summary(diagnosis)))
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
    if not diagnosis.findings:
        behind = [state.task for state in diagnosis.states if state.state in (*_NOT_LEARNING, "slow")]
        if behind:
            yield Sentence(f"no cause was found for {_listed(behind)}", "⚠", "yellow")
        else:
            yield Sentence("nothing was found", "✔", "green")
    for finding in worst_first(diagnosis.findings):
        yield from _finding(finding)
    if failed := [_check(check) for check in checked if check.outcome == "found"]:
        yield Sentence(f"checks not passed: {' · '.join(failed)}", "⚠", "yellow")
    if passed := [_check(check) for check in checked if check.outcome == "passed"]:
        yield Sentence(f"checks passed: {' · '.join(passed)}", "✔", "green")
    confidences = {finding.confidence for finding in diagnosis.findings}
    meanings = [f"{word}: {meaning}" for word, meaning in CONFIDENCES.items() if word in confidences]
    if meanings:
        yield Sentence("; ".join(meanings), tone="dim")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of their severity."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


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
    best = diagnosis.winner
    if best is None:
        yield Sentence(_unproven(diagnosis), "✘", "red")
        return
    note = " It changes the model: older checkpoints do not fit." if best.remedy.changes_model else ""
    yield Sentence(f"Best: {best.remedy.title}.{note} As overrides:", "✔", "green")
    yield Command(command_line(word for override in best.remedy.overrides for word in ("-o", override)))


def _unproven(diagnosis: Diagnosis) -> str:
    """Say that no remedy helps, or that one seed proves nothing, and which is the best so far."""
    unclear = [trial for trial in diagnosis.trials if trial.verdict == "unclear" and trial.improvement]
    if not unclear:
        return "No remedy helps."
    best = max(unclear, key=lambda trial: trial.improvement.mean if trial.improvement else 0.0)
    gain = best.improvement
    if gain is None or gain.mean <= 0:
        return "No remedy is proven to help."
    seeds = ": an interval needs at least two seeds" if gain.interval is None else ""
    return f"No remedy is proven to help{seeds}. Best so far: {best.remedy.title}."


def _not_checked(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    left: dict[str, list[str]] = {}
    for check in diagnosis.checks:
        if check.outcome == "not_run":
            left.setdefault(check.detail, []).append(check.name)
    if left:
        yield heading("Not checked")
    for reason, names in left.items():
        yield Sentence(f"{', '.join(names)}{f': {reason}' if reason else ''}", "–", "dim")


def _notes(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if diagnosis.notes:
        yield heading("Notes")
    for note in diagnosis.notes:
        yield Sentence(note, "·", "cyan")


def summary(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield what to remember: who does not learn and why, and what helped most."""
    behind = [state.task for state in diagnosis.states if state.state in _NOT_LEARNING]
    slow = [state.task for state in diagnosis.states if state.state == "slow"]
    if behind:
        yield f"{_listed(behind)} {'does' if len(behind) == 1 else 'do'} not learn in {period(diagnosis)}."
    if slow:
        yield f"{_listed(slow)} {'learns' if len(slow) == 1 else 'learn'} too slowly for {period(diagnosis)}."
    for severity, word in (("error", "Found"), ("warning", "Warnings")):
        if codes := dict.fromkeys(each.code for each in diagnosis.findings if each.severity == severity):
            yield f"{word}: {', '.join(codes)}."
    learning = [state.task for state in diagnosis.states if state.state in _LEARNING]
    if is_healthy(diagnosis):
        yield f"Every task learns in {period(diagnosis)}."
    elif learning and not behind and not slow:
        yield f"{_listed(learning)} {'learns' if len(learning) == 1 else 'learn'} in {period(diagnosis)}."
    if diagnosis.trials:
        yield _remedy(diagnosis)


def is_healthy(diagnosis: Diagnosis) -> bool:
    """Return whether every task learns, and nothing is wrong."""
    learning = all(state.state in _LEARNING for state in diagnosis.states)
    return learning and not any(each.severity == "error" for each in diagnosis.findings)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _remedy(diagnosis: Diagnosis) -> str:
    best, tried = diagnosis.winner, len(diagnosis.trials)
    count = f"{tried} remedies" if tried > 1 else "the one remedy"
    if best is None:
        return f"Of {count} tried, none is proven to help."
    gain, as_is = "", as_is_loss(diagnosis)
    if best.loss is not None and as_is is not None:
        before, after = (number(value, decimals(as_is)) for value in (as_is, best.loss.mean))
        gain = f": the loss of {diagnosis.stuck} goes from {before} to {after}"
    skill = "" if best.skill is None else f", its skill to {share(best.skill.mean)}"
    return f"Of {count} tried, “{best.remedy.title}” helps most{gain}{skill}."
