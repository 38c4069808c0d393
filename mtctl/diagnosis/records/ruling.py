"""What a rule returns: what it looked at, and what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mtctl.diagnosis.report import Check, Finding

NEEDS_TRAINING = "needs training: mtctl diagnose RECIPE"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule's result.

    Args:
        check: what was looked at.
        findings: what was found.
    """

    check: Check
    findings: tuple[Finding, ...] = ()


def ruling(name: str, findings: Iterable[Finding], passed: str) -> Ruling:
    """Return a check that has passed, with `passed` as its detail, or one that found something.

    Args:
        name: what was looked at.
        findings: what was found.
        passed: the result in a few words if nothing was found.
    """
    found = tuple(findings)
    if not found:
        return Ruling(Check(name, "passed", passed))
    tasks = dict.fromkeys(finding.task for finding in found if finding.task)
    return Ruling(Check(name, "found", ", ".join(tasks)), found)


def not_run(name: str, reason: str) -> Ruling:
    """Return a check that could not be made, and why."""
    return Ruling(Check(name, "not_run", reason))
