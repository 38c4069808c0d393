"""The `mtctl` command: its verbs and what they share. Every verb has its file next to this one.

Nothing heavy is imported here or at the top of a verb's file, so that `mtctl --help` answers at once.
"""

from __future__ import annotations

import atexit
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mtctl import __version__
from mtctl.cli import recipes
from mtctl.cli.bench import bench
from mtctl.cli.compare import compare
from mtctl.cli.diagnose import diagnose
from mtctl.cli.errors import excepthook, guarded
from mtctl.cli.eval import evaluate
from mtctl.cli.explain import explain
from mtctl.cli.export import export
from mtctl.cli.report import report
from mtctl.cli.train import train
from mtctl.cli.usage import VERBOSE, Verb, split_at_dashes
from mtctl.terminal.console import write_line
from mtctl.terminal.streams import prepare


class _Verbs(TyperGroup):
    """Lists verbs under what they are for.

    Typer can, in panels; they cost more time than the rest of `--help` together.
    """

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            section = getattr(command, "rich_help_panel", None) or "Commands"
            sections.setdefault(section, []).append((name, command.get_short_help_str(limit=formatter.width)))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


app = typer.Typer(
    name="mtctl",
    cls=_Verbs,
    help="Find out why one task of a multi-task model does not learn, train the cure, prove the difference.",
    epilog="A RECIPE is a path, the name of a built-in recipe (see `mtctl recipes list`), or "
    "FILE.py:FUNCTION, which builds a model of your own.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", cls=Verb, rich_help_panel="Run")(train)
app.command("eval", cls=Verb, rich_help_panel="Run")(evaluate)
app.command("compare", cls=Verb, rich_help_panel="Understand")(compare)
app.command("diagnose", cls=Verb, rich_help_panel="Understand")(diagnose)
app.command("explain", cls=Verb, rich_help_panel="Understand")(explain)
app.command("report", cls=Verb, rich_help_panel="Understand")(report)
app.command("export", cls=Verb, rich_help_panel="Understand")(export)
app.command("bench", cls=Verb, rich_help_panel="Measure")(bench)
app.add_typer(recipes.app, name="recipes", rich_help_panel="Set up")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("-V", "--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option(*VERBOSE, help="Show the traceback of an error; works after a verb too.")
    ] = False,
) -> None:
    if version:
        write_line(f"mtctl {__version__}")
        raise typer.Exit
    Path.cwd()  # where the folder was removed, paths mean nothing, and torch ends the process without a word


def main() -> None:
    """Run the command line and leave with its exit code. A verb gets it, as typed, as its context's `obj`."""
    sys.excepthook = excepthook
    # Once all is done and saved, a further Ctrl-C must not change the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    prepare()
    before, after = split_at_dashes(sys.argv[1:])
    arguments = [argument for argument in before if argument not in VERBOSE] + after
    verbose = len(arguments) < len(before) + len(after)
    arguments = arguments or ["--help"]
    # Calling the Typer object itself would put Typer's excepthook in place of ours.
    command = typer.main.get_command(app)
    options = {"prog_name": "mtctl", "standalone_mode": False, "obj": ["mtctl", *sys.argv[1:]]}
    sys.exit(guarded(lambda: command(arguments, **options), verbose=verbose))
