"""How a run uses the processor."""

from __future__ import annotations

import torch


def use_one_thread() -> None:
    """Set this process up for one run: one thread, and numbers below 1e-38 count as 0.

    Networks of this size gain nothing from a second thread, which another run can use. Adam's moments of a
    unit that is dead decay into such tiny numbers, on which the processor is many times slower.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
