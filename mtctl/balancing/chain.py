"""Chains of methods: each sees the losses and gradients as the ones before have weighted them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtctl.balancing import every
from mtctl.balancing.contract import (
    NOT_ASKED,
    Array,
    Mask,
    Method,
    Need,
    Random,
    Signals,
    State,
    observe,
)
from mtctl.balancing.task_gradients import Shown

ChainState = dict[str, Tensor]
"""Named float64 tensors; what `torch.save` keeps and `weights_only=True` loads."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How one step combines the tasks.

    Args:
        shared: [..., T] float64 weights of the gradients on the shared parameters; 0 for inactive tasks. The
            methods' alone: the problem's own importance a comes on top where gradients are combined.
        own: [..., T] float64 weights of the losses as each task's own parameters see them: the product over
            the methods whose scope is `loss`.
        following: for each method that wants to see what the step does, the factors [..., T] of the losses
            that it has seen (a, times the weights of the methods before it); None for the others.
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

    Everything is over leading dimensions `...`, those of a stack of runs, of which each gets what it would
    get alone. Weights are used again, where a method says so, as `every` describes.

    Args:
        methods: in order; one that is several in a row (`Method.in_a_row`) stands for these.
    """

    methods: tuple[Method, ...]

    def __post_init__(self) -> None:
        in_a_row = tuple(part for method in self.methods for part in method.in_a_row())
        object.__setattr__(self, "methods", in_a_row)

    def init(self, tasks: tuple[str, ...], runs: tuple[int, ...] = ()) -> ChainState:
        """Return all methods' first states; the keys of method k start with "k.".

        Args:
            tasks: names of the T tasks.
            runs: the leading dimensions of a stack.

        Raises:
            ValueError: a setting that gives values by task gives them for other tasks than these.
        """
        for method in self.methods:
            for setting, values in method.per_task_values():
                if values.keys() != set(tasks):
                    known, given = ", ".join(tasks), ", ".join(values)
                    raise ValueError(f"{method.kind}: `{setting}` expects the tasks {known}, got {given}")
        return {
            name: value.expand(*runs, -1).clone()
            for place, method in enumerate(self.methods)
            for name, value in whole(every.init(method, tasks), place).items()
        }

    def begun_anew(self, place: int, tasks: tuple[str, ...], state: ChainState) -> ChainState:
        """Return the state with one method's as it was before the first step."""
        return state | whole(every.init(self.methods[place], tasks), place)

    def asks(self, place: int, active: Mask, state: ChainState) -> frozenset[Need]:
        """Return what one method will look at in a step with these active tasks."""
        return every.asks(self.methods[place], active, part(state, place))

    def balance(self, gradients: Shown, state: ChainState, rng: Random) -> tuple[Decision, ChainState]:
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
            needs = every.asks(method, active, before)
            seen = importance * shared
            signals = _signals(gradients, active, method, needs, seen)
            weights, memory = every.weigh(method, signals, before, rng)
            after |= whole(memory, place)
            following.append(seen if "outcome" in needs else None)
            shared = shared * weights
            own = own * weights if method.scope == "loss" else own
        return Decision(torch.from_numpy(shared), torch.from_numpy(own), tuple(following)), after

    def follow(self, gradients: Shown, after: Tensor, decision: Decision, state: ChainState) -> ChainState:
        """Return the state once methods have seen what the step did to the losses of its batch.

        Args:
            gradients: of the step.
            after: [..., T] the same batch's losses with the parameters that the step has led to.
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
                seen = Signals(before * weights, active, NOT_ASKED, NOT_ASKED, gradients.tasks)
                memory = every.follow(method, seen, now * weights, part(state, place))
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


def _signals(
    gradients: Shown, active: Mask, method: Method, needs: frozenset[Need], weights: Array
) -> Signals:
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
        seen.gramian * weights[..., :, None] * weights[..., None, :] if "gramian" in needs else NOT_ASKED,
        gradients.tasks,
    )
