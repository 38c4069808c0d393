"""Residuals of each task's own on shared weights, with variances: see `VarShare`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import VarShare
from mtctl.problems.lander.networks.grouped import GroupedNetwork, linear, told, views
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values

TINY: Final = 1e-16
"""Added to variances of sums, so that inputs that are all 0 have a derivative; noise of 1e-8."""


class Spread(NamedTuple):
    """The variances of a layer's residuals, and what they do with ρ: σ² = softplus(ρ)².

    Args:
        variance: [T, in, out] σ², or [T, 1, out] where the inputs have one in common.
        slope: ∂σ²/∂ρ = 2σ·sigmoid(ρ), as `variance`.
        times: weights that share an entry: 1, or in.
    """

    variance: Tensor
    slope: Tensor
    times: int

    @classmethod
    def of(cls, rho: Tensor, times: int) -> Spread:
        """Return that of ρ [T, in or 1, out]."""
        sd = torch.nn.functional.softplus(rho)
        # sigmoid(ρ) = 1 − exp(−softplus(ρ)), exact where σ is small.
        slope = torch.expm1(sd.neg()).mul_(sd).mul_(-2.0)
        return cls(sd.square_(), slope, times)


def divergences(mean: Tensor, spread: Spread, precision: float) -> Tensor:
    """Return [T] KL(q‖p) of a layer's residuals, in nats: ½ Σ [ln(σ_p²/σ²) + (σ² + μ²)/σ_p² − 1].

    Args:
        mean: [T, in, out] μ.
        spread: σ².
        precision: 1/σ_p².
    """
    variance, weights = spread.variance, mean[0].numel()
    logs, sizes = variance.log().sum((1, 2)), _squares(mean, spread)
    return (sizes * precision - spread.times * logs - weights * (1.0 + math.log(precision))).mul_(0.5)


def prior_slope(mean: Tensor, spread: Spread, precision: float) -> Tensor:
    """Return [T] ∂KL/∂ln σ_p = Σ [1 − (σ² + μ²)/σ_p²] of a layer's residuals; arguments as `divergences`."""
    return mean[0].numel() - _squares(mean, spread) * precision


def _squares(mean: Tensor, spread: Spread) -> Tensor:
    """Return [T] Σ (σ² + μ²)."""
    means = torch.linalg.vector_norm(mean, dim=(1, 2)).square()
    return means.add_(spread.variance.sum((1, 2)), alpha=spread.times)


