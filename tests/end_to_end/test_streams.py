"""stdout and stderr that are closed, full, or read by nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command import PATIENCE, ROOT, overrides

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and a POSIX shell")

Done = subprocess.CompletedProcess[str]


def shell(redirection: str, *arguments: str, cwd: Path, **environment: str) -> Done:
    """Run `mtctl` under `sh` with a redirection; what is left of its streams is captured."""
    command = [sys.executable, "-m", "mtctl", *arguments]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("verb", "redirection", "reason"),
    [
        (["recipes", "show", "gradnorm_blind"], ">/dev/full", "No space left on device"),
        (["explain", "--json"], ">&-", "it is closed"),
        (["--help"], ">/dev/full", "No space left on device"),
    ],
)
def test_output_that_was_asked_for_and_cannot_be_written_is_an_error(
    verb: list[str], redirection: str, reason: str, tmp_path: Path
) -> None:
    done = shell(redirection, *verb, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    said, hint = done.stderr.splitlines()
    assert said == f"error: stdout cannot be written: {reason}"
    assert hint == "hint: redirect the output, such as > FILE"


@pytest.mark.parametrize("redirection", ["2>/dev/full", "<&- 2>&-"])
def test_what_is_said_besides_may_be_lost(redirection: str, tmp_path: Path) -> None:
    done = shell(redirection, "recipes", "copy", "gradnorm_blind", "own.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "own.yaml").stat().st_size > 0


def test_an_error_that_cannot_be_said_is_one_by_its_exit_code(tmp_path: Path) -> None:
    assert shell("2>&-", "recipes", "show", "nope", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("redirection", [">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_a_training_ends_well_whatever_its_streams_are(redirection: str, tmp_path: Path) -> None:
    done = shell(redirection, "train", "shared_blind", *overrides(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = tmp_path / "results" / "shared_blind" / "seed0"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "completed"
    # With a descriptor below 3 left free, a file of the run would take its place and get what is printed.
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(list(map(json.loads, lines))) == 14


def test_json_is_the_same_in_every_encoding(tmp_path: Path) -> None:
    texts = [
        shell("", "explain", "--json", cwd=tmp_path, PYTHONIOENCODING=encoding).stdout
        for encoding in ("ascii", "utf-8")
    ]
    assert len(set(texts)) == 1
    assert json.loads(texts[0])["schema"] == 1
