"""Names that stand for streams, in real processes: what is written arrives, and waiting can be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.command import PATIENCE, ROOT, mtctl, start, wait_until
from tests.history.runs_factory import write_run

CURVES = "step,loss_a,loss_b\n" + "".join(f"{step},{9 - step},{9 - step}\n" for step in range(1, 9))


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in bash, where `mtctl` is ours."""
    command = f'mtctl() {{ {sys.executable} -m mtctl "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_output_that_is_sent_to_standard_output(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "results", "equal_blind", seed)
    copied = shell(
        "mtctl recipes copy equal_blind /dev/stdout > own.yaml; mtctl recipes check own.yaml", tmp_path
    )
    assert "own.yaml: ok" in copied.stdout, copied
    page = shell("mtctl report results -o /dev/stdout | tail -c 20", tmp_path)
    assert page.stdout.endswith("</html>\n"), page
    assert not list(tmp_path.glob("*.tmp"))
    assert Path("/dev/stdout").exists()


def test_curves_from_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "curves").write_text(CURVES)
    for line in (
        "mtctl diagnose <(cat curves)",
        "cat curves | mtctl diagnose /dev/stdin",
        "mtctl diagnose /dev/stdin < curves",
    ):
        found = shell(line, tmp_path)
        assert found.returncode == 0, found
        assert "8 steps" in found.stdout


def test_input_that_never_ends(tmp_path: Path) -> None:
    for verb in (["diagnose"], ["recipes", "check"], ["train"], ["report", ".", "--diagnosis"]):
        found = mtctl(*verb, "/dev/zero", cwd=tmp_path, code=2)
        assert "/dev/zero cannot be read: it is a device, not a file" in found.err or verb[0] == "report"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["train", "diagnose"])
def test_waiting_for_a_pipe_ends_with_a_signal(tmp_path: Path, verb: str, number: signal.Signals) -> None:
    pipe = tmp_path / ("pipe.yaml" if verb == "train" else "pipe.csv")
    os.mkfifo(pipe)
    process = start(verb, pipe.name, cwd=tmp_path)
    writers: list[int] = []

    def is_read() -> bool:
        try:
            writers.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    wait_until(is_read, process)
    try:
        # Python sleeps on after a signal that comes just before it begins to wait; a person sends another.
        for _ in range(PATIENCE // 10):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
                break
    finally:
        process.kill()
        os.close(writers[0])
    assert process.returncode in (130, -signal.SIGTERM)
