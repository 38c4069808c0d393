"""The two consoles: stdout carries what a pipe could use, stderr carries progress, hints and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Return the console for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Return the console for progress, hints and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=False)
