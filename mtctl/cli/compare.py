"""`mtctl compare`: methods side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.cli import comparing
from mtctl.errors import MtctlError

if TYPE_CHECKING:
    from mtctl.analysis.comparison import Comparison
    from mtctl.problems.kind import Published


_INTERVAL = 2.0  # seconds between two looks of --watch
_ELSEWHERE = "choose another place for --save-arrays"
_SHORTEST = 0.1
_LONGEST = 3600


class PlotFormat(StrEnum):
    """How figures are written."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


def compare(
    paths: comparing.Paths,
    *,
    baseline: comparing.BaselineOption = None,
    checkpoint: comparing.CheckpointOption = comparing.Checkpoint.LAST,
    match: comparing.MatchOption = None,
    include_partial: comparing.PartialOption = False,
    allow_mismatch: comparing.MismatchOption = False,
    threshold: comparing.ThresholdOption = None,
    reference: comparing.ReferenceOption = None,
    bootstrap_seed: comparing.BootstrapSeedOption = 0,
    watch: Annotated[bool, typer.Option("--watch", help="Follow running trainings, then compare.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time between two looks with --watch. [default: 2]"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write figures into this folder; needs `pip install mtctl[plot]`."),
    ] = None,
    plot_format: Annotated[
        list[PlotFormat] | None, typer.Option(help="Format of the figures; repeatable. [default: png]")
    ] = None,
    save_arrays: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every seed's scores as arrays: .npz or .json."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --save-arrays overwrite a file that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per method.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print LaTeX tables (booktabs, graphicx).")
    ] = False,
) -> None:
    """Compare trained methods: scores over seeds, differences to a baseline, training, costs.

    Only completed and evaluated runs are compared; other runs are listed with the command that would fix
    them. Runs that measure different things are refused; unequal budgets give a warning. A verdict comes
    from a t test of differences paired by seed, adjusted for the number of methods.

    With --watch, stderr shows the running trainings and the methods' scores so far, and the comparison is
    printed once all have ended. Ctrl-C stops watching (exit code 130); the runs go on.
    """
    form = _form(json=as_json, csv=as_csv, markdown=as_markdown, latex=as_latex)
    if plot is not None:
        _require_plots(plot)
    elif plot_format:
        raise MtctlError("--plot-format has no effect without --plot", hint="add --plot DIR")
    _require_arrays(save_arrays, force=force)
    if reference is not None and form == "csv":
        raise MtctlError("--reference has no effect with --csv, whose lines are methods that were measured")
    choice = comparing.Choice(
        paths, baseline, match, include_partial, allow_mismatch, threshold, bootstrap_seed, checkpoint
    )
    _wait(paths, interval, watch=watch)
    comparison = comparing.compared(choice)
    _tell(comparison, form, published=reference is not None)
    if save_arrays is not None:
        _save_arrays(comparison, save_arrays)
    if plot is not None:
        _plot(comparison, plot, plot_format or [PlotFormat.PNG])
    if form is None:
        from mtctl.analysis.next_step import next_step
        from mtctl.terminal.console import err

        err().print(f"next: `{next_step(comparison, paths)}`", soft_wrap=True)


def _wait(paths: list[Path], interval: float | None, *, watch: bool) -> None:
    """Follow runs that are under way until they have ended, if that is asked for."""
    if interval is not None and not watch:
        raise MtctlError("--interval needs --watch", hint="add --watch")
    seconds = _INTERVAL if interval is None else interval
    if not _SHORTEST <= seconds <= _LONGEST:
        raise MtctlError(
            f"--interval {seconds:g} is out of range",
            hint=f"give seconds from {_SHORTEST:g} to {_LONGEST:,}",
        )
    if watch:
        from mtctl.cli import watch as watching

        watching.watch(paths, seconds)


def _form(**asked: bool) -> str | None:
    """Return the one format that was asked for; None for tables on a screen."""
    forms = [form for form, given in asked.items() if given]
    if len(forms) > 1:
        raise MtctlError(
            "--json, --csv, --markdown and --latex exclude each other", hint="choose one of them"
        )
    return forms[0] if forms else None


