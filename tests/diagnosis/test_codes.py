from __future__ import annotations

import re

import pytest

from mtctl.balancing.registry import KINDS
from mtctl.diagnosis.codes import CODES, Explanation, explain
from mtctl.errors import MtctlError
from tests.diagnosis.experiments.documented import diagnosis

EXPECTED = [
    "bad-targets",
    "diverged",
    "detached-task",
    "not-in-optimizer",
    "frozen-trunk",
    "dead-head",
    "unlearnable",
    "ignores-input",
    "target-out-of-reach",
    "multiplier-dominance",
    "conflict",
    "budget-too-small",
    "learning-rate",
    "reduction-bias",
    "at-noise-floor",
    "slow",
    "weights-collapsed",
    "replay-starvation",
    "success-out-of-reach",
    "flat-task",
    "overfitting",
]


def test_every_code_is_explained() -> None:
    assert list(CODES) == EXPECTED
    assert {finding.code for finding in diagnosis().findings} <= CODES.keys()


@pytest.mark.parametrize("found", CODES.values(), ids=lambda found: found.code)
def test_an_explanation_is_whole(found: Explanation) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", found.code)
    assert found.remedies
    assert not found.title.endswith(".")
    for text in (found.meaning, found.measured, found.refuted_by):
        assert text.endswith(".")
        assert "  " not in text
    for text in (found.title, *found.remedies):
        assert text == text.strip()


def test_methods_that_remedies_name_exist() -> None:
    named = {"uncertainty", "gradnorm", "imtl_l", "db_mtl", "pcgrad", "cagrad"}
    text = " ".join(remedy for found in CODES.values() for remedy in found.remedies)
    assert all(name in text for name in named)
    assert named <= KINDS.keys()


def test_explain() -> None:
    assert explain("slow").code == "slow"
    with pytest.raises(MtctlError, match="there is no finding `target-out-reach`") as error:
        explain("target-out-reach")
    assert error.value.hint is not None
    assert "did you mean `target-out-of-reach`?" in error.value.hint
    assert all(code in error.value.hint for code in CODES)
    with pytest.raises(MtctlError) as error:
        explain("xyz")
    assert error.value.hint is not None
    assert "did you mean" not in error.value.hint
