"""What is said of several runs as they end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from mtctl.engine.launch.local import LocalProcess
from mtctl.engine.result import Note, RunError, RunResult
from mtctl.engine.spec import RunSpec
from mtctl.following.launched import Launched
from mtctl.screens.live import Dues
from mtctl.screens.several import SeveralTrained, ending
from tests.engine.runs import WINDOWS


def handle(result: RunResult | None = None) -> LocalProcess:
    found = LocalProcess(RunSpec(WINDOWS, 0, Path("results/small_windows/seed0")), Path("x"))
    if result is not None:
        found.process = object()  # type: ignore[assignment]
        found.result = result
    return found


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("diverged", "error: diverged\nhint: less"),
        ("error", "error: diverged\nhint: less"),
        ("internal", "internal error: diverged\nhint: less"),
        ("killed", "diverged\nhint: less"),
    ],
)
def test_a_failure_is_told_with_its_error(
    kind: Literal["diverged", "error", "internal", "killed"], said: str
) -> None:
    result = RunResult("failed", error=RunError(kind, "diverged", "less"))
    assert ending(handle(result)) == f"small_windows/seed0  failed: {said}"


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    result = RunResult("failed", error=RunError("killed", "a\x1b[2Jb"))
    assert ending(handle(result)) == r"small_windows/seed0  failed: a\x1b[2Jb"


def test_notes_come_before_the_end() -> None:
    result = RunResult("completed", notes=(Note("idle", "is complete already"),))
    assert ending(handle(result)) == (
        "results/small_windows/seed0 is complete already\nsmall_windows/seed0  done"
    )


def test_ends_and_delays_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    handles = [handle(RunResult("interrupted")), handle()]
    handles[1].delay = "only 1 at a time"
    runs = [Launched(each.spec, each) for each in handles if isinstance(each.spec, RunSpec)]
    with SeveralTrained(runs, quiet=True) as view:
        view.look()
        view.look()
    assert capsys.readouterr().err.splitlines() == [
        "small_windows/seed0  stopped",
        "small_windows/seed0  only 1 at a time",
    ]


def test_lines_of_a_run_that_has_begun_anew() -> None:
    progress = Launched(RunSpec(WINDOWS, 0, Path()), handle()).progress
    dues = Dues(progress, 1)  # every third unit
    assert [dues.due(done) for done in (0, 2, 3, 4, 7, 1, 3, 3)] == [
        False, False, True, False, True, False, True, False,
    ]  # fmt: skip
