"""The order of findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mtctl.diagnosis.report import Confidence, Finding, Severity

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
_CONFIDENCES: Final[tuple[Confidence, ...]] = ("certain", "measured", "likely", "possible")


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, the worst and surest first; those alike in the order of the rules."""

    def rank(finding: Finding) -> tuple[int, int]:
        return SEVERITIES.index(finding.severity), _CONFIDENCES.index(finding.confidence)

    return tuple(sorted(findings, key=rank))
