"""`mtctl train`."""

from __future__ import annotations

from mtctl.errors import MtctlError


def train() -> None:
    """Not available yet."""
    raise MtctlError("`mtctl train` is not available yet")
