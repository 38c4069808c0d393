from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType
from typing import Any

import pytest

from mtctl.balancing.registry import KINDS
from mtctl.diagnosis import explanations, explanations_of_players, thresholds
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanation import Explanation
from mtctl.diagnosis.explanations import EXPLANATIONS, explain
from mtctl.errors import MtctlError

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
    "flat-task",
    "rising-loss",
    "overfitting",
    "wrong-gradient",
    "interference",
    "balancer-settings",
    "regularisation",
    "capacity",
    "noisy-labels",
    "shifted-labels",
    "below-potential",
    "replay-starvation",
    "success-out-of-reach",
    "ratio-not-one",
    "policy-jumps",
    "entropy-collapsed",
    "head-starved",
    "clip-binds",
    "unused-parameter",
    "discount",
    "target-network",
    "exploration",
    "reward-scale",
    "task-encoding",
    "batches",
    "learner-settings",
    "worse-than-random",
    "hovering",
]


def test_every_code_is_explained() -> None:
    assert [str(code) for code in Code] == EXPECTED
    assert list(EXPLANATIONS) == list(Code)


@pytest.mark.parametrize("found", EXPLANATIONS.values(), ids=lambda found: found.code)
def test_an_explanation_is_whole(found: Explanation) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", found.code)
    assert found.remedies
    assert not found.title.endswith(".")
    assert found.refuted_by.startswith("It is refuted ")
    for text in (found.meaning, found.measured, found.refuted_by):
        assert text.endswith(".")
        assert "  " not in text
    for text in (found.title, *found.remedies):
        assert text == text.strip()


def _anew(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module, executed again."""
    spec = importlib.util.spec_from_file_location("changed", module.__file__ or "")
    assert spec is not None
    assert spec.loader is not None
    changed = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "changed", changed)
    spec.loader.exec_module(changed)
    return changed


def test_no_number_of_a_decision_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every threshold changed, no other numbers are left but those of definitions."""
    known = {"1", "0", "95"}  # of 1 − loss, a cosine below 0, a 95 % interval
    for place, (name, value) in enumerate(sorted(vars(thresholds).items())):
        if not name.isupper():
            continue
        numbers = [
            7000 + 10 * place + index for index in range(len(value) if isinstance(value, tuple) else 1)
        ]
        monkeypatch.setattr(thresholds, name, tuple(numbers) if isinstance(value, tuple) else numbers[0])
        known |= {f"{factor * number:g}" for number in numbers for factor in (1, 100)}
    found_anew = [
        *_anew(explanations_of_players, monkeypatch).OF_PLAYERS,
        *_anew(explanations, monkeypatch)._ALL,
    ]
    assert len(found_anew) == len(EXPLANATIONS)
    for found in found_anew:
        typed = set(re.findall(r"\d+(?:[.,]\d+)*", f"{found.measured} {found.refuted_by}"))
        assert typed <= known, found.code


def test_methods_that_remedies_name_exist() -> None:
    named = {"uncertainty", "gradnorm", "imtl_l", "db_mtl", "pcgrad", "cagrad"}
    text = " ".join(remedy for found in EXPLANATIONS.values() for remedy in found.remedies)
    assert all(name in text for name in named)
    assert named <= KINDS.keys()


def test_explain() -> None:
    assert explain("slow").code == Code.SLOW
    with pytest.raises(MtctlError, match="there is no finding `target-out-reach`") as error:
        explain("target-out-reach")
    assert error.value.hint is not None
    assert "did you mean `target-out-of-reach`?" in error.value.hint
    assert all(code in error.value.hint for code in Code)
    with pytest.raises(MtctlError) as error:
        explain("xyz")
    assert error.value.hint is not None
    assert "did you mean" not in error.value.hint
