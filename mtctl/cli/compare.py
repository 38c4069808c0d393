"""`mtctl compare`: methods side by side."""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtctl.analysis.comparison import Comparison
    from mtctl.analysis.published import PublishedRow

_PATHS = "Runs, recipe folders or results roots, such as results/*."
_BASELINE = (
    "Method that the others are compared with. [default: shared_aware or windows_documented, else the first]"
)
_ALLOW = "Compare the common tasks of runs that measure different things."
_PARTIAL = "Compare runs that are not completed too, as they are."
_MATCH = "Compare at the largest budget that every run reached, by the evaluations during training."
_THRESHOLD = "Score whose reaching is timed. [default: that of success, else where the baseline ends]"
_REFERENCE = "Show published figures beside, apart from the others."
_PLOT = "Write figures into this folder (needs the extra `plot`)."
_SEED = "Seed of the resampling that intervals come from."


class Match(StrEnum):
    """What a budget counts."""

    STEPS = "steps"
    UPDATES = "updates"
    TIME = "time"


class Reference(StrEnum):
    """Figures of others."""

    PUBLISHED = "published"


class PlotFormat(StrEnum):
    """How figures are written."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help=_PATHS, show_default=False)],
    *,
    baseline: Annotated[str | None, typer.Option(metavar="NAME", help=_BASELINE)] = None,
    match: Annotated[Match | None, typer.Option(help=_MATCH)] = None,
    include_partial: Annotated[bool, typer.Option("--include-partial", help=_PARTIAL)] = False,
    allow_mismatch: Annotated[bool, typer.Option("--allow-mismatch", help=_ALLOW)] = False,
    threshold: Annotated[float | None, typer.Option(metavar="SCORE", help=_THRESHOLD)] = None,
    reference: Annotated[Reference | None, typer.Option(help=_REFERENCE)] = None,
    bootstrap_seed: Annotated[int, typer.Option(min=0, help=_SEED)] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help=_PLOT)] = None,
    plot_format: Annotated[list[PlotFormat] | None, typer.Option(help="Repeatable. [default: png]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per method.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print LaTeX tables (booktabs, graphicx).")
    ] = False,
) -> None:
    """Compare trained methods: scores over seeds, differences to a baseline, training, costs.

    Runs count if they are completed and evaluated; the others are named with the command that mends them.
    Runs that measure different things are refused; unequal budgets are shown and warned of. A verdict comes
    from a t test of differences paired by seed, adjusted for the number of methods.
    """
    from mtctl.analysis import comparison, matching, mismatch, published
    from mtctl.cli.console import err
    from mtctl.cli.screens.compare import mismatch_table, remark, remarks
    from mtctl.errors import MtctlError

    if as_json + as_csv + as_markdown + as_latex > 1:
        raise MtctlError(
            "--json, --csv, --markdown and --latex exclude each other", hint="choose one of them"
        )
    if threshold is not None and not isfinite(threshold):
        raise MtctlError(f"--threshold {threshold} is no score", hint="give a number, such as 200")
    if plot is not None:
        _require_plots(plot)
    try:
        found = comparison.compare(
            paths,
            baseline,
            allow_mismatch=allow_mismatch,
            include_partial=include_partial,
            match=None if match is None else matching.Budget(match.value),
            threshold=threshold,
            seed=bootstrap_seed,
        )
    except mismatch.MismatchError as error:
        err().print(mismatch_table(error.mismatches), crop=False)
        raise
    rows = published.published_rows(found.problem) if reference else ()
    form = (
        "json"
        if as_json
        else "csv"
        if as_csv
        else "markdown"
        if as_markdown
        else "latex"
        if as_latex
        else None
    )
    _print(found, rows, form)
    for line in remarks(found):
        err().print(line, soft_wrap=True)
    for sentence in published.published_notes(found.tasks) if rows else ():
        err().print(remark("note", "cyan", sentence), soft_wrap=True)
    if plot is not None:
        _plot(found, plot, plot_format or [PlotFormat.PNG])


def _print(found: Comparison, rows: tuple[PublishedRow, ...], form: str | None) -> None:
    import json

    from mtctl.analysis import export
    from mtctl.cli.console import out
    from mtctl.cli.screens.compare import comparison_tables, mismatch_table
    from mtctl.cli.screens.compare_training import published_table
    from mtctl.cli.screens.latex import latex
    from mtctl.cli.screens.tables import markdown

    if form == "json":
        typer.echo(json.dumps(export.as_document(found, rows), indent=2))
        return
    if form == "csv":
        typer.echo(export.as_csv(found), nl=False)
        return
    tables = [*comparison_tables(found), *([published_table(rows)] if rows else [])]
    if found.mismatches:
        tables.insert(0, mismatch_table(found.mismatches))
    if form is not None:
        write = markdown if form == "markdown" else latex
        typer.echo("\n".join(map(write, tables)), nl=False)
        return
    for number, table in enumerate(tables):
        out().print(*([""] if number else []), table, sep="\n", crop=False)


def _require_plots(folder: Path) -> None:
    """Refuse where no figure can be made or written: before anything is read for nothing."""
    from mtctl.analysis.plots import require_matplotlib
    from mtctl.engine.files import explained

    require_matplotlib()
    with explained(folder, hint="choose another folder for --plot"):
        folder.mkdir(parents=True, exist_ok=True)


def _plot(found: Comparison, folder: Path, formats: list[PlotFormat]) -> None:
    from mtctl.analysis.plots import write_plots
    from mtctl.cli.console import err
    from mtctl.engine.files import explained

    with explained(folder, hint="choose another folder for --plot"):
        for file in write_plots(found, folder, tuple(dict.fromkeys(each.value for each in formats))):
            err().print(f"wrote {file}", soft_wrap=True)
