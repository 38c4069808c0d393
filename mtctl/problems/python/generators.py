"""The global random generators, which a user's code draws from: seeded for it, and nobody else's business.

What is outside stays as it was: states are exchanged on the way in and on the way out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

States = tuple[Any, ...]
"""Of the generators of Python, NumPy and torch: on the CPU, on every CUDA device, and on MPS."""


def states(*, cuda: bool) -> States:
    """Return the states of the generators as they are now.

    Args:
        cuda: whether to ask the GPUs, which starts them where they are not in use.
    """
    on_cuda: list[Tensor] = torch.cuda.get_rng_state_all() if cuda else []
    on_mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), on_cuda, on_mps


def restore(found: States) -> None:
    """Set the generators to states."""
    python, numpy, cpu, on_cuda, on_mps = found
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)
    if on_cuda:
        torch.cuda.set_rng_state_all(on_cuda)
    if on_mps is not None:
        torch.mps.set_rng_state(on_mps)


@contextmanager
def kept(*, cuda: bool) -> Iterator[None]:
    """Leave the generators as they are, whatever is drawn inside."""
    outside = states(cuda=cuda)
    try:
        yield
    finally:
        restore(outside)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the generators inside as a script of one's own would: `random.seed(seed)` and the others.

    Args:
        seed: at least 0, of 64 bits.
    """
    # Asking a GPU for its state would start it, which takes seconds: one that is not in use has none.
    with kept(cuda=torch.cuda.is_available() and torch.cuda.is_initialized()):
        random.seed(seed)
        word = seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])
        np.random.seed(word)
        torch.manual_seed(word)
        yield


class Generators:
    """The generators as they are inside a run's code, which draws from them now and then.

    Args:
        device: of the run.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._inside: States | None = None

    def seed(self, *words: int) -> None:
        """Let the code inside begin anew from these numbers."""
        python, numpy, torch_seed = np.random.SeedSequence(words).generate_state(3, np.uint32).tolist()
        with kept(cuda=self._cuda):
            random.seed(python)
            np.random.seed(numpy)
            torch.manual_seed(torch_seed)
            self._inside = states(cuda=self._cuda)

    @property
    def inside(self) -> States:
        """The states with which the code inside goes on."""
        assert self._inside is not None
        return self._inside

    @contextmanager
    def drawing(self, state: States | None = None) -> Iterator[None]:
        """Let the code inside draw.

        Args:
            state: from which, for code that is to draw the same again and is forgotten; where it stopped last
                if left out.
        """
        with kept(cuda=self._cuda):
            restore(self.inside if state is None else state)
            try:
                yield
            finally:
                if state is None:
                    self._inside = states(cuda=self._cuda)

    @contextmanager
    def fresh(self, *words: int) -> Iterator[None]:
        """Let code draw from a seed of its own, apart from the rest."""
        before = self._inside
        self.seed(*words)
        try:
            with self.drawing():
                yield
        finally:
            self._inside = before
