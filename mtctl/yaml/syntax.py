"""YAML text → nodes, with YAML 1.2's core rules: `1e-3` is a float, `no` a string, `010` ten.

PyYAML parses; what a plain scalar means is decided here, because PyYAML follows YAML 1.1, where `1e-3` is a
string, `no` is false and `010` is eight.
"""

from __future__ import annotations

import re
from typing import Any

from yaml import MarkedYAMLError, ScalarNode, SequenceNode, YAMLError
from yaml import Node as YAMLNode
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from mtctl.yaml.mistakes import Mistake, Unreadable, shortened
from mtctl.yaml.nodes import Entry, Mapping, Node, Scalar, Sequence
from mtctl.yaml.sources import Place, Source

DEEPEST = 32  # levels of nesting; recipes have five
_MOST_VALUES = 10_000  # before aliases are expanded, and again after, because that can multiply
_LONGEST_NUMBER = 400  # digits; a float holds 309 before the point

TOO_DEEP = f"more than {DEEPEST} levels of nesting"
_TOO_MANY = f"more than {_MOST_VALUES:,} values"

_PLAIN = "plain"
_KNOWN_TAGS = frozenset({_PLAIN, *(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))})

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

#: PyYAML's words for the usual slips, and better ones.
_SLIPS = (
    ("mapping values are not allowed", "a second `:` here", "indent alike, or quote a value with `: ` in it"),
    ("'\\t'", "a tab cannot indent", "use spaces"),
    ("expected <block end>", "this does not line up", "entries of one level need the same indentation"),
    ("could not find expected ':'", "a key without its `:`", "write `key: value`"),
    ("expected ',' or", "a bracket is not closed here", "separate entries by `,` and close the bracket"),
    ("unexpected end of stream", "the text ends inside a quote", "close the quote"),
    ("found undefined alias", "this alias has no anchor", "define an anchor `&name` before it"),
    ("second occurrence", "an anchor of this name exists already", "give it another name"),
    ("found another document", "a second document begins here", "a recipe is one document"),
    ("cannot start any token", "a value cannot begin like this", "quote the value"),
    ("expected the node content", "a value is missing here", "write it, or close the open bracket or quote"),
)


