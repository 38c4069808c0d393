"""Distributions of actions: probabilities of exactly what was sampled.

Every function takes rows of a batch and sums over an action's parts, so that a head has one log-probability.
Actions are kept as they were drawn, before they are brought into the environment's bounds: categories, and
numbers u (squashed Gaussian) or x in (0, 1) (Beta). The density of the action that the environment gets is
that of the kept number over |d action / d number|, so nothing is ever computed back.

Derivatives with respect to a head's outputs are written out: learning needs a few for each row, and no graph.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_EDGE: Final = 1e-6
"""How near a Beta's sample may come to 0 and 1, where its density may be infinite."""
_NEVER: Final = -1e9
"""The logit of a value that a choice does not have: its probability is 0, and 0 times its logarithm too."""
_LOG_SD: Final = (-5.0, 2.0)
"""Where the logarithm of a Gaussian's standard deviation is held: e⁻⁵ of a range is as good as none."""


class Judged(NamedTuple):
    """What a head's outputs [N, outputs] say of kept actions, and how that changes with them.

    Args:
        log_probability: [N].
        entropy: [N] in nats.
        slopes: [N, outputs] ∂ log_probability / ∂ outputs.
        entropy_slopes: [N, outputs] ∂ entropy / ∂ outputs.
    """

    log_probability: Tensor
    entropy: Tensor
    slopes: Tensor
    entropy_slopes: Tensor