def _tell(comparison: Comparison, form: str | None, *, published: bool) -> None:
    """Print the comparison to stdout, and what a reader must know besides to stderr."""
    from mtctl.screens.compare import remark, remarks
    from mtctl.terminal.console import err

    study = None
    if published:  # recipes and methods, of which nothing else here knows, take a fifth of a second
        from mtctl.analysis.published import published_about

        study = published_about(comparison.problem)
    _print(comparison, study, form)
    for line in remarks(comparison):
        err().print(line, soft_wrap=True)
    for sentence in study.notes(comparison.tasks) if study else ():
        err().print(remark("note", "cyan", sentence), soft_wrap=True)


def _print(comparison: Comparison, study: Published | None, form: str | None) -> None:
    from mtctl.analysis import export
    from mtctl.screens.compare import comparison_tables, mismatch_table
    from mtctl.screens.compare_training import published_table
    from mtctl.screens.latex import latex
    from mtctl.screens.tables import markdown
    from mtctl.screens.verdict import verdict_sentences
    from mtctl.terminal.console import out, write, write_json

    if form == "json":
        write_json(export.as_document(comparison, study))
        return
    if form == "csv":
        write(export.as_csv(comparison))
        return
    tables = [*comparison_tables(comparison), *([published_table(study)] if study else [])]
    if comparison.mismatches:
        tables.insert(0, mismatch_table(comparison.mismatches))
    if form is not None:
        form_of = markdown if form == "markdown" else latex
        write("\n".join(map(form_of, tables)))
        return
    out().print(*verdict_sentences(comparison), sep="\n")
    for table in tables:
        out().print("", table, sep="\n", crop=False)


def _require_arrays(file: Path | None, *, force: bool) -> None:
    """Refuse a place that arrays cannot be written to, before anything is read for nothing."""
    if file is None:
        if force:
            raise MtctlError("--force lets --save-arrays overwrite a file; it needs --save-arrays FILE")
        return
    from mtctl.analysis.arrays import ENDINGS
    from mtctl.engine.files import explained

    flag = f"--save-arrays {file}"
    with explained(file, hint=_ELSEWHERE):
        if file.is_dir():
            raise MtctlError(f"{flag}: it is a directory", hint=f"name a file: {file / 'scores.npz'}")
        if file.suffix not in ENDINGS:
            raise MtctlError(
                f"{flag}: arrays are written as {' or '.join(ENDINGS)}",
                hint=f"{file.with_suffix(ENDINGS[0])}",
            )
        if not file.parent.is_dir():
            raise MtctlError(f"{flag}: there is no folder {file.parent}", hint="make it first")
        if file.exists() and not force:
            raise MtctlError(f"{flag}: it exists", hint="--force overwrites it, or choose another place")


def _save_arrays(comparison: Comparison, file: Path) -> None:
    from mtctl.analysis.arrays import save_arrays
    from mtctl.engine.files import explained
    from mtctl.terminal.console import err

    with explained(file, hint=_ELSEWHERE):
        save_arrays(comparison, file)
    err().print(f"wrote {file}", soft_wrap=True)


def _require_plots(folder: Path) -> None:
    """Refuse where no figure can be made or written: before anything is read for nothing."""
    from mtctl.analysis.plots import require_matplotlib
    from mtctl.engine.files import explained

    require_matplotlib()
    with explained(folder, hint="choose another folder for --plot"):
        folder.mkdir(parents=True, exist_ok=True)


def _plot(comparison: Comparison, folder: Path, formats: list[PlotFormat]) -> None:
    from mtctl.analysis.plots import write_plots
    from mtctl.engine.files import explained
    from mtctl.terminal.console import err

    with explained(folder, hint="choose another folder for --plot"):
        for file in write_plots(comparison, folder, tuple(dict.fromkeys(each.value for each in formats))):
            err().print(f"wrote {file}", soft_wrap=True)
