"""Logs of runs: what tools read in them, while they are written, after a resume, and when they fail."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtctl.engine.logs import observer
from mtctl.engine.logs.log import Subject
from mtctl.engine.logs.scalars import Names, Point
from mtctl.engine.result import Note
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from mtctl.errors import MtctlError
from mtctl.problems.recipe import Recipe
from tests.engine.logs.reading import (
    Curves,
    curves_of,
    event_curves,
    hyperparameters,
    open_events,
    table_curves,
    wandb_runs,
)
from tests.engine.runs import WINDOWS, StopAfter, metrics, recipe, run_json, train, tree
from tests.recipes.samples import revise


def logged(of: Recipe, *kinds: str) -> Recipe:
    return revise(of, [f"logging=[{', '.join(kinds)}]"])


def recorded(directory: Path) -> Curves:
    """Return the curves that a run's records make."""
    told = run_json(directory)
    names, curves = Names(told["unit"], told["score"]["name"]), Curves()
    for record in metrics(directory):
        step, scalars = names.point(record)
        for tag, value in scalars.items():
            curves.setdefault(tag, []).append((step, value))
    return curves


def in_single_precision(curves: Curves) -> Curves:
    return {tag: [(step, float(np.float32(value))) for step, value in curve] for tag, curve in curves.items()}


