"""Methods that look at losses alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mtctl.part import (
    FiniteFloat,
    Misfit,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from mtctl.recipes.balancers.method import AdaptiveMethod, Momentum, WeightedMethod


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


class DWA(AdaptiveMethod):
    """Dynamic weight average: more weight to tasks whose loss falls more slowly (Liu et al., 2019)."""

    kind: Literal["dwa"]
    window: PositiveInt = 100
    """Steps whose mean loss is compared with that of the steps before; the paper's window is an epoch."""
    temperature: PositiveFloat = 2.0
    """The higher, the nearer all weights are to 1; the paper's."""


class RLW(AdaptiveMethod):
    """Weights drawn anew at each step, T·softmax of normal numbers: a control (Lin et al., 2022)."""

    kind: Literal["rlw"]


class GLS(AdaptiveMethod):
    """The geometric mean of the losses (Chennupati et al., 2019)."""

    kind: Literal["gls"]


class LogLoss(AdaptiveMethod):
    """The sum of the losses' logarithms, which does not see their scale."""

    kind: Literal["log"]
    epsilon: NonNegativeFloat = 0.0
    """Added to each loss before its logarithm."""


class IMTLL(AdaptiveMethod):
    """IMTL-L: learned scales that bring every loss to 1: Σ e^s·L − s (Liu et al., 2021)."""

    kind: Literal["imtl_l"]
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    limit: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Largest |s|: nothing else bounds it as a loss goes to 0."""


class STCH(WeightedMethod):
    """Smooth Tchebycheff scalarisation: a smooth maximum over the tasks (Lin et al., 2024)."""

    kind: Literal["stch"]
    form: Literal["log", "linear"] = "log"
    """Two objectives share the name. `linear`: the paper's, μ·log Σ exp(λ(L − z)/μ), in which scale counts.
    `log`: the authors' for networks, on log(L/N) with N the mean of a task's first losses, in which it does
    not."""
    mu: PositiveFloat = 1.0
    """Smoothness; towards 0 only the worst task trains."""
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

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        yield from super().per_task_values()
        if self.ideal is not None:
            yield "ideal", self.ideal


class FAMO(AdaptiveMethod):
    """All losses fall equally fast, by what each step did to them (Liu et al., 2023)."""

    kind: Literal["famo"]
    lr: PositiveFloat = 0.025
    """Adam's learning rate of the logits; the paper's."""
    weight_decay: NonNegativeFloat = 1e-3
    """Of the logits, towards equal shares; as in the paper's algorithm (the authors' code: 1e-5)."""
    ideal: Annotated[dict[str, FiniteFloat], Field(min_length=1)] | None = None
    """A loss that each task will not fall below, by name; null: 0 each."""
    epsilon: PositiveFloat = 1e-8
    """Added to each loss before its logarithm; the authors' code's."""

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        yield from super().per_task_values()
        if self.ideal is not None:
            yield "ideal", self.ideal


LossMethod = Uncertainty | RunningMean | BatchScale | DWA | RLW | GLS | LogLoss | IMTLL | STCH | FAMO
