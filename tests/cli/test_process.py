"""Commands set their process up for training, once; what they call leaves it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mtctl.engine.launch import worker
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec, spec_to_json
from mtctl.recipes.loading import dump
from tests.cli.conftest import Command
from tests.engine.runs import WINDOWS

TINY = 1e-310  # below the smallest normal number of 64 bits


def flushes_denormals() -> bool:
    return bool((torch.full((64,), TINY, dtype=torch.float64) * 1 == 0).all())


@pytest.fixture(autouse=True)
def _as_python_starts(mtctl: Command) -> None:
    """Needs a processor that can flush denormal numbers."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    torch.set_flush_denormal(False)
    assert not flushes_denormals()
    Path("small.yaml").write_text(dump(WINDOWS), encoding="utf-8")


def test_a_run_that_a_library_executes_leaves_the_process_alone() -> None:
    assert execute(RunSpec(WINDOWS, 0, Path("run"))).status == "completed"
    assert not flushes_denormals()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "small.yaml", "-q"],
        ["train", "small.yaml", "--dry-run"],
        ["eval", "run", "-q"],
        ["diagnose", "small.yaml", "--epochs", "1", "--no-verify", "-q"],
        ["bench", "--methods", "equal", "--tasks", "2", "--blocks", "1"],
    ],
    ids=" ".join,
)
def test_every_command_that_trains_sets_the_process_up(mtctl: Command, arguments: list[str]) -> None:
    if "run" in arguments:
        execute(RunSpec(WINDOWS, 0, Path("run")))
    assert mtctl(*arguments).code == 0
    assert flushes_denormals()


def test_so_does_a_worker() -> None:
    Path("spec").write_text(spec_to_json(RunSpec(WINDOWS, 0, Path("run"))), encoding="utf-8")
    assert worker.main(["spec", "result"]) == 0
    assert flushes_denormals()
