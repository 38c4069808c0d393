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


AnyArchitecture = Annotated[MLP | MultiHead | SoftModular, Field(discriminator="kind")]
