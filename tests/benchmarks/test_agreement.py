"""The table of agreement with peers is made, and its words are those of its figures."""

from __future__ import annotations

import pytest

from benchmarks import agreement
from benchmarks.agreement import Line, Peer


def test_a_quick_run_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    agreement.main(["--quick"])
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "torchjd" in line or "conflictfree" in line]
    assert {line.split("|")[1].strip() for line in lines} == {peer.kind for peer in agreement._peers()}
    assert all("the same" in line or "mtctl is right" in line for line in lines)


@pytest.mark.parametrize(
    ("difference", "ours", "theirs", "verdict"),
    [
        (1e-9, None, None, "the same"),
        (1e-3, None, None, "different"),
        (1e-3, 1e-12, 1e-2, "mtctl is right"),
        (1e-3, 1e-2, 1e-12, "torchjd is right"),
        (1e-3, 1e-2, 1e-2, "both are off"),
        (1e-5, 1e-7, 1e-7, "both within tolerance"),
    ],
)
def test_verdicts(difference: float, ours: float | None, theirs: float | None, verdict: str) -> None:
    peer = Peer("mgda", {}, "torchjd", lambda _: lambda rows: rows, 2)
    assert Line(peer, 2, 1.0, difference, ours, theirs).verdict == verdict
