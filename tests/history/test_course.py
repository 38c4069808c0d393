from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.history.course import Moment, moments, read_course, recorded_course
from mtctl.history.formats import EvaluationRecord, Run
from mtctl.history.runs import metrics, read_run
from tests.history.runs_factory import TASKS, WINDOWS_TASKS, write_course, write_run, write_windows_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    path = write_run(tmp_path)
    write_course(path, [0.0, 100.0, 200.0], every=10)
    return read_run(path)


def rewrite(run: Run, **dumps: Any) -> None:
    """Write the records again in another style of JSON."""
    file = run.path / "metrics.jsonl"
    records = map(json.loads, file.read_text().splitlines())
    file.write_text("".join(json.dumps(record, **dumps) + "\n" for record in records))


def checked(run: Run) -> list[Moment]:
    """Return the same figures from records that are read and checked one by one."""
    found = []
    for record in metrics(run.path):
        if not isinstance(record, EvaluationRecord) and record.signals is not None:
            unit = record.episode if record.kind == "episode" else record.epoch
            seen = record.signals
            found.append(Moment(unit, seen.measured, seen.conflict_rate, seen.weight))
    return found


def test_a_course_in_figures(run: Run) -> None:
    course = read_course(run)
    assert [record.average for record in course.evaluations] == [0.0, 100.0, 200.0]
    assert course.conflict_rate == pytest.approx(0.5)
    assert course.first == pytest.approx({"standard": 1 + 2 / 29, "windy": 1.0, "heavy": 1.0})
    assert course.last == pytest.approx({"standard": 3 - 2 / 29, "windy": 1.0, "heavy": 1.0})


def test_figures_cut_out_of_lines_are_those_of_checked_records(run: Run, tmp_path: Path) -> None:
    assert moments(run) == checked(run)
    windows = read_run(write_windows_run(tmp_path))
    write_course(windows.path, [1.0, 2.0], every=2)
    assert moments(windows) == checked(windows)
    assert set(read_course(windows).last) == set(WINDOWS_TASKS)


def test_other_ways_to_write_json_are_read_too(run: Run) -> None:
    before, moments_before = read_course(run), moments(run)
    rewrite(run, sort_keys=True)
    assert read_course(run) == before
    assert moments(run) == moments_before


def test_conflicts_count_by_measured_updates(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    units = [line for line in lines if line["kind"] == "episode"][:3]
    for unit, (rate, measured) in zip(units, [(0.0, 1), (1.0, 3), (None, 0)], strict=True):
        unit["signals"] |= {"conflict_rate": rate, "measured": measured}
    file.write_text("".join(json.dumps(unit, separators=(",", ":")) + "\n" for unit in units))
    assert read_course(run).conflict_rate == 0.75


def test_a_training_without_updates_has_neither_conflicts_nor_weights(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    first = {**json.loads(file.read_text().splitlines()[0]), "signals": None}
    file.write_text(json.dumps(first, separators=(",", ":")) + "\n")
    course = read_course(run)
    assert (course.conflict_rate, course.first, course.last, course.evaluations) == (None, {}, {}, ())


def test_records_that_were_not_kept_are_no_error(run: Run) -> None:
    (run.path / "metrics.jsonl").unlink()
    assert recorded_course(run) is None
    with pytest.raises(MtctlError, match="cannot be read"):
        read_course(run)


def test_a_last_line_that_is_cut_off_does_not_count(run: Run) -> None:
    before, file = read_course(run), run.path / "metrics.jsonl"
    with file.open("a") as end:
        end.write('{"kind":"episode","episode":31,"ta')
    assert read_course(run) == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_explained_or_harmless(run: Run, data: st.DataObject) -> None:
    """What is cut out of a damaged line is a figure of the expected kind, or the damage is named."""
    file = run.path / "metrics.jsonl"
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.sampled_from([b"9", b"e", b"-", b"x", b"", b"}", b","]))
    try:
        file.write_bytes(whole[:place] + letter + whole[place + 1 :])
        for read in (read_course, moments):
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
        read_course(run)


def test_tasks_are_those_of_the_run(run: Run) -> None:
    assert set(read_course(run).first) == set(TASKS)