@pytest.mark.parametrize("of", [WINDOWS, recipe("gradnorm_blind")], ids=["windows", "lander"])
def test_tools_read_what_was_recorded(of: Recipe, tmp_path: Path) -> None:
    train(tmp_path / "run", logged(of, "tensorboard", "csv"))
    train(tmp_path / "plain", of)
    curves = recorded(tmp_path / "run")
    assert event_curves(tmp_path / "run" / "tb") == in_single_precision(curves)
    assert table_curves(tmp_path / "run" / "scalars.csv") == curves
    groups = {tag.partition("/")[0] for tag in curves}
    assert groups == {"train", "eval", "weights", "gradients"}
    for name in ("metrics.jsonl", "eval.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_hyperparameters_are_the_recipe(tmp_path: Path) -> None:
    train(tmp_path / "run", logged(WINDOWS, "tensorboard"), seed=3)
    found = hyperparameters(tmp_path / "run" / "tb")
    assert found["balancer.kind"] == "gradnorm"
    assert (found["training.lr"], found["training.epochs"], found["seed"]) == (WINDOWS.training.lr, 3, 3)
    assert found["problem.tasks"] == "[type, ptr, binary, countdown]"
    assert found["training.loss_factor"] == "{}"


def test_a_resumed_run_has_each_point_once(tmp_path: Path) -> None:
    """Also those that were written after the last checkpoint, by a process that was then killed."""
    of, run = logged(WINDOWS, "tensorboard", "csv"), tmp_path / "run"
    assert train(run, of, stop=StopAfter(2)) == "interrupted"
    with (run / "metrics.jsonl").open("ab") as file:
        lost = metrics(run)[0] | {"unit": 3, "updates": 9}
        file.write(json.dumps(lost).encode() + b"\n")
    (events,) = (run / "tb").iterdir()
    events.write_bytes(events.read_bytes()[:-5])
    with (run / "scalars.csv").open("ab") as file:
        file.write(b"9,1,")
    assert train(run, of, resume=True) == "completed"
    curves = recorded(run)
    assert [step for step, _ in curves["train/epoch"]] == [3, 6, 9]
    assert event_curves(run / "tb") == in_single_precision(curves)
    assert table_curves(run / "scalars.csv") == curves


def test_an_open_tensorboard_forgets_the_file_of_before(tmp_path: Path) -> None:
    """It has read the first file; then the resumed run's takes its place, and points must not double."""
    of, run = logged(WINDOWS, "tensorboard"), tmp_path / "run"
    train(run, of, stop=StopAfter(2))
    shown = open_events(run / "tb")
    assert [step for step, _ in curves_of(shown)["train/epoch"]] == [3, 6]
    train(run, of, resume=True)
    shown.Reload()
    assert curves_of(shown) == in_single_precision(recorded(run))


def test_logs_can_begin_and_end_with_a_resume(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, WINDOWS, stop=StopAfter(1))
    train(run, logged(WINDOWS, "csv"), resume=True, stop=StopAfter(1))
    assert [step for step, _ in table_curves(run / "scalars.csv")["train/epoch"]] == [3, 6]
    before = (run / "scalars.csv").read_bytes()
    assert train(run, WINDOWS, resume=True) == "completed"
    assert (run / "scalars.csv").read_bytes() == before


def test_a_run_that_is_replaced_takes_its_logs_along(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, logged(WINDOWS, "tensorboard", "csv"))
    (run / "tb" / "events.out.tfevents.1.mine").write_bytes(b"")
    notes: list[Note] = []
    train(run, WINDOWS, force=True, say=notes.append)
    assert [name for name in tree(run) if name.startswith(("tb", "scalars"))] == [
        "tb/events.out.tfevents.1.mine"
    ]
    assert [note.text for note in notes] == ["kept files that are not a run's: tb/events.out.tfevents.1.mine"]


class Broken:
    """A log that has no room for its third point."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.closed = 0

    def write(self, point: Point) -> None:
        if len(self.points) == 2:
            raise OSError(28, "No space left on device", "some/file")
        self.points.append(point)

    def close(self) -> None:
        self.closed += 1
        raise OSError(28, "No space left on device", "some/file")


def broken(monkeypatch: pytest.MonkeyPatch, opening: Callable[[], Any]) -> None:
    kind = observer._Kind(lambda: None, lambda run, subject: opening())
    monkeypatch.setattr(observer, "_KINDS", {**observer._KINDS, "wandb": kind})


def test_a_log_that_fails_is_told_once_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, notes, run = Broken(), list[Note](), tmp_path / "run"
    broken(monkeypatch, lambda: log)
    assert train(run, logged(WINDOWS, "wandb", "csv"), say=notes.append) == "completed"
    assert (len(log.points), log.closed) == (2, 1)
    (note,) = notes
    assert note.kind == "unlogged"
    assert note.text.startswith("has no wandb log from here on (some/file: No space left on device)")
    assert table_curves(run / "scalars.csv") == recorded(run)


def test_a_log_that_cannot_begin_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("the server is down")

    broken(monkeypatch, refuse)
    notes: list[Note] = []
    assert train(tmp_path / "run", logged(WINDOWS, "wandb"), say=notes.append) == "completed"
    assert [note.kind for note in notes] == ["unlogged"]
    assert "the server is down" in notes[0].text


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, WINDOWS, stop=StopAfter(1))
    (run / "scalars.csv").mkdir()
    (run / "tb").write_text("mine")
    notes: list[Note] = []
    train(run, logged(WINDOWS, "tensorboard", "csv"), resume=True, say=notes.append)
    assert [note.kind for note in notes] == ["unlogged", "unlogged"]
    assert (run / "tb").read_text() == "mine"


@pytest.mark.parametrize(("kind", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_an_extra_that_is_missing_is_named_before_anything_is_written(
    kind: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = execute(RunSpec(logged(WINDOWS, kind), 0, tmp_path / "run"))
    assert result.error is not None
    assert (result.error.code, result.error.hint) == (2, f'pip install "mtctl[{kind}]"')
    assert package in result.error.message
    assert not (tmp_path / "run").exists()


def test_logging_is_no_part_of_what_a_run_is() -> None:
    assert logged(WINDOWS, "csv").identity() == WINDOWS.identity()
    with pytest.raises(MtctlError, match="log `csv` is listed more than once"):
        logged(WINDOWS, "csv", "csv")


def test_random_numbers_are_left_alone(tmp_path: Path) -> None:
    states = random.getstate(), torch.get_rng_state().tolist()
    subject = Subject("mine", 0, {}, Names("epoch", "loss"))
    (tmp_path / "metrics.jsonl").touch()
    logs = observer.Logs(
        ["tensorboard", "csv"], tmp_path, lambda: subject, lambda note: pytest.fail(note.text)
    )
    logs.begin()
    logs.close()
    assert (random.getstate(), torch.get_rng_state().tolist()) == states


_RESUMED = """
import sys
from pathlib import Path
from tests.engine.runs import WINDOWS, StopAfter, train

run = Path(sys.argv[1])
train(run, WINDOWS, stop=StopAfter(1))
assert not {"tensorboardX", "tensorboard", "wandb"} & set(sys.modules), "imported unasked"
logged = WINDOWS.revised({"logging": ["wandb"]})
train(run, logged, resume=True, stop=StopAfter(1))
train(run, logged, resume=True)
"""


def test_wandb_offline(tmp_path: Path) -> None:
    """In a process of its own: W&B starts a service that lives as long as the process."""
    run = tmp_path / "run"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", _RESUMED, str(run)],
        env={**environment, "WANDB_MODE": "offline", "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ((config, curves),) = wandb_runs(run)
    assert (config["balancer.kind"], config["training.epochs"], config["seed"]) == ("gradnorm", 3, 0)
    assert curves == recorded(run)
