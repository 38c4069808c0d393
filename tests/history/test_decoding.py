"""Lines of metrics.jsonl: what is in order is read, anything else is named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtctl.errors import MtctlError
from mtctl.history.decoding import count_lines
from mtctl.history.history import History, read_history
from mtctl.history.runs import read_run
from tests.history.runs_factory import epochs, summary, write_run, write_windows_run


def history(path: Path) -> History:
    return read_history(read_run(path))


def refusal(path: Path) -> str:
    with pytest.raises(MtctlError) as caught:
        history(path)
    assert caught.value.code == 2
    assert "--force" in (caught.value.hint or "")
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"signals": {"dead_units": {"type": "many"}}},
            'signals.dead_units.type: expected number or null, found "many"',
        ),
        (
            {"signals": {"dead_units": {"type": 1, "ptr": []}}},
            "signals.dead_units.ptr: expected number or null",
        ),
        ({"signals": {"dead_units": 3}}, "signals.dead_units: expected object, found 3"),
        ({"signals": {"weight": {"type": 1e200}}}, "signals.weight.type: expected number <= 1e+100"),
        ({"signals": {"measured": None}}, "signals.measured: expected whole number, found null"),
        ({"signals": {"conflict_rate": 2}}, "signals.conflict_rate: expected number <= 1.0"),
        ({"signals": {"\x1b[2J": {"type": 1.0}}}, '"\\u001b[2J" should be printable text'),
        ({"tasks": {"type": {"loss": None}}}, "tasks.type.loss: expected number or text, found null"),
        ({"unit": 0}, "unit: expected whole number >= 1"),
        ({"unit": 10**40}, "unit: expected whole number <= "),
        ({"extra": {"epsilon": "much"}}, 'extra.epsilon: expected number, found "much"'),
        ({"kind": "month"}, "kind: invalid value 'month'"),
        ({"kind": "evaluation", "tasks": {}}, "object missing required field average"),
    ],
)
def test_figures_that_are_none_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    run = write_windows_run(tmp_path, status="running")
    record = epochs()[0]
    signals = {**record["signals"], **change.get("signals", {})}
    (run / "metrics.jsonl").write_text(json.dumps({**record, **change, "signals": signals}) + "\n")
    text = refusal(run)
    assert text.startswith(f"{run}/metrics.jsonl")
    assert message in text


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_line_that_a_killed_run_could_not_finish_is_left_out_and_named(tmp_path: Path, status: str) -> None:
    path = write_run(tmp_path, status=status)
    whole = (path / "metrics.jsonl").read_bytes()
    (path / "metrics.jsonl").write_bytes(whole[:-20])
    found = history(path)
    assert (found.units.tolist(), found.evaluations) == ([1, 2, 3], ())
    assert found.cut_off == f"{path}/metrics.jsonl:4 is cut off and was left out"
    assert summary(read_run(path)).evaluations == ()


def test_a_last_line_without_its_line_break_counts(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (path / "metrics.jsonl").write_bytes((path / "metrics.jsonl").read_bytes()[:-1])
    assert len(history(path).evaluations) == len(summary(read_run(path)).evaluations) == 1


def test_a_completed_run_has_no_line_cut_off(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (path / "metrics.jsonl").write_bytes((path / "metrics.jsonl").read_bytes()[:-20])
    assert "metrics.jsonl:4 is cut off" in refusal(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "metrics.jsonl:2 is empty"),
        (b'{"kind": "unit", "unit": }', "metrics.jsonl:2:26 is not valid JSON: expecting value"),
        (b'{"kind": "unit", "unit": 2, "tasks": {}', "metrics.jsonl:2 is cut off in the middle of a value"),
        (b'{"kind": "month"}', "metrics.jsonl:2 does not have mtctl's format"),
        (
            b'{"kind": "unit", "unit": "x"}',
            'metrics.jsonl:2 does not have mtctl\'s format: unit: expected whole number, found "x"',
        ),
        (b'{"kind": "unit", "unit": NaN}', "metrics.jsonl:2 is not valid JSON: NaN is no number"),
        (b"[1]", "metrics.jsonl:2 does not have mtctl's format: expected object, found a list of 1"),
        (b"[" * 100_000, "metrics.jsonl:2 is nested too deeply"),
        (b"\xff", "metrics.jsonl:2 is not UTF-8 text (byte 1)"),
        (b'{"kind": "unit", "unit": 2}{"kind": "unit"}', "metrics.jsonl:2:28 is not valid JSON: extra data"),
    ],
)
def test_a_corrupt_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = write_run(tmp_path, status="running")
    lines = (path / "metrics.jsonl").read_bytes().split(b"\n")
    (path / "metrics.jsonl").write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    assert message in refusal(path)


@pytest.mark.parametrize("place", ["tasks", "signals", "evaluation"])
def test_records_of_tasks_that_the_run_does_not_have(tmp_path: Path, place: str) -> None:
    run = write_windows_run(tmp_path)
    unit, evaluation = (json.loads(json.dumps(record)) for record in epochs(1))
    if place == "tasks":
        unit["tasks"]["else"] = {"loss": 1.0}
    elif place == "signals":
        unit["signals"]["further"] = {"else": 1.0}
    else:
        evaluation["tasks"]["else"] = evaluation["tasks"]["ptr"]
    lines = [epochs(1)[0], unit, evaluation]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    number = 3 if place == "evaluation" else 2
    assert refusal(run) == f"{run}/metrics.jsonl:{number} is of task `else`, which the run does not have"


def test_a_number_beyond_all_that_are_held_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path, status="running")
    lines = (path / "metrics.jsonl").read_text().split("\n")
    record = json.loads(lines[1])
    record["signals"]["gradient_norm"]["windy"] = "large"
    lines[1] = json.dumps(record).replace('"large"', "1e999")
    (path / "metrics.jsonl").write_text("\n".join(lines))
    assert "metrics.jsonl:2" in (text := refusal(path))
    assert "signals.gradient_norm.windy: number out of range" in text


def test_line_breaks_are_counted_in_files_of_any_length() -> None:
    assert [count_lines(b"ab\n" * lines + b"c") for lines in (0, 1, 100_000)] == [0, 1, 100_000]