class _LimitError(MarkedYAMLError):
    """Valid YAML, and more of it than any recipe has."""


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to its nodes. Plain scalars keep a tag of their own, so that quotes can be told from none."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.depth = 0
        self.values = 0

    def resolve(self, kind: type[YAMLNode], value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: YAMLNode | None, index: Any) -> Any:
        # Composing recurses; without a limit a few kilobytes of brackets would exhaust Python's stack.
        self.depth += 1
        self.values += 1
        if self.depth > DEEPEST or self.values > _MOST_VALUES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            problem = TOO_DEEP if self.depth > DEEPEST else _TOO_MANY
            raise _LimitError(problem=problem, problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def parse(source: Source, mistakes: list[Mistake], *, skip: int = 0) -> Node | None:
    """Return the nodes of a source's text, or None if it holds nothing but comments.

    Args:
        source: the text.
        mistakes: gets what is wrong and leaves something to check: duplicate keys, foreign tags.
        skip: characters at the start of the first line that are not YAML (the key of `-o key=value`).

    Raises:
        Unreadable: it is not YAML, is more than one document, or nests without end.
    """
    try:
        root = _Composer(source.text[skip:]).get_single_node()
    except ReaderError as error:
        raise Unreadable(_bad_character(source, skip, error)) from error
    except MarkedYAMLError as error:
        raise Unreadable(_slip(source, skip, error)) from error
    except (YAMLError, ValueError, OverflowError) as error:  # the latter two: escapes beyond Unicode
        raise Unreadable(
            Mistake(Place(source, 0, skip), f"not valid YAML: {shortened(str(error))}")
        ) from error
    return None if root is None else _Reading(source, skip, mistakes).node(root)


def scalar(text: str) -> bool | int | float | str | None:
    """Return what a plain scalar means in YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            return int(text, base)
    return (
        float(text.lower().replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(text) else text
    )


class _Reading:
    """PyYAML's nodes → ours. Aliases are expanded, so that every value has a place."""

    def __init__(self, source: Source, skip: int, mistakes: list[Mistake]) -> None:
        self._source = source
        self._skip = skip
        self._mistakes = mistakes
        self._values = 0
        self._open: list[int] = []  # identities of the collections around the current node

    def node(self, raw: YAMLNode) -> Node:
        place = _place(self._source, self._skip, raw.start_mark, raw.end_mark)
        self._values += 1
        if self._values > _MOST_VALUES:
            raise Unreadable(Mistake(place, _TOO_MANY))
        if raw.tag not in _KNOWN_TAGS:
            name = raw.tag.replace("tag:yaml.org,2002:", "!!")
            self._mistakes.append(Mistake(place, f"unknown tag `{shortened(name)}`", "leave it out"))
        if isinstance(raw, ScalarNode):
            return self._scalar(raw, place)
        if id(raw) in self._open:
            raise Unreadable(Mistake(place, "an alias inside its own anchor", "its value would be infinite"))
        if len(self._open) >= DEEPEST:
            raise Unreadable(Mistake(place, TOO_DEEP))
        self._open.append(id(raw))
        try:
            if isinstance(raw, SequenceNode):
                return Sequence(tuple(self.node(item) for item in raw.value), place)
            return Mapping(self._entries(raw), place)
        finally:
            self._open.pop()

    def _entries(self, raw: YAMLNode) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for raw_key, raw_value in raw.value:
            place = _place(self._source, self._skip, raw_key.start_mark, raw_key.end_mark)
            if not isinstance(raw_key, ScalarNode):
                self._mistakes.append(Mistake(place, "a key must be a single word"))
                continue
            key = self._characters(raw_key.value, place)
            node = self.node(raw_value)
            if key in entries:
                first = entries[key].place
                note = f"first set at {first.line + 1}:{first.column + 1}"
                self._mistakes.append(Mistake(place, f"duplicate key `{shortened(key)}`", note))
            else:
                entries[key] = Entry(place, node)
        return entries

    def _scalar(self, raw: ScalarNode, place: Place) -> Scalar:
        text = self._characters(raw.value, place)
        if raw.tag != _PLAIN:
            return Scalar(text, text, place)
        if len(text) > _LONGEST_NUMBER and _INT.fullmatch(text):
            self._mistakes.append(Mistake(place, f"a number of {len(text)} digits"))
            return Scalar(0, text, place)
        return Scalar(scalar(text), text, place)

    def _characters(self, text: str, place: Place) -> str:
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._mistakes.append(Mistake(place, "half a surrogate pair is not a character"))
            return text.encode(errors="replace").decode()
        return text


def _place(source: Source, skip: int, start: Any, end: Any) -> Place:
    """Return the place between two of PyYAML's marks, or up to the end of its first line."""
    offset = skip if start.line == 0 else 0
    if end.line == start.line:
        width = end.column - start.column
    else:
        width = len(source.lines[start.line].rstrip()) - start.column
    return Place(source, start.line, start.column + offset, max(1, width))


def _slip(source: Source, skip: int, error: MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Place(source, 0, skip) if mark is None else _place(source, skip, mark, mark)
    problem = error.problem or "unknown"
    if isinstance(error, _LimitError):
        return Mistake(place, problem)
    for words, text, note in _SLIPS:
        if words in problem:
            return Mistake(place, f"not valid YAML: {text}", note)
    return Mistake(place, f"not valid YAML: {shortened(problem)}")


def _bad_character(source: Source, skip: int, error: ReaderError) -> Mistake:
    before = Source(source.name, source.text[: skip + error.position]).lines
    place = Place(source, len(before) - 1, len(before[-1]))
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return Mistake(place, f"not valid YAML: the control character U+{code:04X}", "remove it")
