"""How the tasks share one network: `balancer:` in a recipe. Methods stand by what they look at."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from mtctl.recipes.balancers.fixed import Equal, FixedMethod, Manual
from mtctl.recipes.balancers.gramian import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradVac,
    GramianMethod,
    NashMTL,
    PCGrad,
    UPGrad,
)
from mtctl.recipes.balancers.losses import (
    DWA,
    FAMO,
    GLS,
    IMTLL,
    RLW,
    STCH,
    BatchScale,
    LogLoss,
    LossMethod,
    RunningMean,
    SizedMethod,
    Uncertainty,
)
from mtctl.recipes.balancers.method import AdaptiveMethod, MethodPart, Momentum, Space, WeightedMethod
from mtctl.recipes.balancers.norms import (
    DBMTL,
    SCALING_PRESETS,
    AdaptiveScaling,
    ComposedMethod,
    Encodec,
    GradNorm,
    NormMethod,
)

Method = Annotated[
    FixedMethod | LossMethod | NormMethod | GramianMethod | ComposedMethod, Field(discriminator="kind")
]
Chain = Annotated[tuple[Method, ...], Field(min_length=1, strict=False)]


def _one_or_chain(value: object) -> str:
    return "chain" if isinstance(value, list | tuple) else "one"


Balancer = Annotated[
    Annotated[Method, Tag("one")] | Annotated[Chain, Tag("chain")], Discriminator(_one_or_chain)
]
"""One method, or a chain of them: each sees losses and gradients as the ones before have weighted them."""

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "GLS",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "SCALING_PRESETS",
    "STCH",
    "AdaptiveMethod",
    "AdaptiveScaling",
    "AlignedMTL",
    "Balancer",
    "BatchScale",
    "CAGrad",
    "Chain",
    "ComposedMethod",
    "ConFIG",
    "DualProj",
    "Encodec",
    "Equal",
    "FairGrad",
    "FixedMethod",
    "GradNorm",
    "GradVac",
    "GramianMethod",
    "LogLoss",
    "LossMethod",
    "Manual",
    "Method",
    "MethodPart",
    "Momentum",
    "NashMTL",
    "NormMethod",
    "PCGrad",
    "RunningMean",
    "SizedMethod",
    "Space",
    "UPGrad",
    "Uncertainty",
    "WeightedMethod",
]
