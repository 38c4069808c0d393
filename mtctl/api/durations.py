"""Times as they are typed: 90, 90s, 30m, 2h."""

from __future__ import annotations

import re
from typing import Final

from mtctl.errors import MtctlError

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_FORM: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)")


def parse_duration(text: str, flag: str) -> float:
    """Return seconds.

    Args:
        text: a number of seconds, or one with s, m or h behind it.
        flag: that it was given to, for the error.

    Raises:
        MtctlError: it is nothing of the kind.
    """
    if (match := _FORM.fullmatch(text.strip())) is None:
        raise MtctlError(f"{flag} {text}: expected a time", hint=f"write {flag} 90 (seconds), 30m or 2h")
    return float(match[1]) * _UNITS[match[2]]
