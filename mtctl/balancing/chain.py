"""Chains of methods: each sees the losses and gradients as the ones before have weighted them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mtctl.balancing.contract import Balancer, Signals, State, TaskGradients, observe


@dataclass(frozen=True, slots=True)
class Decision:
    """How one step combines the tasks.

    Args:
        shared: [T] float64 weights of the gradients on the shared parameters; 0 for inactive tasks.
        own: [T] float64 weights of the losses as each task's own parameters see them: the product over the methods
            whose scope is `loss`.
    """

    shared: Tensor
    own: Tensor


@dataclass(frozen=True)
class Chain:
    """One or more methods in a row; the total weight is the product of theirs.

        w = w₁ ∘ w₂ ∘ …, where method k sees  p ∘ L,  |p| ∘ ‖∇L‖  and  diag(p)·G·diag(p)  with p = w₁ ∘ … ∘ wₖ₋₁

    This is exact: weighting losses by p weights the rows of J by p.

    Args:
        methods: in order; at least one.
    """

    methods: tuple[Balancer, ...]

    def init(self, tasks: int) -> State:
        """Return all methods' first states; the keys of method k start with "k."."""
        return {
            f"{place}.{name}": value
            for place, method in enumerate(self.methods)
            for name, value in method.init(tasks).items()
        }

    def balance(self, gradients: TaskGradients, state: State, rng: torch.Generator) -> tuple[Decision, State]:
        """Return this step's weights and the state for the next one.

        Norms and Gramians are asked of `gradients` only where a method needs them.

        Raises:
            NonFiniteSignal: a loss, norm or Gramian entry that was needed is NaN or infinite.
        """
        shared = own = gradients.active.double()
        after: State = {}
        for place, method in enumerate(self.methods):
            signals = _signals(gradients, method, shared if place else None)
            weights, own_state = method.weigh(signals, _of(place, state), rng)
            after.update({f"{place}.{name}": value for name, value in own_state.items()})
            shared = shared * weights
            own = own * weights if method.scope == "loss" else own
        return Decision(shared, own), after


def learned_parameters(chain: Chain, tasks: int) -> int:
    """Return how many numbers the chain's methods learn for `tasks` tasks."""
    return sum(method.parameters(tasks) for method in chain.methods)


def _of(place: int, state: State) -> State:
    prefix = f"{place}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _signals(gradients: TaskGradients, method: Balancer, weights: Tensor | None) -> Signals:
    norms = gradients.norms(method.space) if "norms" in method.needs else None
    gramian = gradients.gramian(method.space) if "gramian" in method.needs else None
    signals = observe(gradients.losses, gradients.active, norms, gramian)
    if weights is None:
        return signals
    return Signals(
        losses=signals.losses * weights,
        active=signals.active,
        norms=None if signals.norms is None else signals.norms * weights.abs(),
        gramian=None
        if signals.gramian is None
        else weights.unsqueeze(-1) * signals.gramian * weights.unsqueeze(-2),
    )
