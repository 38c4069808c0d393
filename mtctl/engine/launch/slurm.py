"""Runs as one job array of Slurm: a script, the specs that its tasks execute, and what the queue says.

    results/.slurm/<n>/  array.sh, job.json (its id and its runs); of each run <k>.spec, <k>.result, <k>.log

Our own file and not submitit: a spec is JSON that a worker executes, here as on every launcher, so that a
script of a dozen lines is all there is to write; submitit would pickle calls and run a server of its own in
each task. Nothing of a queue lives in the process that submits, so this is no `Launcher` to be polled: all
runs are handed over at once, and followed from their directories.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mtctl.engine.files import write_text
from mtctl.engine.launch.queue import is_plain
from mtctl.engine.result import RunResult, result_from_json
from mtctl.engine.spec import RunSpec, spec_to_json
from mtctl.errors import MtctlError

TEMPLATE: Final = """\
#!/bin/bash
#SBATCH --job-name=mtctl
#SBATCH --array={array}
#SBATCH --output={log}
#SBATCH --open-mode=append
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
# A minute before the time limit the run saves and leaves.
#SBATCH --signal=B:TERM@60

exec {command}
"""
"""What is submitted. {array}: the numbers of the runs; {log}: what they print; {command}: trains one."""
_GPU: Final = "--gres=gpu:1"
_FOLDER: Final = ".slurm"
_JOB: Final = "job.json"
_TOKENS: Final = re.compile(r"(?<!\$)\{(array|log|command)\}")
_SECONDS: Final = 10.0
"""Between two questions to the queue, which serves a whole cluster."""
_LARGEST: Final = 10_000_000
_WAITING: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})


@dataclass(frozen=True, slots=True)
class Array:
    """A job array to be submitted.

    Args:
        specs: of the runs, one for each task.
        results: the folder of results, which the cluster's machines see by the same name.
        jobs: how many may run at a time; as many as Slurm lets if None.
        options: further options of sbatch, as one types them: "--time=2:00:00 --partition=long".
        template: the script with its places, in place of TEMPLATE.
    """

    specs: Sequence[RunSpec]
    results: Path
    jobs: int | None = None
    options: Sequence[str] = ()
    template: str = TEMPLATE

    def script(self, folder: Path) -> str:
        """Return the script whose specs lie in a folder."""
        last, limit = len(self.specs) - 1, "" if self.jobs is None else f"%{self.jobs}"
        files = shlex.quote(str(folder))
        task = f"{files}/$SLURM_ARRAY_TASK_ID"
        worker = [sys.executable, "-m", "mtctl.engine.launch.worker"]
        places = {
            "array": f"0-{last}{limit}",
            "log": '"' + str(folder).replace("%", "%%") + '/%a.log"',
            "command": f"{shlex.join(worker)} {task}.spec {task}.result --again",
        }
        gpu = [_GPU] if any(spec.recipe.device == "cuda" for spec in self.specs) else []
        head, body = _split(self.template)
        lines = [f"#SBATCH {each}\n" for each in (*gpu, *self.options)]
        return _TOKENS.sub(lambda match: places[match[1]], "".join([*head, *lines, *body]))

    @property
    def place(self) -> Path:
        """The folder that its files would go to now."""
        root = (self.results / _FOLDER).absolute()
        taken = [int(each.name) for each in root.glob("*") if each.name.isdecimal()]
        return root / str(1 + max(taken, default=0))

    def submit(self) -> tuple[str, Path]:
        """Hand the runs over; return the job's id and its folder. Nothing is left where that fails.

        Raises:
            MtctlError: Slurm does not take them.
        """
        folder = self.place
        folder.mkdir(parents=True)
        try:
            for number, spec in enumerate(self.specs):
                write_text(folder / f"{number}.spec", spec_to_json(spec))
            script = folder / "array.sh"
            write_text(script, self.script(folder))
            job = _sbatch(script)
            runs = [
                spec.directory.absolute().relative_to(self.results.absolute()).parts for spec in self.specs
            ]
            write_text(folder / _JOB, json.dumps({"job": job, "runs": runs}))
        except BaseException:
            shutil.rmtree(folder)
            with suppress(OSError):  # somebody else's jobs are there
                folder.parent.rmdir()
            raise
        return job, folder


def require_sbatch() -> None:
    """Refuse where nothing can be submitted.

    Raises:
        MtctlError: there is no Slurm here.
    """
    if shutil.which("sbatch") is None:
        raise MtctlError(
            "--launcher slurm: there is no `sbatch` on this machine",
            hint="run the command on a login node of the cluster; --dry-run prints the script, and without "
            "--launcher the runs are trained here",
        )


def require_options(options: Sequence[str]) -> None:
    """Refuse what could not be a line of options.

    Raises:
        MtctlError: names it.
    """
    for text in options:
        words = text.split()
        if not text.startswith("-") or "\n" in text:
            raise MtctlError(
                f"--slurm {text}: expected options of sbatch",
                hint='such as --slurm "--time=2:00:00 --mem=4G"',
            )
        if any(re.match(r"(--array\b|-a)", word) for word in words):
            raise MtctlError(
                f"--slurm {text}: the array is made here", hint="--jobs N runs N tasks at a time"
            )


def require_places(template: str, name: object) -> None:
    """Refuse a script of the user's that lacks a place that has to be filled.

    Raises:
        MtctlError: names it.
    """
    found = {match[1] for match in _TOKENS.finditer(template)}
    for token in ("array", "command"):
        if token not in found:
            raise MtctlError(
                f"--slurm-template {name}: has no {{{token}}}",
                hint="it needs `#SBATCH --array={array}` and, as its last line, `exec {command}`; `#SBATCH "
                "--output={log}` keeps what runs print",
            )


def _split(template: str) -> tuple[list[str], list[str]]:
    """Return a script's head, which sbatch reads options from, and the rest: its first command on."""
    lines = template.splitlines(keepends=True)
    options = [place for place, line in enumerate(lines) if line.startswith("#SBATCH")]
    cut = 1 + max(options, default=0)
    return lines[:cut], lines[cut:]


