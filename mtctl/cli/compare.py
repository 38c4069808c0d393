"""`mtctl compare`: methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PATHS = "Runs, recipe folders or results roots, such as results/*."
_BASELINE = (
    "Method that the others are compared with. [default: shared_aware or windows_documented, else the first]"
)
_ALLOW = "Compare the common tasks of runs that measure different things."


def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help=_PATHS, show_default=False)],
    *,
    baseline: Annotated[str | None, typer.Option(metavar="NAME", help=_BASELINE)] = None,
    allow_mismatch: Annotated[bool, typer.Option("--allow-mismatch", help=_ALLOW)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per method.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Compare trained methods: scores over seeds, differences to a baseline, budgets.

    Runs count if they are completed and evaluated; the others are named with the command that mends them.
    Runs that measure different things are refused; unequal budgets are shown and warned of.
    """
    import json

    from mtctl.analysis import comparison, export, mismatch
    from mtctl.cli.console import err, out
    from mtctl.cli.screens.compare import comparison_tables, mismatch_table, remarks
    from mtctl.cli.screens.tables import markdown
    from mtctl.errors import MtctlError

    if as_json + as_csv + as_markdown > 1:
        raise MtctlError("--json, --csv and --markdown exclude each other", hint="choose one of them")
    try:
        found = comparison.compare(paths, baseline, allow_mismatch=allow_mismatch)
    except mismatch.MismatchError as error:
        err().print(mismatch_table(error.mismatches), crop=False)
        raise
    tables = list(comparison_tables(found))
    if found.mismatches:
        tables.insert(0, mismatch_table(found.mismatches))
    if as_json:
        typer.echo(json.dumps(export.as_document(found), indent=2))
    elif as_csv:
        typer.echo(export.as_csv(found), nl=False)
    elif as_markdown:
        typer.echo("\n".join(map(markdown, tables)), nl=False)
    else:
        for number, table in enumerate(tables):
            out().print(*([""] if number else []), table, sep="\n", crop=False)
    for remark in remarks(found):
        err().print(remark, soft_wrap=True)
