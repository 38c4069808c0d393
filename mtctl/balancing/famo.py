"""FAMO: weights that make all losses fall at the same rate, learned from losses alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _adam, _by_task
from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import Array, Balancer, Mask, Signals, State


@dataclass(frozen=True)
class FAMO(Balancer):
    """Weights under which the logarithms of all losses fall equally fast: MGDA's aim without its gradients.

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

    Args:
        lr: Adam's learning rate of ξ; 0.025 as in the paper.
        weight_decay: γ ≥ 0, pulls ξ back to equal z; 1e-3 as in the paper's algorithm (the authors' code:
            1e-5).
        ideal: [T] bᵢ, losses that nobody falls below; 0 each if left out.
        epsilon: ε, in units of the loss; 1e-8 as in the authors' code. A task at its bound has nothing left
            to learn and is left out.

    Raises:
        ValueError: the number of ideal losses is not the number of tasks.
        SignalError: a loss is below its bound, so that its logarithm does not exist.

    Source: Liu et al., FAMO: Fast Adaptive Multitask Optimization, 2023 (arXiv 2306.03792).
    """

    lr: float = 0.025
    weight_decay: float = 1e-3
    ideal: _by_task.Values = None
    epsilon: float = 1e-8

    needs = frozenset({"outcome"})

    def init(self, tasks: int) -> State:
        _by_task.refuse_wrong_number(tasks, ideal=self.ideal)
        return {"logits": np.zeros(tasks), **_adam.init(tasks)}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        above = self._above(signals.losses)
        refuse_negative(
            np.where(signals.active, above, 0.0),
            "measured from its bound, so that it has no log",
            "give `ideal`, by task, a bound that no loss falls below; or look at gradients, as encodec does",
        )
        learning = self._learning(above, signals.active)
        shares = softmax(state["logits"], learning) / np.where(learning, above + self.epsilon, 1.0)
        total = np.add.reduce(shares, axis=-1, keepdims=True)
        return shares / np.where(total > 0, total, 1.0), state

    def follow(self, before: Array, after: Array, active: Mask, state: State) -> State:
        above, xi = self._above(before), state["logits"]
        learning = self._learning(above, active)
        gain = np.where(learning, self._log(above) - self._log(self._above(after)), 0.0)
        shares = softmax(xi, learning)
        gradient = shares * (gain - np.add.reduce(shares * gain, axis=-1, keepdims=True))
        xi, adam = _adam.move(xi, gradient + self.weight_decay * xi, state, self.lr, learning)
        return {"logits": xi, **adam}

    def _above(self, losses: Array) -> Array:
        return losses if self.ideal is None else losses - np.array(self.ideal)

    def _learning(self, above: Array, active: Mask) -> Mask:
        return active & (above > NEGLIGIBLE)

    def _log(self, above: Array) -> Array:
        # A step may bring a loss to its bound, or below one that was set too high.
        return np.asarray(np.log(np.maximum(np.maximum(above, 0.0) + self.epsilon, NEGLIGIBLE)))
