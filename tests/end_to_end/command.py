"""The real `mtctl` in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 1800  # seconds after which a process is taken to hang: a busy machine is no fault

SMALL = (
    "problem.episodes_per_task=4",
    "agent.hidden=[64,32]",
    "agent.update_every=2",
    "agent.replay.learning_starts=64",
    "evaluation.every=6",
    "evaluation.episodes=1",
    "evaluation.final_episodes=1",
    "checkpoints.every=3",
)
"""Twelve episodes that learn: checkpoints after 3, 6, 9 and 12, evaluations after 6 and 12."""


@dataclass(frozen=True)
class Result:
    """What a process has left behind."""

    code: int
    out: str
    err: str


def overrides(*more: str) -> list[str]:
    """Return SMALL and more as arguments."""
    return [word for override in (*SMALL, *more) for word in ("-o", override)]


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start `mtctl`; the environment is what a plain terminal has."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.Popen(
        [sys.executable, "-m", "mtctl", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> Result:
    """Wait for a process. Whatever happens, nobody sees a traceback."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    assert "internal error" not in err, err
    return Result(process.returncode, out, err)


def mtctl(*arguments: str, cwd: Path, code: int = 0) -> Result:
    """Run `mtctl` to its end, which must be `code`."""
    result = finish(start(*arguments, cwd=cwd))
    assert result.code == code, result
    return result


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a condition while a process runs; return early if the process ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.005)


def episodes(run: Path) -> int:
    """Return how many episodes a run has recorded so far."""
    file = run / "metrics.jsonl"
    return file.read_bytes().count(b'{"kind":"unit"') if file.exists() else 0
