"""The highest resident memory while something runs."""

from __future__ import annotations

import sys
import time

import pytest
import torch

from benchmarks.peak import watched_memory


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_peak_is_that_of_what_ran() -> None:
    with watched_memory() as nothing:
        pass
    with watched_memory() as held:
        something = torch.ones(256 * 2**18)  # 256 MiB
        time.sleep(0.5)
        del something
    assert nothing.memory is not None and held.memory is not None
    assert held.memory > nothing.memory + 200
