from __future__ import annotations

import math

import pytest

from mtctl.yaml.mistakes import Mistake, Unreadable
from mtctl.yaml.nodes import Mapping, Plain, plain
from mtctl.yaml.sources import Source
from mtctl.yaml.syntax import parse, scalar


def read(text: str) -> tuple[Plain, list[Mistake]]:
    mistakes: list[Mistake] = []
    node = parse(Source("f.yaml", text), mistakes)
    assert node is not None
    return plain(node), mistakes


def unreadable(text: str) -> Mistake:
    with pytest.raises(Unreadable) as caught:
        parse(Source("f.yaml", text), [])
    return caught.value.mistake


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("1_000", "1_000"),
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("１", "１"),
        ("1\n", "1\n"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_nan_is_a_float() -> None:
    result = scalar(".NaN")
    assert isinstance(result, float)
    assert math.isnan(result)


def test_quotes_and_the_string_tag_keep_text() -> None:
    assert read("[\"5\", 'no', !!str 5]") == (["5", "no", "5"], [])


def test_keys_are_always_text() -> None:
    assert read("{1: a, no: b, null: c}") == ({"1": "a", "no": "b", "null": "c"}, [])


def test_aliases_are_expanded() -> None:
    assert read("a: &x {b: 1}\nc: *x") == ({"a": {"b": 1}, "c": {"b": 1}}, [])


def test_places_are_those_of_the_text() -> None:
    node = parse(Source("f.yaml", "a: 1\nb:\n  lr:   5e-4  # note\n"), [])
    assert isinstance(node, Mapping)
    inner = node.entries["b"].node
    assert isinstance(inner, Mapping)
    entry = inner.entries["lr"]
    assert (entry.place.line, entry.place.column, entry.place.width) == (2, 2, 2)
    assert (entry.node.place.line, entry.node.place.column, entry.node.place.width) == (2, 8, 4)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_nothing_is_none(text: str) -> None:
    assert parse(Source("f.yaml", text), []) is None


def test_duplicate_keys_name_both_positions_and_go_on() -> None:
    value, mistakes = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert value == {"a": 1, "b": {"c": 1}}
    assert [(one.text, one.note, one.place.line, one.place.column) for one in mistakes] == [
        ("duplicate key `c`", "first set at 2:5", 1, 10),
        ("duplicate key `a`", "first set at 1:1", 2, 0),
    ]


@pytest.mark.parametrize(
    ("text", "said", "column"),
    [
        ("a: !foo 1", "unknown tag `!foo`", 3),
        ("a: !!python/object/apply:os.system [ls]", "unknown tag `!!python/object/apply:os.system`", 3),
        ("a: !!int 5", "unknown tag `!!int`", 3),
        ("? [a, b]\n: 1", "a key must be a single word", 2),
        ('a: "\\ud800"', "half a surrogate pair is not a character", 3),
        (f"a: {'1' * 401}", "a number of 401 digits", 3),
    ],
)
def test_a_mistake_does_not_stop_the_reading(text: str, said: str, column: int) -> None:
    _, mistakes = read(text)
    assert [(one.text, one.place.column) for one in mistakes] == [(said, column)]


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: b: c", "not valid YAML: a second `:` here", 0, 4),
        ("a:\n\t- 1", "not valid YAML: a tab cannot indent", 1, 0),
        ("a:\n  b: 1\n c: 2", "not valid YAML: this does not line up", 2, 1),
        ("a: [1, 2", "not valid YAML: a bracket is not closed here", 0, 8),
        ("a: 'b", "not valid YAML: the text ends inside a quote", 0, 5),
        ("a: *x", "not valid YAML: this alias has no anchor", 0, 3),
        ("a: &x 1\nb: &x 2", "not valid YAML: an anchor of this name exists already", 1, 3),
        ("a: 1\n---\nb: 2", "not valid YAML: a second document begins here", 1, 0),
        ("a: @b", "not valid YAML: a value cannot begin like this", 0, 3),
        ("a: 1\nb: }", "not valid YAML: a value is missing here", 1, 3),
        ("a: \x07", "not valid YAML: the control character U+0007", 0, 3),
        ("x: 1\na: &x [*x]", "an alias inside its own anchor", 1, 3),
        ("[" * 40, "more than 32 levels of nesting", 0, 32),
        (f"[{'1, ' * 10_000}]", "more than 10,000 values", 0, 29_998),
    ],
)
def test_what_is_not_yaml_is_said_in_plain_words(text: str, said: str, line: int, column: int) -> None:
    mistake = unreadable(text)
    assert (mistake.text, mistake.place.line, mistake.place.column) == (said, line, column)


@pytest.mark.parametrize(
    "text", ['"\\UFFFFFFFF"', '"\\U00110000"', "%YAML 2.0\n---\na", f"%YAML 1.{'1' * 5000}\n---\na"]
)
def test_what_pyyaml_stumbles_over_is_refused(text: str) -> None:
    assert unreadable(text).text.startswith("not valid YAML: ")


def test_aliases_cannot_multiply_without_end() -> None:
    doubled = "\n".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdef", "bcdefg", strict=True)
    )
    assert unreadable(f"a: &a [1, 1, 1]\n{doubled}").text == "more than 10,000 values"


def test_aliases_cannot_nest_without_end() -> None:
    levels = "\n".join(f"k{i}: &k{i} {'[' * 20}*k{i - 1}{']' * 20}" for i in range(1, 5))
    assert unreadable(f"k0: &k0 1\n{levels}").text == "more than 32 levels of nesting"
