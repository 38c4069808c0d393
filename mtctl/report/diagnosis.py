"""What diagnoses found, method by method and file by file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mtctl.report.markup import Child, Markup, element
from mtctl.report.parts import Diagnosed, Page, ReportedFinding, Severity
from mtctl.report.tables import table

_MARKS: Final[dict[Severity, str]] = {"error": "✘", "warning": "⚠", "info": "ℹ"}


def diagnosis(report: Page) -> Iterable[Child]:
    """Yield what runs' records say, then what was diagnosed elsewhere."""
    yield element(
        "p",
        "Read from each run's records; nothing was trained for it.",
        class_="lead",
    )
    if report.found is not None:
        yield table(report.found)
    elif report.runs_diagnosed:
        yield element("p", "Nothing was found in any run.")
    for found in report.runs_diagnosed:
        yield _diagnosed(found)
    if report.files_diagnosed:
        yield element("h3", "From earlier diagnoses")
        for found in report.files_diagnosed:
            yield _diagnosed(found)


def _diagnosed(found: Diagnosed) -> Markup:
    count = len(found.findings)
    says = "nothing found" if not count else f"{count} finding{'s' if count > 1 else ''}"
    worst = found.findings[0].severity if found.findings else "fine"
    return element(
        "details",
        element(
            "summary",
            element("span", found.name, class_="name"),
            " ",
            element("span", says, class_=f"tag {worst}"),
        ),
        element("p", found.lead, class_="quiet"),
        element("p", found.summary) if found.summary else None,
        element("ul", map(_finding, found.findings), class_="findings") if count else None,
        map(table, found.tables),
        element("ul", (element("li", note) for note in found.notes), class_="quiet") if found.notes else None,
        class_="diagnosed",
    )


def _finding(finding: ReportedFinding) -> Markup:
    about = [finding.task, finding.confidence, finding.seen]
    evidence = (element("li", each) for each in finding.evidence)
    return element(
        "li",
        element(
            "p",
            element("span", _MARKS[finding.severity], aria_hidden="true", class_="mark"),
            element("span", f"{finding.severity}: ", class_="unseen"),
            element("code", finding.code),
            element("span", " · ".join(part for part in about if part), class_="quiet"),
        ),
        element("p", finding.summary),
        element("ul", evidence, class_="evidence") if finding.evidence else None,
        _help(finding),
        class_=finding.severity,
    )


def _help(finding: ReportedFinding) -> Markup | None:
    if not finding.remedies:
        return None
    return element(
        "details",
        element("summary", "What helps"),
        element("p", finding.title, ".") if finding.title else None,
        element("ul", (element("li", remedy) for remedy in finding.remedies)),
        element("p", element("code", f"mtctl diagnose --explain {finding.code}", class_="command")),
    )
