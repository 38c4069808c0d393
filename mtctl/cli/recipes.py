"""`mtctl recipes`: find, read, write, copy, check and compare recipes."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.cli import completion
from mtctl.cli.code import completed
from mtctl.cli.errors import show as show_error
from mtctl.cli.explain import list_methods
from mtctl.cli.usage import Verb
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err, write, write_json, write_line
from mtctl.text import command_line, show_text

if TYPE_CHECKING:
    from mtctl.problems.recipe import Recipe

_WIDTH, _INDENT = 80, "    "
_COMPARED = "A path or the name of a built-in recipe."
_TRAINS = re.compile(r"mtctl train \S+")

app = typer.Typer(help="List, show, write, copy, check and compare recipes.", rich_markup_mode=None)

_RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A path, the name of a built-in recipe, or FILE.py:FUNCTION.",
        autocompletion=completion.recipes,
    ),
]
_Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-o", "--override", metavar="KEY=VALUE", help="Change a value, such as -o balancer.alpha=0."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback(invoke_without_command=True)
def _help_without_verb(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        write(f"{context.get_help()}\n")


@app.command("list", cls=Verb)
def list_(
    methods: Annotated[bool, typer.Option("--methods", help="List the balancing methods instead.")] = False,
    as_json: _Json = False,
) -> None:
    """List the built-in recipes: what each one shows and how it trains."""
    if methods:
        list_methods(as_json=as_json)
        return
    from mtctl.recipes import builtin
    from mtctl.recipes.loading import load

    recipes = {name: load(name) for name in builtin.names()}
    if as_json:
        write_json([{"name": name, **_summary(name, recipe)} for name, recipe in recipes.items()])
        return
    kinds = dict.fromkeys(recipe.problem.kind for recipe in recipes.values())
    for number, kind in enumerate(kinds):
        if number:
            write_line("")
        _list_kind({name: recipe for name, recipe in recipes.items() if recipe.problem.kind == kind})


def _list_kind(recipes: Mapping[str, Recipe]) -> None:
    """Print one kind of recipes: what tells them apart has its own columns for each kind."""
    summaries = {name: _summary(name, recipe) for name, recipe in recipes.items()}
    columns = [key for key in next(iter(summaries.values())) if key not in ("problem", "shows")]
    head, *lines = _aligned(
        [
            ("recipe", *(column.replace("_per_", "/") for column in columns)),
            *((name, *(str(summary[key]) for key in columns)) for name, summary in summaries.items()),
        ]
    )
    write_line(head)
    for line, summary in zip(lines, summaries.values(), strict=True):
        indented = textwrap.fill(
            str(summary["shows"]), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT
        )
        write_line(line)
        write(f"{indented}\n")


@app.command(cls=Verb)
def show(
    recipe: _RecipeArgument,
    overrides: _Overrides = None,
    source: Annotated[bool, typer.Option("--source", help="Print the unchanged file.")] = False,
    as_json: _Json = False,
) -> None:
    """Print a recipe with `extends:`, defaults and overrides resolved."""
    from mtctl.recipes.direct import recipe_file
    from mtctl.recipes.loading import dump, load
    from mtctl.yaml.sources import read

    if source and (overrides or as_json):
        raise MtctlError("--source prints the unchanged file: it works with neither -o nor --json")
    if source:
        _print_source(read(recipe_file(recipe)).text)
        return
    resolved = load(recipe, overrides or [])
    if as_json:
        write_json(resolved.model_dump(mode="json"))
    else:
        write(dump(resolved))


def _print_source(text: str) -> None:
    """Print a file as it is; on a terminal, without what would steer it."""
    if not sys.stdout.isatty():
        write(text)
        return
    for line in text.splitlines():
        write_line(line.replace("\t", "    "))


@app.command(cls=Verb)
def copy(
    recipe: _RecipeArgument,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The new file, or a directory for it.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Copy a recipe into a file of your own that depends on no other file: every key with what it means."""
    from mtctl.recipes import builtin
    from mtctl.recipes.commented import commented
    from mtctl.recipes.direct import recipe_file
    from mtctl.recipes.loading import load
    from mtctl.yaml.sources import read

    original = recipe_file(recipe)
    target = path / original.name if path.is_dir() else path
    _require_free(target, force=force)
    own_command = command_line(["mtctl", "train", str(target)])
    lines = (_TRAINS.sub(lambda _: own_command, line) for line in builtin.header(read(original).text))
    _write(target, commented(load(original), map(show_text, lines)))
    err().print("hint: also change its `name:`, which is the folder of the results", soft_wrap=True)


