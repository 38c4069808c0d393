"""Methods that look at the tasks' gradients and at the angles between them."""

from __future__ import annotations

from typing import Literal

from mtctl.part import Fraction, NonNegativeFloat, PositiveFloat
from mtctl.recipes.balancers.method import AdaptiveMethod, Space

Reduction = Literal["sum", "mean"]
"""How the tasks' parts of an update are put together."""


class GradientMethod(AdaptiveMethod):
    """A method on inner products of the tasks' gradients."""

    layer: Space = "all_shared"
    """Where they are measured: all shared parameters as in the papers, the last shared layer's, or what the
    heads read (`features`), which takes no backward pass of single tasks through the shared parameters."""


class PCGrad(GradientMethod):
    """Projects conflicting gradients onto each other's normal plane (Yu et al., 2020)."""

    kind: Literal["pcgrad"]
    reduction: Reduction = "sum"
    """How projected gradients are combined: `sum` as in the paper, `mean` as in the published study."""


class CAGrad(GradientMethod):
    """Conflict-averse gradient: the best worst-task improvement near the mean gradient (Liu et al., 2021)."""

    kind: Literal["cagrad"]
    c: NonNegativeFloat = 0.5
    """Radius of the search around the mean gradient g₀, in units of ‖g₀‖; 0 is the mean itself."""
    rescale: bool = False
    """Divide by 1 + c² (LibMTL's default form); off: the paper's equation."""


class MGDA(GradientMethod):
    """The shortest vector in the convex hull of the gradients, solved exactly (Sener & Koltun, 2018)."""

    kind: Literal["mgda"]


class GradVac(GradientMethod):
    """Gradient surgery towards the angles that tasks usually have (Wang et al., 2021)."""

    kind: Literal["gradvac"]
    beta: Fraction = 0.01
    """What the moving average of the cosines takes from each step; the paper's value (libraries: 0.5)."""


class IMTLG(GradientMethod):
    """The update with equal projections on all gradients (Liu et al., 2021); weights may be negative."""

    kind: Literal["imtl_g"]


class NashMTL(GradientMethod):
    """Nash's bargaining solution between the tasks, solved exactly (Navon et al., 2022)."""

    kind: Literal["nash_mtl"]
    max_norm: PositiveFloat | None = None
    """Shorten the update to this length, as the official code does (1); null: ‖d‖ = √T, as in the paper."""


class FairGrad(GradientMethod):
    """The update that is α-fair to the tasks' improvements (Ban & Ji, 2024)."""

    kind: Literal["fairgrad"]
    alpha: PositiveFloat = 1.0
    """α: 1 is Nash-MTL; towards 0 the plain sum, towards infinity the best worst case."""


class AlignedMTL(GradientMethod):
    """Gradients made orthogonal and equally long before they are added (Senushkin et al., 2023)."""

    kind: Literal["aligned_mtl"]
    reduction: Reduction = "mean"
    """`mean` of the aligned gradients as in the paper, or their `sum`."""


class UPGrad(GradientMethod):
    """Each gradient moved until it conflicts with no task, then combined (Quinton & Rey, 2024)."""

    kind: Literal["upgrad"]
    reduction: Reduction = "mean"
    """`mean` of the projected gradients as in the paper, or their `sum`."""


class DualProj(GradientMethod):
    """The mean gradient, moved until it conflicts with no task (Lopez-Paz & Ranzato, 2017)."""

    kind: Literal["dualproj"]
    reduction: Reduction = "mean"
    """What is moved: the `mean` of the gradients, or their `sum`."""


class ConFIG(GradientMethod):
    """The direction with equal angles to all gradients (Liu et al., 2025); weights may be negative."""

    kind: Literal["config"]


GramianMethod = (
    PCGrad | CAGrad | MGDA | GradVac | IMTLG | NashMTL | FairGrad | AlignedMTL | UPGrad | DualProj | ConFIG
)