def limited(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return logits [N, outputs] with probability 0 for options that are not allowed [N, outputs] bool."""
    return logits.masked_fill(~allowed, _NEVER)


class Categories:
    """Independent categorical choices, one for each discrete part.

    Logits are looked at as [N, K, n], K choices of as many values as the largest has: what a smaller one
    lacks has probability 0.

    Args:
        sizes: how many values each choice has.
        device: of the logits.
    """

    def __init__(self, sizes: Sequence[int], device: torch.device | None = None) -> None:
        self.sizes = tuple(sizes)
        largest = max(self.sizes)
        self._real = (torch.arange(largest) < torch.tensor(self.sizes).unsqueeze(1)).to(device)
        self._uneven = not self._real.all()

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
        return self._by_choice(logits).argmax(2)

    def log_probability(self, logits: Tensor, choices: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N]: the sum over choices [N, K], or over those that a mask [N, K] has 1 for."""
        logs = self._by_choice(logits).log_softmax(2)
        return _summed(logs.gather(2, choices.unsqueeze(2)).squeeze(2), mask)

    def judge(self, logits: Tensor, choices: Tensor, mask: Tensor | None = None) -> Judged:
        """Return what logits say of choices [N, K], of all or of those that a mask [N, K] has 1 for.

        H = −Σ p·ln p,   ∂ ln p(a)/∂ logit = 1[a] − p,   ∂H/∂ logit = −p·(ln p + H)
        """
        logs, taken = self._by_choice(logits).log_softmax(2), choices.unsqueeze(2)
        shares = logs.exp()
        weighted = shares * logs
        entropies = weighted.sum(2).neg_()
        slopes = shares.neg().scatter_add_(2, taken, torch.ones_like(taken, dtype=shares.dtype))
        by_entropy = (weighted + shares * entropies.unsqueeze(2)).neg_()
        if mask is not None:
            slopes, by_entropy = slopes * mask.unsqueeze(2), by_entropy * mask.unsqueeze(2)
        chances = logs.gather(2, taken).squeeze(2)
        return Judged(
            _summed(chances, mask), _summed(entropies, mask), self._flat(slopes), self._flat(by_entropy)
        )

    def _by_choice(self, logits: Tensor) -> Tensor:
        if not self._uneven:
            return logits.view(len(logits), *self._real.shape)
        wide = logits.new_full((len(logits), *self._real.shape), _NEVER)
        wide[:, self._real] = logits
        return wide

    def _flat(self, by_choice: Tensor) -> Tensor:
        return by_choice[:, self._real] if self._uneven else by_choice.flatten(1)


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
    def judge(self, outputs: Tensor, kept: Tensor, mask: Tensor | None = None) -> Judged:
        """Return what outputs say of kept numbers [N, C], of all or of those that a mask [N, C] has 1 for."""

    def log_probability(self, outputs: Tensor, kept: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return [N]: the sum over parameters, or over those that a mask [N, C] has 1 for."""
        return _summed(self.densities(outputs, kept), mask)


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
        return -0.5 * ((kept - mean) * log_sd.neg().exp()).square() - log_sd - self._jacobian(kept)

    def judge(self, outputs: Tensor, kept: Tensor, mask: Tensor | None = None) -> Judged:
        """Return log-density and entropy with z = (u − μ)/σ.

            H = ln σ + ½·ln 2πe,   ∂ ln p/∂μ = z/σ,   ∂ ln p/∂ ln σ = z² − 1,   ∂H/∂ ln σ = 1

        The last two are 0 where ln σ is held.
        """
        mean, free = _halves(outputs)
        log_sd = free.clamp(*_LOG_SD)
        moves = (log_sd == free).to(outputs.dtype)
        inverse = log_sd.neg().exp()
        z = (kept - mean) * inverse
        densities = -0.5 * z.square() - log_sd - self._jacobian(kept)
        slopes = torch.stack([z * inverse, (z.square() - 1.0) * moves], dim=1)
        by_entropy = torch.stack([torch.zeros_like(mean), moves], dim=1)
        return _judged(densities, log_sd + 0.5 * math.log(2 * math.pi * math.e), slopes, by_entropy, mask)

    def _jacobian(self, kept: Tensor) -> Tensor:
        """Return [N, C] what is the same at any μ and σ: log √2π + log |da/du|."""
        # log(1 − tanh² u) = 2·(log 2 − u − softplus(−2u)), without the cancellation.
        squash = 2.0 * (math.log(2.0) - kept - functional.softplus(-2.0 * kept))
        return squash + (self._log_span + (0.5 * math.log(2 * math.pi) - math.log(2.0)))


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

    def judge(self, outputs: Tensor, kept: Tensor, mask: Tensor | None = None) -> Judged:
        """Return log-density and entropy, with digamma ψ, trigamma ψ₁ and s = α + β.

            ∂ ln p/∂α = ln x − ψ(α) + ψ(s),   ∂H/∂α = (s − 2)·ψ₁(s) − (α − 1)·ψ₁(α)

        and for β likewise with 1 − x.
        """
        shape = self._shape(outputs)
        both = torch.stack([shape.concentration1, shape.concentration0], dim=1)
        total = both.sum(1, keepdim=True)
        logs = torch.stack([kept.log(), torch.log1p(-kept)], dim=1)
        by_output = outputs.view_as(both).sigmoid()
        slopes = (logs - both.digamma() + total.digamma()) * by_output
        by_entropy = (total - 2.0) * torch.polygamma(1, total) - (both - 1.0) * torch.polygamma(1, both)
        densities, entropies = shape.log_prob(kept) - self._log_span, shape.entropy() + self._log_span
        return _judged(densities, entropies, slopes, by_entropy * by_output, mask)


NUMBERS: Final[dict[Literal["squashed_gaussian", "beta"], type[Numbers]]] = {
    "squashed_gaussian": SquashedGaussian,
    "beta": BoundedBeta,
}


def _halves(outputs: Tensor) -> tuple[Tensor, Tensor]:
    first, second = outputs.chunk(2, dim=1)
    return first, second


def _judged(
    densities: Tensor, entropies: Tensor, slopes: Tensor, entropy_slopes: Tensor, mask: Tensor | None
) -> Judged:
    """Return the sums over parameters.

    Args:
        densities: [N, C].
        entropies: [N, C].
        slopes: [N, 2, C], of both halves of the outputs.
        entropy_slopes: [N, 2, C].
        mask: [N, C] 1 for the parameters that count; None: all do.
    """
    if mask is not None:
        slopes, entropy_slopes = slopes * mask.unsqueeze(1), entropy_slopes * mask.unsqueeze(1)
    return Judged(
        _summed(densities, mask), _summed(entropies, mask), slopes.flatten(1), entropy_slopes.flatten(1)
    )


def _summed(parts: Tensor, mask: Tensor | None) -> Tensor:
    return parts.sum(1) if mask is None else (parts * mask).sum(1)
