"""Who is blamed for what: on shares, angles and effects that are made up."""

from __future__ import annotations

import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.company import blame
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.problems.supervised.interventions import Intervention
from tests.diagnosis.experiments.scripted import Scripted
from tests.diagnosis.experiments.small_recipes import course, small

PROOF = (Evidence("speed-up alone", 5.0, "×"),)
EQUAL, RAW = "with equal gradient shares", "with equal weights"
GRADNORM = "balancer={kind: gradnorm}"


def blamed(
    *overrides: str, share: float = 0.3, cosine: float = 0.0, helping: tuple[str, ...] = ()
) -> Finding:
    joint = course(small(*overrides), ptr=[0.0] * 14)
    for record in joint.records:
        record["signals"]["gradient_share"]["ptr"] = share
        record["signals"]["cosine"]["ptr|binary"] = cosine
    asked: list[str] = []

    def helps(name: str, change: Intervention) -> Evidence | None:
        del change
        asked.append(name)
        return Evidence(f"speed-up {name}", 4.0, "×") if name in helping else None

    finding = blame(Scripted(joint), "ptr", "it learns 5 times as fast", PROOF, helps)
    assert finding.evidence[0] == PROOF[0]
    assert (RAW in asked) == bool(overrides)
    return finding


@pytest.mark.parametrize(
    ("finding", "code", "cure"),
    [
        (blamed(helping=(EQUAL,)), Code.MULTIPLIER_DOMINANCE, "encodec"),
        (blamed(share=0.001), Code.MULTIPLIER_DOMINANCE, None),
        (blamed(GRADNORM, share=0.001, helping=(RAW,)), Code.MULTIPLIER_DOMINANCE, "equal"),
        (blamed(GRADNORM, helping=(RAW,)), Code.BALANCER_SETTINGS, "equal"),
        (blamed(GRADNORM, cosine=-0.6, helping=(RAW,)), Code.BALANCER_SETTINGS, "equal"),
        (blamed(cosine=-0.6, helping=(EQUAL,)), Code.CONFLICT, "pcgrad"),
        (blamed(cosine=-0.2), Code.CONFLICT, "pcgrad"),
        (blamed(), Code.INTERFERENCE, None),
    ],
)
def test_the_evidence_decides(finding: Finding, code: str, cure: str | None) -> None:
    assert finding.code == code
    assert finding.cure.get("balancer", {}).get("kind") == cure


def test_what_is_unknown_is_said_to_be() -> None:
    assert "Why is unknown" in blamed().summary
