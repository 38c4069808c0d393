"""Chains of methods: each sees the losses and gradients as the ones before have weighted them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtctl.balancing.contract import (
    NOT_ASKED,
    Array,
    Balancer,
    Mask,
    Need,
    Shown,
    Signals,
    Space,
    State,
    observe,
)

ChainState = dict[str, Tensor]
"""Named float64 tensors; what `torch.save` keeps and `weights_only=True` loads."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How one step combines the tasks.

    Args:
        shared: [T] float64 weights of the gradients on the shared parameters; 0 for inactive tasks. The
            methods' alone: the problem's own importance a comes on top where gradients are combined.
        own: [T] float64 weights of the losses as each task's own parameters see them: the product over the
            methods whose scope is `loss`.
        following: for each method that wants to see what the step does, the factors [T] of the losses that it
            has seen (a, times the weights of the methods before it); None for the others.
    """

    shared: Tensor
    own: Tensor
    following: tuple[Array | None, ...] = ()

    @property
    def wants_outcome(self) -> bool:
        """Whether a method has to be shown the losses of the same batch after the step: see `follow`."""
        return any(weights is not None for weights in self.following)


@dataclass(frozen=True)
class Chain:
    """One or more methods in a row; the total weight is the product of theirs.

        w = w₁ ∘ w₂ ∘ …;   method k sees  p ∘ L,  |p| ∘ ‖∇L‖  and  diag(p)·G·diag(p),   p = a ∘ w₁ ∘ … ∘ wₖ₋₁

    a is the problem's importance of its tasks: what is applied is a ∘ w, and a method that promises something
    about the update, such as ⟨gᵢ, d⟩ ≥ 0, keeps its promise only about what it has seen. This is exact:
    weighting the losses by p weights the rows of J by p. Here tensors become arrays and back.

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
        active = gradients.active.numpy(force=True)
        shared = own = active.astype(np.float64)
        importance = gradients.importance.numpy(force=True)
        after: ChainState = {}
        following: list[Array | None] = []
        for place, method in enumerate(self.methods):
            before = part(state, place)
            needs = method.asks(active, before)
            seen = importance * shared
            signals = _signals(gradients, active, method.space, needs, seen)
            weights, memory = method.weigh(signals, before, rng)
            after |= whole(memory, place)
            following.append(seen if "outcome" in needs else None)
            shared = shared * weights
            own = own * weights if method.scope == "loss" else own
        return Decision(torch.from_numpy(shared), torch.from_numpy(own), tuple(following)), after

    def follow(self, gradients: Shown, after: Tensor, decision: Decision, state: ChainState) -> ChainState:
        """Return the state once methods have seen what the step did to the losses of its batch.

        Args:
            gradients: of the step.
            after: [T] the same batch's losses with the parameters that the step has led to.
            decision: what the step was made with.
            state: as `balance` returned it.

        Raises:
            NonFiniteSignal: a loss is NaN or infinite.
        """
        active = gradients.active.numpy(force=True)
        before, now = (
            observe(losses.numpy(force=True), active).losses for losses in (gradients.losses, after)
        )
        for place, (method, weights) in enumerate(zip(self.methods, decision.following, strict=True)):
            if weights is not None:
                memory = method.follow(before * weights, now * weights, active, part(state, place))
                state = state | whole(memory, place)
        return state


def part(state: ChainState, place: int) -> State:
    """Return the state of one method of a chain."""
    start = f"{place}."
    return {
        name.removeprefix(start): value.numpy() for name, value in state.items() if name.startswith(start)
    }


def whole(memory: State, place: int) -> ChainState:
    """Return one method's state as it stands in that of a chain."""
    # Copied: a value that passes through unchanged would otherwise hold on to every state before it.
    return {f"{place}.{name}": torch.from_numpy(value.copy()) for name, value in memory.items()}


def learned_parameters(chain: Chain, tasks: int) -> int:
    """Return how many numbers the chain's methods learn for `tasks` tasks."""
    return sum(method.parameters(tasks) for method in chain.methods)


def _signals(gradients: Shown, active: Mask, space: Space, needs: frozenset[Need], weights: Array) -> Signals:
    seen = observe(
        gradients.losses.numpy(force=True),
        active,
        gradients.norms(space).numpy(force=True) if "norms" in needs else NOT_ASKED,
        gradients.gramian(space).numpy(force=True) if "gramian" in needs else NOT_ASKED,
    )
    return Signals(
        seen.losses * weights,
        seen.active,
        seen.norms * np.abs(weights) if "norms" in needs else NOT_ASKED,
        seen.gramian * weights[..., :, None] * weights[..., None, :] if "gramian" in needs else NOT_ASKED,
    )
