"""What `mtctl compare --watch` shows, with runs on disk that seem to be under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.cells import cell_len

from mtctl.following.progress import Plan, Progress
from mtctl.following.runs import Followed
from mtctl.history.runs import read_run
from mtctl.screens.watch import summary, watch_screen
from tests.cli.watched import UnderWay, under_way
from tests.history.runs_factory import write_run, write_windows_run
from tests.screens.snapshots import WIDTHS, assert_screen, render


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Followed]]:
    """Return runs in every state, looked at twice, ten seconds apart."""
    monkeypatch.chdir(tmp_path)
    root, now = Path("results"), [0.0]
    with ExitStack() as stack:

        def start(name: str, seed: int, averages: list[float]) -> UnderWay:
            run = stack.enter_context(under_way(root, name, seed, units=1500))
            run.play(averages)
            return run

        started = [
            start("gradnorm_pcgrad_blind", 0, [-180.4, 20.1, 88.8]),
            start("gradnorm_pcgrad_blind", 1, [-160.2, 31.0]),
            start("shared_aware", 0, [-201.5, -35.06, 61.2]),
            start("shared_aware", 1, []),
            start("shared_aware", 2, [-190.0, -20.0]),
            start("shared_aware", 3, [-50.0]),
            start("shared_aware", 4, [-60.0, -50.0]),
        ]
        found = [Followed(run.path, clock=lambda: now[0]) for run in started]
        for run in found:
            run.look()
        now[0] = 10.0
        started[0].play([-180.4, 20.1, 88.8, 143.0])
        started[3].describe(status="interrupted")
        started[4].end(
            "failed", error={"message": "diverged in episode 104, step 41600: task `heavy` has loss nan"}
        )
        started[5].die()
        started[6].end("completed")
        for run in found:
            run.look()
        yield found


@pytest.mark.parametrize("width", WIDTHS)
def test_screen(runs: list[Followed], width: int) -> None:
    text = render(watch_screen(runs, None), width=width)
    assert_screen(f"watch_{width}", text)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_two_problems_in_the_end(tmp_path: Path, width: int) -> None:
    found = []
    for path in (write_run(tmp_path), write_windows_run(tmp_path)):
        run = Followed(path, clock=lambda: 0.0)
        run.look()
        found.append(run)
    assert_screen(f"watch_ended_{width}", render(watch_screen(found, 12.3), width=width))


def test_nothing_is_there_yet() -> None:
    assert summary([], None) == "waiting for the first run · Ctrl-C stops watching"
    text = render(watch_screen([], None), width=80)
    assert text == "waiting for the first run · Ctrl-C stops watching\n"


def test_lower_scores_come_first_where_they_are_better(tmp_path: Path) -> None:
    found = []
    for name, average in (("a", 3.0), ("b", 1.0)):
        run = Followed(write_run(tmp_path, name, score={"higher_is_better": False, "success": None}))
        run.look()
        run.progress = Progress(Plan.of_run(read_run(run.path)))
        run.progress.evaluations = [(50, average)]
        found.append(run)
    rows = [line.split()[0] for line in render(watch_screen(found, None), width=120).splitlines()[-2:]]
    assert rows == ["b", "a"]
