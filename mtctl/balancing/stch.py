"""Smooth Tchebycheff scalarisation: mostly the worst task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from mtctl.balancing import _by_task
from mtctl.balancing._by_task import WeightedMethod
from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import Array, Mask, Random, Signals, State
from mtctl.part import FiniteFloat, Misfit, PositiveFloat, PositiveInt


class STCH(WeightedMethod):
    """Smooth Tchebycheff scalarisation: a smooth maximum over the tasks (Lin et al., 2024).

    Two objectives go by this name; `form` selects.

        linear:  μ·log Σᵢ exp(yᵢ/μ),  yᵢ = λᵢ·(Lᵢ − zᵢ);    wᵢ = λᵢ·softmax(y/μ)ᵢ
        log:     T·μ·log Σᵢ exp(yᵢ/μ),  yᵢ = log(Lᵢ/Nᵢ);    wᵢ = T·softmax(y/μ)ᵢ / Lᵢ

    `linear` is the paper's equation: the task that is furthest above its ideal zᵢ leads, in units of the
    losses, so that one task with a large scale leads for ever. The weights add up to about 1/T, the step is
    so much shorter than with a sum. `log` is what the authors train networks with: relative to the mean Nᵢ of
    its first losses, so that scale does not count; until every task at hand has its Nᵢ, the objective is
    Σ log L. λ sums to 1 over the active tasks.

    Helps: where the worst task is what counts: furthest from where it began (`log`) or from its ideal
    (`linear`).

    Fails: with a small `mu`, where noise decides who is worst; as `linear`, where scales differ and one task
    leads for ever.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative, so that its logarithm does not exist (`log`).

    Source: Lin et al., Smooth Tchebycheff Scalarization for Multi-Objective Optimization, 2024
    (arXiv 2402.19078).
    """

    kind: Literal["stch"] = "stch"
    form: Literal["log", "linear"] = "log"
    """Two objectives share the name. `linear`: the paper's, μ·log Σ exp(λ(L − z)/μ), in which scale counts.
    `log`: the authors' for networks, on log(L/N) with N the mean of a task's first losses, in which it does
    not."""
    mu: PositiveFloat = 1.0
    """μ, smoothness; towards 0 only the worst task trains."""
    ideal: dict[str, FiniteFloat] | None = None
    """z by task, for `linear`: a loss that it will not fall below; null: 0 each. There, `base_weights` are
    λ."""
    initial_window: PositiveInt = 200
    """Steps whose mean is N, for `log`; the objective is Σ log L until then."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.form == "log":
            for key in ("base_weights", "ideal"):
                if getattr(self, key) is not None:
                    yield Misfit((key,), f"`{key}` needs `form: linear`")

    def init(self, tasks: tuple[str, ...]) -> State:
        if self.form == "linear":
            return {}
        return {
            "first_losses": np.zeros(len(tasks)),
            "missing": np.full(len(tasks), float(self.initial_window)),
        }

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return self._log(signals, state) if self.form == "log" else (self._linear(signals), state)

    def _linear(self, signals: Signals) -> Array:
        shares = _by_task.array(self.base_weights, signals.tasks) * signals.active
        total = shares.sum(-1, keepdims=True)
        shares = shares / np.where(total > 0, total, 1.0)
        above = signals.losses - _by_task.array(self.ideal, signals.tasks, 0.0)
        return shares * _softmax(shares * above, self.mu, signals.active)

    def _log(self, signals: Signals, state: State) -> tuple[Array, State]:
        losses, first, missing = signals.losses, state["first_losses"], state["missing"]
        refuse_negative(losses, "so its logarithm does not exist")
        taking_part = signals.active & (losses > NEGLIGIBLE)
        recorded = ((missing == 0) | ~signals.active).all(-1, keepdims=True)
        known = taking_part & recorded & (first > NEGLIGIBLE)
        progress = np.log(np.where(known, losses, 1.0)) - np.log(np.where(known, first, 1.0))
        count = taking_part.sum(-1, keepdims=True)
        factors = np.where(recorded, count * _softmax(progress, self.mu, taking_part), 1.0)
        weights = factors * taking_part / np.where(taking_part, losses, 1.0)

        recording = signals.active & (missing > 0)
        gain = recording / (self.initial_window - missing + 1)
        first = (1 - gain) * first + gain * losses
        return weights, {"first_losses": first, "missing": missing - recording}


def _softmax(values: Array, mu: float, active: Mask) -> Array:
    """Return softmax(values/μ) over the active tasks."""
    # The largest is taken off before the division, which could overflow.
    top = np.where(active, values, -np.inf).max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return softmax(np.where(active, values - top, 0.0) / mu, active)
