"""How a run uses the processor and the memory."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

import torch
from threadpoolctl import threadpool_limits

# Of glibc's mallopt(3): the size from which memory is mapped anew, and how much free memory is given back.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_NEVER: Final = 2**31 - 1


def use_one_thread() -> None:
    """Set this process up for one run at a time: one thread, and numbers below 1e-38 count as 0.

    It lasts as long as the process, so commands and workers call it, once, and what they call does not.

    Networks of this size gain nothing from a second thread, which another run can use. That goes for NumPy
    too: the threads that its BLAS starts for a decomposition go on waiting busily for the next one. Adam's
    moments of a unit that is dead decay into such tiny numbers, on which the processor is many times slower.
    """
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    torch.set_flush_denormal(True)
    _keep_memory()


def _keep_memory() -> None:
    """Let glibc keep freed memory for the next step instead of handing it back to the system.

    A step allocates and frees the same tensors of some MB each time; as fresh pages, they are cleared and
    mapped one by one, which takes a tenth of a sequence model's training. The peak stays what it is.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library, which does not do this
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _NEVER // 2)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
