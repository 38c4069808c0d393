"""Residuals of each task's own on shared weights, with variances: see `VarShare`.

Every task's residuals of all layers lie in one row of D weights, which one operation reaches; layers have
views of them. The backward pass is written by hand: s = x·W + b + √v ∘ ε with W = θ + μ and v = x²·σ², per
task, ε ~ N(0, 1). With δ = ∂L/∂s and γ = δ∘ε/√v:

    ∂θ = ∂μ = xᵀ·δ,   ∂b = Σ δ,   ∂ρ = σ·σ' ∘ (x²)ᵀ·γ,   ∂x = δ·Wᵀ + x ∘ (γ·(σ²)ᵀ)         σ' = ∂σ/∂ρ

and for means of low rank, μ = A·B:  ∂A = ∂μ·Bᵀ,   ∂B = Aᵀ·∂μ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import VarShare
from mtctl.problems.lander.networks.flat import FlatNetwork, Slopes, task_codes
from mtctl.problems.lander.networks.grouped import Shapes, grouped, linear, listed, told, views
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values

TINY: Final = 1e-16
"""Added to v, so that inputs that are all 0 have a derivative; noise of 1e-8."""


class Spread(NamedTuple):
    """The variances of all residuals, σ = softplus(ρ).

    Args:
        variance: [T, R] σ².
        slope: [T, R] σ·∂σ/∂ρ = σ·sigmoid(ρ).
    """

    variance: Tensor
    slope: Tensor

    @classmethod
    def of(cls, rho: Tensor) -> Spread:
        """Return that of ρ [T, R]."""
        # In two steps, which cost half of what torch's softplus does.
        sd = torch.exp(rho).log1p_()
        slope = torch.sigmoid(rho).mul_(sd)
        return cls(sd.square_(), slope)


def divergence(means: Tensor, variance: Tensor, times: Tensor, precision: float) -> Tensor:
    """Return [T] KL(q‖p) in nats: ½ Σ [ln(σ_p²/σ²) + (σ² + μ²)/σ_p² − 1].

    Args:
        means: [T, D] μ.
        variance: [T, R] σ².
        times: [R] how many of the D weights each variance is that of.
        precision: 1/σ_p².
    """
    ratio = variance * precision
    surplus: Tensor = torch.mv(ratio, times).sub_(torch.mv(ratio.log(), times)).sub_(means.shape[1])
    squares: Tensor = torch.linalg.vector_norm(means, dim=1).square_()
    return squares.mul_(precision).add_(surplus).mul_(0.5)


def prior_slope(means: Tensor, variance: Tensor, times: Tensor, precision: float) -> Tensor:
    """Return [T] ∂KL/∂ln σ_p = Σ [1 − (σ² + μ²)/σ_p²]; arguments as `divergence`."""
    squares: Tensor = torch.linalg.vector_norm(means, dim=1).square_().add_(torch.mv(variance, times))
    return squares.mul_(-precision).add_(means.shape[1])


class Means(Protocol):
    """What the residuals' means μ are made of."""

    def values(self) -> Tensor:
        """Return μ [T, D], which stays valid until the next call."""

    def chain(self, slope: Tensor) -> Tensor:
        """Return the derivative [T, F] with respect to what they are made of, given that of μ [T, D]."""

    def factors(self, task: int) -> list[tuple[Tensor, ...]]:
        """Return for each layer the matrices that make μᵀ·x of an observation x, one after another."""


class FullMeans:
    """Means that are numbers of their own.

    Args:
        numbers: [T, D] μ.
        shapes: of the layers' weights.
    """

    def __init__(self, numbers: Tensor, shapes: Shapes) -> None:
        self._numbers = numbers
        self._layers = views(numbers, shapes)

    def values(self) -> Tensor:
        return self._numbers

    def chain(self, slope: Tensor) -> Tensor:
        return slope

    def factors(self, task: int) -> list[tuple[Tensor, ...]]:
        return [(mean[task].t(),) for mean in self._layers.values()]


class LowRankMeans:
    """Means μ = A·B, layer by layer.

    Args:
        numbers: [T, F] A [in, r] and B [r, out] of the first layer, then those of the others.
        shapes: of the layers' weights.
        rank: r, or the layer's smaller side.
        generator: where A comes from, He-normal; B is left at 0.
    """

    def __init__(self, numbers: Tensor, shapes: Shapes, rank: int, generator: torch.Generator) -> None:
        self._shapes = _factors(shapes, rank)
        self._numbers = list(views(numbers, self._shapes).values())
        self._values = torch.zeros(len(numbers), sum(map(math.prod, shapes.values())))
        self._layer_shapes, self._layers = shapes, views(self._values, shapes)
        for left in self._numbers[::2]:
            left.normal_(0.0, math.sqrt(2.0 / left.shape[1]), generator=generator)

    def values(self) -> Tensor:
        pairs = zip(self._numbers[::2], self._numbers[1::2], self._layers.values(), strict=True)
        for left, right, mean in pairs:
            torch.bmm(left, right, out=mean)
        return self._values

    def chain(self, slope: Tensor) -> Tensor:
        parts = []
        for place, mean in enumerate(views(slope, self._layer_shapes).values()):
            left, right = self._numbers[2 * place : 2 * place + 2]
            parts += [torch.bmm(mean, right.transpose(1, 2)), torch.bmm(left.transpose(1, 2), mean)]
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def factors(self, task: int) -> list[tuple[Tensor, ...]]:
        pairs = zip(self._numbers[::2], self._numbers[1::2], strict=True)
        return [(left[task].t(), right[task].t()) for left, right in pairs]


