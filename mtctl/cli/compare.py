"""`mtctl compare`."""

from __future__ import annotations

from mtctl.errors import MtctlError


def compare() -> None:
    """Not available yet."""
    raise MtctlError("`mtctl compare` is not available yet")
