"""What a report says of diagnoses: from each run's own records, and from files of `mtctl diagnose --json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.methods import ComparedMethod
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanations import EXPLANATIONS
from mtctl.diagnosis.records.ranking import SEVERITIES, ranked
from mtctl.diagnosis.records.run import diagnose_recorded
from mtctl.diagnosis.report import Diagnosis, Finding, Severity
from mtctl.history.history import HistoryReader
from mtctl.history.runs import read_run
from mtctl.report.content import Report
from mtctl.report.markup import Child, Markup, element
from mtctl.report.tables import table
from mtctl.screens.diagnose import CONFIDENCES, evidence_text, headline
from mtctl.screens.diagnose_tables import STATES, experiment_tables, fixes_table, symptom_table
from mtctl.screens.diagnose_verdict import summary
from mtctl.screens.tables import Column, StackedTable

_MARKS: Final[Mapping[Severity, str]] = {"error": "✘", "warning": "⚠", "info": "ℹ"}


def diagnosed_runs(comparison: Comparison, read: HistoryReader) -> dict[str, dict[int, Diagnosis]]:
    """Return what the records of each method's runs say, by seed; methods without records are left out.

    Args:
        comparison: of the methods.
        read: returns what a run recorded.

    Raises:
        MtctlError: if a run's files are unusable.
    """
    by_method = {method.label: _by_seed(method, read) for method in comparison.methods}
    return {label: by_seed for label, by_seed in by_method.items() if by_seed}


def _by_seed(method: ComparedMethod, read: HistoryReader) -> dict[int, Diagnosis]:
    runs = zip(method.seeds, map(read_run, method.paths), strict=True)
    recorded = ((seed, run, read(run)) for seed, run in runs)
    return {seed: diagnose_recorded(run, history) for seed, run, history in recorded if history is not None}


def diagnoses(report: Report) -> Iterable[Child]:
    """Yield what runs' records say, then what was diagnosed elsewhere."""
    by_method = report.run_diagnoses
    yield element("p", "Read from each run's records; nothing was trained for it.", class_="lead")
    if any(diagnosis.findings for by_seed in by_method.values() for diagnosis in by_seed.values()):
        yield table(_overview(by_method))
    elif by_method:
        yield element("p", "Nothing was found in any run.")
    yield from (_of_method(label, by_seed) for label, by_seed in by_method.items())
    if report.file_diagnoses:
        yield element("h3", "From earlier diagnoses")
    for path, diagnosis in report.file_diagnoses.items():
        findings = [(finding, "") for finding in ranked(diagnosis.findings)]
        tables = [
            *([symptom_table(diagnosis)] if diagnosis.states else []),
            *experiment_tables(diagnosis),
            *([fixes_table(diagnosis)] if diagnosis.trials else []),
        ]
        said = " ".join(summary(diagnosis))
        yield _details(f"{path}", headline(diagnosis), said, findings, tables, diagnosis.notes)


def _overview(by_method: Mapping[str, Mapping[int, Diagnosis]]) -> StackedTable:
    """Return a line for each finding: whose it is, and in how many runs of which methods; the worst first."""
    worst: dict[tuple[Code, str], int] = {}
    where: dict[tuple[Code, str], Counter[str]] = {}
    for label, by_seed in by_method.items():
        for finding in (finding for each in by_seed.values() for finding in each.findings):
            key, severity = (finding.code, finding.task or "all"), SEVERITIES.index(finding.severity)
            worst[key] = min(severity, worst.get(key, severity))
            where.setdefault(key, Counter())[label] += 1
    keys = sorted(where, key=lambda key: (worst[key], -where[key].total()))
    runs = (
        ", ".join(f"{label} {count} of {len(by_method[label])}" for label, count in where[key].items())
        for key in keys
    )
    codes = (EXPLANATIONS[code].title if code in EXPLANATIONS else "" for code, _ in keys)
    return StackedTable(
        "Findings, and in how many runs",
        Column("finding", (code for code, _ in keys), text=True),
        [
            Column("severity", (SEVERITIES[worst[key]] for key in keys), text=True),
            Column("task", (task for _, task in keys), text=True),
            Column("which means", codes, text=True),
            Column("runs", runs, text=True),
        ],
    )


