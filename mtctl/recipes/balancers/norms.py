"""Methods that look at the lengths of the tasks' gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mtctl.recipes.balancers.method import AdaptiveMethod, Momentum, Space, WeightedMethod
from mtctl.recipes.base import Misfit, NonNegativeFloat, PositiveFloat, PositiveInt


class GradNorm(AdaptiveMethod):
    """Weights that equalise training rates through gradient norms (Chen et al., 2018)."""

    kind: Literal["gradnorm"]
    alpha: NonNegativeFloat = 1.5
    """Strength of the pull towards tasks that lag; 0 equalises all gradient norms (it is NOT "off")."""
    lr: PositiveFloat = 0.01
    """Adam's learning rate of the log-weights."""
    initial_loss: Literal["mean_of_first", "first_batch", "theoretical"] = "mean_of_first"
    """What L(0) is. One minibatch with one crash in it can fix the weights for a whole run, so the default is
    a mean."""
    initial_window: PositiveInt = 200
    """Updates that `mean_of_first` averages; weights stay at 1 until then."""
    theoretical_losses: dict[str, PositiveFloat] | None = None
    """L(0) by task, for `theoretical`."""
    weight_floor: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Smallest weight (the mean weight is 1), so that no task is switched off; 0: none."""
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


NormMethod = GradNorm | Encodec
