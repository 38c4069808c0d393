"""Methods that look at the lengths of the tasks' gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from mtctl.part import Misfit, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from mtctl.recipes.balancers.method import AdaptiveMethod, Momentum, Space, WeightedMethod


class GradNorm(AdaptiveMethod):
    """Weights that equalise training rates through gradient norms (Chen et al., 2018)."""

    kind: Literal["gradnorm"]
    alpha: NonNegativeFloat = 1.5
    """Strength of the pull towards tasks that lag; 0 equalises all gradient norms (it is NOT "off")."""
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
    """Smallest weight (the mean weight is 1). 0: none, so that losses of any scale can be balanced; with
    0.05, the weights of two tasks differ 39-fold at most, and a bad L(0) switches no task off."""
    layer: Space = "last_shared"
    """Where gradient norms are taken: the last shared layer's weights as in the paper, or all shared
    parameters."""

    def misfits(self) -> Iterator[Misfit]:
        theoretical = self.initial_loss == "theoretical"
        if theoretical and self.theoretical_losses is None:
            yield Misfit(("initial_loss",), "`initial_loss: theoretical` needs `theoretical_losses`")
        if not theoretical and self.theoretical_losses is not None:
            yield Misfit(("theoretical_losses",), "`theoretical_losses` needs `initial_loss: theoretical`")

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        if self.theoretical_losses is not None:
            yield "theoretical_losses", self.theoretical_losses


class Encodec(WeightedMethod):
    """Gradients rescaled to given shares of a given length (EnCodec's balancer; Défossez et al., 2022).

    Here `base_weights` are shares of the update's length, not factors of losses.
    """

    kind: Literal["encodec"]
    momentum: Momentum = 0.999
    """Of the average of each task's gradient norm."""
    total_norm: PositiveFloat = 1.0
    """Sum of the lengths of the rescaled gradients."""
    layer: Space = "last_shared"
    """Where gradient norms are taken: the last shared layer's weights, next to the network's output where the
    paper takes them, or all shared parameters."""


class ScalingSettings(NamedTuple):
    """What a preset of `adaptive_scaling` sets."""

    target: float
    momentum: float
    min_scale: float
    max_scale: float


SCALING_PRESETS: Final = {
    "wide": ScalingSettings(1.0, 0.9, 1e-6, 1e6),
    "balanced": ScalingSettings(1.0, 0.9, 0.1, 10.0),
    "conservative": ScalingSettings(0.5, 0.95, 0.2, 5.0),
    "aggressive": ScalingSettings(2.0, 0.8, 0.05, 20.0),
    "off": ScalingSettings(1.0, 0.9, 1.0, 1.0),
}
"""`wide` tells norms of any usual size apart; the next three are the method's authors'. `off` holds every
scale at 1, so that the base weights are left."""


class AdaptiveScaling(WeightedMethod):
    """Base weights, scaled towards a common gradient norm within bounds, and normalised to sum 1."""

    kind: Literal["adaptive_scaling"]
    preset: Literal["wide", "balanced", "conservative", "aggressive", "off"] = "wide"
    """Target, momentum and bounds at once: 1, 0.9, 1e-6 to 1e6 (`wide`); and as its authors set them: 1, 0.9,
    0.1 to 10 (`balanced`); 0.5, 0.95, 0.2 to 5 (`conservative`); 2, 0.8, 0.05 to 20 (`aggressive`). `off`:
    the base weights alone."""
    mode: Literal["preserve_importance", "equalise"] = "preserve_importance"
    """Ratio of the weighted gradient norms: that of the base weights, or 1 : 1."""
    target: PositiveFloat | None = None
    """Gradient norm that a scale of 1 stands for; null: the preset's. Norms from target/max_scale to
    target/min_scale are told apart; all beyond count as one, so it must not lie far from the run's norms."""
    momentum: Momentum | None = None
    """Of the average of each task's gradient norm; null: the preset's."""
    min_scale: PositiveFloat | None = None
    """Smallest scale; null: the preset's."""
    max_scale: PositiveFloat | None = None
    """Largest scale; null: the preset's."""
    warmup_steps: NonNegativeInt = 0
    """Steps of a task before its weight moves; its authors': 100."""
    layer: Space = "all_shared"
    """Where gradient norms are taken."""

    @property
    def settings(self) -> ScalingSettings:
        """The preset's settings, with those that are given in their place."""
        preset = SCALING_PRESETS[self.preset]
        given = {name: getattr(self, name) for name in preset._fields}
        return preset._replace(**{name: value for name, value in given.items() if value is not None})

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        settings = self.settings
        if self.preset == "off":
            for name in ("mode", *settings._fields):
                if getattr(self, name) != type(self).model_fields[name].default:
                    yield Misfit((name,), f"`{name}` changes nothing with `preset: off`")
        elif settings.min_scale > settings.max_scale:
            name = "max_scale" if self.min_scale is None else "min_scale"
            text = f"`min_scale` ({settings.min_scale:g}) is above `max_scale` ({settings.max_scale:g})"
            yield Misfit((name,), text)


NormMethod = GradNorm | Encodec | AdaptiveScaling


class DBMTL(AdaptiveMethod):
    """Dual balancing: logarithms of the losses, and gradients as long as the longest (Lin et al., 2023)."""

    kind: Literal["db_mtl"]
    momentum: Momentum = 0.9
    """Of the average of each task's gradient norm; 0: this step's alone."""
    layer: Space = "all_shared"
    """Where gradient norms are taken; all shared parameters as in the paper."""


ComposedMethod = DBMTL
"""A method that is several in a row."""
