"""Runs handed to Slurm: the command returns, and they are followed from their directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtctl.cli.train_runs import require_room
from mtctl.engine.launch import slurm
from mtctl.engine.spec import RunSpec
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err, write, write_json
from mtctl.text import command_line


def array_of(
    specs: Sequence[RunSpec], results: Path, jobs: int | None, options: Sequence[str], template: Path | None
) -> slurm.Array:
    """Return the job array of some runs, its options and its template checked.

    Args:
        specs: of the runs, in their order.
        results: where all of them go.
        jobs: how many may run at a time.
        options: of sbatch.
        template: a script in place of the usual one.

    Raises:
        MtctlError: they are of no use.
    """
    slurm.require_options(options)
    if template is None:
        return slurm.Array(specs, results, jobs, options)
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise MtctlError(f"--slurm-template {template}: cannot be read ({reason})") from error
    slurm.require_places(text, template)
    return slurm.Array(specs, results, jobs, options, text)


def show(array: slurm.Array, *, as_json: bool) -> int:
    """Print the script that would be submitted; return the exit code."""
    script = array.script(array.place)
    if as_json:
        directories = [str(spec.directory) for spec in array.specs]
        write_json({"schema": 1, "script": script, "directories": directories})
    else:
        write(script)
    return int(ExitCode.OK)


def submit(array: slurm.Array, *, as_json: bool) -> int:
    """Hand runs to Slurm, and say how they are followed; return the exit code.

    Raises:
        MtctlError: there is no Slurm, it does not take them, or a run cannot be written where it should be.
    """
    slurm.require_sbatch()
    specs, results = array.specs, array.results
    require_room(specs, results)
    _require_idle(array)
    job, folder = array.submit()
    count = f"{len(specs)} run{'s' if len(specs) > 1 else ''}"
    watch = command_line(["mtctl", "compare", str(results), "--watch"])
    if as_json:
        directories = [str(spec.directory) for spec in specs]
        write_json({"schema": 1, "job": job, "files": str(folder), "directories": directories})
    err().print(f"{count} submitted to Slurm as job {job}; what they print goes to {folder}", soft_wrap=True)
    err().print(f"stop them with `scancel {job}`; follow them with: {watch}", soft_wrap=True)
    return int(ExitCode.OK)


def _require_idle(array: slurm.Array) -> None:
    """Refuse runs that an earlier job is going to train."""
    there = {
        each.path.absolute()
        for each in slurm.Queue().scheduled(array.results)
        if each.state in ("waiting", "running")
    }
    for spec in array.specs:
        if spec.directory.absolute() in there:
            raise MtctlError(
                f"{spec.directory}: is in Slurm's queue already",
                hint="`squeue --me` shows its job, and scancel takes it out of the queue",
            )
