"""The global generators as a user's code draws from them: seeded for a run, and nobody else's business."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Generators:
    """Python's, NumPy's and torch's global generators, as they are inside a run's code.

    What is outside stays as it was: states are exchanged on the way in and on the way out.

    Args:
        device: whose generator belongs to them too.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._inside: tuple[Any, ...] | None = None

    def seed(self, *words: int) -> None:
        """Let the code inside begin anew from these numbers."""
        python, numpy, torch_seed = np.random.SeedSequence(words).generate_state(3, np.uint32).tolist()
        with self._kept():
            random.seed(python)
            np.random.seed(numpy)
            torch.manual_seed(torch_seed)
            self._inside = self.state()

    def state(self) -> tuple[Any, ...]:
        """Return the states of the generators as they are now."""
        cuda: list[Tensor] = torch.cuda.get_rng_state_all() if self._cuda else []
        return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda

    @property
    def inside(self) -> tuple[Any, ...]:
        """The states with which the code inside goes on."""
        assert self._inside is not None
        return self._inside

    @contextmanager
    def drawing(self, state: tuple[Any, ...] | None = None) -> Iterator[None]:
        """Let the code inside draw.

        Args:
            state: from which, for code that is to draw the same again and is forgotten; where it stopped last
                if left out.
        """
        with self._kept():
            self._set(self.inside if state is None else state)
            try:
                yield
            finally:
                if state is None:
                    self._inside = self.state()

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

    @contextmanager
    def _kept(self) -> Iterator[None]:
        outside = self.state()
        try:
            yield
        finally:
            self._set(outside)

    def _set(self, state: tuple[Any, ...]) -> None:
        python, numpy, cpu, cuda = state
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
