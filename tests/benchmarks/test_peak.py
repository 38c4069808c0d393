"""The highest resident memory while something runs."""

from __future__ import annotations

import mmap
import sys
import time
from typing import Final

import pytest

from benchmarks.peak import watched_memory

_HELD: Final = 256
"""MiB."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_peak_is_that_of_what_ran() -> None:
    with watched_memory() as nothing:
        pass
    # Fresh pages, unlike those of an allocator.
    with watched_memory() as held, mmap.mmap(-1, _HELD * 2**20) as pages:
        for place in range(0, len(pages), mmap.PAGESIZE):
            pages[place] = 1
        time.sleep(0.5)
    assert nothing.memory is not None and held.memory is not None
    assert held.memory > nothing.memory + 0.8 * _HELD
