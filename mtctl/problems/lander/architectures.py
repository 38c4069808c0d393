"""What a Q-network looks like: `agent.architecture` in a recipe. Each is built by a file of networks/."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from mtctl.part import Misfit, NonNegativeFloat, Part, PositiveFloat, PositiveInt


class Numbers(NamedTuple):
    """How many trainable numbers a network has, its task embedding apart.

    Args:
        shared: those that all tasks use; of each copy, where networks are independent.
        own: those of each task alone.
    """

    shared: int
    own: int = 0


class Architecture(Part):
    """A kind of Q-network. Its hidden layers are as wide as `agent.hidden` says."""

    own_decay: ClassVar[str] = ""
    """What draws its weights in by itself, where `agent.weight_decay` would do harm."""

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        """Return how many numbers it has.

        Args:
            sizes: observation, hidden units, outputs.
            codes: inputs that tell the task.
        """
        raise NotImplementedError

    def misfits_with(self, hidden: Sequence[int], *, told: bool) -> Iterator[Misfit]:
        """Yield what does not go with the rest of the agent, with paths from the agent.

        Args:
            hidden: units of the hidden layers.
            told: whether the network is told the task.
        """
        yield from ()


def _linear(sizes: Sequence[int]) -> int:
    """Return how many weights and biases the layers between so many units have."""
    return sum((inputs + 1) * units for inputs, units in itertools.pairwise(sizes))


class MLP(Architecture):
    """Linear layers with ReLU between them, whose backward pass is written by hand: the fastest."""

    kind: Literal["mlp"] = "mlp"

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        return Numbers(_linear((sizes[0] + codes, *sizes[1:])))


class MultiHead(Architecture):
    """A trunk that all tasks share, and a linear output layer of each task's own.

        Q_i(o, ·) = h(o)·Wᵢ + bᵢ,   h the hidden layers

    The multi-task standard (Caruana, 1997), and the multi-head baseline of Yu et al., 2020 (arXiv
    1910.10897), there of a policy with continuous actions, here of Q-values. A balancer decides what the
    trunk gets; a head's gradient is its own task's alone. With `task_encoding: none` the trunk is blind, and
    the heads alone tell the tasks apart; else the trunk is told the task as well.
    """

    kind: Literal["multi_head"]

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        trunk = _linear((sizes[0] + codes, *sizes[1:-1]))
        return Numbers(trunk, _linear(sizes[-2:]))


class SoftModular(Architecture):
    """Soft modularization: every layer has several modules, and a routing network mixes them by task.

        z = relu(W_o·o + b_o) ∘ (W_t·e_i + b_t)                                  embedding of state and task
        p^l = softmax over the source modules of W_p^l·relu(z ∘ (W_u^l·p^(l−1) + b_u^l)) + b_p^l
        g_j^1 = relu(o·W_j^1 + b_j^1),   g_j^l = relu((Σ_k p^(l−1)_jk · g_k^(l−1))·W_j^l + b_j^l)
        Q = (Σ_j g_j^L)·W + b

    Module j of layer l takes in the modules k of the layer before it with weights p_jk that sum to 1. z has
    as many units as the first hidden layer.

    Source: Yang et al., 2020 (arXiv 2003.13661). There it is the policy and the critic of SAC with continuous
    actions, on ten to fifty tasks, with tasks one-hot and their losses weighted by the temperatures. Here it
    is one network of Q-values for discrete actions with the learned embedding of `embedding_dim`, and losses
    are weighted by the recipe's balancer. As there, the last layer's modules are added without routing.
    """

    kind: Literal["soft_modular"]
    modules: Annotated[int, Field(ge=2, le=64)] = 2
    """Modules of each layer, each as wide as `hidden` says; 2 as in the source's shallow network."""

    def misfits_with(self, hidden: Sequence[int], *, told: bool) -> Iterator[Misfit]:
        if not told:
            text = "soft modularization routes by task: set `task_encoding: embedding` or `onehot`"
            yield Misfit(("task_encoding",), text)
        if len(hidden) < 2:
            yield Misfit(("hidden",), "soft modularization routes between layers: give `hidden` two or more")

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        hidden, state = sizes[1:-1], sizes[1]
        count = self.modules
        modules = sum(count * (inputs + 1) * units for inputs, units in itertools.pairwise(sizes[:-1]))
        embedding = (sizes[0] + 1) * state + (codes + 1) * state
        routes = len(hidden) - 1
        routing = routes * (state + 1) * count**2 + max(routes - 1, 0) * (count**2 + 1) * state
        return Numbers(modules + embedding + routing + _linear(sizes[-2:]))


class Residual(Architecture):
    """Residual blocks of one width with layer normalisation, as BRC has them: `hidden` gives the width alone.

        prenorm   h = W·x + b,             h ← h + W₂·relu(W₁·LN(h) + b₁) + b₂,          Q = W·LN(h) + b
        bronet    h = relu(LN(W·x + b)),   h ← h + LN(W₂·relu(LN(W₁·h + b₁)) + b₂),      Q = W·h + b

    x is the observation with the task's code behind it. Weights start orthogonal, times √2; biases at 0,
    gains at 1.

    Source: BroNet of Nauman et al., 2024 (arXiv 2405.16158), for many tasks with a learned embedding of unit
    length in Nauman et al., Bigger, Regularized, Categorical, 2025 (arXiv 2505.23150). There it is the critic
    of an actor-critic with continuous actions, two of them averaged. Here it is one network of Q-values for
    discrete actions; its distribution over returns is `agent.categorical`, its weight decay
    `agent.weight_decay`.
    """

    kind: Literal["residual"]
    layout: Literal["prenorm", "bronet"] = "prenorm"
    """Where layers are normalised: `prenorm` before each block and before the output, as in the lander study;
    `bronet` after each linear layer but the output, as in the source."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 2
    """Residual blocks, of two linear layers each; 2 as in the lander study."""
    unit_embedding: bool = True
    """Divide a learned embedding (`task_encoding: embedding`) by its length, as in the source: a task moves
    the first layer's sums by a bounded amount. Other encodings stay as they are."""

    def misfits_with(self, hidden: Sequence[int], *, told: bool) -> Iterator[Misfit]:
        if len(hidden) > 1:
            text = f"residual blocks have one width: give `hidden` one entry, not {len(hidden)}"
            yield Misfit(("hidden",), text)

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        width = sizes[1]
        layers = _linear((sizes[0] + codes, *[width] * (2 * self.blocks + 1), sizes[-1]))
        norms = self.blocks + 1 if self.layout == "prenorm" else 2 * self.blocks + 1
        return Numbers(layers + norms * 2 * width)


