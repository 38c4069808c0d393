"""The network of a hybrid policy: a trunk, a head for each kind of action, and a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

import torch
from torch import Tensor, nn

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
_SMALL: Final = 0.01
"""Gain of the policy heads' initial weights, so that the first policy hardly depends on what it sees."""


class HybridPolicy(nn.Module):
    """Trunk h(o); logits of discrete choices, numbers that describe continuous ones, and a value from h.

    Args:
        inputs: size of an observation.
        outputs: of each head of the policy, by its name.
        hidden: units of the trunk's layers.
        activation: between them.
        generator: where initial values come from: orthogonal weights with gain √2 (tanh: 5/3) in the trunk,
            0.01 in the heads and 1 in the value, zero biases (Engstrom et al., 2020, arXiv 2005.12729).
    """

    def __init__(
        self,
        inputs: int,
        outputs: dict[str, int],
        hidden: Sequence[int],
        activation: Literal["tanh", "relu"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # modules draw values of their own, which are not used
            layers: list[nn.Module] = []
            for before, units in pairwise((inputs, *hidden)):
                layers += [nn.Linear(before, units), ACTIVATIONS[activation]()]
            self.trunk = nn.Sequential(*layers)
            self.heads = nn.ModuleDict({name: nn.Linear(hidden[-1], size) for name, size in outputs.items()})
            self.value = nn.Linear(hidden[-1], 1)
        gain = math.sqrt(2.0) if activation == "relu" else 5 / 3
        gains = {self.trunk: gain, self.heads: _SMALL, self.value: 1.0}
        for part, size in gains.items():
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.orthogonal_(module.weight, size, generator=generator)
                    nn.init.zeros_(module.bias)

    def forward(self, observations: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return features [N, units], what the heads say [N, outputs], and values [N]."""
        features: Tensor = self.trunk(observations)
        return features, {name: head(features) for name, head in self.heads.items()}, self.values(features)

    def values(self, features: Tensor) -> Tensor:
        """Return [N] the values of features."""
        found: Tensor = self.value(features).squeeze(1)
        return found

    def last_shared(self) -> list[nn.Parameter]:
        """Return the trunk's last layer."""
        return list(self.trunk[-2].parameters())