def _sbatch(script: Path) -> str:
    done = subprocess.run(
        ["sbatch", "--parsable", str(script)],  # noqa: S607 - the one on the user's PATH is meant
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    job = done.stdout.strip().partition(";")[0]
    if done.returncode or not re.fullmatch(r"\d+", job):
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise MtctlError(
            f"sbatch has not taken the runs: {said}",
            hint="--slurm OPTIONS changes what is asked for, and --dry-run shows the script",
        )
    return job


# ----- what the queue says of runs


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A run that was handed to Slurm.

    Args:
        path: its directory.
        state: `lost` if it is no longer in the queue and has not said what became of it.
        why: what went wrong, where something did.
    """

    path: Path
    state: Literal["waiting", "running", "failed", "lost"]
    why: str = ""


class Queue:
    """What Slurm says, asked now and then.

    Args:
        clock: seconds; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[str, tuple[float, dict[int, str]]] = {}

    def scheduled(self, root: Path) -> Iterator[Scheduled]:
        """Yield the runs of a folder of results that were handed to Slurm and have not ended well."""
        found: dict[Path, Scheduled] = {}
        jobs = [each for each in (root / _FOLDER).glob("*") if each.name.isdecimal()]
        for folder in sorted(jobs, key=lambda each: int(each.name)):
            job, runs = _job(root, folder)
            results = [_result(folder, number) for number in range(len(runs))]
            left = any(result is None or result.status == "interrupted" for result in results)
            states = self._states(job) if left else {}
            for number, (path, result) in enumerate(zip(runs, results, strict=True)):
                found.pop(path, None)  # what an earlier job says of it
                if (state := states.get(number)) is not None:
                    found[path] = Scheduled(path, "waiting" if state in _WAITING else "running")
                elif result is None:
                    found[path] = Scheduled(path, "lost", f"see {folder / f'{number}.log'}")
                elif result.error is not None:
                    found[path] = Scheduled(path, "failed", result.error.message)
        yield from found.values()

    def _states(self, job: str) -> dict[int, str]:
        """Return the states of an array's tasks that are in the queue."""
        now = self._clock()
        asked = self._asked.get(job)
        if asked is None or now - asked[0] >= _SECONDS:
            asked = self._asked[job] = now, _squeue(job)
        return asked[1]


def _squeue(job: str) -> dict[int, str]:
    command = ["squeue", "--noheader", "--array", "--jobs", job, "--format=%K %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError:  # this machine has no Slurm
        return {}
    rows = [line.split() for line in done.stdout.splitlines()]
    there = [row for row in rows if len(row) == 2 and row[0].isdecimal()]
    return {int(number): state for number, state in there if state != "COMPLETING"}


def _job(root: Path, folder: Path) -> tuple[str, list[Path]]:
    """Return a job's id and the directories of its runs; none where its file does not tell."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        file = folder / _JOB
        if file.stat().st_size <= _LARGEST:
            told = json.loads(file.read_bytes())
            runs = [(str(name), str(seed)) for name, seed in told["runs"]]
            plain = all(is_plain(name) for pair in runs for name in pair)
            if plain and re.fullmatch(r"\d+", told["job"]):
                return told["job"], [root / name / seed for name, seed in runs]
    return "", []


def _result(folder: Path, number: int) -> RunResult | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return result_from_json((folder / f"{number}.result").read_text(encoding="utf-8"))
    return None
