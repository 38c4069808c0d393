"""From a RECIPE argument to a recipe: read, extend, override, check."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mtctl.errors import MtctlError
from mtctl.problems.recipe import Recipe
from mtctl.recipes import builtin
from mtctl.recipes.direct import is_function, recipe_text
from mtctl.recipes.family import recipe_class
from mtctl.recipes.overrides import override
from mtctl.recipes.resolved import ABSENT, differences, dump, recipe_hash
from mtctl.recipes.validation import validate
from mtctl.yaml.merging import merge
from mtctl.yaml.mistakes import Mistake, Unreadable, closest, refusal, shortened
from mtctl.yaml.nodes import Entry, Mapping, Node, Scalar, follow
from mtctl.yaml.sources import LARGEST, Place, Source, read
from mtctl.yaml.syntax import parse

__all__ = ["ABSENT", "differences", "dump", "load", "loads", "recipe_hash"]

_EXTENDS = "extends"
_MOST_FILES = 32  # of a chain; the built-in recipes have three


def load(reference: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe with `extends:` resolved and `key.path=value` overrides applied.

    Args:
        reference: a recipe file, the name of a built-in recipe, or a function that builds a model of one's
            own, `FILE.py:FUNCTION`; its file is not run.
        overrides: the arguments of `-o`.

    Raises:
        MtctlError: there is no such recipe, or it is wrong: all problems, each with its place.
    """
    if is_function(str(reference)):
        source = recipe_text(str(reference))
        return _checked(
            source.name, lambda mistakes: _overridden(_parsed(source, mistakes), overrides, mistakes)
        )
    path = builtin.find(reference)
    return _checked(str(path), lambda mistakes: _overridden(_extended(path, mistakes), overrides, mistakes))


def loads(text: str, overrides: Sequence[str] = (), *, name: str = "recipe") -> Recipe:
    """Return the recipe that `dump` has written as text, with `key.path=value` overrides applied.

    Args:
        text: YAML of a resolved recipe.
        overrides: the arguments of `-o`.
        name: of the text, in error messages.

    Raises:
        MtctlError: it is no valid recipe.
    """
    return _checked(
        name, lambda mistakes: _overridden(_parsed(Source(name, text), mistakes), overrides, mistakes)
    )


def _checked(name: str, tree_of: Callable[[list[Mistake]], Node | None]) -> Recipe:
    """Return the recipe of a tree, or refuse it with all its mistakes.

    Args:
        name: of what is read, in error messages.
        tree_of: returns the tree and adds its mistakes.
    """
    mistakes: list[Mistake] = []
    recipe = None
    try:
        tree = tree_of(mistakes)
        assert tree is not None
        recipe = _located(validate(tree, mistakes), tree)
    except Unreadable as error:
        mistakes.append(error.mistake)
    if recipe is None or mistakes:
        raise refusal(name, mistakes)
    return recipe


def _parsed(source: Source, mistakes: list[Mistake]) -> Node:
    tree = parse(source, mistakes)
    assert tree is not None
    return tree


def _overridden(tree: Node, overrides: Sequence[str], mistakes: list[Mistake]) -> Node:
    return override(tree, overrides, recipe_class(tree), mistakes)


def _located(recipe: Recipe | None, tree: Node) -> Recipe | None:
    """Return the recipe with the place of its data independent of the folder in which mtctl runs.

    `known_as` goes with the path that it was written beside; beside another path, it is of other data.
    """
    if recipe is None or recipe.data_path is None:
        return recipe
    places = recipe.data_key, (*recipe.data_key[:-1], "known_as")
    path, known_as = (follow(tree, keys).place.source for keys in places)
    place = str(_tidy(Path.cwd() / recipe.data_path))
    if any("\ud800" <= character <= "\udfff" for character in place):  # how Python shows such bytes
        raise MtctlError(
            f"{place}: its name is not UTF-8, so a recipe cannot contain it "
            f"({'.'.join(map(str, recipe.data_key))})",
            hint="rename the file, or the folder in which mtctl runs",
        )
    known = recipe.data_name if path is known_as else None
    return recipe.with_data(place, known or recipe.data_path)


def _extended(path: Path, mistakes: list[Mistake]) -> Mapping:
    """Return a file's tree laid over its parent's, and so on up the chain of `extends:`."""
    trees: list[Mapping] = []
    chain: dict[Path, Path] = {}  # as they were named, by what they are
    named: Entry | None = None
    length = 0
    while True:
        tree = _tree(path, named, mistakes)
        chain[path.resolve()] = path
        length += len(tree.place.source.text)
        named = tree.entries.get(_EXTENDS)
        trees.append(Mapping({key: one for key, one in tree.entries.items() if key != _EXTENDS}, tree.place))
        if named is None:
            break
        path = _parent(named, path)
        if path.resolve() in chain:
            around = list(chain).index(path.resolve())
            circle = " → ".join(map(str, [*list(chain.values())[around:], path]))
            raise Unreadable(Mistake(named.node.place, f"`extends` goes in a circle: {circle}"))
        if len(chain) == _MOST_FILES or length > LARGEST:
            most = (
                f"{_MOST_FILES} files" if len(chain) == _MOST_FILES else f"{LARGEST // 1_000_000} MB of files"
            )
            raise Unreadable(Mistake(named.node.place, f"`extends` leads through more than {most}"))
    merged: Node = trees.pop()
    while trees:
        child = trees.pop()
        merged = merge(merged, child, recipe_class(child, merged))
    assert isinstance(merged, Mapping)
    return merged


def _tree(path: Path, named: Entry | None, mistakes: list[Mistake]) -> Mapping:
    """Return what one file says.

    Args:
        path: the file.
        named: the `extends:` that led here; that is where a file that cannot be read is a mistake.
        mistakes: gets what is wrong and leaves something to check.
    """
    try:
        source = read(path)
    except MtctlError as error:
        if named is None:
            raise
        raise Unreadable(Mistake(named.node.place, error.message, error.hint or "")) from error
    tree = parse(source, mistakes)
    start = Place(source, 0, 0)
    if tree is None:
        raise Unreadable(Mistake(start, "the file is empty", snippet=False))
    if not isinstance(tree, Mapping):
        found = "a list" if not isinstance(tree, Scalar) else "a single value"
        raise Unreadable(
            Mistake(tree.place, f"expected a mapping of keys to values, got {found}", "begin with `name:`")
        )
    return tree


def _parent(named: Entry, child: Path) -> Path:
    """Return the file that `extends:` names: relative to the child's folder, or a built-in recipe."""
    node = named.node
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
        raise Unreadable(Mistake(named.place, "`extends` must be one path or one built-in name"))
    beside = child.parent / node.value
    if builtin.exists(beside):
        return _tidy(beside)
    known = builtin.path_of(node.value)
    if known is None:
        match = closest(node.value, [*builtin.neighbours(beside, relative_to=child.parent), *builtin.names()])
        note = f"did you mean `{match}`?" if match else f"paths are relative to {child.parent}"
        text = f"`{shortened(node.value)}` is neither a file nor a built-in recipe"
        raise Unreadable(Mistake(node.place, text, note))
    return known


def _tidy(path: Path) -> Path:
    """Return the path without its `..`, unless a symbolic link gives them another meaning."""
    tidy = Path(os.path.normpath(path))
    return tidy if builtin.exists(tidy) and tidy.samefile(path) else path
