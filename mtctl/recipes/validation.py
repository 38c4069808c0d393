"""The models' verdict on a tree of nodes, in words and with places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mtctl.part import DEFERRED, KeyPath, Misfit, MisfitError, all_misfits
from mtctl.problems.kinds import KINDS, LOOP
from mtctl.problems.recipe import Recipe
from mtctl.recipes.family import recipe_class
from mtctl.yaml import shapes
from mtctl.yaml.mending import Guesses, mended
from mtctl.yaml.mistakes import Mistake, closest, shortened, suggestion
from mtctl.yaml.nodes import Entry, Mapping, Node, Scalar, follow, plain
from mtctl.yaml.shapes import Shape
from mtctl.yaml.sources import Place
from mtctl.yaml.syntax import scalar

#: What pydantic found → what the value must be. `{…}` are the limits it names.
_MUST_BE = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be `true` or `false`",
    "string_type": "must be text",
    "finite_number": "must be finite",
    "greater_than": "must be above {gt:.10g}",
    "greater_than_equal": "must be at least {ge:.10g}",
    "less_than": "must be below {lt:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "string_too_long": "has more than {max_length} characters",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of names to values",
    "tuple_type": "must be a list",
}
_EXACT = 2**53  # floats count whole numbers exactly up to here
_UNQUOTED = ("int_type", "float_type", "bool_type")
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def validate(root: Node, mistakes: list[Mistake]) -> Recipe | None:
    """Return the recipe that a tree describes, or None after adding all that is wrong to `mistakes`."""
    kind = follow(root, ("problem", "kind")).node
    if isinstance(kind, Scalar) and kind.value == LOOP:
        note = "`mtctl diagnose`, `compare` and `report` read its run directory"
        mistakes.append(Mistake(kind.place, "a loop of one's own wrote this, which mtctl cannot train", note))
        return None
    family = recipe_class(root)
    try:
        return family.model_validate(plain(root))
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        mistakes += _explain(root, family, detail)
    mistakes += [mistake for mistake in _hidden(root, family, details) if mistake not in mistakes]
    return None


def _hidden(root: Node, family: type[Recipe], details: list[ErrorDetails]) -> Iterator[Mistake]:
    """Yield what does not go together, where slips of the pen or a misfit further in hid it from pydantic."""
    guesses = Guesses()
    for detail in details:
        path, holder, shape = shapes.walk(family, root, detail["loc"])
        if detail["type"] == "extra_forbidden":
            guesses.keys[path] = closest(str(path[-1]), _fields(root, path, holder))
        if detail["type"] == "union_tag_not_found" and (slip := _misspelt_kind(follow(root, path).node)):
            guesses.keys[(*path, slip)] = "kind"
        if detail["type"] == "union_tag_invalid":
            path, choices = (*path, "kind"), tuple(shapes.kinds(shape))
        else:
            choices = _choices(path, shape)
        node = follow(root, path).node
        if isinstance(node, Scalar) and (word := closest(node.text, choices)):
            guesses.words[path] = word
    tree = mended(root, guesses)
    try:
        recipe = recipe_class(tree).model_validate(plain(tree), context=DEFERRED)
    except ValidationError:
        return  # more than slips: which values are meant is anybody's guess
    yield from _misfits(tree, all_misfits(recipe))


def _explain(root: Node, family: type[Recipe], detail: ErrorDetails) -> Iterator[Mistake]:
    path, holder, shape = shapes.walk(family, root, detail["loc"])
    match detail["type"]:
        case "value_error":
            error = detail["ctx"]["error"]
            found = error.found if isinstance(error, MisfitError) else (Misfit((), str(error)),)
            yield from _misfits(root, found, path)
        case "missing":
            yield from _missing(root, path, holder)
        case "union_tag_not_found":
            yield from _no_kind(root, path, shape)
        case "extra_forbidden":
            yield _unknown_key(root, path, holder)
        case "literal_error":
            yield _not_allowed(root, path, _choices(path, shape))
        case "union_tag_invalid":
            yield _not_allowed(root, (*path, "kind"), tuple(shapes.kinds(shape)))
        case "string_pattern_mismatch":
            description = shapes.parts(holder)[0].model_fields[str(path[-1])].description or ""
            yield Mistake(_place(follow(root, path)), f"{_label(root, path)} is not allowed", description)
        case "too_short":
            yield from _too_short(root, path, detail)
        case _:
            yield _wrong_value(root, path, shape, detail)


def _choices(path: KeyPath, shape: Shape) -> tuple[str, ...]:
    """Return the words that are allowed at a place. A family knows its own kind of problem only."""
    return tuple(KINDS) if path == ("problem", "kind") else shapes.literals(shape)


def _misfits(root: Node, found: Iterable[Misfit], path: KeyPath = ()) -> Iterator[Mistake]:
    for misfit in found:
        entry = follow(root, (*path, *misfit.path))
        place = entry.place if misfit.choices else _place(entry)
        note = suggestion(str(misfit.path[-1]), misfit.choices) if misfit.choices else ""
        yield Mistake(place, misfit.text, note, snippet=entry.node is not root)


def _missing(root: Node, path: KeyPath, holder: Shape) -> Iterator[Mistake]:
    entry, key = follow(root, path[:-1]), str(path[-1])
    fields = _fields(root, path, holder)
    if isinstance(entry.node, Mapping) and any(
        unknown not in fields and closest(unknown, fields) == key for unknown in entry.node.entries
    ):
        return  # a misspelt key is reported as such
    where = f" in `{path[-2]}`" if len(path) > 1 else ""
    choices = (_choices(path, None) or tuple(shapes.kinds(holder))) if key == "kind" else ()
    note = f"choose from: {', '.join(choices)}" if choices else ""
    yield Mistake(_place(entry), f"missing key `{key}`{where}", note, snippet=entry.node is not root)


def _no_kind(root: Node, path: KeyPath, shape: Shape) -> Iterator[Mistake]:
    # Pydantic looks at no key of a union without its tag, so a misspelt `kind` is only found here.
    entry = follow(root, path)
    if (slip := _misspelt_kind(entry.node)) is None:
        yield from _missing(root, (*path, "kind"), shape)
    else:
        place = follow(root, (*path, slip)).place
        yield Mistake(place, f"unknown key `{slip}`", "did you mean `kind`?")


def _misspelt_kind(node: Node) -> str | None:
    return closest("kind", node.entries) if isinstance(node, Mapping) else None


def _unknown_key(root: Node, path: KeyPath, holder: Shape) -> Mistake:
    place, key = follow(root, path).place, str(path[-1])
    if path == ("extends",):  # in a file it has been resolved by now
        return Mistake(place, "`extends` works in a file only", "name the other recipe instead")
    fields = _fields(root, path, holder)
    match = closest(key, fields)
    note = f"did you mean `{match}`?" if match else f"known here: {', '.join(fields)}"
    return Mistake(place, f"unknown key `{shortened(key)}`", note)


def _not_allowed(root: Node, path: KeyPath, choices: tuple[str, ...]) -> Mistake:
    entry = follow(root, path)
    word = entry.node.text if isinstance(entry.node, Scalar) else ""
    return Mistake(_place(entry), f"{_label(root, path)} is not allowed", suggestion(word, choices))


def _too_short(root: Node, path: KeyPath, detail: ErrorDetails) -> Iterator[Mistake]:
    entry, least = follow(root, path), detail["ctx"]["min_length"]
    values = plain(entry.node)
    # Pydantic also counts entries that are there and wrong; those have mistakes of their own.
    if isinstance(values, list | dict) and len(values) < least:
        noun = "entry" if least == 1 else "entries"
        yield Mistake(_place(entry), f"{_label(root, path)} must have at least {least} {noun}")


def _wrong_value(root: Node, path: KeyPath, shape: Shape, detail: ErrorDetails) -> Mistake:
    entry, kind = follow(root, path), detail["type"]
    requirement = _MUST_BE.get(kind, detail["msg"].replace("Input should be", "must be"))
    requirement = requirement.format(**detail.get("ctx", {})) if kind in _MUST_BE else requirement
    return Mistake(
        _place(entry), f"{_label(root, path)} {requirement}", _advice(entry.node, path, shape, kind)
    )


def _advice(node: Node, path: KeyPath, shape: Shape, error: str) -> str:
    """Return how the value is written, where it is clear what was meant."""
    if not isinstance(node, Scalar):
        return ""
    value, text = node.value, node.text
    if error == "string_type" and text:
        return f'write `"{shortened(text)}"`'
    if error == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write `{int(value)}`" if abs(value) < _EXACT else ""
    if error == "bool_type" and text.lower() in _YES_NO:
        return f"write `{_YES_NO[text.lower()]}`"
    if error in _UNQUOTED and value == text and not isinstance(scalar(text), str):
        return "leave out the quotes"
    if error in ("model_type", "model_attributes_type") and text in shapes.kinds(shape):
        key = f"{path[-1]}: " if isinstance(path[-1], str) else ""
        return f"write `{key}{{kind: {text}}}`"
    if error in ("model_type", "model_attributes_type") and (kinds := tuple(shapes.kinds(shape))):
        return suggestion(text, kinds)
    return ""


def _fields(root: Node, path: KeyPath, holder: Shape) -> tuple[str, ...]:
    """Return the keys that are known next to the one at the end of `path`."""
    part = shapes.part(holder, follow(root, path[:-1]).node)
    fields = tuple(part.model_fields) if part else ()
    return ("extends", *fields) if part is not None and issubclass(part, Recipe) else fields


def _label(root: Node, path: KeyPath) -> str:
    """Return a value as it is written, with its key."""
    node = follow(root, path).node
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    in_list = bool(path) and isinstance(path[-1], int)
    if not isinstance(node, Scalar):
        return f"an entry of `{name}`" if in_list else f"`{name}`"
    if not node.text:
        return f"`{name}:` has no value; it"
    text = shortened(node.text)
    return f"`{text}` in `{name}`" if in_list else f"`{name}: {text}`"


def _place(entry: Entry) -> Place:
    """Return what to underline: the value, or its key where the value is not next to it."""
    key, value = entry.place, entry.node.place
    beside = key.source == value.source and key.line == value.line
    empty = isinstance(entry.node, Scalar) and not entry.node.text
    return value if beside and not empty else key
