"""Metrics files from elsewhere: columns, steps, broken files, and what curves tell."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.document import document
from mtctl.diagnosis.records.curves import diagnose_metrics
from mtctl.diagnosis.records.formats.readers import read_table
from mtctl.diagnosis.report import Diagnosis
from mtctl.errors import MtctlError
from tests.diagnosis.records.histories import codes

FALLING = "step,loss_a,loss_b,loss\n" + "".join(
    f"{i},{1 - i / 10},{2 - i / 5},{3 - i / 4}\n" for i in range(1, 9)
)
FALLS = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]


def write(folder: Path, text: str | bytes, name: str = "metrics.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def diagnose(folder: Path, text: str | bytes, name: str = "metrics.csv", **columns: str) -> Diagnosis:
    return diagnose_metrics([write(folder, text, name)], columns or None)


def table(columns: Mapping[str, Any], step: str = "step") -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [f"{at + 1},{','.join(map(str, row))}" for at, row in enumerate(rows)]
    return "\n".join([",".join([step, *columns]), *lines]) + "\n"


def test_a_healthy_file_has_no_finding_but_few_steps(tmp_path: Path) -> None:
    found = diagnose(tmp_path, FALLING)
    assert codes(found) == []
    assert [(state.task, state.state) for state in found.states] == [("a", "learns"), ("b", "learns")]
    assert (found.subject.kind, found.subject.unit, found.subject.units) == ("metrics", "step", 8)
    assert (found.subject.updates, found.subject.seeds, found.subject.problem) == (8, (), "")
    assert "a = `loss_a`, b = `loss_b`" in found.notes[0]
    assert "possible, not proven" in found.notes[1]
    assert all(check.detail for check in found.checks)
    assert {"conflicting gradients", "counterfactual trainings"} <= {
        check.name for check in found.checks if check.outcome == "not_run"
    }
    json.dumps(document(found), allow_nan=False)


def test_the_same_curves_say_the_same_in_jsonl(tmp_path: Path) -> None:
    names, *rows = [line.split(",") for line in FALLING.splitlines()]
    lines = [json.dumps(dict(zip(names, map(float, row), strict=True))) for row in rows]
    assert diagnose(tmp_path, "\n".join(lines), "m.jsonl").states == diagnose(tmp_path, FALLING).states


def test_the_documented_symptom(tmp_path: Path) -> None:
    falls, stays = np.linspace(1, 0.4, 200), 15.9 + 0.001 * np.cos(np.arange(200))
    found = diagnose(tmp_path, table({"ptr_loss": falls, "countdown_loss": stays}))
    assert found.symptom is not None
    assert (found.symptom.present, found.symptom.flat, found.symptom.updates) == (True, ("countdown",), 200)
    assert codes(found) == [(Code.FLAT_TASK, "countdown")]
    assert (found.findings[0].severity, found.findings[0].confidence) == ("warning", "possible")
    assert {finding.code for finding in found.findings} <= set(Code)


def test_epochs_are_no_updates(tmp_path: Path) -> None:
    text = table({"ptr_loss": [1, 0.9, 0.8, 0.7, 0.6], "countdown_loss": [15.9] * 5}, step="epoch")
    found = diagnose(tmp_path, text)
    assert (found.subject.unit, found.subject.units, found.subject.updates) == ("epoch", 5, None)
    assert found.symptom is None
    assert found.checks[0].outcome == "found"
    assert found.checks[0].detail == "flat (< 1 %): countdown; improving (> 20 %): ptr"


@pytest.mark.parametrize(
    ("column", "task"),
    [
        ("loss_x", "x"),
        ("x_loss", "x"),
        ("loss/x", "x"),
        ("train/loss_x", "x"),
        ("train/x_loss", "x"),
        ("Loss X", "x"),
        ("xLoss", "x"),
        ("loss.ptr_end", "ptr_end"),
        ("train_loss_x_epoch", "x"),
    ],
)
def test_losses_are_found_by_their_names(tmp_path: Path, column: str, task: str) -> None:
    others = {"loss": FALLS, "train/total_loss": FALLS, "lr": FALLS, "val_accuracy": FALLS}
    assert diagnose(tmp_path, table({column: FALLS, **others})).subject.tasks == (task,)


@pytest.mark.parametrize("step", ["step", "Step", "global_step", "trainer/global_step", "iteration", "iter"])
def test_steps_are_found_by_their_names(tmp_path: Path, step: str) -> None:
    found = diagnose(tmp_path, table({"epoch": [1] * 7, "loss_x": FALLS}, step=step))
    assert (found.subject.unit, found.subject.units) == ("step", 7)


def test_columns_as_the_user_names_them(tmp_path: Path) -> None:
    text = table({"t": [10 * i for i in range(7)], "foo": FALLS, "bar": [1] * 7}, step="row")
    found = diagnose(tmp_path, text, a="foo", b="bar", step="t")
    assert found.subject.tasks == ("a", "b")
    assert found.subject.units == 61
    assert codes(found) == [(Code.FLAT_TASK, "b"), (Code.BUDGET_TOO_SMALL, None)]


def test_rows_are_counted_where_no_column_counts(tmp_path: Path) -> None:
    found = diagnose(tmp_path, table({"loss_x": FALLS}, step="time"))
    assert any("so rows are counted" in note for note in found.notes)
    assert (found.subject.units, found.subject.updates) == (7, None)


def test_tasks_that_are_logged_at_different_steps(tmp_path: Path) -> None:
    rows = [f"{i},{1 - i / 40},\n{i + 0.5},,{2 - i / 40}\n" for i in range(1, 21)]
    found = diagnose(tmp_path, "step,loss_a,loss_b\n" + "".join(rows))
    assert [(state.first, state.last) for state in found.states] == [(0.975, 0.5), (1.975, 1.5)]


def test_a_resumed_log_counts_its_last_values(tmp_path: Path) -> None:
    steps, values = [1, 2, 3, 4, 5, 4, 5, 6], [9, 8, 7, 100, 100, 6, 5, 4]
    rows = "".join(f"{at},{value}\n" for at, value in zip(steps, values, strict=True))
    found = diagnose(tmp_path, "step,loss_x\n" + rows)
    assert (found.states[0].first, found.states[0].last, found.subject.units) == (9, 4, 6)
    assert any("steps go back at line 7" in note for note in found.notes)
    ordered = diagnose(tmp_path, table({"loss_x": [9, 8, 7, 6, 5, 4]}))
    assert found.states == ordered.states


@pytest.mark.parametrize(("text", "name"), [("nan", "m.csv"), ("inf", "m.csv"), ("NaN", "m.jsonl")])
@pytest.mark.parametrize("at_end", [True, False])
def test_a_loss_that_stays_not_finite_has_diverged(
    tmp_path: Path, text: str, name: str, at_end: bool
) -> None:
    values = ["1", "0.9", "0.8", "0.7", text, text] if at_end else ["1", "0.9", "0.8", text, text, "0.7"]
    body = "step,loss_x\n" + "".join(f"{at},{value}\n" for at, value in enumerate(values))
    if name.endswith("jsonl"):
        body = "".join(f'{{"step": {at}, "loss_x": {value}}}\n' for at, value in enumerate(values))
    found = diagnose(tmp_path, body, name)
    assert codes(found) == [(Code.DIVERGED if at_end else Code.BAD_TARGETS, "x")]
    assert found.findings[0].severity == ("error" if at_end else "warning")
    assert found.findings[0].confidence == ("certain" if at_end else "likely")
    assert found.findings[0].evidence[0].value == 2
    assert found.states[0].state == ("diverged" if at_end else "learns")


def test_held_out_columns_show_overfitting(tmp_path: Path) -> None:
    rises = [1.0, 0.8, 0.7, 0.75, 0.9, 1.1, 1.3]
    found = diagnose(tmp_path, table({"loss_x": FALLS, "val_loss_x": rises}))
    assert codes(found) == [(Code.OVERFITTING, "x")]
    assert "held out: x = `val_loss_x`" in found.notes[0]
    assert codes(diagnose(tmp_path, table({"foo": FALLS, "val_x_loss": rises}), x="foo")) == [
        (Code.OVERFITTING, "x")
    ]
    assert codes(diagnose(tmp_path, table({"loss_x": FALLS, "val_loss_x": FALLS}))) == []


def test_spikes_are_pointed_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.linspace(1, 0.5, 300) * np.exp(0.05 * rng.normal(size=300))
    spikes = [
        check for check in diagnose(tmp_path, table({"loss_x": values})).checks if check.name == "spikes"
    ]
    assert spikes[0].outcome == "passed"
    values[120] *= 8
    spikes = [
        check for check in diagnose(tmp_path, table({"loss_x": values})).checks if check.name == "spikes"
    ]
    assert (spikes[0].outcome, spikes[0].detail) == ("found", "x: 1, the largest at 121")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (FALLING.replace("0.5,", "0.5x,"), 'metrics.csv:6:3: "0.5x" in column `loss_a`', "write a number"),
        (
            FALLING.replace("0.5,1.0", '"a,b",1'),
            'metrics.csv:6:3: "a,b" in column `loss_a`',
            "write a number",
        ),
        (FALLING.replace("\n4,", "\n,"), "metrics.csv:5: column `step` has no step", "step=COLUMN"),
        ("", "metrics.csv is empty", "a metrics file is"),
        (b"step,loss_a\n1,\xff\n", "not UTF-8", "a metrics file is"),
        ("step,loss_a\n1,2\n", "has 1 row", "at least 5 rows"),
        ("step,loss_a\n", "has 0 rows", "at least 5 rows"),
        ("1,2\n3,4\n", "expected the names of the columns, got numbers", "a metrics file is"),
        (FALLING + "9,1\n", "metrics.csv:10 has 2 cells, but there are 4", "as many cells"),
        (table({"acc": FALLS, "lr": FALLS}), "no column that looks like a loss", "columns: step, acc, lr"),
        (table({"loss_x": FALLS, "x_loss": FALLS}), "all look like the loss of task `x`", "--tasks x=loss_x"),
        (table({"loss_x": [""] * 7, "loss_y": ["NA"] * 7}), "column `loss_x` holds no value", "--tasks"),
        ("step,loss_x,loss_x\n" + "1,1,1\n" * 6, "2 columns `loss_x`", "a different name"),
        ('step,loss_x\n1,"2\n' * 6, "not valid CSV", "a metrics file is"),
    ],
)
def test_a_broken_csv_file_is_explained(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    with pytest.raises(MtctlError) as error:
        diagnose(tmp_path, text)
    assert message in error.value.message
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"step": 1, "loss_x": 1}\n{"step": 2, "loss_x": }\n{}\n', "m.jsonl:2:23 is not valid JSON"),
        ("[1]\n" * 6, "m.jsonl:1 is a list of 1, not an object"),
        ('{"step": 1, "loss_x": true}\n' * 6, "m.jsonl:1:13: true in column `loss_x` is not a number"),
        ('{"step": 1, "train": {"loss_x": [1]}}\n' * 6, "m.jsonl:1:23: a list of 1 in column `train/loss_x`"),
        ('{"step": 1, "loss_x": 1' + "0" * 5000 + "}\n" * 6, "m.jsonl:1 is not valid JSON"),
        (f'{{"step": 1, "loss_x": {10**400}}}\n' * 6, "m.jsonl:1:13: a huge integer in column `loss_x`"),
        ("[" * 100_000 + "\n", "nested too deeply"),
    ],
)
def test_a_broken_jsonl_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MtctlError) as error:
        diagnose(tmp_path, text, "m.jsonl")
    assert message in error.value.message


def test_a_column_that_is_missing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(MtctlError) as error:
        diagnose(tmp_path, FALLING, a="los_a")
    assert "no column `los_a`" in error.value.message
    assert error.value.hint == "did you mean `loss_a`? columns: step, loss_a, loss_b, loss"


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    found = diagnose(tmp_path, FALLING + "9,0.1")
    assert found.subject.units == 8
    assert any("metrics.csv:10 is cut off" in note for note in found.notes)
    lines = "".join(f'{{"step": {at}, "loss_x": {1 - at / 10}}}\n' for at in range(7))
    found = diagnose(tmp_path, lines + '{"step": 7, "lo', "m.jsonl")
    assert any("m.jsonl:8 is cut off" in note for note in found.notes)


def test_other_separators_and_a_byte_order_mark(tmp_path: Path) -> None:
    expected = diagnose(tmp_path, FALLING).states
    assert diagnose(tmp_path, "\ufeff" + FALLING.replace(",", ";")).states == expected
    assert diagnose(tmp_path, FALLING.replace(",", "\t").replace("\n", "\r\n")).states == expected


def test_a_file_of_another_kind_or_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MtctlError, match=r"does not end in \.csv, \.tsv, .* or \.out"):
        diagnose(tmp_path, FALLING, "metrics.parquet")
    with pytest.raises(MtctlError, match="cannot be read"):
        diagnose_metrics([tmp_path / "missing.csv"])
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(MtctlError) as error:
        diagnose(tmp_path, "{}", "metrics.jsonl")
    assert error.value.hint == f"diagnose the run, which says more: `mtctl diagnose {tmp_path}`"


CELLS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["", "nan", '"', "x", ",", "\n", "1e999", "0"]),
)
LINES = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=5, max_size=12)


LOGGED = st.lists(
    st.sampled_from(
        ["loss_a", "epoch", "train", "val:", "=", "|", "0.5", "nan", "1e999", "-", "\n", "{", "'"]
    )
).map(" ".join)
DOCUMENTS = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            st.sampled_from(["loss_a", "loss_b", "x", "y", "step", "history"]), inner, max_size=4
        )
    ),
).map(json.dumps)


@given(
    st.one_of(
        st.tuples(st.just("m.jsonl"), st.text(max_size=200)),
        st.tuples(
            st.just("m.csv"),
            LINES.map(lambda rows: "step,loss_a,val_loss_a\n" + "\n".join(map(",".join, rows))),
        ),
        st.tuples(st.just("m.csv"), st.text(max_size=200)),
        st.tuples(st.just("m.log"), st.text(max_size=200) | LOGGED),
        st.tuples(st.just("m.json"), DOCUMENTS),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=250, deadline=None)
def test_any_text_is_diagnosed_or_refused(tmp_path: Path, file: tuple[str, str]) -> None:
    name, text = file
    path = write(tmp_path, text.encode(errors="surrogatepass"), name)
    try:
        found = diagnose_metrics([path])
    except MtctlError as error:
        assert error.message
    else:
        json.dumps(document(found), allow_nan=False)


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(), st.booleans(), st.text(max_size=3))
OBJECTS = st.fixed_dictionaries(
    {"step": st.integers(0, 9) | NUMBERS, "loss_a": NUMBERS, "val": st.just({"loss_a": 1})}
)


@given(st.lists(OBJECTS, min_size=5, max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_objects_are_diagnosed_or_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "m.jsonl")
    try:
        found = diagnose_metrics([path])
    except MtctlError as error:
        assert error.message
    else:
        assert len(found.states) == 1
        json.dumps(document(found), allow_nan=False)


def test_rows_and_names_do_not_multiply(tmp_path: Path) -> None:
    """Every row with a name of its own: a table of all rows by all names would have 9,000,000 cells."""
    lines = (json.dumps({f"k{row}": row, "loss_a": 3000 - row, "step": row}) for row in range(3000))
    path = write(tmp_path, "\n".join(lines) + "\n", "metrics.jsonl")
    tracemalloc.start()
    found = read_table(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.names) == 3002
    assert most < 30 * path.stat().st_size
    assert found.numbers("k2999")[0].tolist() == [2999]
    assert diagnose_metrics([path]).states[0].state == "learns"


def test_nested_names_do_not_outgrow_their_file(tmp_path: Path) -> None:
    for nested, says in (
        ('{"a":' * 40 + "1" + "}" * 40, "nests objects more than 32 levels deep"),
        (json.dumps({"p" * 150: {"q" * 60: 1}}), "has nested names of more than 200 characters"),
    ):
        with pytest.raises(MtctlError, match=rf"metrics\.jsonl:1 {says}"):
            diagnose(tmp_path, f"{nested}\n" * 8, "metrics.jsonl")
    with pytest.raises(MtctlError, match=r"metrics\.jsonl:1 is nested too deeply"):
        diagnose(tmp_path, '{"a":' * 100_000 + "\n", "metrics.jsonl")


def test_more_tasks_than_anybody_has(tmp_path: Path) -> None:
    names = ",".join(f"loss_{number}" for number in range(501))
    rows = "".join(",".join("1" * 501) + "\n" for _ in range(8))
    with pytest.raises(MtctlError, match=r"has 501 columns like a task's loss; at most 500") as caught:
        diagnose(tmp_path, f"{names}\n{rows}")
    assert "--tasks" in str(caught.value.hint)
    assert diagnose(tmp_path, f"{names}\n{rows}", a="loss_0").subject.tasks == ("a",)


@pytest.mark.parametrize("step", ["1e300", "-1e300", "99999999999999999999"])
def test_a_step_that_nobody_counts_to(tmp_path: Path, step: str) -> None:
    with pytest.raises(MtctlError, match=r"metrics\.csv:5: column `step` has step .*, which is too large"):
        diagnose(tmp_path, FALLING.replace("\n4,", f"\n{step},"))


def test_the_place_of_a_cell_after_cells_with_line_breaks(tmp_path: Path) -> None:
    text = 'step,note,loss_a\n1,"two\nlines",3\n2,"x,\u2028y",2\n3,,oops\n' + "4,,1\n" * 5
    with pytest.raises(MtctlError, match=r'metrics\.csv:5:4: "oops" in column `loss_a` is not a number'):
        diagnose(tmp_path, text)


@pytest.mark.parametrize("name", ["pipe", "pipe.csv"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_pipe_that_ends_is_read(tmp_path: Path, name: str, form: str) -> None:
    """What a shell puts in the place of `<(…)` has no ending; what it holds shows at its beginning."""
    names, *rows = [line.split(",") for line in FALLING.splitlines()]
    lines = (json.dumps(dict(zip(names, map(float, row), strict=True))) for row in rows)
    text = FALLING if form == "csv" else "\n".join(lines)
    os.mkfifo(tmp_path / name)
    writer = threading.Thread(target=(tmp_path / name).write_text, args=[text])
    writer.start()
    try:
        if form == "csv" or name == "pipe":
            assert diagnose_metrics([tmp_path / name]).subject.units == 8
        else:
            with pytest.raises(MtctlError):
                diagnose_metrics([tmp_path / name])
    finally:
        writer.join()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_device_is_no_metrics_file(tmp_path: Path, device: str) -> None:
    (tmp_path / "metrics.csv").symlink_to(device)
    with pytest.raises(MtctlError, match="it is a device, not a file"):
        diagnose_metrics([tmp_path / "metrics.csv"])