@app.command(cls=Verb)
def init(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FUNCTION", help="The function that builds a model of your own; its file is run."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PATH", help="The new file, or a directory for it. [default: NAME.yaml]"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a recipe for a model of your own: every key with what it means."""
    from mtctl.recipes.commented import commented
    from mtctl.recipes.direct import is_function
    from mtctl.recipes.loading import load

    if not is_function(function):
        from mtctl.problems.python.source import split

        split(function)
        raise MtctlError(f"{function} is a file, not a function", hint="name it as FILE.py:FUNCTION")
    recipe = load(function)
    usual = f"{recipe.name}.yaml"
    target = Path(usual) if output is None else output / usual if output.is_dir() else output
    _require_free(target, force=force)
    commands = [command_line(["mtctl", verb, str(target)]) for verb in ("diagnose", "train")]
    others = ["  mtctl recipes list --methods", "  mtctl recipes check " + command_line([str(target)])]
    head = [f"Trains what {function} builds.", "", *(f"  {command}" for command in commands), *others]
    _write(target, commented(completed(recipe), [show_text(line) for line in head]))
    err().print(f"next: `{commands[0]}` or `{commands[1]}`", soft_wrap=True)


def _require_free(target: Path, *, force: bool) -> None:
    from mtctl.engine.files import is_stream

    if target.exists() and not (force or is_stream(target)):
        raise MtctlError(f"{target} exists", hint="--force overwrites it")


def _write(target: Path, text: str) -> None:
    from mtctl.engine.files import write_output

    try:
        write_output(target, text)
    except OSError as error:
        raise MtctlError(f"{target} cannot be written: {error.strerror}") from error
    err().print(f"wrote {target}", soft_wrap=True)


@app.command(cls=Verb)
def check(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Recipe files or names of built-in recipes.",
            autocompletion=completion.recipes,
        ),
    ],
    as_json: _Json = False,
) -> int:
    """Check recipe files and print every mistake in them."""
    from mtctl.problems.sizes import doubt, require_memory
    from mtctl.recipes.loading import load

    verdicts = []
    for file in files:
        try:
            recipe = load(file)
            require_memory(recipe)
            verdicts.append({"file": file, "ok": True, "error": None, "hint": None})
        except MtctlError as error:
            verdicts.append({"file": file, "ok": False, "error": error.message, "hint": error.hint})
            if not as_json:
                show_error("error", error.message, error.hint)
        else:
            if not as_json:
                write_line(f"{file}: ok")
                if doubts := doubt(recipe):
                    err().print(f"warning: {doubts}", soft_wrap=True)
    if as_json:
        write_json(verdicts)
    return ExitCode.OK if all(verdict["ok"] for verdict in verdicts) else ExitCode.USAGE


@app.command(cls=Verb)
def schema() -> None:
    """Print the JSON schema of recipe files, for editors."""
    from mtctl.recipes.schema import schema_text

    write(schema_text())


@app.command(cls=Verb)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_COMPARED, autocompletion=completion.recipes)],
    b: Annotated[str, typer.Argument(metavar="B", help=_COMPARED, autocompletion=completion.recipes)],
    as_json: _Json = False,
) -> None:
    """Print the values in which two recipes differ."""
    from mtctl.recipes.loading import differences, load
    from mtctl.recipes.resolved import text

    changed = differences(load(a), load(b))
    if as_json:
        write_json([{"key": key, "a": one, "b": other} for key, one, other in changed])
        return
    if not changed:
        err().print("no difference")
        return
    for line in _aligned([("", a, b), *((key, text(one), text(other)) for key, one, other in changed)]):
        write_line(line)


def _summary(name: str, recipe: Recipe) -> dict[str, str | int]:
    """Return a built-in recipe in a few words. Rows are those of one update, of all tasks it trains."""
    from mtctl.recipes import builtin

    return {
        "problem": recipe.problem.kind,
        "method": " + ".join(method.kind for method in recipe.chain),
        **recipe.traits,
        "shows": builtin.description(name),
    }


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
