"""Job arrays: their script, and what the queue says of their runs; sbatch and squeue are stand-ins."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from mtctl.engine.launch import slurm, worker
from mtctl.engine.launch.slurm import Array, Queue
from mtctl.engine.launch.worker import going_on
from mtctl.engine.result import RunError, RunResult, result_from_json, result_to_json
from mtctl.engine.spec import RunSpec, spec_from_json, spec_to_json
from mtctl.errors import MtctlError
from mtctl.following.runs import Following
from tests.cli.watched import under_way
from tests.engine.runs import WINDOWS, assert_same_training, recipe, run_json, train

Tool = Callable[[str, str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Return what puts a command of Slurm on PATH: its name, and its script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


def specs(root: Path, count: int = 2) -> list[RunSpec]:
    return [
        RunSpec(WINDOWS, seed, root / WINDOWS.name / f"seed{seed}", "mtctl train") for seed in range(count)
    ]


def test_a_script_has_the_array_the_options_and_the_worker(tmp_path: Path) -> None:
    folder = tmp_path / "100% mine"
    array = Array(specs(tmp_path, 3), tmp_path, 2, ("--time=1:00:00 --mem=2G", "-p long"))
    lines = array.script(folder).splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --array=0-2%2" in lines
    assert f'#SBATCH --output="{tmp_path}/100%% mine/%a.log"' in lines
    assert "#SBATCH --requeue" in lines
    # Later options win: the user's are last, and before the first command.
    assert lines.index("#SBATCH -p long") == lines.index("#SBATCH --time=1:00:00 --mem=2G") + 1
    assert lines.index("#SBATCH -p long") > max(n for n, line in enumerate(lines) if "--signal" in line)
    words = shlex.split(lines[-1])
    assert words[0] == "exec"
    assert words[-3:] == [
        f"{folder}/$SLURM_ARRAY_TASK_ID.spec", f"{folder}/$SLURM_ARRAY_TASK_ID.result", "--again",
    ]  # fmt: skip
    assert "--array=0-2\n" in Array(specs(tmp_path, 3), tmp_path).script(folder)
    assert "--gres" not in array.script(folder)


def test_a_script_of_the_user_s(tmp_path: Path) -> None:
    mine = "#!/bin/bash\n#SBATCH -p gpu --array={array}\nmodule load x\necho ${array}\n{command}\n"
    script = Array(specs(tmp_path), tmp_path, options=("--time=5",), template=mine).script(tmp_path)
    assert script.startswith(
        "#!/bin/bash\n#SBATCH -p gpu --array=0-1\n#SBATCH --time=5\nmodule load x\necho ${array}\n"
    )
    assert script.endswith("--again\n")
    slurm.require_places(mine, "mine.sh")
    slurm.require_places(slurm.TEMPLATE, "ours")
    for lacking in ("array", "command"):
        with pytest.raises(MtctlError, match=f"mine.sh: has no {{{lacking}}}"):
            slurm.require_places(mine.replace(f"{{{lacking}}}", "1"), "mine.sh")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("partition=long", "expected options of sbatch"),
        ("--mem=4G\nrm -rf x", "expected options of sbatch"),
        ("--mem=4G --array=0-3", "the array is made here"),
        ("-a 0-3", "the array is made here"),
    ],
)
def test_options_that_are_none(options: str, says: str) -> None:
    with pytest.raises(MtctlError, match=says):
        slurm.require_options([options])
    slurm.require_options(["--account=me", "-A me"])


def test_jobs_are_handed_over_with_their_specs(tmp_path: Path, tool: Tool) -> None:
    tool("sbatch", 'echo "77;cluster"')
    runs = specs(tmp_path)
    job, folder = Array(runs, tmp_path).submit()
    assert (job, folder) == ("77", tmp_path / ".slurm" / "1")
    assert [spec_from_json((folder / f"{n}.spec").read_text()) for n in (0, 1)] == runs
    assert (folder / "array.sh").read_text() == Array(runs, tmp_path).script(folder)
    assert Array(runs, tmp_path).submit()[1] == tmp_path / ".slurm" / "2"


@pytest.mark.parametrize("script", ["echo 'invalid partition' >&2; exit 1", "echo 'invalid partition'"])
def test_jobs_that_slurm_does_not_take(tmp_path: Path, tool: Tool, script: str) -> None:
    tool("sbatch", script)
    with pytest.raises(MtctlError, match="sbatch has not taken the runs: invalid partition") as refused:
        Array(specs(tmp_path), tmp_path).submit()
    assert "--dry-run" in str(refused.value.hint)
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]


def test_what_is_executed_again_goes_on(tmp_path: Path) -> None:
    """Killed, put into the queue again, and in the end the same as a run that nobody has disturbed."""
    whole, cut, file = tmp_path / "whole", tmp_path / "cut", tmp_path / "0.spec"
    train(whole, WINDOWS)
    spec = RunSpec(WINDOWS, 0, cut, "mtctl train equal_blind", force=True)
    train(cut, recipe())  # what --force replaces, once
    file.write_text(spec_to_json(spec))
    os.utime(file, ns=2 * ((cut / "run.json").stat().st_mtime_ns + 1,))
    assert going_on(spec, file.stat().st_mtime) == spec
    result = tmp_path / "0.result"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "perform", lambda given, _stop: interrupted(given))
        worker.main([str(file), str(result), "--again"])
    assert run_json(cut)["budget"]["done"] == 2
    assert worker.main([str(file), str(result), "--again"]) == 0
    assert result_from_json(result.read_text()).done == WINDOWS.units
    assert_same_training(whole, cut)
    kept = (cut / "checkpoints" / "last.pt").stat().st_mtime_ns
    assert worker.main([str(file), str(result), "--again"]) == 0
    assert (cut / "checkpoints" / "last.pt").stat().st_mtime_ns == kept


def interrupted(spec: object) -> RunResult:
    assert isinstance(spec, RunSpec)
    left = [1, 1, 0]  # units until the stop

    def stop() -> bool:
        left.pop()
        return len(left) <= 1

    return RunResult(train(spec.directory, WINDOWS, force=spec.force, resume=spec.resume, stop=stop))


def job(root: Path, number: int, *runs: Path) -> Path:
    """Leave what a submission of job 70 + number leaves."""
    folder = root / ".slurm" / str(number)
    folder.mkdir(parents=True)
    document = {"job": str(70 + number), "runs": [run.relative_to(root).parts for run in runs]}
    (folder / "job.json").write_text(json.dumps(document))
    return folder


def test_the_watch_shows_what_waits_and_what_runs_elsewhere(tmp_path: Path, tool: Tool) -> None:
    now = [100.0]
    tool("squeue", f"echo \"$@\" >> {tmp_path}/asked; printf '0 RUNNING\\n1 PENDING\\n2 COMPLETING\\n'")
    root = tmp_path / "results"
    runs = [root / "gradnorm_blind" / f"seed{seed}" for seed in range(4)]
    with under_way(root, "gradnorm_blind", 0) as run:
        folder = job(root, 1, *runs)
        failed = RunResult("failed", error=RunError("error", "no such data"))
        (folder / "2.result").write_text(result_to_json(failed))
        following = Following([root], clock=lambda: now[0])
        following.look()
        states = {each.path: each.status for each in following.runs}
        assert [states[run] for run in runs] == ["running", "queued", "failed", "failed"]
        whys = [each.why for each in following.runs if each.path in runs[2:]]
        assert whys == ["no such data", f"see {folder}/3.log"]
        # The process that trains it may be where its lock does not show.
        (run.path / "lock").write_text("17 elsewhere\n")
        run.die()
        following.look()
        assert [each.status for each in following.runs if each.path == runs[0]] == ["running"]
        assert len((tmp_path / "asked").read_text().splitlines()) == 1
        # In the queue again: it waits.
        tool("squeue", "printf '0 PENDING\\n1 PENDING\\n'")
        now[0] += 10
        following.look()
        states = {each.path: each.status for each in following.runs}
        assert [states[run] for run in runs[:2]] == ["queued", "queued"]
    assert [each.path for each in following.runs if each.under_way] == runs[:2]


def test_what_an_earlier_job_says_does_not_count(tmp_path: Path, tool: Tool) -> None:
    tool("squeue", 'case "$*" in *"--jobs 72 "*) echo "0 PENDING";; *) exit 1;; esac')
    run = tmp_path / "windows" / "seed0"
    job(tmp_path, 1, run, run.with_name("seed1"))
    job(tmp_path, 2, run)
    assert {each.path.name: each.state for each in Queue().scheduled(tmp_path)} == {
        "seed1": "lost", "seed0": "waiting",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"job": "1"}',
        '{"job": 1, "runs": []}',
        '{"job": "1 --all", "runs": [["a", "b"]]}',
        '{"job": "1", "runs": [["..", ".."]]}',
        '{"job": "1", "runs": [["a/b", "c"]]}',
        '{"job": "1", "runs": [["a"]]}',
        '{"job": "1", "runs": 7}',
    ],
)
def test_files_that_are_no_jobs(tmp_path: Path, text: str) -> None:
    (tmp_path / ".slurm" / "1").mkdir(parents=True)
    (tmp_path / ".slurm" / "1" / "job.json").write_text(text)
    (tmp_path / ".slurm" / "notes").write_text("x")
    assert list(Queue().scheduled(tmp_path)) == []
