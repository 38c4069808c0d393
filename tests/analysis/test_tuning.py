from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.analysis.comparison import compare
from mtctl.analysis.tuning import tuning_notes, tuning_text
from mtctl.history.formats import RecordedTuning
from tests.history.runs_factory import scores, write_run


def tuned(runs: int | None, note: str | None = None) -> RecordedTuning:
    return RecordedTuning(runs=runs, note=note)


@pytest.mark.parametrize(
    ("tuning", "text"),
    [
        (None, "undeclared"),
        (tuned(0), "not tuned"),
        (tuned(1), "tuned with 1 run"),
        (tuned(1200), "tuned with 1,200 runs"),
        (tuned(None, "rate"), "tuned, runs not counted"),
    ],
)
def test_what_is_declared_in_words(tuning: RecordedTuning | None, text: str) -> None:
    assert tuning_text(tuning) == text


MAY = "tuning may be part of a difference"
SILENT = "is undeclared (`tuning:` in a recipe)"


@pytest.mark.parametrize(
    ("base", "other", "note"),
    [
        (None, None, None),
        (tuned(12), tuned(12), None),
        (tuned(5), tuned(12), None),
        (tuned(0), None, None),
        (None, tuned(0), None),
        (tuned(0), tuned(2), None),
        (tuned(None, "rate"), tuned(12), None),
        (tuned(12), None, f"base is tuned with 12 runs, and the tuning of other {SILENT}: {MAY}"),
        (None, tuned(12), f"other is tuned with 12 runs, and the tuning of base {SILENT}: {MAY}"),
        (None, tuned(None, "x"), f"other is tuned, runs not counted, and the tuning of base {SILENT}: {MAY}"),
        (tuned(4), tuned(12), f"other is tuned with 12 runs, and base is tuned with 4 runs: {MAY}"),
        (tuned(12), tuned(0), f"other is not tuned, and base is tuned with 12 runs: {MAY}"),
    ],
)
def test_unequal_effort_is_told(
    base: RecordedTuning | None, other: RecordedTuning | None, note: str | None
) -> None:
    assert list(tuning_notes({"base": base, "other": other}, "base")) == ([] if note is None else [note])


def test_a_run_keeps_what_its_recipe_declared(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, "shared_aware", seed, returns=scores(100.0 + seed))
        tuning = {"runs": 12, "note": "rate and batch size by hand"} if seed else None
        write_run(tmp_path, "gradnorm_blind", seed, returns=scores(120.0 - seed), tuning=tuning)
    found = compare([tmp_path])
    assert {method.label: method.tuning for method in found.methods} == {
        "gradnorm_blind": tuned(12, "rate and batch size by hand"),
        "shared_aware": None,
    }
    assert (
        f"gradnorm_blind is tuned with 12 runs, and the tuning of shared_aware {SILENT}: {MAY}" in found.notes
    )
