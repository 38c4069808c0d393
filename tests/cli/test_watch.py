"""`mtctl compare --watch`: what it shows while runs are under way, and when it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from mtctl.cli import watch
from tests.cli.conftest import Command
from tests.cli.watched import UnderWay, under_way
from tests.engine.runs import tree
from tests.history.runs_factory import evaluation_document, scores, write_run, write_training

ROOT = Path("results")
Moments = Callable[..., None]


@pytest.fixture
def runs() -> Iterator[Callable[..., UnderWay]]:
    """Return a function that starts a run in results."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(under_way(ROOT, *arguments, **options))


@pytest.fixture
def moments(mtctl: Command, monkeypatch: pytest.MonkeyPatch) -> Moments:
    """Return a function that takes what happens between one look and the next, instead of seconds."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def happen(*happenings: Callable[[], object]) -> None:
        left = iter(happenings)

        def sleep(seconds: float) -> None:
            now[0] += seconds
            next(left, lambda: None)()

        monkeypatch.setattr(time, "sleep", sleep)

    return happen


def finish(run: UnderWay, mean: float = 100.0) -> None:
    """End a run as `train` does: evaluated, then described."""
    document = json.loads((run.path / "run.json").read_text())
    budget = document["budget"] | {"done": document["budget"]["units"]}
    evaluation = evaluation_document(document | {"budget": budget}, scores(mean))
    (run.path / "eval.json").write_text(json.dumps(evaluation))
    run.end("completed", budget=budget)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_runs_are_followed_to_their_end_and_compared(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    first, second = runs("shared_blind"), runs("gradnorm_blind")
    moments(
        lambda: first.play([-50.0]),
        lambda: second.play([10.0, 20.0]),
        lambda: first.play([-50.0, 20.0, 30.0]),
        lambda: finish(first),
        lambda: second.play([10.0, 20.0, 60.0]),
        lambda: finish(second, 150.0),
    )
    result = mtctl("compare", "results", "--watch")
    assert result.code == 0
    lines = result.err.splitlines()
    assert lines[0].startswith("results/gradnorm_blind/seed0 running  episode 0/150")
    assert lines[1].startswith("results/shared_blind/seed0 running  episode 0/150")
    assert "results/shared_blind/seed0 episode 50/150" in lines[2]
    assert lines[2].endswith("eval -50.0")
    assert "results/gradnorm_blind/seed0 episode 100/150" in lines[3]
    assert "results/shared_blind/seed0 episode 150/150" in lines[4]
    assert lines[5] == "results/shared_blind/seed0 done"
    assert lines[7] == "results/gradnorm_blind/seed0 done"
    assert lines[8] == "2 done · ends in 15 s unless another run starts · Ctrl-C stops watching"
    assert "note: no interval over seeds" in lines[-2]
    assert lines[-1].startswith("next: `mtctl train ")
    assert result.out.startswith("? no verdict against gradnorm_blind: shared_blind -50.0 return (1 seed)")
    assert result.out == mtctl("compare", "results").out


def test_the_next_run_of_a_command_is_waited_for(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    first = runs(seed=0)
    later: list[UnderWay] = []
    moments(
        lambda: finish(first),
        lambda: None,
        lambda: None,
        lambda: later.append(runs(seed=1)),
        lambda: finish(later[0]),
    )
    result = mtctl("compare", "results", "--watch", "--json")
    assert json.loads(result.out)["methods"][0]["seeds"] == [0, 1]
    assert result.err.count("unless another run starts") == 2


def test_runs_that_ended_long_ago_are_compared_at_once(
    mtctl: Command, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(ROOT)
    later = (ROOT / "gradnorm_blind/seed0/run.json").stat().st_mtime + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    moments(interrupt)
    result = mtctl("compare", "results", "--watch")
    assert result.code == 0
    assert result.err.splitlines()[0] == "results/gradnorm_blind/seed0 done"
    assert result.out == mtctl("compare", "results").out


def test_a_killed_run_is_not_waited_for(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    first, second = runs(seed=0), runs(seed=1)
    moments(first.die, lambda: finish(second))
    result = mtctl("compare", "results", "--watch")
    assert result.code == 0
    gone = "stopped: its process ended without an error message (killed?); --resume continues it"
    assert f"results/gradnorm_blind/seed0 {gone}\n" in result.err
    assert "1 stopped · 1 done · ends in 15 s" in result.err
    assert "left out: results/gradnorm_blind/seed0 ended without an error message (killed?)" in result.err


def test_what_cannot_be_compared_is_said_in_the_end(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    run = runs()
    moments(lambda: run.end("failed", error={"message": "loss is NaN\x1b[2J"}))
    result = mtctl("compare", "results", "--watch")
    assert (result.code, result.out) == (2, "")
    assert "results/gradnorm_blind/seed0 failed: loss is NaN\\x1b[2J\n" in result.err
    assert "error: no run can be compared" in result.err


def test_a_folder_is_waited_for_until_it_holds_a_run(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    ROOT.mkdir()
    later: list[UnderWay] = []
    moments(*[lambda: None] * 20, lambda: later.append(runs()), lambda: finish(later[0]))
    result = mtctl("compare", "results", "--watch")
    assert result.code == 0
    assert result.err.startswith("waiting for the first run · Ctrl-C stops watching\n")
    assert result.err.count("waiting") == 1


def test_a_path_that_does_not_exist(mtctl: Command, moments: Moments) -> None:
    moments(interrupt)
    result = mtctl("compare", "resluts", "--watch")
    assert (result.code, result.out) == (2, "")
    assert "error: resluts does not exist" in result.err


def test_ctrl_c_leaves_the_runs_alone(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay]
) -> None:
    run = runs()
    run.play([1.0])
    before = tree(ROOT)
    moments(interrupt)
    result = mtctl("compare", "results", "--watch")
    assert (result.code, result.out) == (130, "")
    assert result.err.endswith("stopped watching; the runs go on\n")
    assert tree(ROOT) == before


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "0.05", "1e9"])
def test_no_time_between_two_looks(mtctl: Command, moments: Moments, interval: str) -> None:
    moments(interrupt)
    write_run(ROOT)
    result = mtctl("compare", "results", "--watch", "--interval", interval)
    assert (result.code, result.out) == (2, "")
    assert "is out of range" in result.err
    assert "hint: give seconds from 0.1 to 3,600" in result.err


def test_an_interval_without_watch(mtctl: Command) -> None:
    write_run(ROOT)
    result = mtctl("compare", "results", "--interval", 5)
    assert result.code == 2
    assert "error: --interval needs --watch" in result.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--threshold", "nan"], "expected a finite number"),
        (["--match", "steps", "--checkpoint", "best"], "leave out one of them"),
    ],
)
def test_flags_are_checked_before_the_wait(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay], flags: list[str], says: str
) -> None:
    runs()
    moments(interrupt)
    result = mtctl("compare", "results", "--watch", *flags)
    assert result.code == 2
    assert says in result.err
    assert "running" not in result.err


def test_a_terminal_is_redrawn(
    mtctl: Command, moments: Moments, runs: Callable[..., UnderWay], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=40, legacy_windows=False)
    monkeypatch.setattr(watch, "err", lambda: console)
    run = runs()
    moments(lambda: run.play([10.0]), lambda: finish(run))
    result = mtctl("compare", "results", "--watch", "--interval", 5)
    assert result.code == 0
    shown = screen.getvalue()
    assert "1 under way" in shown
    assert "So far: mean return" in shown
    assert "ends in 10 s unless another run starts" in shown
    assert "running" not in result.err


def test_ended_runs_are_looked_at_without_torch(tmp_path: Path) -> None:
    write_training(write_run(tmp_path), [1.0])
    code = (
        "import sys; from pathlib import Path; from mtctl.following.runs import Following; "
        "import mtctl.cli.watch; found = Following([Path(sys.argv[1])]); found.look(); "
        "assert found.runs[0].progress.done == 50; sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == 0
