"""Which continuous parameters a discrete choice uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from mtctl.errors import MtctlError
from mtctl.text import show_text

Uses = Mapping[str, Mapping[int, Sequence[str]]]
"""`{choice: {option: (parameter, …)}}`, all by their path in the action, the word `action` left out:
`{"choice": {0: ("acceleration",), 1: ("turn",), 2: ()}}` or `{"tool[2]": {1: ("spawn[2]",)}}`.

A parameter that is named for a choice counts only with the options that name it; options left out use none.
Named for several choices, it counts where all of them use it; and it does not count where its choice is not
active (`Copies.active`). A parameter that is named nowhere always counts. `tool[2]` is an element of array
`tool`, and `spawn[2]` is everything in its row 2."""

Addresses = Mapping[str, Sequence[int]]
"""The columns that a path leads to."""

_SHOWN = 8  # names that a message lists


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What one choice uses.

    Args:
        choice: its column.
        parameters: columns that are named for it [P].
        table: whether option k uses parameter p [options, P].
    """

    choice: int
    parameters: npt.NDArray[np.int64]
    table: npt.NDArray[np.bool_]


def read_uses(
    uses: Uses,
    choices: Addresses,
    options: Sequence[range],
    parameters: Addresses,
    place: str,
) -> tuple[Rule, ...]:
    """Return the rules that `uses` states.

    Args:
        uses: as a recipe or an environment has it.
        choices: columns of discrete and binary elements, by their path from `action` on.
        options: of each of these columns, as the environment counts them.
        parameters: columns of continuous elements.
        place: where `uses` stands, for messages.

    Raises:
        MtctlError: it names what does not exist, or says nothing.
    """
    found = [_rule(name, named, choices, options, parameters, place) for name, named in uses.items()]
    columns = [rule.choice for rule in found]
    for name, column in zip(uses, columns, strict=True):
        if columns.count(column) > 1:
            raise MtctlError(f"{place}.{show_text(name)}: the choice is named twice", hint="name it once")
    return tuple(found)


def used(rules: Sequence[Rule], choices: npt.NDArray[np.int64], parameters: int) -> npt.NDArray[np.bool_]:
    """Return which parameters count [N, parameters], given the options' indices [N, choices]."""
    mask = np.ones((len(choices), parameters), np.bool_)
    for rule in rules:
        mask[:, rule.parameters] &= rule.table[choices[:, rule.choice]]
    return mask


def look_up(name: str, addresses: Addresses) -> Sequence[int] | None:
    """Return the columns of a path that may leave out the word `action`."""
    for path in (f"action.{name}", f"action{name}", name):
        if path in addresses:
            return addresses[path]
    return None


def _rule(
    name: str,
    named: Mapping[int, Sequence[str]],
    choices: Addresses,
    options: Sequence[range],
    parameters: Addresses,
    place: str,
) -> Rule:
    column = _choice(name, choices, parameters, place)
    by_option: dict[int, set[int]] = {}
    for option, paths in named.items():
        if option not in options[column]:
            raise MtctlError(
                f"{place}.{show_text(name)}: there is no option {show_text(str(option))}",
                hint=f"its options are {options[column][0]} to {options[column][-1]}",
            )
        where = f"{place}.{name}.{option}"
        lists = [_parameters(path, choices, parameters, where) for path in paths]
        by_option[options[column].index(option)] = {one for columns in lists for one in columns}
    mentioned = sorted(set().union(*by_option.values()))
    if not mentioned:
        raise MtctlError(
            f"{place}.{show_text(name)}: no option uses a parameter",
            hint="name the parameters that an option uses, or leave the choice out",
        )
    table = np.zeros((len(options[column]), len(mentioned)), np.bool_)
    for index, columns in by_option.items():
        table[index] = [one in columns for one in mentioned]
    return Rule(column, np.array(mentioned, np.int64), table)


def _choice(name: str, choices: Addresses, parameters: Addresses, place: str) -> int:
    columns = look_up(name, choices)
    if columns is None and look_up(name, parameters) is not None:
        raise MtctlError(
            f"{place}: {show_text(name)} is continuous, and only a discrete or binary choice uses parameters",
            hint=f"choices are: {_listed(choices)}",
        )
    if columns is None:
        raise _unknown(f"{place}: there is no choice {show_text(name)}", name, choices)
    if len(columns) > 1:
        raise MtctlError(
            f"{place}: {show_text(name)} holds {len(columns)} choices",
            hint=f"name each by itself, such as {_listed(choices, columns[:1])}",
        )
    return columns[0]


def _parameters(path: str, choices: Addresses, parameters: Addresses, place: str) -> Sequence[int]:
    columns = look_up(path, parameters)
    if columns is None and look_up(path, choices) is not None:
        raise MtctlError(
            f"{show_text(place)}: {show_text(path)} is a choice, and options use continuous parameters",
            hint=f"continuous parameters are: {_listed(parameters)}",
        )
    if columns is None:
        raise _unknown(f"{show_text(place)}: there is no parameter {show_text(path)}", path, parameters)
    return columns


def _unknown(text: str, name: str, addresses: Addresses) -> MtctlError:
    known = [path.removeprefix("action").removeprefix(".") for path in addresses]
    match = get_close_matches(name, known, n=1)
    guess = f"did you mean `{show_text(match[0])}`? " if match else ""
    return MtctlError(text, hint=f"{guess}known here: {_listed(addresses)}")


def _listed(addresses: Addresses, only: Sequence[int] | None = None) -> str:
    """Return the paths, without the word `action`, of whole parts or of the elements of some columns."""
    paths = [
        path.removeprefix("action").removeprefix(".") or path
        for path, columns in addresses.items()
        if only is None or list(columns) == list(only)
    ]
    if only is None:
        paths = [path for path in paths if path.rpartition("[")[0] not in paths] or paths
    if not paths:
        return "none"
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return show_text(", ".join(paths[:_SHOWN])) + more
