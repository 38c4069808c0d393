"""Chains of methods: each sees the losses and gradients as the ones before have weighted them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtctl.balancing.contract import NOT_ASKED, Array, Balancer, Shown, Signals, State, observe

ChainState = dict[str, Tensor]
"""Named float64 tensors; what `torch.save` keeps and `weights_only=True` loads."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How one step combines the tasks.

    Args:
        shared: [T] float64 weights of the gradients on the shared parameters; 0 for inactive tasks.
        own: [T] float64 weights of the losses as each task's own parameters see them: the product over the
            methods whose scope is `loss`.
    """

    shared: Tensor
    own: Tensor


@dataclass(frozen=True)
class Chain:
    """One or more methods in a row; the total weight is the product of theirs.

        w = w₁ ∘ w₂ ∘ …;   method k sees  p ∘ L,  |p| ∘ ‖∇L‖  and  diag(p)·G·diag(p),   p = w₁ ∘ … ∘ wₖ₋₁

    This is exact: weighting the losses by p weights the rows of J by p. Here tensors become arrays and back.

    Args:
        methods: in order; at least one.
    """

    methods: tuple[Balancer, ...]

    def init(self, tasks: int) -> ChainState:
        """Return all methods' first states; the keys of method k start with "k."."""
        return {
            f"{place}.{name}": torch.from_numpy(value)
            for place, method in enumerate(self.methods)
            for name, value in method.init(tasks).items()
        }

    def balance(
        self, gradients: Shown, state: ChainState, rng: torch.Generator
    ) -> tuple[Decision, ChainState]:
        """Return this step's weights and the state for the next one.

        Norms and Gramians are asked of `gradients` only where a method needs them.

        Raises:
            NonFiniteSignal: a loss, norm or inner product that was needed is NaN or infinite.
        """
        shared = own = gradients.active.numpy(force=True).astype(np.float64)
        after: ChainState = {}
        for place, method in enumerate(self.methods):
            before = {
                name.removeprefix(f"{place}."): value.numpy()
                for name, value in state.items()
                if name.startswith(f"{place}.")
            }
            weights, memory = method.weigh(_signals(gradients, method, before, shared), before, rng)
            # Copied: a value that passes through unchanged would otherwise hold on to every state before it.
            after.update(
                {f"{place}.{name}": torch.from_numpy(value.copy()) for name, value in memory.items()}
            )
            shared = shared * weights
            own = own * weights if method.scope == "loss" else own
        return Decision(torch.from_numpy(shared), torch.from_numpy(own)), after


def learned_parameters(chain: Chain, tasks: int) -> int:
    """Return how many numbers the chain's methods learn for `tasks` tasks."""
    return sum(method.parameters(tasks) for method in chain.methods)


def _signals(gradients: Shown, method: Balancer, state: State, weights: Array) -> Signals:
    active = gradients.active.numpy(force=True)
    needs = method.asks(active, state)
    seen = observe(
        gradients.losses.numpy(force=True),
        active,
        gradients.norms(method.space).numpy(force=True) if "norms" in needs else NOT_ASKED,
        gradients.gramian(method.space).numpy(force=True) if "gramian" in needs else NOT_ASKED,
    )
    return Signals(
        seen.losses * weights,
        seen.active,
        seen.norms * np.abs(weights) if "norms" in needs else NOT_ASKED,
        seen.gramian * weights[:, None] * weights if "gramian" in needs else NOT_ASKED,
    )
