"""Methods that look at losses alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mtctl.recipes.balancers.method import AdaptiveMethod, Momentum, WeightedMethod
from mtctl.recipes.base import FiniteFloat, Misfit, NonNegativeInt, PositiveFloat, PositiveInt


class Uncertainty(AdaptiveMethod):
    """Homoscedastic uncertainty: Σ ½·e^(−s)·L + ½·s with learned s = log σ² (Kendall et al., 2018)."""

    kind: Literal["uncertainty"]
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    initial_log_variance: FiniteFloat = 0.0


class SizedMethod(WeightedMethod):
    """Base weights that may also count how many output elements a task has."""

    sizes: Annotated[dict[str, PositiveInt], Field(min_length=1)] | None = None
    """Output elements d of each task, by name; used with a `size_exponent` only."""
    size_exponent: FiniteFloat = 0.0
    """Each weight is multiplied by d to this power; 0.5: √d. A manual weight: the scale of the loss, and with
    it what a mean over d elements did to it, is divided out anyway."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.size_exponent and self.sizes is None:
            yield Misfit(("size_exponent",), "`size_exponent` needs `sizes`: output elements by task name")
        if self.sizes is not None and not self.size_exponent:
            yield Misfit(("sizes",), "`sizes` count with a `size_exponent` only, such as 0.5")

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        yield from super().per_task_values()
        if self.sizes is not None:
            yield "sizes", self.sizes


class RunningMean(SizedMethod):
    """Each loss divided by its own running mean."""

    kind: Literal["running_mean"]
    momentum: Momentum = 0.95
    """Of the running mean; 0.95 forgets half in 13.5 steps."""
    warmup_steps: NonNegativeInt = 10
    """Steps of a plain mean before the running one."""


class BatchScale(SizedMethod):
    """Each loss divided by a scale of this step alone, held constant."""

    kind: Literal["batch_scale"]
    form: Literal["corrected", "literal"] = "corrected"
    """`corrected`: divided by the scale. `literal`: the z-score as first proposed; it cannot train."""
    scale: Literal["own_loss", "spread"] = "own_loss"
    """The task's own loss, which balances; or the standard deviation of all tasks' losses, one factor for
    all, which only changes the length of the step."""
    epsilon: PositiveFloat = 1e-8
    """Smallest scale."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.form == "literal":
            yield Misfit(("form",), _LITERAL)


_LITERAL = (
    "`form: literal` cannot train: the z-score of a loss among the tasks' losses, taken with `.item()`, is a "
    "number without gradient, so that `.backward()` raises; with a gradient, the losses below the mean would "
    "be driven up. Use `corrected`"
)

LossMethod = Uncertainty | RunningMean | BatchScale
