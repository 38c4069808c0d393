"""`mtctl bench`: what balancing methods cost."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtctl.cli import completion
from mtctl.cli.code import completed
from mtctl.errors import MtctlError

if TYPE_CHECKING:
    from mtctl.balancing.contract import Method
    from mtctl.measuring.bench import Cost

_METHODS = "Methods, separated by commas. [default: all that need no settings]"
_TASKS = "Numbers of tasks, separated by commas. [default: 2,4,10,40]"
_RECIPE = "Measure in this recipe's training, or FILE.py:FUNCTION's, instead of the reference network."
_BLOCKS = "How often each method is timed, in turns."
_NUMBER = re.compile("[0-9]{1,9}")
_MOST_TASKS = 1000


def bench(
    methods: Annotated[str | None, typer.Option(metavar="KIND,…", help=_METHODS)] = None,
    tasks: Annotated[str | None, typer.Option(metavar="T,…", help=_TASKS)] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="RECIPE", help=_RECIPE, autocompletion=completion.recipes)
    ] = None,
    blocks: Annotated[int, typer.Option(metavar="N", min=1, help=_BLOCKS)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure what balancing methods cost: memory, and the time of an update relative to equal weights.

    The reference network has three shared layers of 256 units and a linear head per task; a batch has 128
    rows, which all tasks share. Times are of one processor core. Other programs hardly change the ratios.
    """
    if recipe is not None and tasks is not None:
        raise MtctlError("--tasks and --recipe exclude each other: the recipe decides the tasks")
    chosen, numbers = _methods(methods), _tasks("2,4,10,40" if tasks is None else tasks)
    # Torch takes a second to load: what is misspelled is told before.
    from mtctl.engine.processor import use_one_thread
    from mtctl.measuring.bench import on_recipe, on_reference
    from mtctl.recipes.loading import load
    from mtctl.terminal.console import err, out, write_json

    use_one_thread()
    costs_by_place: dict[str, list[Cost]] = {}
    if recipe is None:
        for number in numbers:
            if not as_json:
                err().print(f"{number} tasks: {len(chosen)} methods …", soft_wrap=True)
            costs_by_place[f"{number} tasks"] = on_reference(chosen, number, blocks)
    else:
        loaded = completed(load(recipe))
        if not as_json:
            err().print(f"{loaded.name}: {len(chosen)} methods …", soft_wrap=True)
        costs_by_place[loaded.name] = on_recipe(chosen, loaded, blocks)
    if as_json:
        write_json(_document(costs_by_place))
        return
    from mtctl.screens.bench import cost_tables

    out().print(*cost_tables(costs_by_place), sep="\n\n", crop=False)


def _methods(text: str | None) -> dict[str, Method]:
    from pydantic import ValidationError

    from mtctl.balancing.registry import KINDS
    from mtctl.catalogue.settings import described, known_kind

    if text is not None:
        kinds = [known_kind(word.strip()) for word in text.split(",")]
        return {kind: described(kind, {})[0] for kind in kinds}
    methods = {}
    for kind, method in KINDS.items():
        try:
            methods[kind] = method.model_validate({})
        except ValidationError:  # it cannot do without settings
            continue
    return methods


def _tasks(text: str) -> list[int]:
    numbers = []
    for word in text.split(","):
        if not _NUMBER.fullmatch(word.strip()) or not 1 <= int(word) <= _MOST_TASKS:
            raise MtctlError(
                f"--tasks {text}: expected a number from 1 to {_MOST_TASKS:,}, got `{word}`",
                hint="write --tasks 2,4,10,40",
            )
        numbers.append(int(word))
    return list(dict.fromkeys(numbers))


def _document(costs_by_place: dict[str, list[Cost]]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "schema": 1,
        "measured": [
            {"on": place, "methods": [asdict(cost) for cost in costs]}
            for place, costs in costs_by_place.items()
        ],
    }
