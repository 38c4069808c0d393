"""Whatever stands in a recipe file or in `-o`: a recipe comes out, or one error that names the file."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.recipe import Recipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import dump, load
from mtctl.recipes.resolved import text

DOCUMENTS = [load(name).model_dump(mode="json") for name in builtin.names()]
TEXTS = [dump(load(name)) for name in builtin.names()]
SOURCES = [(builtin.folder() / f"{name}.yaml").read_text(encoding="utf-8") for name in builtin.names()]
KEYS = sorted(
    {key for document in DOCUMENTS for part in document.values() if isinstance(part, dict) for key in part}
)
WORDS = [
    "equal",
    "gradnorm",
    "manual",
    "soft",
    "mixed",
    "windy",
    "heavy",
    "theoretical",
    "independent",
    "yes",
    "1e3",
]

names = st.sampled_from([*KEYS, *WORDS, "kind", "extends", "<<"]) | st.text(max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=9),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "mutated.yaml"


def recipe_or_error(path: Path, overrides: list[str] | None = None) -> None:
    try:
        recipe = load(path, overrides or [])
    except MtctlError as error:
        assert path.name in error.message
        assert error.code is ExitCode.USAGE
        assert "(0 problems)" not in error.message
        for jargon in ("pydantic", "https://", "Traceback"):
            assert jargon not in error.message
    else:
        assert isinstance(recipe, Recipe)


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid recipe with keys dropped, renamed, retyped, moved or written twice."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        container = draw(st.sampled_from(list(containers(document)) or [document]))
        places = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not places:
            continue
        place = draw(st.sampled_from(places))
        match draw(st.sampled_from(["drop", "rename", "retype", "wrap", "duplicate"])):
            case "drop":
                del container[place]
            case "rename" if isinstance(container, dict):
                container[draw(names)] = container.pop(place)
            case "wrap":
                container[place] = [container[place]]
            case "duplicate" if isinstance(container, dict):
                container[draw(names)] = copy.deepcopy(container[place])
            case _:
                container[place] = draw(values)
    return "".join(f"{text(key)}: {text(value)}\n" for key, value in document.items())


@given(mutated())
@settings(max_examples=250, deadline=None)
def test_mutated_values(path: Path, mutation: str) -> None:
    path.write_text(mutation, encoding="utf-8", errors="replace")
    recipe_or_error(path)


@given(st.sampled_from([*TEXTS, *SOURCES]), st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_lines(path: Path, recipe: str, data: st.DataObject) -> None:
    lines = recipe.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["repeat", "drop", "swap", "indent", "insert"])):
            case "repeat":
                lines.insert(index, lines[index])
            case "drop" if len(lines) > 1:
                del lines[index]
            case "swap":
                lines[index], lines[0] = lines[0], lines[index]
            case "indent":
                lines[index] = (
                    data.draw(st.sampled_from([" ", "  ", "\t", "- ", "? ", "&a ", "*a ", "!!x "]))
                    + lines[index]
                )
            case _:
                lines.insert(index, data.draw(st.text(max_size=20)))
    path.write_text("".join(lines), encoding="utf-8", errors="replace")
    recipe_or_error(path)


@given(st.sampled_from([*TEXTS, *SOURCES]), st.data())
@settings(max_examples=120, deadline=None)
def test_truncated_text_and_flipped_bytes(path: Path, recipe: str, data: st.DataObject) -> None:
    content = bytearray(recipe.encode()[: data.draw(st.integers(0, len(recipe.encode())))])
    for position in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=3)):
        if content:
            content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    recipe_or_error(path)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda one: one.encode(errors="replace")))
@settings(max_examples=150, deadline=None)
def test_anything_at_all(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    recipe_or_error(path)


@given(
    st.lists(
        st.text(max_size=20)
        | st.tuples(
            st.lists(names | st.sampled_from(["0", "1", "-1"]), max_size=4), values | st.text(max_size=9)
        ).map(lambda pair: f"{'.'.join(pair[0])}={pair[1] if isinstance(pair[1], str) else text(pair[1])}"),
        max_size=4,
    ),
    st.sampled_from(TEXTS),
)
@settings(max_examples=250, deadline=None)
def test_overrides(path: Path, overrides: list[str], recipe: str) -> None:
    path.write_text(recipe, encoding="utf-8")
    recipe_or_error(path, overrides)


@given(values)
@settings(max_examples=100, deadline=None)
def test_extends(path: Path, value: Any) -> None:
    path.write_text(f"extends: {text(value)}\n", encoding="utf-8", errors="replace")
    recipe_or_error(path)
