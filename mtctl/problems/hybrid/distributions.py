"""Distributions of actions: probabilities of exactly what was sampled.

Every function takes rows of a batch and sums over an action's parts, so that a head has one log-probability.
Actions are kept as they were drawn, before they are brought into the environment's bounds: categories, and
numbers u (squashed Gaussian) or x in (0, 1) (Beta). The density of the action that the environment gets is
that of the kept number over |d action / d number|, so nothing is ever computed back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

_EDGE: Final = 1e-6
"""How near a Beta's sample may come to 0 and 1, where its density may be infinite."""
_LOG_SD: Final = (-5.0, 2.0)
"""Where the logarithm of a Gaussian's standard deviation is held: e⁻⁵ of a range is as good as none."""


class Categories:
    """Independent categorical choices, one for each discrete part.

    Args:
        sizes: how many values each choice has.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)

    @property
    def outputs(self) -> int:
        """Numbers of a network that describe one action: the logits of all choices."""
        return sum(self.sizes)

    def sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Return choices [N, K], by the Gumbel trick: argmax of logits + Gumbel noise."""
        noise = torch.empty_like(logits).exponential_(generator=generator).log_().neg_()
        return self.mode(logits + noise)

    def mode(self, logits: Tensor) -> Tensor:
        """Return the likeliest choices [N, K]."""
        return torch.stack([part.argmax(1) for part in logits.split(self.sizes, dim=1)], dim=1)

    def log_probability(self, logits: Tensor, choices: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N]: the sum over choices [N, K], or over those that a mask [N, K] has 1 for."""
        parts = zip(logits.split(self.sizes, dim=1), choices.unbind(1), strict=True)
        found = [part.log_softmax(1).gather(1, choice.unsqueeze(1)) for part, choice in parts]
        return _summed(torch.cat(found, dim=1), mask)

    def entropy(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N], in nats."""
        parts = (part.log_softmax(1) for part in logits.split(self.sizes, dim=1))
        return _summed(torch.stack([-(part.exp() * part).sum(1) for part in parts], dim=1), mask)


class Numbers(ABC):
    """Independent continuous parameters, each within bounds.

    Args:
        low: [C] bounds of the actions that the environment gets.
        high: [C].
    """

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self.low, self.span = low, high - low
        self._log_span = self.span.log()

    @property
    def outputs(self) -> int:
        """Numbers of a network that describe one action: two for each parameter."""
        return 2 * len(self.low)

    @abstractmethod
    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return kept numbers [N, C]."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Return the kept numbers [N, C] of the action that is played greedily."""

    @abstractmethod
    def bounded(self, kept: Tensor) -> Tensor:
        """Return the actions [N, C] within the bounds."""

    @abstractmethod
    def densities(self, outputs: Tensor, kept: Tensor) -> Tensor:
        """Return [N, C] log-densities of the bounded actions."""

    @abstractmethod
    def entropies(self, outputs: Tensor) -> Tensor:
        """Return [N, C] entropies, in nats: of the bounded action where that has a closed form."""

    def log_probability(self, outputs: Tensor, kept: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N]: the sum over parameters, or over those that a mask [N, C] has 1 for."""
        return _summed(self.densities(outputs, kept), mask)

    def entropy(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N]."""
        return _summed(self.entropies(outputs), mask)


class SquashedGaussian(Numbers):
    """a = low + span · (tanh u + 1)/2,  u ~ N(μ, σ²).

        log p(a) = log N(u; μ, σ²) − log(span/2) − log(1 − tanh² u)

    Outputs are μ and log σ. Entropies are those of u, as is usual: that of a has no closed form (Haarnoja et
    al., 2018, arXiv 1801.01290, appendix C).
    """

    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        mean, log_sd = _halves(outputs)
        noise = torch.empty_like(mean).normal_(generator=generator)
        return mean + noise * log_sd.clamp(*_LOG_SD).exp()

    def mode(self, outputs: Tensor) -> Tensor:
        return _halves(outputs)[0]

    def bounded(self, kept: Tensor) -> Tensor:
        return self.low + self.span * (0.5 * (kept.tanh() + 1.0))

    def densities(self, outputs: Tensor, kept: Tensor) -> Tensor:
        mean, log_sd = _halves(outputs)
        log_sd = log_sd.clamp(*_LOG_SD)
        gaussian = -0.5 * ((kept - mean) / log_sd.exp()).square() - log_sd - 0.5 * math.log(2 * math.pi)
        # log(1 − tanh² u) = 2·(log 2 − u − softplus(−2u)), without the cancellation.
        squash = 2.0 * (math.log(2.0) - kept - functional.softplus(-2.0 * kept))
        return gaussian - squash - (self._log_span - math.log(2.0))

    def entropies(self, outputs: Tensor) -> Tensor:
        return _halves(outputs)[1].clamp(*_LOG_SD) + 0.5 * math.log(2 * math.pi * math.e)


class BoundedBeta(Numbers):
    """a = low + span · x,  x ~ Beta(α, β).

        log p(a) = log Beta(x; α, β) − log span,   α, β = 1 + softplus(outputs)

    α, β > 1, so that the density has one peak and is finite. Source: Chou et al., 2017 (ICML).
    """

    @staticmethod
    def _shape(outputs: Tensor) -> torch.distributions.Beta:
        alpha, beta = (1.0 + functional.softplus(half) for half in _halves(outputs))
        return torch.distributions.Beta(alpha, beta, validate_args=False)

    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        shape = self._shape(outputs)
        first, second = (
            torch._standard_gamma(each, generator=generator)
            for each in (shape.concentration1, shape.concentration0)
        )
        return (first / (first + second)).clamp(_EDGE, 1.0 - _EDGE)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the means: a Beta near the uniform one has no peak to speak of."""
        mean: Tensor = self._shape(outputs).mean
        return mean

    def bounded(self, kept: Tensor) -> Tensor:
        return self.low + self.span * kept

    def densities(self, outputs: Tensor, kept: Tensor) -> Tensor:
        found: Tensor = self._shape(outputs).log_prob(kept)
        return found - self._log_span

    def entropies(self, outputs: Tensor) -> Tensor:
        found: Tensor = self._shape(outputs).entropy()
        return found + self._log_span


NUMBERS: Final[dict[Literal["squashed_gaussian", "beta"], type[Numbers]]] = {
    "squashed_gaussian": SquashedGaussian,
    "beta": BoundedBeta,
}


def _halves(outputs: Tensor) -> tuple[Tensor, Tensor]:
    first, second = outputs.chunk(2, dim=1)
    return first, second


def _summed(parts: Tensor, mask: Tensor | None) -> Tensor:
    return parts.sum(1) if mask is None else (parts * mask).sum(1)
