"""`mtctl export`: what runs recorded, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.cli import completion
from mtctl.errors import MtctlError

if TYPE_CHECKING:
    from mtctl.history.formats import Run


def export(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Run directories, or folders of them, such as results/*.",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ],
    *,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write TensorBoard's event files to DIR/NAME/seedK; needs `pip install mtctl[tensorboard]`.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the scalars of one run as a table.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write what runs recorded for other tools: the scalars that `mtctl train --log` writes while they train.

    Works for any run, also one that is under way, or that a loop of your own recorded.
    """
    from mtctl.engine.files import explained
    from mtctl.engine.logs.observer import require
    from mtctl.history.logs import export_csv, export_tensorboard
    from mtctl.history.runs import find_runs, read_run
    from mtctl.terminal.console import err

    if tensorboard is None and csv is None:
        raise MtctlError("nothing to write", hint="add --tensorboard DIR or --csv FILE")
    runs = [read_run(path) for path in find_runs(paths)]
    if csv is not None:
        _require_file(csv, runs, force=force)
    if tensorboard is not None:
        require(["tensorboard"])
        folders = _folders(tensorboard, runs, force=force)
        with explained(tensorboard, hint="choose another folder for --tensorboard"):
            for folder, run in folders.items():
                export_tensorboard(run, folder)
                err().print(f"wrote {folder}", soft_wrap=True)
        err().print(f"next: `tensorboard --logdir {tensorboard}`", soft_wrap=True)
    if csv is not None:
        with explained(csv, hint="choose another place for --csv"):
            export_csv(runs[0], csv)
        err().print(f"wrote {csv}", soft_wrap=True)


def _folders(root: Path, runs: list[Run], *, force: bool) -> dict[Path, Run]:
    """Return where each run's events go; refuse places that are taken, before anything is written."""
    from mtctl.engine import layout
    from mtctl.engine.logs.tensorboard import event_files

    folders: dict[Path, Run] = {}
    for run in runs:
        folder = root / run.name / f"seed{run.seed}"
        if folder in folders:
            raise MtctlError(
                f"{run.path} and {folders[folder].path} would both be written to {folder}",
                hint="export them to different folders, one after the other",
            )
        folders[folder] = run
        found = event_files(folder)
        if foreign := [file for file in found if not file.name.endswith(layout.EVENTS_SUFFIX)]:
            raise MtctlError(
                f"{foreign[0]}: not written by mtctl, and TensorBoard would show both as one run",
                hint="choose another folder for --tensorboard",
            )
        if found and not force:
            raise MtctlError(
                f"{found[0]} is there already", hint="--force replaces it, or choose another folder"
            )
    return folders


def _require_file(file: Path, runs: list[Run], *, force: bool) -> None:
    """Refuse a table that cannot be written, before anything is."""
    from mtctl.engine.files import explained, is_stream

    if len(runs) > 1:
        raise MtctlError(
            f"--csv writes the table of one run, and there are {len(runs)}",
            hint=f"name one: {runs[0].path}",
        )
    with explained(file, hint="choose another place for --csv"):
        if is_stream(file):
            return
        if file.is_dir():
            raise MtctlError(f"--csv {file}: it is a directory", hint=f"name a file: {file / 'scalars.csv'}")
        if not file.parent.is_dir():
            raise MtctlError(f"--csv {file}: there is no folder {file.parent}", hint="make it first")
        if file.exists() and not force:
            raise MtctlError(
                f"--csv {file}: it exists", hint="--force overwrites it, or choose another place"
            )
