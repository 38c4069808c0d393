"""Runs that an earlier version wrote are read as those of this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtctl.analysis.comparison import compare
from mtctl.diagnosis.document import document
from mtctl.diagnosis.records.run import diagnose_run
from mtctl.errors import MtctlError
from mtctl.following.runs import Followed
from mtctl.history.history import read_history
from mtctl.history.runs import evaluation, read_run
from mtctl.history.schema2 import upgraded_lines
from mtctl.report.charts import charts
from tests.history.runs_factory import summary, write_run, write_training, write_windows_run

Write = Callable[..., Path]
WRITERS = pytest.mark.parametrize("write", [write_run, write_windows_run])


def of_schema_2(line: dict[str, Any], unit: str) -> dict[str, Any]:
    """Return a line as the earlier version wrote it."""
    number, rest = line.pop("unit"), dict(line)
    if line["kind"] == "evaluation":
        return {"kind": "evaluation", unit: number, **{key: rest[key] for key in rest if key != "kind"}}
    tasks, extra = rest.pop("tasks"), rest.pop("extra")
    if unit == "episode":
        ((task, figures),) = tasks.items()
        own = {"task": task, **figures, **extra}
    else:
        own = {"loss": {task: figures["loss"] for task, figures in tasks.items()}}
    return {**rest, "kind": unit, unit: number, **own}


def age(path: Path) -> None:
    """Make a run one of schema 2."""
    run = json.loads((path / "run.json").read_text())
    del run["figures"]
    (path / "run.json").write_text(json.dumps({**run, "schema": 2}))
    scores = json.loads((path / "eval.json").read_text())
    (path / "eval.json").write_text(json.dumps({**scores, "schema": 2}))
    file = path / "metrics.jsonl"
    lines = [of_schema_2(json.loads(line), run["unit"]) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


@WRITERS
def test_a_run_is_what_it_would_be_today(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path)
    write_training(path, [1.0, 2.0], every=20)
    run, history, scores = read_run(path), read_history(read_run(path)), evaluation(path)
    age(path)
    old = read_run(path)
    assert old.schema_number == 2
    assert old.model_copy(update={"schema_number": 3}) == run
    assert evaluation(path) == scores
    found = read_history(old)
    assert summary(old) == found.summary == history.summary
    assert (found.evaluations, found.endings, found.updates) == (
        history.evaluations,
        history.endings,
        history.updates,
    )
    for field in ("units", "extra", "learned", "spent", "measured", "conflict_rate", "signals"):
        np.testing.assert_equal(getattr(found, field), getattr(history, field))
    for key, series in history.figures.items():
        np.testing.assert_equal(found.figures[key].values, series.values)


@WRITERS
def test_every_reader_takes_it(tmp_path: Path, write: Write) -> None:
    """Compare, report, diagnose and --watch say of it what they say of today's."""

    def said() -> list[Any]:
        comparison, followed = compare([tmp_path]), Followed(path)
        followed.look()
        assert followed.progress is not None
        figures = {name: task.history for name, task in followed.progress.tasks.items()}
        diagnosis = document(replace(diagnose_run(path), seconds=0.0))
        watched = (followed.status, followed.progress.done, followed.progress.evaluations, figures)
        return [comparison, charts(comparison), diagnosis, watched]

    path = write(tmp_path)
    write_training(path, [1.0, 2.0], every=20)
    today = said()
    age(path)
    assert said() == today


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"signals":{', '"signals":'), "is not valid JSON"),
        (('"return":', '"reward":'), "does not have mtctl's format"),
        (('"updates":0', '"updates":"0"'), "updates: expected whole number"),
        (("{", ""), "is not valid JSON"),
    ],
)
def test_what_is_damaged_is_named_on_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = write_run(tmp_path)
    age(path)
    file = path / "metrics.jsonl"
    first, second, *rest = file.read_text().splitlines()
    file.write_text("\n".join([first, second.replace(*change, 1), *rest]) + "\n")
    with pytest.raises(MtctlError, match=rf"metrics\.jsonl:2.*{says}"):
        read_history(read_run(path))


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write_run(tmp_path, status="running")
    age(path)
    file = path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    found = read_history(read_run(path))
    assert (len(found.units), found.evaluations) == (3, ())
    assert found.cut_off is not None


@pytest.mark.parametrize("line", [b"", b"[1]", b'{"kind":"episode"}', b'{"kind":[]}', b"\xff", b"[" * 5000])
def test_what_is_no_record_stays_as_it_is(line: bytes) -> None:
    assert upgraded_lines(line + b"\n") == line + b"\n"


def test_a_run_json_that_is_damaged(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    age(path)
    run = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**run, "unit": ["episode"]}))
    with pytest.raises(MtctlError, match="does not have mtctl's format"):
        read_run(path)
