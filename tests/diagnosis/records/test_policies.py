"""Rules on the records of a policy with several heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Diagnosis
from tests.diagnosis.records.histories import codes, diagnosed, subject

ITERATIONS = 40
HEADS = ("discrete", "continuous")


def records(
    returns: tuple[float, float] = (-1.0, 1.8),
    entropy: tuple[float, float] = (1.1, 0.4),
    kl: float = 0.02,
    off: float = 3e-7,
    shares: tuple[float, float] = (0.7, 0.3),
    clipped: float = 0.1,
    unused: int = 0,
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    found = []
    for place, (mean, open_) in enumerate(
        zip(np.linspace(*returns, ITERATIONS), np.geomspace(*entropy, ITERATIONS), strict=True)
    ):
        heads: dict[str, dict[str, Any]] = {
            name: {
                "loss": float(rng.normal(0, 0.01)),
                "entropy": float(open_),
                "kl": float(kl * rng.uniform(0.5, 1.5)),
                "clipped": clipped,
                "ratio off at start": off if name == "continuous" else 1e-7,
            }
            for name in HEADS
        }
        if place < unused:
            heads["continuous"]["never used"] = "action.turn[0]"
        played = {"return": float(mean + rng.normal(0, 0.1)), "steps": 60.0, "episodes": 20.0, "success": 0.5}
        norms = {"discrete": 0.1, "continuous": 0.1}
        found.append(
            {
                "kind": "unit",
                "unit": place + 1,
                "updates": 32 * (place + 1),
                "environment_steps": 4096 * (place + 1),
                "tasks": {**heads, "moving": played},
                "extra": {"kl": 2 * kl, "explained variance": 0.8},
                "signals": {
                    "updates": 32,
                    "measured": 4,
                    "loss": dict.fromkeys(HEADS, 0.01),
                    "weight": {"discrete": 0.7, "continuous": 0.3},
                    "gradient_norm": norms,
                    "gradient_share": dict(zip(HEADS, shares, strict=True)),
                    "cosine": {"discrete|continuous": 0.0},
                    "cosine_sd": {"discrete|continuous": 0.1},
                    "conflict_rate": 0.5,
                },
            }
        )
    return found


def diagnose(**options: Any) -> Diagnosis:
    return diagnosed(records(**options), subject(HEADS, "hybrid"), ["moving"])


def test_a_policy_that_learns_has_no_finding() -> None:
    diagnosis = diagnose()
    assert codes(diagnosis) == []
    assert [(state.task, state.state) for state in diagnosis.states] == [("moving", "learns")]
    assert {check.outcome for check in diagnosis.checks} == {"passed", "not_run"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"off": 0.4}, [(Code.RATIO_NOT_ONE, "continuous")]),
        ({"kl": 0.3}, [(Code.POLICY_JUMPS, "discrete"), (Code.POLICY_JUMPS, "continuous")]),
        ({"shares": (0.995, 0.005)}, [(Code.HEAD_STARVED, "continuous")]),
        ({"clipped": 0.7}, [(Code.CLIP_BINDS, "discrete"), (Code.CLIP_BINDS, "continuous")]),
        ({"clipped": 0.7, "kl": 0.3}, [(Code.POLICY_JUMPS, "discrete"), (Code.POLICY_JUMPS, "continuous")]),
        ({"unused": ITERATIONS}, [(Code.UNUSED_PARAMETER, "continuous")]),
        ({"unused": ITERATIONS - 1}, []),
        (
            {"entropy": (1.1, 0.001), "returns": (-1.0, -1.0)},
            [(Code.ENTROPY_COLLAPSED, "discrete"), (Code.FLAT_TASK, "moving")],
        ),
        ({"entropy": (1.1, 0.001)}, []),
        ({"returns": (-1.0, -1.0)}, [(Code.FLAT_TASK, "moving")]),
    ],
)
def test_faults_are_named(options: dict[str, Any], found: list[tuple[Code, str]]) -> None:
    assert sorted(codes(diagnose(**options))) == sorted(found)


def test_jumps_warn_only_where_returns_do_not_rise() -> None:
    severities = [
        {finding.severity for finding in diagnose(kl=0.3, returns=returns).findings}
        for returns in ((-1.0, 1.8), (-1.0, -1.0))
    ]
    assert severities == [{"info"}, {"warning"}]
