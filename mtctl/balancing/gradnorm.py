"""GradNorm: weights that make the tasks learn at the same rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mtctl.balancing import _adam
from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import AdaptiveMethod, Array, Mask, Random, Signals, Space, State
from mtctl.part import Misfit, NonNegativeFloat, PositiveFloat, PositiveInt


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


class GradNorm(AdaptiveMethod):
    """Weights that equalise training rates through gradient norms (Chen et al., 2018).

    Each task's gradient norm is brought to a target set by how far the task lags behind.

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

    Raises:
        SignalError: a loss is negative and α is not 0, so that its ratio to L(0) means nothing.

    Source: Chen et al., GradNorm, 2018 (arXiv 1711.02257).
    """

    kind: Literal["gradnorm"] = "gradnorm"
    alpha: NonNegativeFloat = 1.5
    """Strength of the pull towards tasks that lag; 0 equalises all gradient norms (it is NOT "off"), whatever
    the losses are: they may then be negative, as a policy's are."""
    lr: PositiveFloat = 0.025
    """Adam's learning rate of the log-weights; 0.01 is calmer where losses are as noisy as a player's."""
    initial_loss: Literal["mean_of_first", "first_batch", "theoretical"] = "mean_of_first"
    """What L(0) is. One unlucky minibatch can fix the weights for a whole run, so the default is a mean."""
    initial_window: PositiveInt = 20
    """Updates that `mean_of_first` averages; weights stay at 1 until then. Players, whose crashes are rare
    and costly, need more: 200."""
    theoretical_losses: dict[str, PositiveFloat] | None = None
    """L(0) by task, for `theoretical`."""
    weight_floor: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """φ, the smallest weight (the mean weight is 1). 0: none, so that losses of any scale can be balanced;
    with 0.05, the weights of two tasks differ 39-fold at most, and a bad L(0) switches no task off."""
    layer: Space = "last_shared"
    """Where gradient norms are taken: the last shared layer's weights as in the paper, or all shared
    parameters."""

    needs = frozenset({"norms"})

    def misfits(self) -> Iterator[Misfit]:
        theoretical = self.initial_loss == "theoretical"
        if theoretical and self.theoretical_losses is None:
            yield Misfit(("initial_loss",), "`initial_loss: theoretical` needs `theoretical_losses`")
        if not theoretical and self.theoretical_losses is not None:
            yield Misfit(("theoretical_losses",), "`theoretical_losses` needs `initial_loss: theoretical`")

    @property
    def _window(self) -> int:
        """How many losses of a task L(0) is the mean of."""
        return 1 if self.initial_loss == "first_batch" else self.initial_window

    def init(self, tasks: tuple[str, ...]) -> State:
        known = [0.0 if self.theoretical_losses is None else self.theoretical_losses[task] for task in tasks]
        return {
            "log_weights": np.zeros(len(tasks)),
            "initial_losses": np.array(known, dtype=np.float64),
            "missing": np.full(len(tasks), float(self._window) if self.theoretical_losses is None else 0.0),
            **_adam.init(len(tasks)),
        }

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        if self.alpha:
            refuse_negative(
                signals.losses, "so GradNorm's ratio L/L(0) is undefined (with `alpha: 0` it is not needed)"
            )
        active, s, missing = signals.active, state["log_weights"], state["missing"]
        shares = softmax(s, active)
        free = np.add.reduce(active, axis=-1, keepdims=True) * shares
        weights = self.weight_floor * active + (1 - self.weight_floor) * free

        recorded = ((missing == 0) | ~active).all(-1, keepdims=True)
        gradient, moving = self._gradient(signals, state["initial_losses"], weights, recorded)
        through_softmax = gradient - np.add.reduce(shares * gradient, axis=-1, keepdims=True)
        gradient = (1 - self.weight_floor) * free * through_softmax
        s, adam = _adam.move(s, gradient, state, self.lr, moving)
        return weights, {"log_weights": s, **self._record(signals, state), **adam}

    def _gradient(
        self, signals: Signals, initial: Array, weights: Array, recorded: Mask
    ) -> tuple[Array, Mask]:
        """Return ∂/∂w Σᵢ |Gᵢ − tᵢ| [..., T], and which tasks take part."""
        # A task whose first losses were all 0 has no rate: it keeps its log-weight while the others balance.
        moving = signals.active & recorded & ((initial > NEGLIGIBLE) | (not self.alpha))
        progress = signals.losses / np.where(moving, initial, 1.0) if self.alpha else np.ones_like(initial)
        weighted = weights * signals.norms
        gap = weighted - targets(weighted, progress, self.alpha, moving)
        return np.sign(gap) * signals.norms * moving, moving

    def _record(self, signals: Signals, state: State) -> State:
        """Return L(0) as the running mean of the first losses, and how many are missing to complete it."""
        initial, missing = state["initial_losses"], state["missing"]
        if not missing.any():
            return {"initial_losses": initial, "missing": missing}
        recording = signals.active & (missing > 0)
        gain = recording / (self._window - missing + 1)
        return {"initial_losses": initial + gain * (signals.losses - initial), "missing": missing - recording}
