"""What a report says, as plain data in the order in which it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["baseline", "better", "worse", "unclear", "none"]
"""`unclear`: the difference may be chance. `none`: there are too few seeds to say."""
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class PageColumn:
    """A column of a table.

    Args:
        header: its name.
        cells: one for each row.
        text: whether the cells are text; numbers stand right and are never broken.
    """

    header: str
    cells: tuple[str, ...]
    text: bool = False


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table; the first column names the rows."""

    title: str
    columns: tuple[PageColumn, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure at the head of the page: its name, its value, and what belongs to it in a few words."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be made of a method.

    Args:
        label: the method.
        kind: better or worse than the baseline, or why there is no telling.
        sentence: the verdict and its figures.
        average: the method's average, with its interval if there is one.
        mean: the difference to the baseline; None for the baseline.
        low: the lower end of its interval; None if there is none.
        high: the upper end.
    """

    label: str
    kind: Kind
    sentence: str
    average: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence, and the command that mends what it is about; None if nothing does."""

    sentence: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    """Something that a diagnosis found.

    Args:
        severity: how bad.
        code: stable name of the cause.
        title: what the code stands for; "" if it is not known.
        task: whose; None if it is about the run as a whole.
        confidence: how sure.
        seen: in which runs, in words; "" where there is one.
        summary: one sentence.
        evidence: the figures.
        remedies: what helps in general.
    """

    severity: Severity
    code: str
    title: str
    task: str | None
    confidence: str
    seen: str
    summary: str
    evidence: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What a diagnosis says of a method's runs, or what a file with a diagnosis says.

    Args:
        name: of the method, or of the file.
        lead: what was diagnosed.
        summary: what to remember.
        findings: the worst first.
        tables: how tasks did, what was tried.
        notes: what else a reader should know.
    """

    name: str
    lead: str
    summary: str
    findings: tuple[ReportedFinding, ...]
    tables: tuple[PageTable, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """How something was computed: what, and how."""

    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Args:
        title: the page's.
        lead: what is compared, in one line.
        facts: the figures at the head.
        verdicts: of each method, the best average first.
        difference: what the differences to the baseline are measured in; "" if there is one method only.
        left_out: runs that could not be used.
        warnings: what makes the comparison unfair.
        notes: what else a reader should know.
        mismatch: what makes the comparison undefined, where that was allowed.
        tables: every figure.
        recipes: what differs between the methods' recipes; None if nothing does.
        recipe_remarks: recipes that cannot be read.
        found: every finding of the methods' runs in a line; None if there is none.
        runs_diagnosed: what the records of each method's runs say.
        files_diagnosed: what was diagnosed elsewhere.
        explanations: how it was computed.
        runs: where each figure comes from.
        command: what was typed.
        written: when, and by which version.
        comparison: the comparison as a JSON document.
        charts: what is drawn, as a JSON document.
    """

    title: str
    lead: str
    facts: tuple[Fact, ...]
    verdicts: tuple[Verdict, ...]
    difference: str
    left_out: tuple[Remark, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    mismatch: PageTable | None
    tables: tuple[PageTable, ...]
    recipes: PageTable | None
    recipe_remarks: tuple[str, ...]
    found: PageTable | None
    runs_diagnosed: tuple[Diagnosed, ...]
    files_diagnosed: tuple[Diagnosed, ...]
    explanations: tuple[Explanation, ...]
    runs: PageTable
    command: str
    written: str
    comparison: Mapping[str, Any]
    charts: Mapping[str, Any]
