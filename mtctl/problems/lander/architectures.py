"""What a Q-network looks like: `agent.architecture` in a recipe. Each is built by a file of networks/."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from mtctl.part import Misfit, Part


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


AnyArchitecture = Annotated[MLP | MultiHead | SoftModular | Residual, Field(discriminator="kind")]
