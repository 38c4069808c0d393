"""What is known of every balancing method, read off its docstring, its attributes and its settings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic.fields import FieldInfo

from mtctl.balancing.contract import Method
from mtctl.balancing.registry import KINDS
from mtctl.catalogue.settings import known_kind
from mtctl.recipes.resolved import text
from mtctl.yaml.shapes import literals

_SECTIONS: Final = ("Args", "Raises", "Helps", "Fails", "Source")
_ON_COST: Final = ("Costs ", "Needs ")
"""How paragraphs begin of which a card's cost, worked out from the method's attributes, is the short form."""
_ONE_TASK: Final = ("task",)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a method.

    Args:
        name: as in a recipe.
        default: as in a recipe; "" where there is none.
        choices: the words that are allowed, where a list of words decides.
        meaning: what it does.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Card:
    """A balancing method.

    Args:
        kind: its name in recipes.
        summary: one sentence.
        equation: its lines, as they are set in the docstring.
        about: paragraphs.
        helps: when it helps.
        fails: when it fails.
        cost: backward passes of a step.
        acts_on: what its weights act on.
        settings: those of the recipe.
        source: where it was proposed; "" for what needs no source.
    """

    kind: str
    summary: str
    equation: tuple[str, ...]
    about: tuple[str, ...]
    helps: str
    fails: str
    cost: str
    acts_on: str
    settings: tuple[Setting, ...]
    source: str


def card(kind: str) -> Card:
    """Return what is known of a method.

    Raises:
        BalanceError: there is no such method; with the closest.
    """
    method = KINDS[known_kind(kind)]
    # A method's own settings come before those that it has in common with others.
    own = method.__annotations__.keys()
    fields = {name: method.model_fields[name] for name in (*own, *method.model_fields) if name != "kind"}
    # What has to be given is given by task.
    required = {name: dict.fromkeys(_ONE_TASK, 1.0) for name, field in fields.items() if field.is_required()}
    methods = method.model_validate(required).in_a_row()
    # An indented paragraph of the docstring is the equation, `Word:` begins a section.
    summary, *paragraphs = (inspect.getdoc(method) or "").split("\n\n")
    equation: tuple[str, ...] = ()
    about: list[str] = []
    sections: dict[str, str] = {}
    for paragraph in paragraphs:
        word, colon, rest = paragraph.partition(":")
        if colon and word in _SECTIONS:
            sections[word] = _in_one_line(rest)
        elif not equation and all(line.startswith("    ") for line in paragraph.splitlines()):
            equation = tuple(inspect.cleandoc(paragraph).splitlines())
        elif not paragraph.startswith(_ON_COST):
            about.append(_in_one_line(paragraph))
    return Card(
        kind,
        _in_one_line(summary),
        equation,
        tuple(about),
        sections.get("Helps", ""),
        sections.get("Fails", ""),
        _cost(methods),
        _acts_on(methods),
        tuple(_setting(name, field) for name, field in fields.items()),
        sections.get("Source", ""),
    )


def _in_one_line(paragraph: str) -> str:
    return " ".join(paragraph.split())


def _cost(methods: Sequence[Method]) -> str:
    looking = [method for method in methods if method.needs]
    if any("outcome" in method.needs for method in looking):
        return "1 backward pass, of the weighted sum of losses, and 1 more forward pass after the step"
    if not looking:
        return "1 backward pass, of the weighted sum of losses"
    if all(method.space == "features" for method in looking):
        return "1 backward pass, in which heads are passed one by one"
    if all(method.space == "last_shared" for method in looking):
        return "1 backward pass, and one per task through its head and the last shared layer"
    return "1 backward pass per task through the shared parameters"


def _acts_on(methods: Sequence[Method]) -> str:
    if all(method.scope == "loss" for method in methods):
        return "whole losses: the weights act on heads as well"
    if all(method.scope == "shared" for method in methods):
        return "gradients on shared parameters; heads follow their own losses"
    return "whole losses first, then gradients on shared parameters"


def _setting(name: str, field: FieldInfo) -> Setting:
    default = "" if field.is_required() else text(field.default)
    return Setting(name, default, literals(field.annotation), _in_one_line(field.description or ""))
