"""`mtctl eval`."""

from __future__ import annotations

from mtctl.errors import MtctlError


def evaluate() -> None:
    """Not available yet."""
    raise MtctlError("`mtctl eval` is not available yet")
