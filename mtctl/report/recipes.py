"""What differs between the recipes of methods, key by key."""

from __future__ import annotations

from collections.abc import Sequence

from mtctl.analysis.methods import ComparedMethod
from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import ABSENT, differences, load
from mtctl.recipes.resolved import text
from mtctl.screens.tables import Column, StackedTable

_SIDE_BY_SIDE = 6
"""Methods that have a column each; of more, each difference to the baseline has a row."""
_TRIVIAL = frozenset({"name"})


def recipe_differences(
    methods: Sequence[ComparedMethod], baseline: str
) -> tuple[StackedTable | None, tuple[str, ...]]:
    """Return what differs between the methods' resolved recipes, and which cannot be read.

    Args:
        methods: all of them.
        baseline: the label of the method that others are set against; where its recipe cannot be read, the
            first one that can.

    Returns:
        A table, None if nothing differs; and a sentence for each recipe that cannot be read.
    """
    recipes: dict[str, Recipe] = {}
    remarks = []
    for method in methods:
        file = method.paths[0] / layout.RECIPE
        try:
            recipes[method.label] = load(file)
        except MtctlError as error:
            remarks.append(f"{method.label}: its recipe cannot be read ({error.message.splitlines()[0]})")
    if len(recipes) < 2:
        return None, tuple(remarks)
    own = {label: recipe for label, recipe in recipes.items() if label != baseline}
    if baseline in recipes:
        reference = baseline
    else:
        reference, *_ = own
        del own[reference]
    by_method = {label: _against(recipes[reference], recipe) for label, recipe in own.items()}
    if not any(by_method.values()):
        return None, tuple(remarks)
    table = _columns if len(recipes) <= _SIDE_BY_SIDE else _rows
    return table(reference, by_method), tuple(remarks)


def _against(reference: Recipe, recipe: Recipe) -> dict[str, tuple[str, str]]:
    """Return the value in the reference, and in the recipe, of every key that differs."""
    return {
        key: (_text(one), _text(other))
        for key, one, other in differences(reference, recipe)
        if key not in _TRIVIAL
    }


def _text(value: object) -> str:
    """Return a value as YAML writes it; what is not there is not quoted like a value."""
    return "–" if value == ABSENT else text(value)


def _columns(reference: str, by_method: dict[str, dict[str, tuple[str, str]]]) -> StackedTable:
    """Return a row for each key and a column for each method."""
    known = {key: one for each in by_method.values() for key, (one, _) in each.items()}
    others = (
        Column(label, (each[key][1] if key in each else one for key, one in known.items()), text=True)
        for label, each in by_method.items()
    )
    return StackedTable(
        "A row for each key that differs",
        Column("key", known, text=True),
        [Column(reference, known.values(), text=True), *others],
    )


def _rows(reference: str, by_method: dict[str, dict[str, tuple[str, str]]]) -> StackedTable:
    """Return a row for each method and key."""
    rows = [(label, key, *values) for label, each in by_method.items() for key, values in each.items()]
    headers = ("method", "key", f"in {reference}", "here")
    first, *others = (
        Column(header, cells, text=True)
        for header, cells in zip(headers, zip(*rows, strict=True), strict=True)
    )
    return StackedTable(f"Each recipe against that of {reference}", first, others)
