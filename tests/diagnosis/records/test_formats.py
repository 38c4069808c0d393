"""Readers of curve files: what each makes of its format, and what it says of a file that is not of it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from mtctl.diagnosis.records.curves import diagnose_metrics
from mtctl.diagnosis.records.formats import event_file
from mtctl.diagnosis.records.formats.readers import READERS, read_curve_files, read_table
from mtctl.errors import MtctlError

VALUES = [1.0, 0.9, 0.7, 0.6, 0.5, 0.4]


def read(folder: Path, text: str, name: str) -> dict[str, list[float]]:
    """Return the columns of a file that hold numbers."""
    (folder / name).write_text(text, encoding="utf-8")
    table = read_table(folder / name)
    return {column: table.numbers(column)[0].tolist() for column in table.names}


# ----- TensorBoard's event files


def write_events(folder: Path, tags: dict[str, list[float]], every: int = 1) -> Path:
    writer = pytest.importorskip("tensorboardX", reason="the extra `tensorboard`").SummaryWriter(str(folder))
    for tag, values in tags.items():
        for step, value in enumerate(values):
            writer.add_scalar(tag, value, every * step)
    writer.add_text("notes", "no scalar")
    writer.close()
    (file,) = folder.glob("*tfevents*")
    return file


def test_scalars_of_an_event_file(tmp_path: Path) -> None:
    file = write_events(tmp_path, {"loss/a": VALUES, "loss/b": VALUES[:3]}, every=10)
    table = read_table(file)
    assert table.numbers("loss/a")[0].tolist() == pytest.approx(VALUES)
    assert table.numbers("step")[0].tolist() == [0, 10, 20, 30, 40, 50]
    assert table.numbers("loss/b")[1].tolist() == [0, 1, 2]
    states = diagnose_metrics([tmp_path]).states
    assert [(state.task, state.state) for state in states] == [("a", "learns"), ("b", "learns")]


def test_folders_of_a_training_tell_its_splits_apart(tmp_path: Path) -> None:
    rises = [1.0, 0.8, 0.6, 0.7, 0.9, 1.1, 1.3]
    write_events(tmp_path / "logs" / "train", {"epoch_loss": [*VALUES, 0.3]})
    write_events(tmp_path / "logs" / "validation", {"epoch_loss": rises})
    diagnosis = diagnose_metrics([tmp_path / "logs"])
    assert [(finding.code, finding.task) for finding in diagnosis.findings] == [("overfitting", "loss")]
    assert "held out: loss = `validation/epoch_loss`" in diagnosis.notes[0]


def test_an_event_file_that_is_still_written_ends_anywhere(tmp_path: Path) -> None:
    file = write_events(tmp_path, {"loss/a": VALUES})
    file.write_bytes(file.read_bytes()[:-40])
    table = read_table(file)
    assert table.numbers("loss/a")[0].tolist() == pytest.approx(VALUES)
    assert "its last record is cut off" in table.notes[0]


def test_a_damaged_event_file_is_explained(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard`")
    file = tmp_path / "events.out.tfevents.1.host"
    file.write_bytes(struct.pack("<Q4x", 4) + b"\xff\xff\xff\xff" + bytes(4))
    with pytest.raises(MtctlError, match="is not a TensorBoard event file"):
        read_table(file)


def test_the_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_file, "_PROTOCOLS", ("not_installed.event_pb2",))
    (tmp_path / "events.out.tfevents.1.host").touch()
    with pytest.raises(MtctlError) as error:
        diagnose_metrics([tmp_path])
    assert "extra `tensorboard`" in error.value.message
    assert "mtctl[tensorboard]" in (error.value.hint or "")


def test_scalars_that_are_tensors(tmp_path: Path) -> None:
    """As the Keras callback of TensorFlow 2 writes them."""
    protocol = pytest.importorskip("tensorboardX.proto.event_pb2", reason="the extra `tensorboard`")
    content = b""
    for step, value in enumerate(VALUES):
        event = protocol.Event(step=step)
        scalar = event.summary.value.add(tag="epoch_loss")
        scalar.tensor.dtype = 1
        if step % 2:
            scalar.tensor.tensor_content = struct.pack("<f", value)
        else:
            scalar.tensor.float_val.append(value)
        record = event.SerializeToString()
        content += struct.pack("<Q4x", len(record)) + record + bytes(4)
    (tmp_path / "events.out.tfevents.1.v2").write_bytes(content)
    table = read_table(tmp_path / "events.out.tfevents.1.v2")
    assert table.numbers("epoch_loss")[0].tolist() == pytest.approx(VALUES)


# ----- JSON


@pytest.mark.parametrize(
    "document",
    [
        {"loss_a": VALUES},
        {"history": {"loss_a": VALUES}, "params": {"epochs": 6}},
        {"log_history": [{"loss_a": value} for value in VALUES]},
        [{"loss_a": value} for value in VALUES],
        {"loss_a": {"x": list(range(6)), "y": VALUES}},
        {"loss_a": {"steps": list(range(6)), "values": VALUES, "timestamps": ["a"] * 6}},
    ],
)
def test_json_documents_of_curves(tmp_path: Path, document: object) -> None:
    assert read(tmp_path, json.dumps(document), "m.json") == {"loss_a": VALUES}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no curves"),
        ('{"a": "b", "c": [["x"]]}', "holds no curves"),
        ("3", "holds no curves"),
        ('{"a": [1, 2', "m.json:1:12 is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "1" * 5000 + "]", "is not valid JSON"),
    ],
)
def test_a_json_document_without_curves_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MtctlError) as error:
        read(tmp_path, text, "m.json")
    assert message in error.value.message


# ----- text logs


@pytest.mark.parametrize(
    ("line", "figures"),
    [
        ("epoch 3 loss_a=0.1 val_loss_a: 0.2", {"epoch": [3], "loss_a": [0.1], "val_loss_a": [0.2]}),
        ("Epoch [3/10], Step [1/5], Loss: 0.32", {"epoch": [3], "step": [1], "Loss": [0.32]}),
        ("{'loss': 0.43, 'epoch': 0.02}", {"loss": [0.43], "epoch": [0.02]}),
        ("train seg loss: 1e-3 | val loss = -2.5E+01", {"train/seg_loss": [1e-3], "val/loss": [-25.0]}),
        ("2024-01-01 10:00:01,123 INFO iter 7: loss inf", {"iter": [7], "loss": [float("inf")]}),
        ("| train/loss_a   | 0.5   |", {"train/loss_a": [0.5]}),
        ("[0]\ttrain-rmse:0.5", {"train-rmse": [0.5]}),
        ("100/100 ━━━ 3s 20ms/step - loss: 0.5", {"loss": [0.5]}),
    ],
)
def test_lines_of_a_text_log(tmp_path: Path, line: str, figures: dict[str, list[float]]) -> None:
    columns = read(tmp_path, f"hello\n{line}\nbye\n", "m.log")
    assert columns == figures


def test_counters_and_headings_hold_for_the_lines_below(tmp_path: Path) -> None:
    text = "".join(f"Epoch {epoch}\nTraining:\n  loss: 1\nValidation:\n  loss: 2\n" for epoch in (1, 2))
    columns = read(tmp_path, text, "m.log")
    assert columns == {"epoch": [1, 1, 2, 2], "training/loss": [1, 1], "validation/loss": [2, 2]}


def test_a_log_without_figures_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MtctlError, match="no line with a named number"):
        read(tmp_path, "hello\nworld\n", "m.log")


# ----- tables


def test_what_is_no_value_is_missing(tmp_path: Path) -> None:
    text = "step,loss_a\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(["NA", "None", "-", "", "0.5"]))
    assert read(tmp_path, text, "m.csv")["loss_a"] == [0.5]


def test_names_that_are_repeated_and_a_cell_too_many(tmp_path: Path) -> None:
    text = "step,loss_a\n1,2,\n2,1,\nstep,loss_a\n3,0.5,\n"
    assert read(tmp_path, text, "m.csv") == {"step": [1, 2, 3], "loss_a": [2, 1, 0.5]}


def test_places_count_the_comment_on_top(tmp_path: Path) -> None:
    (tmp_path / "monitor.csv").write_text('#{"env_id": "x"}\nr,l,t\n1,2,3\nx,2,3\n')
    with pytest.raises(MtctlError, match=r"monitor\.csv:4:1: \"x\" in column `r` is not a number"):
        read_table(tmp_path / "monitor.csv").numbers("r")


@pytest.mark.parametrize("form", sorted(set(READERS) - {".jsonl", ".ndjson", ".json"}))
def test_a_table_of_any_name(tmp_path: Path, form: str) -> None:
    text = "step\tloss_a\n" + "".join(f"{i}\t{value}\n" for i, value in enumerate(VALUES))
    assert read(tmp_path, text, f"m{form}")["loss_a"] == VALUES


# ----- folders


def test_other_files_in_a_folder_are_left_out_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss_a\n" + "".join(f"{i},{v}\n" for i, v in enumerate(VALUES)))
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    diagnosis = diagnose_metrics([tmp_path])
    assert diagnosis.subject.tasks == ("a",)
    assert any("left out" in note and "config.json" in note for note in diagnosis.notes)


def test_a_folder_without_curves_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MtctlError, match="holds no curves"):
        read_curve_files([tmp_path])
