"""GradNorm: weights that make the tasks learn at the same rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _adam
from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import Array, Balancer, Mask, Signals, Space, State


def targets(weighted_norms: Array, progress: Array, alpha: float, balanced: Mask) -> Array:
    """Return the gradient norms to aim for, [..., T]: tᵢ = mean(G)·(pᵢ/mean(p))^α, means over `balanced`.

    Args:
        weighted_norms: [..., T] Gᵢ = wᵢ·‖∇Lᵢ‖.
        progress: [..., T] pᵢ = Lᵢ/Lᵢ(0); the higher, the further behind the task is.
        alpha: α ≥ 0; 0 aims at equal norms.
        balanced: [..., T] the tasks that take part; the others' targets mean nothing.
    """
    count = np.maximum(np.add.reduce(balanced, axis=-1, keepdims=True), 1)
    mean_norm = np.add.reduce(weighted_norms * balanced, axis=-1, keepdims=True) / count
    mean_progress = np.add.reduce(progress * balanced, axis=-1, keepdims=True) / count
    # Where all losses are 0 nobody lags, and any mean will do.
    rates = progress * balanced / np.where(mean_progress > NEGLIGIBLE, mean_progress, 1.0)
    return np.asarray(mean_norm * rates**alpha)


@dataclass(frozen=True)
class GradNorm(Balancer):
    """Weights that bring each task's gradient norm to a target set by how far the task lags behind.

        Gᵢ = wᵢ·‖∇Lᵢ‖,   rᵢ = (Lᵢ/Lᵢ(0)) / mean(L/L(0)),   tᵢ = mean(G)·rᵢ^α
        minimise Σᵢ |Gᵢ − tᵢ| over s with t held constant;   w = φ + (1 − φ)·T·softmax(s)

    The mean weight is 1, and none is below φ. The network's step uses w(t); the same gradients then move s,
    in closed form (∂/∂wᵢ = sign(Gᵢ − tᵢ)·‖∇Lᵢ‖), so that a step costs one forward and one backward pass.
    Inactive tasks are left out of T and of all means.

    Helps: in long trainings whose tasks learn at different rates and share one last layer.

    Fails: in short ones. Weights begin at 1 and move by a factor of e^lr per step at most, by less after long
    gradients, which Adam remembers for a thousand steps: at `lr` 0.025, two weights that are to differ by a
    factor of 100 (1000) have half of it after 170 (700) steps, at 0.1 after 45 (170). A network that is
    trained by Adam learns slowly meanwhile, for the same reason. Also where L(0) is not typical of a task.

    Args:
        alpha: strength of the pull towards tasks that lag; 1.5 as in the paper. 0 equalises all norms.
        lr: Adam's learning rate of the log-weights s; 0.025: at balance, weights tremble by 2.5 %.
        window: updates of each task that L(0) averages; s rests until every task at hand has them. 20, which
            evens out the noise of batches and does not last long; 1 is the paper's first batch. In
            reinforcement learning, where one minibatch with one crash in it can fix the weights for a whole
            run, take 200.
        initial_losses: [T] L(0) known beforehand; nothing is then averaged.
        floor: φ, the smallest weight; 0 as in the paper: the softmax alone switches no task off. A floor
            keeps a bad L(0) from all but doing so, and bounds what can be balanced: weights of T tasks then
            differ by a factor of (1 − φ)·T/φ + 1 at most, 39 for two tasks and 0.05.
        space: where norms are taken; the last shared layer as in the paper.

    Raises:
        ValueError: the number of initial losses is not the number of tasks.
        SignalError: a loss is negative, so that its ratio to L(0) means nothing.

    Source: Chen et al., GradNorm, 2018 (arXiv 1711.02257).
    """

    alpha: float = 1.5
    lr: float = 0.025
    window: int = 20
    initial_losses: tuple[float, ...] | None = None
    floor: float = 0.0
    space: Space = "last_shared"

    needs = frozenset({"norms"})

    def init(self, tasks: int) -> State:
        given = self.initial_losses
        if given is not None and len(given) != tasks:
            raise ValueError(f"initial_losses: expected one for each of {tasks} tasks, found {len(given)}")
        return {
            "log_weights": np.zeros(tasks),
            "initial_losses": np.zeros(tasks) if given is None else np.array(given, dtype=np.float64),
            "missing": np.full(tasks, float(self.window) if given is None else 0.0),
            **_adam.init(tasks),
        }

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so that GradNorm's ratio L/L(0) means nothing")
        active, s, missing = signals.active, state["log_weights"], state["missing"]
        shares = softmax(s, active)
        free = np.add.reduce(active, axis=-1, keepdims=True) * shares
        weights = self.floor * active + (1 - self.floor) * free

        recorded = ((missing == 0) | ~active).all(-1, keepdims=True)
        gradient, moving = self._gradient(signals, state["initial_losses"], weights, recorded)
        through_softmax = gradient - np.add.reduce(shares * gradient, axis=-1, keepdims=True)
        gradient = (1 - self.floor) * free * through_softmax
        s, adam = _adam.move(s, gradient, state, self.lr, moving)
        return weights, {"log_weights": s, **self._record(signals, state), **adam}

    def _gradient(
        self, signals: Signals, initial: Array, weights: Array, recorded: Mask
    ) -> tuple[Array, Mask]:
        """Return ∂/∂w Σᵢ |Gᵢ − tᵢ| [..., T], and which tasks take part."""
        # A task whose first losses were all 0 has no rate: it keeps its log-weight while the others balance.
        moving = signals.active & (initial > NEGLIGIBLE) & recorded
        progress = signals.losses / np.where(moving, initial, 1.0)
        weighted = weights * signals.norms
        gap = weighted - targets(weighted, progress, self.alpha, moving)
        return np.sign(gap) * signals.norms * moving, moving

    def _record(self, signals: Signals, state: State) -> State:
        """Return L(0) as the running mean of the first losses, and how many are missing to complete it."""
        initial, missing = state["initial_losses"], state["missing"]
        if not missing.any():
            return {"initial_losses": initial, "missing": missing}
        recording = signals.active & (missing > 0)
        gain = recording / (self.window - missing + 1)
        return {"initial_losses": initial + gain * (signals.losses - initial), "missing": missing - recording}
