"""The page on findings: what `mtctl diagnose --explain CODE` shows of each."""

from __future__ import annotations

from docs.rendering.text import page, prose, table
from mtctl.diagnosis.explanation import Explanation
from mtctl.diagnosis.explanations import EXPLANATIONS

_HEAD = """\
# Findings

Every finding of `mtctl diagnose` has a stable name. This page says what each means, how it is measured and
decided, what would refute it, and what helps. In the terminal, `mtctl diagnose --explain CODE` shows one of
them.

A finding says how sure it is: **certain** if it was read off the model, **measured** if an experiment
removed the cause and the task learned, **likely** or **possible** if records point to it. [Why does my task
not learn?](why.md) shows in which order causes are looked for."""


def findings_page() -> str:
    """Return the page: a table of all findings, then a section for each."""
    rows = ((f"[{code}](#{code})", prose(each.title)) for code, each in EXPLANATIONS.items())
    return page(_HEAD, table(("finding", "what it says"), rows), *map(_section, EXPLANATIONS.values()))


def _section(finding: Explanation) -> str:
    return page(
        f"## {finding.code}",
        f"**{prose(finding.title)}.**",
        prose(finding.meaning),
        f"*How it is measured and decided.* {prose(finding.measured)}",
        f"*What would refute it.* {prose(finding.refuted_by)}",
        "*What helps:*",
        "\n".join(f"- {prose(remedy)}" for remedy in finding.remedies),
    ).rstrip()
