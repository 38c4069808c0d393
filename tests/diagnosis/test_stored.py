"""A diagnosis read back from its document."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.diagnosis.document import document
from mtctl.diagnosis.stored import read_diagnosis
from mtctl.errors import MtctlError
from mtctl.screens.diagnose import diagnosis_screen
from tests.diagnosis.experiments.documented import diagnosis
from tests.screens.snapshots import render


def written(folder: Path, text: str) -> Path:
    file = folder / "diagnosis.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_document_comes_back_as_it_was(tmp_path: Path) -> None:
    whole = diagnosis()
    assert read_diagnosis(written(tmp_path, json.dumps(document(whole)))) == whole


def test_what_was_not_finite_is_none_of_the_numbers(tmp_path: Path) -> None:
    whole = diagnosis()
    state = replace(whole.states[0], first=math.nan, change=-math.inf, measures={"mae": math.inf})
    found = read_diagnosis(written(tmp_path, json.dumps(document(replace(whole, states=(state,))))))
    assert all(
        map(math.isnan, (found.states[0].first, found.states[0].change, found.states[0].measures["mae"]))
    )
    assert "diagnose" in render(*diagnosis_screen(found, ["mtctl diagnose"]), width=80)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ('{"schema": 1, "subj', "is cut off"),
        ("{]", "is not valid JSON"),
        ("[]", "is not a diagnosis"),
        ('{"schema": 3, "methods": []}', "is not a diagnosis"),
        ('{"schema": 9, "subject": {}}', "has schema 9"),
        ('{"schema": true, "subject": {}}', "has schema true"),
        ('{"schema": 1, "subject": {"kind": "cake"}}', "subject.kind"),
        ('{"schema": 1, "subject": 5}', "does not have mtctl's format"),
        ('{"schema": 1, "subject": NaN}', "NaN is no number"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MtctlError) as caught:
        read_diagnosis(written(tmp_path, text))
    assert reason in caught.value.message
    assert "diagnosis.json" in caught.value.message
    assert "mtctl diagnose" in (caught.value.hint or "")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MtctlError, match="is a directory"):
        read_diagnosis(tmp_path)
    with pytest.raises(MtctlError, match="cannot be read"):
        read_diagnosis(tmp_path / "missing.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(MtctlError, match="is not UTF-8"):
        read_diagnosis(tmp_path / "bytes")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10_000), by=st.sampled_from(["9", "e", "-", "x", "", "null", '"', "1e999", "[]"]))
def test_damage_is_explained_or_harmless(tmp_path: Path, place: int, by: str) -> None:
    whole = json.dumps(document(diagnosis()))
    place %= len(whole)
    try:
        read_diagnosis(written(tmp_path, whole[:place] + by + whole[place + 1 :]))
    except MtctlError as error:
        assert error.hint
