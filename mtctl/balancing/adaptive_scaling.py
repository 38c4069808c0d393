"""Adaptive gradient scaling: base weights, scaled towards a common gradient norm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import numpy as np

from mtctl.balancing import _average, _by_task
from mtctl.balancing._average import Momentum
from mtctl.balancing._by_task import WeightedMethod
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import Array, Random, Signals, Space, State
from mtctl.part import Misfit, NonNegativeInt, PositiveFloat


class ScalingSettings(NamedTuple):
    """What a preset sets."""

    target: float
    momentum: float
    min_scale: float
    max_scale: float


PRESETS: Final = {
    "wide": ScalingSettings(1.0, 0.9, 1e-6, 1e6),
    "balanced": ScalingSettings(1.0, 0.9, 0.1, 10.0),
    "conservative": ScalingSettings(0.5, 0.95, 0.2, 5.0),
    "aggressive": ScalingSettings(2.0, 0.8, 0.05, 20.0),
    "off": ScalingSettings(1.0, 0.9, 1.0, 1.0),
}
"""`wide` tells norms of any usual size apart; the next three are the method's authors'. `off` holds every
scale at 1, so that the base weights are left."""


class AdaptiveScaling(WeightedMethod):
    """Base weights, scaled towards a common gradient norm within bounds, and normalised to sum 1.

        mᵢ = EMA of ‖gᵢ‖,   sᵢ = clamp(target/mᵢ, min_scale, max_scale)
        preserve_importance:  w ∝ bᵢ·sᵢ      equalise:  w ∝ sᵢ      Σw = 1

    Since weights are normalised, `target` cancels unless a bound is reached; what it really decides is which
    norms are followed: those from target/max_scale to target/min_scale, 1e-6 to 1e6. The authors' narrow
    bounds are presets: where all norms lie on one side of 0.1 to 10, say, all scales are equal and nothing is
    balanced.

    With `preserve_importance` the weighted norms end up in the ratio of the base weights, not equal: norms
    5.2 and 0.8 with base weights 0.7 and 0.3 give weights 0.264 and 0.736, weighted norms 1.374 : 0.589 =
    0.7 : 0.3. `equalise` makes them equal: weights 0.133 and 0.867, weighted norms 0.693 : 0.693. A bound
    that is reached breaks either ratio. The run's signals show what came out as gradient shares.

    Until every active task has `warmup_steps` behind it, weights are the base weights, normalised as well:
    they add up to 1 over the active tasks, so that the step is T times shorter than that of a plain sum. A
    task of base weight 0 stays at 0 in either mode. So does, after the warm-up, a task whose gradient has
    always been 0: it would take the largest scale, and with it nearly the whole sum, from the others.

    Helps: where base weights should keep their meaning while gradient norms drift.

    Fails: with narrow bounds, where all norms lie beyond one of them, so that nothing is balanced; and where
    `preserve_importance` is taken for equal shares. Conflicts are not seen.

    Needs norms: T backward passes through `layer`.

    Source: a published PPO project with discrete and continuous actions; no paper.
    """

    kind: Literal["adaptive_scaling"] = "adaptive_scaling"
    preset: Literal["wide", "balanced", "conservative", "aggressive", "off"] = "wide"
    """Target, momentum and bounds at once: 1, 0.9, 1e-6 to 1e6 (`wide`); and as its authors set them: 1, 0.9,
    0.1 to 10 (`balanced`); 0.5, 0.95, 0.2 to 5 (`conservative`); 2, 0.8, 0.05 to 20 (`aggressive`). `off`:
    the base weights alone."""
    mode: Literal["preserve_importance", "equalise"] = "preserve_importance"
    """Ratio of the weighted gradient norms: that of the base weights, or 1 : 1."""
    target: PositiveFloat | None = None
    """Gradient norm that a scale of 1 stands for; null: the preset's. Norms from target/max_scale to
    target/min_scale are distinguished, norms beyond are not: keep it near the run's norms."""
    momentum: Momentum | None = None
    """Momentum of the average of each task's gradient norm; null: the preset's."""
    min_scale: PositiveFloat | None = None
    """Smallest scale; null: the preset's."""
    max_scale: PositiveFloat | None = None
    """Largest scale; null: the preset's."""
    warmup_steps: NonNegativeInt = 0
    """Steps of a task before its weight moves; its authors': 100."""
    layer: Space = "all_shared"
    """Where gradient norms are taken."""

    needs = frozenset({"norms"})
    averages_gradients = True

    @property
    def settings(self) -> ScalingSettings:
        """The preset's settings, with those that are given in their place."""
        given = self.target, self.momentum, self.min_scale, self.max_scale
        preset = PRESETS[self.preset]
        return ScalingSettings(*(b if a is None else a for a, b in zip(given, preset, strict=True)))

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        settings = self.settings
        if self.preset == "off":
            for name in ("mode", *settings._fields):
                if getattr(self, name) != type(self).model_fields[name].default:
                    yield Misfit((name,), f"`{name}` has no effect with `preset: off`")
        elif settings.min_scale > settings.max_scale:
            name = "max_scale" if self.min_scale is None else "min_scale"
            text = f"`min_scale` ({settings.min_scale:g}) is above `max_scale` ({settings.max_scale:g})"
            yield Misfit((name,), text)

    def init(self, tasks: tuple[str, ...]) -> State:
        return _average.init(len(tasks))

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        target, momentum, least, most = self.settings
        norms, state = _average.updated(signals.norms, state, momentum, signals.active)
        # The clamp is put on the norm: dividing by it is then always safe.
        scale = target / np.clip(norms, target / most, target / least)
        base = _by_task.array(self.base_weights, signals.tasks) * signals.active
        importance = base if self.mode == "preserve_importance" else base > 0
        warm = ((state["averaged"] > self.warmup_steps) | ~signals.active).all(-1, keepdims=True)
        weights = np.where(warm, importance * scale * (norms > NEGLIGIBLE), base)
        total = weights.sum(-1, keepdims=True)
        return weights / np.where(total > 0, total, 1.0), state
