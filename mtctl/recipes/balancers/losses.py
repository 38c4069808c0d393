"""Methods that look at losses alone."""

from __future__ import annotations

from typing import Literal

from mtctl.recipes.balancers.method import AdaptiveMethod
from mtctl.recipes.base import FiniteFloat, PositiveFloat


class Uncertainty(AdaptiveMethod):
    """Homoscedastic uncertainty: Σ ½·e^(−s)·L + ½·s with learned s = log σ² (Kendall et al., 2018)."""

    kind: Literal["uncertainty"]
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    initial_log_variance: FiniteFloat = 0.0


LossMethod = Uncertainty
