"""The global random generators, which a user's code draws from: set for a while, and then as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the generators of Python, NumPy and torch, on every device, inside; they are restored afterwards.

    Args:
        seed: at least 0, of 64 bits.
    """
    python, numpy = random.getstate(), np.random.get_state()
    # Asking a GPU for its state would start it, which takes seconds: one that is not in use has none.
    in_use = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if in_use else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=devices):
            random.seed(seed)
            # Where they take 32 bits, a seed is what a script of one's own would set.
            word = seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])
            np.random.seed(word)
            torch.manual_seed(word)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if mps is not None:
            torch.mps.set_rng_state(mps)
