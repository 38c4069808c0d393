"""Training that is really killed and resumed equals training that is left alone, bit for bit."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path

import pytest

from mtctl.engine import checkpoint
from mtctl.engine.directory import RunDirectory
from mtctl.engine.lock import holder
from mtctl.recipes.loading import load
from tests.cli.conftest import Command
from tests.end_to_end.command import (
    PATIENCE,
    SMALL,
    Result,
    episodes,
    finish,
    overrides,
    start,
    wait_until,
)
from tests.engine.runs import assert_same_training, execute, metrics, run_json

# Each has something of its own to restore: weights, a random stream, one buffer, several networks, codes.
RECIPES = ["gradnorm_blind", "pcgrad_blind", "shared_blind", "independent", "equal_aware"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
CASES = [
    *(("gradnorm_blind", number) for number in SIGNALS),
    ("pcgrad_blind", signal.SIGKILL),
    ("shared_blind", signal.SIGHUP),
    ("independent", signal.SIGINT),
    ("equal_aware", signal.SIGKILL),
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return each recipe's run that was left alone, made in this process: launchers make no difference."""
    root = tmp_path_factory.mktemp("uninterrupted")
    for name in RECIPES:
        execute(load(name, SMALL), 0, root / name)
        learned = metrics(root / name)[-1]["updates"]
        assert learned > 300
    return {name: root / name for name in RECIPES}


def killed(name: str, number: signal.Signals, cwd: Path, at: int = 4) -> Result:
    """Start training and send a signal after some episodes; try again if it was too fast for that."""
    for _ in range(3):
        ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may use `nohup`
        process = start("train", name, *overrides(), "--force", cwd=cwd)
        signal.signal(signal.SIGHUP, ignored)
        run = cwd / "results" / name / "seed0"
        wait_until(lambda run=run: episodes(run) >= at, process)  # type: ignore[misc]
        process.send_signal(number)
        result = finish(process)
        if result.code != 0:
            return result
    raise AssertionError("the run was never killed before its end")


@pytest.mark.parametrize(("name", "number"), CASES, ids=lambda value: getattr(value, "name", value))
def test_killed_and_resumed_equals_uninterrupted(
    uninterrupted: dict[str, Path], here: Command, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    result = killed(name, number, tmp_path)
    run = tmp_path / "results" / name / "seed0"
    done = run_json(run)["budget"]["done"]
    assert 3 <= done < 12
    lock = RunDirectory(run)
    lock.acquire()
    lock.release()

    if number == signal.SIGKILL:
        assert result.code == -signal.SIGKILL
        assert run_json(run)["status"] == "running"
        execute(load(name, SMALL), 0, run, resume=True)
    else:
        assert result.code == 130
        assert run_json(run)["status"] == "interrupted"
        assert f"stopped after episode {done}; continue with: " in result.err
        said = shlex.split(result.err.split("continue with: ")[1].strip())
        assert said[0] == "mtctl"
        assert here(*said[1:], "--quiet").code == 0
    assert_same_training(run, uninterrupted[name])
    assert run_json(run)["seconds"]["training"] > 0


def test_runs_side_by_side_are_stopped_and_resumed_together(
    uninterrupted: dict[str, Path], here: Command, tmp_path: Path
) -> None:
    command = ["train", "gradnorm_blind", "shared_blind", *overrides(), "--jobs", "2"]
    process = start(*command, cwd=tmp_path)
    runs = [tmp_path / "results" / name / "seed0" for name in ("gradnorm_blind", "shared_blind")]
    wait_until(lambda: min(map(episodes, runs)) >= 2, process)
    process.send_signal(signal.SIGINT)
    result = finish(process)
    assert result.code == 130
    assert "stopping: every run finishes its episode or epoch and saves everything" in result.err
    assert "continue with the same command and --resume" in result.err
    statuses = {run_json(run)["status"] for run in runs}
    assert "interrupted" in statuses
    assert statuses <= {"interrupted", "completed"}  # one of them may just have come to its end
    assert here(*command, "--resume").code == 0
    for run in runs:
        assert_same_training(run, uninterrupted[run.parent.name])


def test_a_second_ctrl_c_leaves_the_episode_and_saves_those_before_it(tmp_path: Path) -> None:
    """So large a network needs many seconds for an episode: only what is left in its midst ends soon."""
    command = ["train", "equal_blind", *overrides("agent.hidden=[2500,2500]", "checkpoints.every=100")]
    process = start(*command, cwd=tmp_path)
    run = tmp_path / "results" / "equal_blind" / "seed0"
    wait_until(lambda: episodes(run) >= 1, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while not (said := process.stderr.readline()).startswith("stopping: this episode is finished"):
        assert said
    process.send_signal(signal.SIGINT)
    result = finish(process)
    assert result.code == 130
    written = episodes(run)
    assert f"stopped after episode {written}; continue with: " in result.err
    assert (run_json(run)["status"], run_json(run)["budget"]["done"]) == ("interrupted", written)
    assert checkpoint.load(run / "checkpoints" / "last.pt")["done"] == written
    lock = RunDirectory(run)
    lock.acquire()
    lock.release()


def test_runs_side_by_side_are_saved_when_their_parent_is_killed(tmp_path: Path) -> None:
    command = ["train", "gradnorm_blind", "shared_blind", *overrides("checkpoints.every=100"), "--jobs", "2"]
    process = start(*command, cwd=tmp_path)
    runs = [tmp_path / "results" / name / "seed0" for name in ("gradnorm_blind", "shared_blind")]
    wait_until(lambda: min(map(episodes, runs)) >= 2, process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + PATIENCE
    while any(holder(run).state == "held" for run in runs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert {run_json(run)["status"] for run in runs} <= {"interrupted", "completed"}
    for run in runs:
        assert checkpoint.load(run / "checkpoints" / "last.pt")["done"] == episodes(run)