class Sampled(torch.autograd.Function):
    """A linear layer whose weights have variances: its sums are sampled, not its weights.

        s = x·W + b + √v ∘ ε,   v = x²·σ²                                         per task, ε ~ N(0, 1)

    With δ = ∂L/∂s and γ = ∂L/∂v = δ∘ε/(2√v):

        ∂W = xᵀ·δ,   ∂b = Σ δ,   ∂σ² = (x²)ᵀ·γ,   ∂x = δ·Wᵀ + 2x ∘ (γ·(σ²)ᵀ)
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, rho: Tensor, spread: Spread, noise: Tensor
    ) -> Tensor:
        """Return s [T, n, out].

        Args:
            ctx: keeps what `backward` needs.
            rows: [T, n, in] x.
            weight: [T, in, out] mean weights.
            bias: [T, out].
            rho: ρ, which gets the gradient of `spread`.
            spread: σ² at ρ.
            noise: [T, n, out] ε.
        """
        squares = rows.square()
        if spread.variance.shape[1] < rows.shape[2]:
            squares = squares.sum(2, keepdim=True)
        sd = torch.bmm(squares, spread.variance).add_(TINY).sqrt_()
        ctx.spread = spread
        ctx.save_for_backward(rows, squares, weight, noise / sd)
        return linear(rows, weight, bias).addcmul_(sd, noise)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        rows, squares, weight, ratio = ctx.saved_tensors
        variance, slope, _ = ctx.spread
        gamma = ratio.mul_(delta).mul_(0.5)
        rho = torch.bmm(squares.transpose(1, 2), gamma).mul_(slope)
        before = None
        if ctx.needs_input_grad[0]:
            through = torch.bmm(gamma, variance.transpose(1, 2))
            before = torch.bmm(delta, weight.transpose(1, 2)).addcmul_(rows, through, value=2.0)
        return before, torch.bmm(rows.transpose(1, 2), delta), delta.sum(1), rho, None, None


class VarShareNetwork(GroupedNetwork):
    """See `mtctl.problems.lander.architectures.VarShare`.

    The noise has a generator of its own, seeded from that of the initial values; its state is part of the
    state dict. Only `learn` draws from it.
    """

    def __init__(
        self, agent: DQNAgent, shape: VarShare, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        sizes = (OBSERVATIONS + agent.codes(tasks), *agent.hidden, ACTIONS * values.width)
        self._depth, self._shape = len(sizes) - 1, shape
        shared: dict[str, tuple[int, ...]] = {}
        own: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, units) in enumerate(pairwise(sizes)):
            shared |= {f"weight{layer}": (inputs, units), f"bias{layer}": (units,)}
            if shape.rank is None:
                own |= {f"mean{layer}": (inputs, units), f"rho{layer}": (inputs, units)}
            else:
                rank = min(shape.rank, inputs, units)
                own |= {f"left_weight{layer}": (inputs, rank), f"right{layer}": (rank, units)}
                own |= {f"rho{layer}": (1, units)}
        self._own_shapes = own
        super().__init__(agent, tasks, shared, own, f"weight{self._depth - 2}", values, generator)
        for layer in range(self._depth):
            self._own[f"rho{layer}"].fill_(shape.initial_rho)
        self._log_prior = torch.tensor([math.log(shape.prior_sd)])
        if shape.learned_prior:
            self._leaves.append(self._log_prior)
        # With mixed replay a task's loss has this weight in the sum on average.
        self._price = shape.beta / (tasks if agent.replay.kind == "mixed" else 1)
        self._spreads: list[Spread] = []
        seed = int(torch.randint(2**62, (), generator=generator))
        self._noise = torch.Generator().manual_seed(seed)

    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        hidden = told(rows, codes)
        for layer in range(self._depth):
            if layer:
                hidden = hidden.relu_()
            weight, bias = numbers[f"weight{layer}"] + _mean(layer, numbers), numbers[f"bias{layer}"]
            if learning:
                noise = torch.empty(*hidden.shape[:2], weight.shape[2]).normal_(generator=self._noise)
                rho = numbers[f"rho{layer}"]
                hidden = Sampled.apply(hidden, weight, bias, rho, self._spreads[layer], noise)
            else:
                hidden = linear(hidden, weight, bias)
        return hidden

    def learn(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        with torch.inference_mode(mode=False), torch.no_grad():
            self._spreads = self._spread()
            self.penalty = self._divergence(self._spreads).sum() * self._price
        return super().learn(observations, counts)

    @torch.inference_mode()
    def add_penalty(self) -> None:
        gradient, precision = self.own.grad, self._precision()
        assert gradient is not None
        slopes = views(gradient, self._own_shapes)
        prior = torch.zeros(1)
        for layer, spread in enumerate(self._spreads):
            mean = _mean(layer, self._own)
            prior += prior_slope(mean, spread, precision).sum()
            half = 0.5 * self._price * spread.times
            slopes[f"rho{layer}"].addcmul_(precision - spread.variance.reciprocal(), spread.slope, value=half)
            self._add_mean(slopes, layer, mean * (self._price * precision))
        if self._shape.learned_prior:
            self._log_prior.grad = prior * self._price

    def _add_mean(self, slopes: Mapping[str, Tensor], layer: int, slope: Tensor) -> None:
        """Add the derivative [T, in, out] with respect to a layer's means to what they are made of."""
        if self._shape.rank is None:
            slopes[f"mean{layer}"].add_(slope)
            return
        left, right = self._own[f"left_weight{layer}"], self._own[f"right{layer}"]
        slopes[f"left_weight{layer}"].baddbmm_(slope, right.transpose(1, 2))
        slopes[f"right{layer}"].baddbmm_(left.transpose(1, 2), slope)

    def _spread(self) -> list[Spread]:
        rhos = [self._own[f"rho{layer}"] for layer in range(self._depth)]
        inputs = [self._shared[f"weight{layer}"].shape[1] for layer in range(self._depth)]
        return [Spread.of(rho, count // rho.shape[1]) for rho, count in zip(rhos, inputs, strict=True)]

    def _precision(self) -> float:
        return math.exp(-2.0 * float(self._log_prior))

    def _divergence(self, spreads: list[Spread]) -> Tensor:
        """Return [T] KL_m in nats."""
        precision = self._precision()
        layers = [divergences(_mean(n, self._own), spread, precision) for n, spread in enumerate(spreads)]
        return torch.stack(layers).sum(0)

    @torch.inference_mode()
    def signals(self) -> dict[str, Tensor]:
        """Return `kl` in nats and, where residuals are pruned, `kept_share`: of those of each task."""
        found = {"kl": self._divergence(self._spread())}
        if self._shape.prune is not None:
            means = [mean.flatten(1) for mean in self._pruned(self._shape.prune).values()]
            found["kept_share"] = torch.cat(means, dim=1).ne(0.0).double().mean(1)
        return found

    def for_evaluation(self) -> Self:
        if self._shape.prune is None:
            return self
        network = copy(self)
        network._own = self._pruned(self._shape.prune)
        return network

    def _pruned(self, smallest: float) -> dict[str, Tensor]:
        """Return the means [T, in, out] of all layers, 0 where they are smaller."""
        means = {f"mean{layer}": _mean(layer, self._own) for layer in range(self._depth)}
        return {name: mean.where(mean.abs() >= smallest, 0.0) for name, mean in means.items()}

    def copy_from(self, other: Self, copy: int | None = None) -> None:
        super().copy_from(other, copy)
        self._log_prior.copy_(other._log_prior)

    def move_towards(self, other: Self, tau: float) -> None:
        super().move_towards(other, tau)
        self._log_prior.lerp_(other._log_prior, tau)

    def state_dict(self) -> dict[str, Any]:
        learned = {"log_prior": self._log_prior.clone()} if self._shape.learned_prior else {}
        return {**super().state_dict(), "noise": self._noise.get_state(), **learned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._noise.set_state(state["noise"])
        if self._shape.learned_prior:
            self._log_prior.copy_(state["log_prior"])


def _mean(layer: int, numbers: Mapping[str, Tensor]) -> Tensor:
    """Return μ [T, in, out] of a layer: as it is, or from its factors."""
    if f"mean{layer}" in numbers:
        return numbers[f"mean{layer}"]
    return torch.bmm(numbers[f"left_weight{layer}"], numbers[f"right{layer}"])
