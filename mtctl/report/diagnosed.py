"""What a report says of diagnoses: from each run's own records, and from files of `mtctl diagnose --json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanations import EXPLANATIONS
from mtctl.diagnosis.records.run import diagnose_recorded
from mtctl.diagnosis.stored import read_diagnosis
from mtctl.history.history import HistoryReader, recorded_history
from mtctl.history.runs import read_run
from mtctl.report.parts import Diagnosed, PageColumn, PageTable, ReportedFinding
from mtctl.report.plain import plain
from mtctl.screens.diagnose import CONFIDENCES, headline, summary
from mtctl.screens.diagnose_tables import STATES, experiment_tables, fixes_table, symptom_table
from mtctl.screens.figures import measure

if TYPE_CHECKING:
    from mtctl.analysis.comparison import Comparison
    from mtctl.analysis.methods import ComparedMethod
    from mtctl.diagnosis.report import Diagnosis, Evidence
    from mtctl.diagnosis.report import ReportedFinding as Found

_SEVERITIES = ("error", "warning", "info")


def diagnosed_runs(
    comparison: Comparison, read: HistoryReader = recorded_history
) -> tuple[PageTable | None, tuple[Diagnosed, ...]]:
    """Return every finding in a line, and what the records of each method's runs say.

    Methods without records are left out.

    Args:
        comparison: of the methods.
        read: returns what a run recorded.

    Raises:
        MtctlError: if a run's files are unusable.
    """
    diagnosed = ((method, _by_seed(method, read)) for method in comparison.methods)
    by_method = {method.label: by_seed for method, by_seed in diagnosed if by_seed}
    return _overview(by_method), tuple(_method(label, by_seed) for label, by_seed in by_method.items())


def diagnosed_files(paths: Sequence[Path]) -> tuple[Diagnosed, ...]:
    """Return what stored diagnoses say.

    Raises:
        MtctlError: a file cannot be read, or is no diagnosis.
    """
    return tuple(_file(path, read_diagnosis(path)) for path in dict.fromkeys(paths))


def _by_seed(method: ComparedMethod, read: HistoryReader) -> dict[int, Diagnosis]:
    pairs = ((seed, read_run(path)) for seed, path in zip(method.seeds, method.paths, strict=True))
    read_pairs = ((seed, run, read(run)) for seed, run in pairs)
    return {seed: diagnose_recorded(run, history) for seed, run, history in read_pairs if history is not None}


def _overview(by_method: Mapping[str, Mapping[int, Diagnosis]]) -> PageTable | None:
    """Return a line for each finding: whose it is, and in how many runs of which methods; the worst first."""
    worst: dict[tuple[Code, str], int] = {}
    where: dict[tuple[Code, str], dict[str, int]] = {}
    for label, by_seed in by_method.items():
        for finding in (finding for each in by_seed.values() for finding in each.findings):
            key, severity = (finding.code, finding.task or "all"), _SEVERITIES.index(finding.severity)
            worst[key] = min(severity, worst.get(key, severity))
            by_label = where.setdefault(key, {})
            by_label[label] = by_label.get(label, 0) + 1
    if not where:
        return None
    keys = sorted(where, key=lambda key: (worst[key], -sum(where[key].values())))
    runs = (
        ", ".join(f"{label} {count} of {len(by_method[label])}" for label, count in where[key].items())
        for key in keys
    )
    codes = (EXPLANATIONS[code].title if code in EXPLANATIONS else "" for code, _ in keys)
    return PageTable(
        "Findings, and in how many runs",
        (
            PageColumn("finding", tuple(code for code, _ in keys), text=True),
            PageColumn("severity", tuple(_SEVERITIES[worst[key]] for key in keys), text=True),
            PageColumn("task", tuple(task for _, task in keys), text=True),
            PageColumn("which means", tuple(codes), text=True),
            PageColumn("runs", tuple(runs), text=True),
        ),
    )


def _method(label: str, by_seed: Mapping[int, Diagnosis]) -> Diagnosed:
    runs = f"{len(by_seed)} run{'s' if len(by_seed) > 1 else ''}"
    return Diagnosed(
        name=label,
        lead=f"records of {runs}, {_seeds(by_seed)}",
        summary=_summary(list(by_seed.values())),
        findings=tuple(_merged(by_seed)),
        tables=tuple(_states(by_seed)),
        notes=tuple(_notes(by_seed)),
    )


def _summary(found: Sequence[Diagnosis]) -> str:
    if len(found) == 1:
        return " ".join(summary(found[0]))
    bad = sum(map(_bad, found))
    return f"{bad or 'None'} of {len(found)} runs {'show' if bad > 1 else 'shows'} something worth a warning."


def _notes(by_seed: Mapping[int, Diagnosis]) -> Iterable[str]:
    """Yield notes; of several runs those that tell one from the others."""
    common = set.intersection(*(set(each.notes) for each in by_seed.values()))
    for seed, each in by_seed.items():
        if len(by_seed) == 1:
            yield from each.notes
        else:
            yield from (f"seed {seed}: {note}" for note in each.notes if note not in common)


def _bad(diagnosis: Diagnosis) -> bool:
    return any(each.severity != "info" for each in diagnosis.findings)


def _merged(by_seed: Mapping[int, Diagnosis]) -> Iterable[ReportedFinding]:
    """Yield findings, those of several seeds once: the worst first, then those of most seeds."""
    seen: dict[tuple[str, str | None], dict[int, Found]] = {}
    for seed, each in by_seed.items():
        for finding in each.findings:
            seen.setdefault((finding.code, finding.task), {}).setdefault(seed, finding)
    merged = []
    for found in seen.values():
        worst = min(found, key=lambda seed: _SEVERITIES.index(found[seed].severity))
        where = _where(found, worst, len(by_seed)) if len(by_seed) > 1 else ""
        merged.append((_SEVERITIES.index(found[worst].severity), -len(found), _finding(found[worst], where)))
    yield from (finding for *_, finding in sorted(merged, key=lambda each: each[:2]))


def _where(seeds: Iterable[int], shown: int, runs: int) -> str:
    found = list(seeds)
    if len(found) == 1:
        return f"seed {shown}, one of {runs} runs"
    return f"{len(found)} of {runs} runs ({_seeds(found)}); figures of seed {shown}"


def _seeds(seeds: Iterable[int]) -> str:
    found = list(map(str, seeds))
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _finding(finding: Found, seen: str) -> ReportedFinding:
    known = EXPLANATIONS.get(finding.code)
    return ReportedFinding(
        severity=finding.severity,
        code=finding.code,
        title=known.title if known else "",
        task=finding.task,
        confidence=f"{finding.confidence}: {CONFIDENCES[finding.confidence]}",
        seen=seen,
        summary=finding.summary,
        evidence=tuple(map(_evidence, finding.evidence)),
        remedies=known.remedies if known else (),
    )


def _evidence(evidence: Evidence) -> str:
    value = evidence.value if isinstance(evidence.value, str) else measure(evidence.value)
    unit = f" {evidence.unit}" if evidence.unit else ""
    return f"{evidence.name}: {value}{unit}" + (f" ({evidence.against})" if evidence.against else "")


def _states(by_seed: Mapping[int, Diagnosis]) -> Iterable[PageTable]:
    """Yield how each task does: of one run with its figures, of several by how many there are."""
    found = list(by_seed.values())
    if len(found) == 1:
        yield from (plain(symptom_table(each)) for each in found if each.states)
        return
    counts: dict[str, dict[str, int]] = {}
    for state in (state for each in found for state in each.states):
        by_state = counts.setdefault(state.task, {})
        by_state[STATES[state.state]] = by_state.get(STATES[state.state], 0) + 1
    states = [name for name in STATES.values() if any(name in each for each in counts.values())]
    if states:
        yield PageTable(
            "Runs by how each task does",
            (
                PageColumn("task", tuple(counts), text=True),
                *(
                    PageColumn(name, tuple(f"{each.get(name, 0)}" for each in counts.values()))
                    for name in states
                ),
            ),
        )


def _file(path: Path, diagnosis: Diagnosis) -> Diagnosed:
    tables = [
        *([symptom_table(diagnosis)] if diagnosis.states else []),
        *experiment_tables(diagnosis),
        *([fixes_table(diagnosis)] if diagnosis.trials else []),
    ]
    return Diagnosed(
        name=str(path),
        lead=headline(diagnosis),
        summary=" ".join(summary(diagnosis)),
        findings=tuple(_finding(each, "") for each in _sorted(diagnosis.findings)),
        tables=tuple(map(plain, tables)),
        notes=diagnosis.notes,
    )


def _sorted(findings: Iterable[Found]) -> list[Found]:
    return sorted(findings, key=lambda each: _SEVERITIES.index(each.severity))
