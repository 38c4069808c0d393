"""FAMO: weights that make all losses fall at the same rate, learned from losses alone."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mtctl.balancing import _adam, _by_task
from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import AdaptiveMethod, Array, Mask, Random, Signals, State
from mtctl.part import FiniteFloat, NonNegativeFloat, PositiveFloat


class FAMO(AdaptiveMethod):
    """All losses fall equally fast, by what each step did to them (Liu et al., 2023).

    The logarithms of all losses fall equally fast: MGDA's aim without its gradients.

        minimise c·Σᵢ zᵢ·log ℓᵢ,   ℓᵢ = Lᵢ − bᵢ + ε,   z = softmax(ξ),   c = (Σᵢ zᵢ/ℓᵢ)⁻¹;    wᵢ = c·zᵢ/ℓᵢ
        after the step, on the same batch:   ξ ← Adam(ξ, (∂z/∂ξ)ᵀδ + γ·ξ),   δᵢ = log ℓᵢ − log ℓᵢ(after)

    A task whose loss fell by more than the others' gets less weight from then on. The weights add up to 1: a
    step is about 1/T as long as with the plain sum. A constant factor of a loss changes nothing as long as
    the loss is far above ε.

    What the step did is measured in one more forward pass, without gradients, on the same batch with the same
    dropout noise: on another batch, the batches' difference would count as progress.

    Helps: where losses are positive and in different units, and there are too many tasks for a backward pass
    each.

    Fails: where a loss nears its bound: it then takes nearly all the weight, as with `log`, and ξ follows
    slowly. Where losses are measured on few rows, their noise drives ξ.

    Costs one more forward pass besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is below its bound, so that its logarithm does not exist.

    Source: Liu et al., FAMO: Fast Adaptive Multitask Optimization, 2023 (arXiv 2306.03792).
    """

    kind: Literal["famo"] = "famo"
    lr: PositiveFloat = 0.025
    """Adam's learning rate of the logits ξ; the paper's."""
    weight_decay: NonNegativeFloat = 1e-3
    """γ, of the logits, towards equal shares; as in the paper's algorithm (the authors' code: 1e-5)."""
    ideal: Annotated[dict[str, FiniteFloat], Field(min_length=1)] | None = None
    """b, a loss that each task will not fall below, by name; null: 0 each."""
    epsilon: PositiveFloat = 1e-8
    """ε, added to each loss before its logarithm; the authors' code's."""

    needs = frozenset({"outcome"})

    def init(self, tasks: tuple[str, ...]) -> State:
        return {"logits": np.zeros(len(tasks)), **_adam.init(len(tasks))}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        above = self._above(signals.losses, signals.tasks)
        refuse_negative(
            np.where(signals.active, above, 0.0),
            "relative to its bound, so it has no logarithm",
            "set `ideal`, by task, to a bound below its losses; or use a method on gradients: encodec",
        )
        learning = self._learning(above, signals.active)
        shares = softmax(state["logits"], learning) / np.where(learning, above + self.epsilon, 1.0)
        total = np.add.reduce(shares, axis=-1, keepdims=True)
        return shares / np.where(total > 0, total, 1.0), state

    def follow(self, before: Signals, after: Array, state: State) -> State:
        above, xi = self._above(before.losses, before.tasks), state["logits"]
        learning = self._learning(above, before.active)
        gain = np.where(learning, self._log(above) - self._log(self._above(after, before.tasks)), 0.0)
        shares = softmax(xi, learning)
        gradient = shares * (gain - np.add.reduce(shares * gain, axis=-1, keepdims=True))
        xi, adam = _adam.move(xi, gradient + self.weight_decay * xi, state, self.lr, learning)
        return {"logits": xi, **adam}

    def _above(self, losses: Array, tasks: tuple[str, ...]) -> Array:
        return losses if self.ideal is None else losses - _by_task.array(self.ideal, tasks)

    def _learning(self, above: Array, active: Mask) -> Mask:
        return active & (above > NEGLIGIBLE)

    def _log(self, above: Array) -> Array:
        # A step may bring a loss to its bound, or below one that was set too high.
        return np.asarray(np.log(np.maximum(np.maximum(above, 0.0) + self.epsilon, NEGLIGIBLE)))