def _factors(shapes: Shapes, rank: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of A and B of each layer."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (inputs, units) in shapes.items():
        least = min(rank, inputs, units)
        found |= {f"{name}_left": (inputs, least), f"{name}_right": (least, units)}
    return found


class _Sampled(NamedTuple):
    """What a layer's backward pass needs of the sums that were sampled.

    Args:
        rows: [T, n, in] x.
        squares: [T, n, in or 1] x², or its sum where the inputs have one variance in common.
        variance: [T, in or 1, out] σ².
        ratio: [T, n, out] ε/√v.
    """

    rows: Tensor
    squares: Tensor
    variance: Tensor
    ratio: Tensor


class VarShareNetwork(FlatNetwork):
    """See `mtctl.problems.lander.architectures.VarShare`.

    The noise has a generator of its own, seeded from that of the initial values; its state is part of the
    state dict. Only `learn` draws from it.
    """

    def __init__(
        self, agent: DQNAgent, shape: VarShare, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        codes = task_codes(agent.task_encoding, tasks, agent.embedding_dim, generator)
        self._units = (*agent.hidden, ACTIONS * values.width)
        layers = enumerate(pairwise((OBSERVATIONS + codes.shape[1], *self._units)))
        self._shapes = {f"weight{layer}": pair for layer, pair in layers}
        biases = {f"bias{layer}": (units,) for layer, units in enumerate(self._units)}
        self._rho_shapes = {
            name: (inputs if shape.rank is None else 1, units)
            for name, (inputs, units) in self._shapes.items()
        }
        factors = self._shapes if shape.rank is None else _factors(self._shapes, shape.rank)
        self._sizes = [_size(shapes) for shapes in (self._shapes, factors, self._rho_shapes)]
        size, made_of, rhos = self._sizes
        learned = agent.task_encoding == "embedding"
        super().__init__(codes, size + sum(self._units), made_of + rhos, learned_codes=learned, values=values)
        self._shape = shape
        self._theta, self._weights = self.parameters[:, :size], torch.zeros(tasks, size)
        self._biases = views(self.parameters[:, size:], biases).values()
        self._layers = list(views(self._weights, self._shapes).values())
        self._rho = self.own[:, made_of:].fill_(shape.initial_rho)
        for weight in views(self._theta, self._shapes).values():
            weight.normal_(0.0, math.sqrt(2.0 / weight.shape[1]), generator=generator)
        if shape.rank is None:
            self._means: Means = FullMeans(self.own[:, :made_of], self._shapes)
        else:
            self._means = LowRankMeans(self.own[:, :made_of], self._shapes, shape.rank, generator)
        self._steps = self._steps_by_task()
        self._times = torch.cat(
            [
                torch.full((rows * units,), self._shapes[name][0] / rows)
                for name, (rows, units) in self._rho_shapes.items()
            ]
        )
        self._slopes_of(size, biases)
        self._sampled: list[_Sampled] = []
        self._log_prior = torch.tensor([math.log(shape.prior_sd)])
        if shape.learned_prior:
            self._leaves.append(self._log_prior)
        # With mixed replay a task's loss has this weight in the sum on average.
        self._price = shape.beta / (tasks if agent.replay.kind == "mixed" else 1)
        seed = int(torch.randint(2**62, (), generator=generator))
        self._noise = torch.Generator().manual_seed(seed)

    def _slopes_of(self, size: int, biases: Shapes) -> None:
        """Lay out the memory of every task's gradient: `size` weights, then biases; and the tasks' own."""
        self._weight_slopes = list(views(self._jacobian[:, :size], self._shapes).values())
        self._bias_slopes = list(views(self._jacobian[:, size:], biases).values())
        self._own_slopes = torch.zeros_like(self.own)
        self._rho_slopes = list(views(self._own_slopes[:, -self._rho.shape[1] :], self._rho_shapes).values())

    def last_shared(self) -> slice:
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        return slice(sum(sizes[:-2]), sum(sizes[:-1]))

    def answer_one(self, observation: Tensor, task: int) -> Tensor:
        hidden = torch.cat([observation, self.codes[task]]) if self.codes.shape[1] else observation
        for place, (weight, bias, factors) in enumerate(self._steps[task]):
            if place:
                hidden = hidden.relu_()
            out = torch.addmv(bias, weight, hidden)
            for factor in factors:
                hidden = torch.mv(factor, hidden)
            hidden = out.add_(hidden)
        return hidden

    def _steps_by_task(self) -> list[list[tuple[Tensor, Tensor, tuple[Tensor, ...]]]]:
        """Return for each task each layer's θᵀ, b and what makes μᵀ·x of an observation x."""
        thetas = [weight[0].t() for weight in views(self._theta, self._shapes).values()]
        biases = [bias[0] for bias in self._biases]
        return [
            list(zip(thetas, biases, self._means.factors(task), strict=True)) for task in range(self.tasks)
        ]

    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        hidden = told(grouped(observations, counts), self.codes)
        torch.add(self._theta, self._means.values(), out=self._weights)
        for place, (weight, bias) in enumerate(zip(self._layers, self._biases, strict=True)):
            hidden = linear(hidden.relu_() if place else hidden, weight, bias)
        return listed(hidden, counts)

    def learn(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        hidden = told(grouped(observations, counts), self.codes)
        means = self._means.values()
        torch.add(self._theta, means, out=self._weights)
        self._spread = Spread.of(self._rho)
        variances = views(self._spread.variance, self._rho_shapes).values()
        self._sampled.clear()
        parts = zip(self._layers, self._biases, variances, self._noises(hidden.shape[1]), strict=True)
        for place, (weight, bias, variance, noise) in enumerate(parts):
            rows = hidden.relu_() if place else hidden
            squares = rows.square()
            if variance.shape[1] < rows.shape[2]:
                squares = squares.sum(2, keepdim=True)
            sd = torch.bmm(squares, variance).add_(TINY).sqrt_()
            hidden = linear(rows, weight, bias).addcmul_(sd, noise)
            self._sampled.append(_Sampled(rows, squares, variance, noise.div_(sd)))
        kl = divergence(means, self._spread.variance, self._times, self._precision())
        self.penalty = kl.sum() * self._price
        return listed(hidden, counts)

    def _noises(self, rows: int) -> list[Tensor]:
        """Draw ε [T, n, units] of every layer at once."""
        sizes = [self.tasks * rows * units for units in self._units]
        drawn = torch.empty(sum(sizes)).normal_(generator=self._noise)
        parts = zip(drawn.split(sizes), self._units, strict=True)
        return [part.view(self.tasks, rows, units) for part, units in parts]

    def backward(self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]) -> Slopes:
        slopes = grouped(delta, counts)
        codes: list[Tensor] = []
        for place in range(len(self._layers) - 1, -1, -1):
            rows, squares, variance, ratio = self._sampled[place]
            gamma = ratio.mul_(slopes)
            torch.bmm(rows.transpose(1, 2), slopes, out=self._weight_slopes[place])
            torch.sum(slopes, 1, out=self._bias_slopes[place])
            torch.bmm(squares.transpose(1, 2), gamma, out=self._rho_slopes[place])
            if place or self.learned_codes:
                through = torch.bmm(gamma, variance.transpose(1, 2))
                before = torch.bmm(slopes, self._layers[place].transpose(1, 2)).addcmul_(rows, through)
            if place:
                # The derivative of ReLU from its output, which is not needed any more.
                slopes = before.mul_(rows.sign_())
            elif self.learned_codes:
                codes = [before[:, :, OBSERVATIONS:].sum(1)]
        size, made_of, _ = self._sizes
        self._own_slopes[:, made_of:].mul_(self._spread.slope)
        self._own_slopes[:, :made_of].copy_(self._means.chain(self._jacobian[:, :size]))
        return Slopes(self._jacobian, (*codes, self._own_slopes))

    @torch.inference_mode()
    def add_penalty(self) -> None:
        gradient, precision = self.own.grad, self._precision()
        assert gradient is not None
        means, (variance, slope), made_of = self._means.values(), self._spread, self._sizes[1]
        # ∂KL/∂μ = μ/σ_p², ∂KL/∂σ² = ½(1/σ_p² − 1/σ²)
        gradient[:, :made_of].add_(self._means.chain(means), alpha=self._price * precision)
        weighted = slope if self._shape.rank is None else slope * self._times
        rho = gradient[:, made_of:].add_(weighted, alpha=self._price * precision)
        rho.addcdiv_(weighted, variance, value=-self._price)
        if self._shape.learned_prior:
            slopes = prior_slope(means, variance, self._times, precision)
            self._log_prior.grad = slopes.sum().mul_(self._price).view(1)

    def _precision(self) -> float:
        return math.exp(-2.0 * float(self._log_prior))

    @torch.inference_mode()
    def signals(self) -> dict[str, Tensor]:
        """Return `kl` in nats and, where residuals are pruned, `kept_share`: of those of each task."""
        means, variance = self._means.values(), Spread.of(self._rho).variance
        found = {"kl": divergence(means, variance, self._times, self._precision())}
        if self._shape.prune is not None:
            found["kept_share"] = means.abs().ge(self._shape.prune).double().mean(1)
        return found

    def for_evaluation(self) -> Self:
        if self._shape.prune is None:
            return self
        means, network = self._means.values(), copy(self)
        network._means = FullMeans(means.where(means.abs() >= self._shape.prune, 0.0), self._shapes)
        network._steps = network._steps_by_task()
        return network

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


def _size(shapes: Shapes) -> int:
    return sum(map(math.prod, shapes.values()))