def _of_method(label: str, by_seed: Mapping[int, Diagnosis]) -> Markup:
    runs, several = list(by_seed.values()), len(by_seed) > 1
    lead = f"records of {len(runs)} run{'s' if several else ''}, {_seeds(by_seed)}"
    if not several:
        said, notes = " ".join(summary(runs[0])), list(runs[0].notes)
        tables = [symptom_table(each) for each in runs if each.states]
    else:
        bad = sum(any(finding.severity != "info" for finding in each.findings) for each in runs)
        said = (
            f"{bad or 'None'} of {len(runs)} runs {'show' if bad > 1 else 'shows'} something worth a warning."
        )
        common = set.intersection(*(set(each.notes) for each in runs))
        notes = [
            f"seed {seed}: {note}"
            for seed, each in by_seed.items()
            for note in each.notes
            if note not in common
        ]
        tables = _states(runs)
    return _details(label, lead, said, _merged(by_seed), tables, notes)


def _merged(by_seed: Mapping[int, Diagnosis]) -> list[tuple[Finding, str]]:
    """Return findings, those of several seeds once, with the runs that have them: worst first."""
    seen: dict[tuple[Code, str | None], dict[int, Finding]] = {}
    for seed, diagnosis in by_seed.items():
        for finding in diagnosis.findings:
            seen.setdefault((finding.code, finding.task), {}).setdefault(seed, finding)
    merged = []
    for findings in seen.values():
        worst = min(findings, key=lambda seed: SEVERITIES.index(findings[seed].severity))
        where = _where(list(findings), worst, len(by_seed)) if len(by_seed) > 1 else ""
        rank = SEVERITIES.index(findings[worst].severity), -len(findings)
        merged.append((rank, findings[worst], where))
    return [(finding, where) for _, finding, where in sorted(merged, key=lambda each: each[0])]


def _where(seeds: Sequence[int], shown: int, runs: int) -> str:
    if len(seeds) == 1:
        return f"seed {shown}, one of {runs} runs"
    return f"{len(seeds)} of {runs} runs ({_seeds(seeds)}); figures of seed {shown}"


def _seeds(seeds: Iterable[int]) -> str:
    numbers = list(map(str, seeds))
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _states(runs: Sequence[Diagnosis]) -> list[StackedTable]:
    """Return in how many of several runs each task does how; nothing where no run says."""
    counts: dict[str, Counter[str]] = {}
    for state in (state for each in runs for state in each.states):
        counts.setdefault(state.task, Counter())[STATES[state.state]] += 1
    columns = [
        Column(name, (f"{each[name]}" for each in counts.values()))
        for name in STATES.values()
        if any(name in each for each in counts.values())
    ]
    names = Column("task", counts, text=True)
    return [StackedTable("Runs by how each task does", names, columns)] if columns else []


def _details(
    name: str,
    lead: str,
    said: str,
    findings: Sequence[tuple[Finding, str]],
    tables: Iterable[StackedTable],
    notes: Sequence[str],
) -> Markup:
    """Return what diagnoses of one method, or in one file, say.

    Args:
        name: of the method, or the file.
        lead: what was diagnosed.
        said: what to remember.
        findings: the worst first, each with the runs that it was seen in, "" where there is one.
        tables: how tasks did, what was tried.
        notes: what else a reader should know.
    """
    count = len(findings)
    says = f"{count} finding{'s' if count > 1 else ''}" if count else "nothing found"
    tag = element("span", says, class_=f"tag {findings[0][0].severity if count else 'fine'}")
    items = (_finding(finding, where) for finding, where in findings)
    return element(
        "details",
        element("summary", element("span", name, class_="name"), " ", tag),
        element("p", lead, class_="quiet"),
        element("p", said) if said else None,
        element("ul", items, class_="findings") if count else None,
        map(table, tables),
        element("ul", (element("li", note) for note in notes), class_="quiet") if notes else None,
        class_="diagnosed",
    )


def _finding(finding: Finding, where: str) -> Markup:
    confidence = f"{finding.confidence}: {CONFIDENCES[finding.confidence]}"
    about = " · ".join(part for part in (finding.task, confidence, where) if part)
    evidence = (element("li", evidence_text(each)) for each in finding.evidence)
    return element(
        "li",
        element(
            "p",
            element("span", _MARKS[finding.severity], aria_hidden="true", class_="mark"),
            element("span", f"{finding.severity}: ", class_="unseen"),
            element("code", finding.code),
            element("span", about, class_="quiet"),
        ),
        element("p", finding.summary),
        element("ul", evidence, class_="evidence") if finding.evidence else None,
        _help(finding.code),
        class_=finding.severity,
    )


def _help(code: Code) -> Markup | None:
    known = EXPLANATIONS.get(code)
    if known is None or not known.remedies:
        return None
    return element(
        "details",
        element("summary", "What helps"),
        element("p", known.title, "."),
        element("ul", (element("li", remedy) for remedy in known.remedies)),
        element("p", element("code", f"mtctl diagnose --explain {code}", class_="command")),
    )
