"""Text from files, arguments and folders as any terminal can take it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

#: Where a line begins that is not indented: it came with somebody's text, because messages indent theirs.
_FOREIGN_LINE = re.compile(r"\n(?=[^ ]|$)")


def show_text(text: str) -> str:
    """Return text on one line: what would steer a terminal, or nobody would see, is spelled out.

    These are control characters, new lines, marks of direction, and bytes of a name that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_lines(text: str) -> str:
    r"""Return a message in which lines after the first are indented; any other new line is spelled out.

    A folder may be called "x\nerror: y": its name must not look like a message of its own.
    """
    own = _FOREIGN_LINE.sub(lambda _: r"\n", text)
    return "\n".join(map(show_text, own.split("\n")))


def command_line(arguments: Iterable[str]) -> str:
    """Return a command as one printable line that can be pasted into a shell.

    Control characters, and bytes that are not UTF-8, are written as bash, zsh and POSIX 2024 read them: $'…'.
    """
    return " ".join(map(_quoted, arguments))


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def in_time(seconds: float) -> str:
    """Return a time in its largest whole unit: "30 minutes", "1 hour", "90 seconds"."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g} {unit}{'' if seconds == length else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def _quoted(argument: str) -> str:
    if argument.isprintable():
        return shlex.quote(argument)
    return f"$'{''.join(map(_escaped, argument))}'"


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # how Python shows a byte that is not UTF-8
        return f"\\{code - 0xDC00:03o}"
    # Octal, of three digits at most: what follows cannot be taken for a further digit.
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="replace"))
