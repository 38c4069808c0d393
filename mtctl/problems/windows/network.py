"""The sequence model: a bidirectional LSTM over the bars, a pooled projection, and four heads.

    h = BiLSTM(x) [N, 105, 2H];   p = W·mean_t h + b [N, P]
    type [N, 3] and ptr [N, 2] read p;  binary and countdown [N, 105] read h_t;  a scalar countdown [N, 1], p

Every draw comes from a generator of its own, and each head's are the same whichever tasks are trained: a task
alone starts from the same weights and meets the same dropout as beside the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from mtctl.problems.windows.parts import SequenceModel

HEADS: Final = ("type", "ptr", "binary", "countdown")
CLASSES: Final = 3
"""Outputs of the type head: the study's three, of which its labels use two."""
_BYTE: Final = 256


class SequenceNetwork(nn.Module):
    """The model of the windows problem.

    Args:
        settings: widths and dropout.
        inputs: features per bar.
        seed: of the initial weights, U(−1/√n, 1/√n) as torch's own: n inputs of a head, units of the LSTM.
    """

    def __init__(self, settings: SequenceModel, inputs: int, seed: int) -> None:
        super().__init__()
        self._settings = settings
        width, pooled = 2 * settings.hidden, settings.projection
        scalar = settings.countdown == "scalar"
        # torch's own initialisation, replaced below, draws from the global generator, which is put back. On
        # the device "meta" it would draw nothing, but first import sympy, for more than a second.
        with torch.random.fork_rng(devices=[]):
            self.lstm = nn.LSTM(inputs, settings.hidden, batch_first=True, bidirectional=True)
            self.projection = nn.Linear(width, pooled)
            self.heads = nn.ModuleDict(
                {
                    "type_head": nn.Linear(pooled, CLASSES),
                    "ptr_head": nn.Linear(pooled, 2),
                    "binary_head": nn.Linear(width, 1),
                    "countdown_head": nn.Linear(pooled if scalar else width, 1),
                }
            )
        self.pooled = {"type", "ptr", *(("countdown",) if scalar else ())}
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        parts: dict[str, tuple[nn.Module, int]] = {
            "lstm": (self.lstm, self._settings.hidden),
            "projection": (self.projection, self.projection.in_features),
            **{name: (self.head(name), self.head(name).in_features) for name in HEADS},
        }
        for place, (part, units) in enumerate(parts.values()):
            generator = torch.Generator().manual_seed(seed + place)
            bound = 1 / math.sqrt(units)
            with torch.no_grad():
                for parameter in part.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)

    def head(self, task: str) -> nn.Linear:
        """Return a task's head."""
        found = self.heads[f"{task}_head"]  # a ModuleDict has no room for a module called "type"
        assert isinstance(found, nn.Linear)
        return found

    def trunk(self) -> list[nn.Parameter]:
        """Return the parameters that lie before the heads."""
        return [*self.lstm.parameters(), *self.projection.parameters()]

    def hidden(self, inputs: Tensor) -> Tensor:
        """Return the LSTM's output [N, 105, 2H] on inputs [N, 105, features]: what all heads depend on."""
        hidden: Tensor = self.lstm(inputs)[0]
        return hidden

    def features(self, inputs: Tensor, dropout: torch.Generator | None) -> dict[str, Tensor]:
        """Return what each head reads of inputs [N, 105, features]: see `read`."""
        return self.read(self.hidden(inputs), dropout)

    def read(self, hidden: Tensor, dropout: torch.Generator | None) -> dict[str, Tensor]:
        """Return what each head reads: [N, P] or [N, 105, 2H].

        Args:
            hidden: [N, 105, 2H].
            dropout: where dropout draws from; None for evaluation, which drops nothing.
        """
        given = () if dropout is None else (dropout,)
        pooled = drop(self.projection(hidden.mean(1)), self._settings.dropout, given)
        return {
            head: drop(pooled if head in self.pooled else hidden, self._settings.head_dropout, given)
            for head in HEADS
        }

    def outputs(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return raw outputs of heads: type [N, 3], ptr [N, 2], binary and countdown [N, 105] or [N, 1]."""
        raw = {head: self.head(head)(given) for head, given in features.items()}
        return {head: output if head in self.pooled else output.squeeze(-1) for head, output in raw.items()}


def drop(values: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Set a share of the values to 0 and scale the rest up, so that the mean stays.

    A random byte per value decides: a fifth of the time of a random float, and a share exact to 1/256.

    Args:
        values: those of a run; or [B, …], those of several side by side.
        share: of them.
        generators: each run's own, which draws for it what it would draw for it alone; none drop nothing.
    """
    keep = max(1, round((1 - share) * _BYTE))
    if not generators or keep == _BYTE:
        return values
    count = values.numel() // len(generators)
    words = torch.empty(len(generators), -(-count // 8), dtype=torch.int64, device=values.device)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    mask = words.view(torch.uint8)[:, :count].reshape(values.shape) < keep
    return values * mask.to(values.dtype).mul_(_BYTE / keep)
