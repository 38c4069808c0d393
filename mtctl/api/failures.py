"""Failures as a notebook shows them: an MtctlError, with what to do about it below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtctl.errors import MtctlError
from mtctl.faults import explain


@contextmanager
def explained() -> Iterator[None]:
    """Add the hint to what a traceback shows of an error; turn an ordinary fault of the system into one.

    Raises:
        MtctlError: what can be explained.
    """
    try:
        yield
    except MtctlError as error:
        _add_hint(error)
        raise
    except Exception as error:
        known = explain(error)
        if known is None:
            raise
        _add_hint(known)
        raise known from error


def _add_hint(error: MtctlError) -> None:
    note = f"hint: {error.hint}"
    if error.hint and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
