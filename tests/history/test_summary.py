from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.history.formats import Run
from mtctl.history.history import read_history
from mtctl.history.runs import read_run
from mtctl.history.summary import recorded_summary
from tests.history.runs_factory import TASKS, summary, write_run, write_training


@pytest.fixture
def run(tmp_path: Path) -> Run:
    path = write_run(tmp_path)
    write_training(path, [0.0, 100.0, 200.0], every=10)
    return read_run(path)


def rewrite(run: Run, **dumps: Any) -> None:
    """Write the records again in another style of JSON."""
    file = run.path / "metrics.jsonl"
    records = map(json.loads, file.read_text().splitlines())
    file.write_text("".join(json.dumps(record, **dumps) + "\n" for record in records))


def test_a_summary_in_figures(run: Run) -> None:
    course = summary(run)
    assert [record.average for record in course.evaluations] == [0.0, 100.0, 200.0]
    assert course.conflict_rate == pytest.approx(0.5)
    assert course.first == pytest.approx({"standard": 1 + 2 / 29, "windy": 1.0, "heavy": 1.0})
    assert course.last == pytest.approx({"standard": 3 - 2 / 29, "windy": 1.0, "heavy": 1.0})


def test_other_ways_to_write_json_are_read_too(run: Run) -> None:
    before = summary(run)
    rewrite(run, sort_keys=True)
    assert summary(run) == before


def test_conflicts_count_by_measured_updates(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    units = [line for line in lines if line["kind"] == "unit"][:3]
    for unit, (rate, measured) in zip(units, [(0.0, 1), (1.0, 3), (None, 0)], strict=True):
        unit["signals"] |= {"conflict_rate": rate, "measured": measured}
    file.write_text("".join(json.dumps(unit, separators=(",", ":")) + "\n" for unit in units))
    assert summary(run).conflict_rate == 0.75


def test_weights_count_by_updates(run: Run) -> None:
    """A unit of many updates says more of the weights that were learned with than one of few."""
    file = run.path / "metrics.jsonl"
    units = [line for line in map(json.loads, file.read_text().splitlines()) if line["kind"] == "unit"][:20]
    for unit, (weight, updates) in zip(units, [(1.0, 30), (4.0, 10)], strict=False):
        unit["signals"] |= {"weight": {"standard": weight}, "updates": updates}
    file.write_text("".join(json.dumps(unit) + "\n" for unit in units))
    assert summary(run).first == {"standard": 1.75}


def test_a_training_without_updates_has_neither_conflicts_nor_weights(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    first = {**json.loads(file.read_text().splitlines()[0]), "signals": None}
    file.write_text(json.dumps(first, separators=(",", ":")) + "\n")
    course = summary(run)
    assert (course.conflict_rate, course.first, course.last, course.evaluations) == (None, {}, {}, ())


def test_records_that_were_not_kept_are_no_error(run: Run) -> None:
    (run.path / "metrics.jsonl").unlink()
    assert recorded_summary(run) is None


def test_a_last_line_that_is_cut_off_does_not_count(run: Run) -> None:
    run = run.model_copy(update={"status": "interrupted"})
    before, file = summary(run), run.path / "metrics.jsonl"
    with file.open("a") as end:
        end.write('{"kind":"unit","unit":31,"ta')
    assert summary(run) == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_explained_or_harmless(run: Run, data: st.DataObject) -> None:
    """What is read of a damaged line is a figure of the expected kind, or the damage is named."""
    file = run.path / "metrics.jsonl"
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.sampled_from([b"9", b"e", b"-", b"x", b"", b"}", b","]))
    try:
        file.write_bytes(whole[:place] + letter + whole[place + 1 :])
        for read in (summary, read_history):
            try:
                read(run)
            except MtctlError as error:
                assert "metrics.jsonl" in error.message
    finally:
        file.write_bytes(whole)


def test_weights_that_are_no_numbers_are_named(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    file.write_text(file.read_text().replace('"weight":{"standard":1.0,', '"weight":{"standard":"much",', 1))
    with pytest.raises(MtctlError, match=r"metrics.jsonl:1 does not have mtctl's format"):
        summary(run)


def test_tasks_are_those_of_the_run(run: Run) -> None:
    assert set(summary(run).first) == set(TASKS)
