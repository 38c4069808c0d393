"""`mtctl report`: a comparison, its curves and what diagnoses say, as one page."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from mtctl.cli import comparing
from mtctl.errors import MtctlError
from mtctl.text import command_line

_OUTPUT = Path("report.html")
_ELSEWHERE = "choose another place with --output"


def report(
    context: typer.Context,
    paths: comparing.Paths,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the page is written.")
    ] = _OUTPUT,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The page's title.")] = None,
    baseline: comparing.BaselineOption = None,
    checkpoint: comparing.CheckpointOption = comparing.Checkpoint.LAST,
    match: comparing.MatchOption = None,
    include_partial: comparing.PartialOption = False,
    allow_mismatch: comparing.MismatchOption = False,
    threshold: comparing.ThresholdOption = None,
    reference: comparing.ReferenceOption = None,
    bootstrap_seed: comparing.BootstrapSeedOption = 0,
    diagnosis: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Include a document of `mtctl diagnose --json`; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file that mtctl did not write.")
    ] = False,
) -> None:
    """Write one HTML page: verdicts, learning curves, scores, sharing, diagnosis, recipes, all figures.

    The page needs no network and no other file; its figures are in it as JSON. The runs are chosen as by
    `mtctl compare`, and each is diagnosed from its records as by `mtctl diagnose RUN`, without training. An
    older report is overwritten; any other file is kept unless --force is given.
    """
    from mtctl.analysis.published import published_about
    from mtctl.diagnosis.stored import read_diagnosis
    from mtctl.engine.files import explained, write_output
    from mtctl.history.history import Histories
    from mtctl.report.content import Report
    from mtctl.report.diagnosed import diagnosed_runs
    from mtctl.report.page import page
    from mtctl.screens.compare import remarks
    from mtctl.terminal.console import err

    _require_place(output, force=force)
    if title is not None and not title.strip():
        raise MtctlError("--title is empty", hint="leave it out, or give a title")
    file_diagnoses = {path: read_diagnosis(path) for path in dict.fromkeys(diagnosis or [])}
    histories = Histories()
    choice = comparing.Choice(
        paths, baseline, match, include_partial, allow_mismatch, threshold, bootstrap_seed, checkpoint
    )
    with _waiting("reading what the runs recorded"):
        comparison = comparing.compared(choice, histories.summary)
    study = published_about(comparison.problem) if reference else None
    with _waiting(f"diagnosing {sum(len(method.paths) for method in comparison.methods):,} runs"):
        run_diagnoses = diagnosed_runs(comparison, histories.of)
        typed, read = command_line(context.obj), histories.of
        text = page(
            Report(comparison, study, title, typed, bootstrap_seed, run_diagnoses, file_diagnoses, read)
        )
    with explained(output.parent, hint=_ELSEWHERE):
        write_output(output, text)
    for line in remarks(comparison):
        err().print(line, soft_wrap=True)
    err().print(f"wrote {output}", soft_wrap=True)


def _waiting(sentence: str) -> AbstractContextManager[object]:
    """Say on a terminal what takes a while."""
    from rich.text import Text

    from mtctl.terminal.console import err, redraws

    console = err()
    return console.status(Text(sentence)) if redraws(console) else nullcontext()


def _require_place(output: Path, *, force: bool) -> None:
    """Refuse a place that the page cannot be written to, before anything is read for nothing."""
    from mtctl.engine.files import explained, is_stream
    from mtctl.report.page import is_report

    with explained(output, hint=_ELSEWHERE):
        if is_stream(output):
            return
        if output.is_dir():
            raise MtctlError(
                f"--output {output}: it is a directory", hint=f"name a file: {output / _OUTPUT.name}"
            )
        if not output.parent.is_dir():
            raise MtctlError(f"--output {output}: there is no folder {output.parent}", hint="make it first")
        if output.exists() and not output.is_file():
            raise MtctlError(f"--output {output}: it is not a regular file", hint=_ELSEWHERE)
        if output.exists() and not force and not is_report(output):
            raise MtctlError(
                f"--output {output}: it exists and is not a report of mtctl",
                hint="--force overwrites it, or choose another place",
            )
