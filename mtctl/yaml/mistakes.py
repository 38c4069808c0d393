"""What is wrong with a recipe, where, and how that looks on screen.

error: recipes/gradnorm_blind.yaml is not a valid recipe (1 problem)
  --> recipes/gradnorm_blind.yaml:7:3  unknown key `alhpa`
   7 │   alhpa: 1.5
     │   ^^^^^ did you mean `alpha`?
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mtctl.errors import MtctlError
from mtctl.yaml.sources import Place

_SHOWN = 20  # mistakes: more would push the first ones off the screen
_CELLS = 100  # of a source line, in terminal cells
_BEFORE = 40  # of them left of the caret, where the line is cut
_LONGEST = 60  # characters of a value that is quoted


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Args:
        place: what the caret underlines.
        text: what is wrong, on one line.
        note: what to do about it, next to the caret.
        snippet: whether to show the source line; not where something is missing from the file as a whole.
    """

    place: Place
    text: str
    note: str = ""
    snippet: bool = True


class Unreadable(Exception):  # noqa: N818 - the mistake is the error
    """A mistake that leaves nothing to check any further."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.text)
        self.mistake = mistake


def refusal(name: str, mistakes: Sequence[Mistake]) -> MtctlError:
    """Return the error that shows all mistakes of the recipe `name`, its own file's first."""
    count = "1 problem" if len(mistakes) == 1 else f"{len(mistakes)} problems"
    lines = [f"{name} is not a valid recipe ({count})"]
    ordered = sorted(mistakes, key=lambda one: _order(name, one.place))
    for mistake in ordered[:_SHOWN]:
        lines += _screen(mistake)
    if len(ordered) > _SHOWN:
        lines.append(f"  and {len(ordered) - _SHOWN} more")
    return MtctlError("\n".join(lines))


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that `word` probably means, if there is one."""
    # The matcher's time grows with the square of the length, and no choice is long.
    matches = difflib.get_close_matches(word[:_LONGEST].lower(), list(choices), n=1)
    return matches[0] if matches else None


def suggestion(word: str, choices: Sequence[str]) -> str:
    """Return "did you mean …?" and the choices, as far as there are any."""
    match = closest(word, choices)
    guess = [f"did you mean `{match}`?"] if match else []
    return " ".join([*guess, f"choose from: {', '.join(choices)}"] if choices else guess)


def shortened(text: str) -> str:
    """Return `text` on one line, cut where it is too long to quote."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _order(name: str, place: Place) -> tuple[bool, str, str, int, int]:
    source = place.source
    return (
        source.name != name,
        source.name,
        source.text if source.argument else "",
        place.line,
        place.column,
    )


def _screen(mistake: Mistake) -> Iterator[str]:
    place = mistake.place
    number = "" if place.source.argument else str(place.line + 1)
    position = (
        place.source.name if place.source.argument else f"{place.source.name}:{number}:{place.column + 1}"
    )
    yield f"  --> {position}  {mistake.text}"
    if mistake.snippet:
        line, column, width = _window(place)
        gutter = max(4, len(number))
        yield f"{number:>{gutter}} │ {line}".rstrip()
        yield f"{'':>{gutter}} │ {' ' * column}{'^' * width} {mistake.note}".rstrip()
    elif mistake.note:
        yield f"      {mistake.note}"


def _window(place: Place) -> tuple[str, int, int]:
    """Return the source line, cut around the place, and the place's column and width in terminal cells."""
    lines = place.source.lines
    line = _printable(lines[place.line] if place.line < len(lines) else "")
    column = place.column
    if _cells(line) > _CELLS:
        start = max(0, column - _BEFORE)
        left, right = ("…" if start else ""), ("…" if start + _CELLS < len(line) else "")
        line, column = f"{left}{line[start : start + _CELLS]}{right}", column - start + len(left)
    width = _cells(line[column : column + place.width])
    return line, _cells(line[:column]), max(1, width)


def _printable(line: str) -> str:
    return "".join(
        " "
        if character == "\t"
        else "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) == "Cc"
        else character
        for character in line
    )


def _cells(text: str) -> int:
    """Return how many terminal cells a text takes: two for wide characters, none for combining ones."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
