"""How the tasks share one network: `balancer:` in a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from mtctl.recipes.base import FiniteFloat, Misfit, NonNegativeFloat, Part, PositiveFloat, PositiveInt

Space = Literal["last_shared", "all_shared"]


class Equal(Part):
    """Every task's loss has weight 1: the plain sum."""

    kind: Literal["equal"]


class Manual(Part):
    """Fixed weights, given by task name."""

    kind: Literal["manual"]
    weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)]
    """Weight of each task; 0 trains on without it."""

    def misfits(self) -> Iterator[Misfit]:
        if not any(self.weights.values()):
            yield Misfit(("weights",), "every weight is 0, so that nothing would be learned")


class Uncertainty(Part):
    """Homoscedastic uncertainty: Σ ½·e^(−s)·L + ½·s with learned s = log σ² (Kendall et al., 2018)."""

    kind: Literal["uncertainty"]
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    initial_log_variance: FiniteFloat = 0.0


class GradNorm(Part):
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


class PCGrad(Part):
    """Projects conflicting gradients onto each other's normal plane (Yu et al., 2020)."""

    kind: Literal["pcgrad"]
    reduction: Literal["sum", "mean"] = "sum"
    """How projected gradients are combined: `sum` as in the paper, `mean` as in the published study."""


class CAGrad(Part):
    """Conflict-averse gradient: the best worst-task improvement near the mean gradient (Liu et al., 2021)."""

    kind: Literal["cagrad"]
    c: NonNegativeFloat = 0.5
    """Radius of the search around the mean gradient g₀, in units of ‖g₀‖; 0 is the mean itself."""
    rescale: bool = False
    """Divide by 1 + c² (LibMTL's default form); off: the paper's equation."""


Method = Annotated[Equal | Manual | Uncertainty | GradNorm | PCGrad | CAGrad, Field(discriminator="kind")]
Chain = Annotated[tuple[Method, ...], Field(min_length=1, strict=False)]


def _one_or_chain(value: object) -> str:
    return "chain" if isinstance(value, list | tuple) else "one"


Balancer = Annotated[
    Annotated[Method, Tag("one")] | Annotated[Chain, Tag("chain")], Discriminator(_one_or_chain)
]
"""One method, or a chain of them: each sees losses and gradients as the ones before have weighted them."""
