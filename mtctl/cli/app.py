"""The `mtctl` command: its verbs and what they share. Every verb has its file next to this one.

Nothing heavy is imported here or at the top of a verb's file, so that `mtctl --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mtctl import __version__
from mtctl.cli import recipes
from mtctl.cli.compare import compare
from mtctl.cli.errors import excepthook, guarded
from mtctl.cli.eval import evaluate
from mtctl.cli.train import train

_VERBOSE = ("-v", "--verbose")

app = typer.Typer(
    name="mtctl",
    help="Find out why one task of a multi-task model does not learn, train the cure, prove the difference.",
    epilog="A RECIPE is a path or the name of a built-in recipe: `mtctl recipes list`.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", rich_help_panel="Run")(train)
app.command("eval", rich_help_panel="Run")(evaluate)
app.command("compare", rich_help_panel="Understand")(compare)
app.add_typer(recipes.app, name="recipes", rich_help_panel="Set up")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    verbose: Annotated[
        bool, typer.Option(*_VERBOSE, help="Show the traceback of an error. Also after a verb.")
    ] = False,
) -> None:
    if version:
        typer.echo(f"mtctl {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.excepthook = excepthook
    before, after = _until_dashes(sys.argv[1:])
    arguments = [argument for argument in before if argument not in _VERBOSE] + after
    verbose = len(arguments) < len(before) + len(after)
    sys.exit(guarded(lambda: app(arguments, prog_name="mtctl", standalone_mode=False), verbose=verbose))


def _until_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]
