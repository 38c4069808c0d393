"""`mtctl train --launcher …`; of Slurm with a stand-in for sbatch that executes the array at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtctl.recipes.loading import dump
from tests.cli.conftest import Command
from tests.engine.runs import WINDOWS, assert_same_training, train, tree

SBATCH = """#!/bin/bash
array=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$2")
for task in $(seq 0 "$array"); do SLURM_ARRAY_TASK_ID=$task bash "$2" >&2 || exit 1; done
echo 41
"""
SEEDS = ("--seeds", "3,5", "--launcher", "slurm")
Tool = Callable[[str, str], None]


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(dump(WINDOWS))
    return path


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Return what puts a command of Slurm on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)

    return put


def test_an_array_trains_all_runs(mtctl: Command, windows: Path, tool: Tool, tmp_path: Path) -> None:
    """The same, byte for byte, as runs of this process; and the command says how to follow them."""
    tool("sbatch", SBATCH)
    result = mtctl("train", windows, *SEEDS, "--slurm", "--time=10", "--results-dir", "mine")
    folder = tmp_path / "mine" / ".slurm" / "1"
    assert result.code == 0
    assert result.err == (
        f"2 runs submitted to Slurm as job 41; what they print goes to {folder}\n"
        "stop them with `scancel 41`; follow them with: mtctl compare mine --watch\n"
    )
    assert result.out == ""
    for seed in (3, 5):
        train(tmp_path / f"alone{seed}", WINDOWS, seed=seed)
        assert_same_training(tmp_path / f"alone{seed}", Path(f"mine/{WINDOWS.name}/seed{seed}"))
    assert mtctl("compare", "mine", "--json").code == 0  # the files of the array are no runs
    again = mtctl("train", windows, *SEEDS, "--results-dir", "mine")
    assert again.code == 2
    assert "already holds a run (completed)" in again.err


def test_the_script_is_shown_and_nothing_written(mtctl: Command, windows: Path, tool: Tool) -> None:
    tool("sbatch", "#!/bin/sh\nexit 1\n")
    Path("mine.sh").write_text("#!/bin/sh\n#SBATCH --array={array}\nmodule load python\nexec {command}\n")
    before = tree(Path.cwd())
    result = mtctl("train", windows, *SEEDS, "-j", 1, "--slurm", "-p long", "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert "\n#SBATCH --array=0-1%1\n" in result.out
    assert "\n#SBATCH -p long\n\nexec " in result.out
    mine = mtctl("train", windows, *SEEDS, "--slurm-template", "mine.sh", "--dry-run", "--json")
    document = json.loads(mine.out)
    assert document["script"].startswith("#!/bin/sh\n#SBATCH --array=0-1\nmodule load python\nexec ")
    assert document["directories"] == [f"results/{WINDOWS.name}/seed{seed}" for seed in (3, 5)]
    refused = mtctl("train", windows, *SEEDS)
    assert refused.code == 2
    assert "error: sbatch has not taken the runs: exit code 1" in refused.err
    assert {name for name in tree(Path.cwd()) if name not in before} == set()


def test_without_slurm(mtctl: Command, windows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    before = tree(Path.cwd())
    result = mtctl("train", windows, *SEEDS)
    assert result.code == 2
    assert "--launcher slurm: there is no `sbatch` on this machine" in result.err
    assert "hint: run the command on a login node" in result.err
    assert tree(Path.cwd()) == before


def test_what_is_in_the_queue_is_not_handed_over_again(mtctl: Command, windows: Path, tool: Tool) -> None:
    tool("sbatch", "#!/bin/sh\necho 41\n")
    tool("squeue", "#!/bin/sh\necho '0 PENDING'\n")
    document = json.loads(mtctl("train", windows, *SEEDS, "--json").out)
    assert (document["job"], len(document["directories"])) == ("41", 2)
    result = mtctl("train", windows, *SEEDS)
    assert result.code == 2
    assert f"results/{WINDOWS.name}/seed3: is in Slurm's queue already" in result.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--slurm", "--time=5"], "--slurm has no effect on --launcher local"),
        (["--slurm-template", "x.sh"], "--slurm-template has no effect on --launcher local"),
        (["--ray-address", "auto"], "--ray-address has no effect on --launcher local"),
        (["--launcher", "slurm", "--ray-address", "auto"], "--ray-address has no effect on --launcher slurm"),
        (["--launcher", "ray", "--slurm", "--time=5"], "--slurm has no effect on --launcher ray"),
        (["--launcher", "slurm", "--slurm", "time=5"], "--slurm time=5: expected options of sbatch"),
        (["--launcher", "slurm", "--slurm-template", "x.sh"], "--slurm-template x.sh: cannot be read"),
        (["--launcher", "cloud"], "--launcher"),
    ],
)
def test_flags_that_do_not_fit(mtctl: Command, windows: Path, flags: list[str], says: str) -> None:
    before = tree(Path.cwd())
    result = mtctl("train", windows, *flags)
    assert result.code == 2
    assert says in result.err
    assert tree(Path.cwd()) == before


def test_a_ray_cluster_that_does_not_answer(mtctl: Command, windows: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    result = mtctl("train", windows, "--launcher", "ray", "--ray-address", "127.0.0.1:1")
    assert result.code == 2
    assert "--ray-address 127.0.0.1:1: nobody answers there (Connection refused)" in result.err
    assert "hint: `ray start --head`" in result.err
    assert not Path("results").exists()
