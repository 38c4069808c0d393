"""Methods that look at the tasks' gradients and at the angles between them."""

from __future__ import annotations

from typing import Literal

from mtctl.recipes.balancers.method import AdaptiveMethod
from mtctl.recipes.base import NonNegativeFloat


class PCGrad(AdaptiveMethod):
    """Projects conflicting gradients onto each other's normal plane (Yu et al., 2020)."""

    kind: Literal["pcgrad"]
    reduction: Literal["sum", "mean"] = "sum"
    """How projected gradients are combined: `sum` as in the paper, `mean` as in the published study."""


class CAGrad(AdaptiveMethod):
    """Conflict-averse gradient: the best worst-task improvement near the mean gradient (Liu et al., 2021)."""

    kind: Literal["cagrad"]
    c: NonNegativeFloat = 0.5
    """Radius of the search around the mean gradient g₀, in units of ‖g₀‖; 0 is the mean itself."""
    rescale: bool = False
    """Divide by 1 + c² (LibMTL's default form); off: the paper's equation."""


GramianMethod = PCGrad | CAGrad