class VarShare(Architecture):
    """Every task adds a residual of its own to every weight, with a variance that noise is drawn by.

        W_m = θ + φ_m,   q(φ_m) = N(μ_m, σ_m²),   σ_m = softplus(ρ_m),   prior N(0, σ_p²)
        loss = Σ_m w_m·L_m + β·Σ_m KL_m
        KL_m = ½ Σ [ln(σ_p²/σ²) + (σ² + μ²)/σ_p² − 1]                    over the weights of task m, in nats

    Biases are shared. θ and they get what the balancer makes of the tasks' gradients; μ_m and ρ_m belong to
    task m, and the KL divergence acts on them unbalanced. A residual that a task does not need costs least as
    the prior: no mean, and noise of σ_p. With `task_encoding: none` the residuals alone tell the tasks apart.

    Learning draws noise on what the weights make of their inputs, by local reparameterisation (Kingma et
    al., 2015, arXiv 1506.02557): N(x·(θ + μ_m), x²·σ_m²), each row with its own task's weights. Acting,
    targets and evaluations take the mean θ + μ_m. With `rank`, μ_m = A_m·B_m, and σ_m is one number per
    output of a layer, so that a residual has rank·(in + out) + out numbers instead of 2·in·out; A_m starts
    He-normal, B_m at 0 (Hu et al., 2022, arXiv 2106.09685).

    The unit of β is loss per nat. L_m is the mean over task m's rows, and KL_m is whole in every update, a
    sum over weights that is divided neither by rows nor by updates: batch size, update interval and length of
    the run leave β alone, as they leave L_m. Were losses in nats, the posterior would stand on 1/β rows of
    each task. The one division: with mixed replay, whose loss is the mean over all rows, 1/T of each task's,
    KL is divided by T as well.

    Source: VarShare, a proposal of 2025 with public code for PPO; weight posteriors by Blundell et al., 2015
    (arXiv 1505.05424). Here it is a Q-network for discrete actions.
    """

    kind: Literal["varshare"]
    own_decay: ClassVar[str] = "the KL divergence draws residuals to 0; decay would draw ρ to 0, σ to 0.69"
    beta: NonNegativeFloat = 2.5e-4
    """β: how much a nat costs, in units of loss; 2.5e-4 as in the source, for losses near 1. With rewards
    times c, squared errors are c² as large, and want a β as much smaller. Where β is too large, `kl` falls
    towards 0, and the tasks have one network. 0: no divergence, residuals are free."""
    prior_sd: PositiveFloat = 0.01
    """σ_p, in units of weights: He-normal weights of 256 inputs have 0.09. 0.01 as proposed. The source's
    other value, 1, is a trap: it pulls every σ towards 1, until noise costs β/2 of loss per weight, 4.4 of
    each task on this study's network, far more than there is to learn. At 0.01 the noise of 256 inputs near 1
    stays below 0.16, and a task pays for means that are large beside 0.01."""
    learned_prior: bool = False
    """Whether σ_p is learned (as ln σ_p, by the divergence alone), from `prior_sd` on. Its gradient is a sum
    over all residuals and counts in `gradient_clip`."""
    initial_rho: Annotated[float, Field(ge=-20, le=5)] = -5.0
    """ρ at the start; −5, σ = 0.0067, as in the source: little noise before there is anything to disturb."""
    rank: PositiveInt | None = None
    """Rank of the means, at most a layer's smaller side; null: full."""
    prune: PositiveFloat | None = None
    """ε: in evaluations, a residual with |μ| below it counts as 0, and `kept_share` records how many are left
    of each task. Training is the same. null: all count."""

    def misfits_with(self, hidden: Sequence[int], *, told: bool) -> Iterator[Misfit]:
        full = max((min(pair) for pair in itertools.pairwise(hidden)), default=hidden[0])
        if self.rank is not None and self.rank >= full:
            text = f"residuals between hidden layers have rank {full} at most: give a smaller `rank`, or null"
            yield Misfit(("architecture", "rank"), text)

    def numbers(self, sizes: Sequence[int], codes: int) -> Numbers:
        layers = (sizes[0] + codes, *sizes[1:])
        own = sum(self._residual(*layer) for layer in itertools.pairwise(layers))
        return Numbers(_linear(layers) + self.learned_prior, own)

    def _residual(self, inputs: int, units: int) -> int:
        """Return how many numbers describe a task's residual of one layer."""
        if self.rank is None:
            return 2 * inputs * units
        return min(self.rank, inputs, units) * (inputs + units) + units


AnyArchitecture = Annotated[MLP | MultiHead | SoftModular | Residual | VarShare, Field(discriminator="kind")]
