"""The two consoles: stdout carries what a pipe could use, stderr carries progress, hints and errors."""

from __future__ import annotations

from rich.console import Console


def out() -> Console:
    """Return the console for results."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Return the console for progress, hints and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=False)
