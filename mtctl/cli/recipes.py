"""`mtctl recipes`: find, read, copy, check and compare recipes."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List, show, copy, check and compare recipes.", no_args_is_help=True)


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A path or the name of a built-in recipe.")],
) -> None:
    """Print a recipe with `extends:` and defaults resolved."""
    from mtctl.recipes.loading import dump, load

    typer.echo(dump(load(recipe)), nl=False)


@app.callback()
def _group() -> None:
    pass
