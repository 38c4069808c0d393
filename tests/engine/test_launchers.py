"""The same recipe and seed on every launcher: the same records, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtctl.engine.launch.launcher import Launcher, follow
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.launch.ray import RayLauncher
from mtctl.engine.launch.slurm import Array
from mtctl.engine.spec import RunSpec
from tests.engine.runs import WINDOWS, assert_same_training, train


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of this process."""
    directory = tmp_path_factory.mktemp("here") / "run"
    train(directory, WINDOWS, seed=4)
    return directory


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    return RunSpec(WINDOWS, 4, tmp_path / "results" / WINDOWS.name / "seed4", "mtctl train equal_blind")


def followed(launcher: Launcher, spec: RunSpec) -> None:
    handle = launcher.submit(spec)
    follow(launcher, [handle], lambda: None, lambda: 0)
    assert handle.state == "completed", handle.result


def test_local(spec: RunSpec, here: Path) -> None:
    followed(LocalLauncher(1), spec)
    assert_same_training(here, spec.directory)


def test_slurm(spec: RunSpec, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sbatch that executes the array's only task at once."""
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text('#!/bin/sh\nSLURM_ARRAY_TASK_ID=0 bash "$2" >&2 && echo 1\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(sbatch.parent), prepend=os.pathsep)
    Array([spec], tmp_path / "results").submit()
    assert_same_training(here, spec.directory)


def test_ray(spec: RunSpec, here: Path, tmp_path: Path) -> None:
    """On a small cluster of this machine, whose workers see the folder of results."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    followed(RayLauncher(tmp_path / "results", None, 1), spec)
    assert_same_training(here, spec.directory)
    assert [each.name for each in (tmp_path / "results").iterdir()] == [WINDOWS.name]
