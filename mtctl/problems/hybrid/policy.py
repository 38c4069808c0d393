"""The network of a hybrid policy: a trunk, a head for each kind of action, and a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
_SMALL: Final = 0.01
"""Gain of the policy heads' initial weights, so that the first policy hardly depends on what it sees."""


class Pass(NamedTuple):
    """A pass over N rows.

    Args:
        layers: [N, units] observations, then each layer's outputs, the features last.
        outputs: by head, [N, outputs].
        values: [N].
    """

    layers: list[Tensor]
    outputs: dict[str, Tensor]
    values: Tensor

    @property
    def features(self) -> Tensor:
        return self.layers[-1]


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

        self._linear = [layer for layer in self.trunk if isinstance(layer, nn.Linear)]
        self._squashes = activation == "tanh"
        sizes = [layer.weight.numel() + layer.bias.numel() for layer in self._linear]
        self.last_layer = sum(sizes[:-1])

    def head(self, name: str) -> nn.Linear:
        """Return a head."""
        found = self.heads[name]
        assert isinstance(found, nn.Linear)
        return found

    def forward(self, observations: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return what the heads say [N, outputs], and values [N]."""
        features: Tensor = self.trunk(observations)
        return self._read(features)

    def _read(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        return {name: head(features) for name, head in self.heads.items()}, self.value(features).squeeze(1)

    def values(self, observations: Tensor) -> Tensor:
        """Return [N] the values of observations."""
        found: Tensor = self.value(self.trunk(observations)).squeeze(1)
        return found

    @torch.no_grad()
    def learn(self, observations: Tensor) -> Pass:
        """Return a pass over rows [N, inputs] that can be differentiated by hand."""
        layers = [observations]
        for linear in self._linear:
            sums = torch.addmm(linear.bias, layers[-1], linear.weight.t())
            layers.append(sums.tanh_() if self._squashes else sums.relu_())
        return Pass(layers, *self._read(layers[-1]))

    @torch.no_grad()
    def through_trunk(self, made: Pass, slopes: Tensor) -> Tensor:
        """Return gradients of K losses on the trunk [K, P]: of each layer weights, then biases.

        Args:
            made: the pass.
            slopes: [K, N, H] derivatives with respect to the features.
        """
        parts: list[Tensor] = []
        for linear, before, after in zip(
            reversed(self._linear), reversed(made.layers[:-1]), reversed(made.layers[1:]), strict=True
        ):
            slopes = slopes * (1.0 - after.square() if self._squashes else after.sign())
            parts += [slopes.sum(1), torch.matmul(slopes.transpose(1, 2), before).flatten(1)]
            if linear is not self._linear[0]:
                slopes = slopes @ linear.weight
        return torch.cat(parts[::-1], dim=1)

    def set_trunk_gradient(self, flat: Tensor) -> None:
        """Write a gradient [P] into the trunk's `.grad`."""
        parameters = [one for linear in self._linear for one in (linear.weight, linear.bias)]
        for one, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
            one.grad = part.view_as(one)
