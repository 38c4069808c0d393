"""All balancing methods: what may stand under `balancer:` in a recipe. They stand by what they look at."""

from __future__ import annotations

from typing import Annotated, Final, get_args

from pydantic import Discriminator, Field, Tag

from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.aligned_mtl import AlignedMTL
from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.config import ConFIG
from mtctl.balancing.contract import Method
from mtctl.balancing.db_mtl import DBMTL
from mtctl.balancing.dualproj import DualProj
from mtctl.balancing.dwa import DWA
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.fairgrad import FairGrad
from mtctl.balancing.famo import FAMO
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gls import GLS
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.gradvac import GradVac
from mtctl.balancing.imtl_g import IMTLG
from mtctl.balancing.imtl_l import IMTLL
from mtctl.balancing.log_loss import LogLoss
from mtctl.balancing.mgda import MGDA
from mtctl.balancing.nash_mtl import NashMTL
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.rlw import RLW
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.stch import STCH
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.balancing.upgrad import UPGrad

AnyMethod = (
    Equal
    | Manual
    | Uncertainty
    | RunningMean
    | BatchScale
    | DWA
    | RLW
    | GLS
    | LogLoss
    | IMTLL
    | STCH
    | FAMO
    | GradNorm
    | Encodec
    | AdaptiveScaling
    | PCGrad
    | CAGrad
    | MGDA
    | GradVac
    | IMTLG
    | NashMTL
    | FairGrad
    | AlignedMTL
    | UPGrad
    | DualProj
    | ConFIG
    | DBMTL
)

KINDS: Final[dict[str, type[Method]]] = {
    method.model_fields["kind"].default: method for method in get_args(AnyMethod)
}
"""The methods by their kind."""

_One = Annotated[AnyMethod, Field(discriminator="kind")]
_Chain = Annotated[tuple[_One, ...], Field(min_length=1, strict=False)]


def _one_or_chain(value: object) -> str:
    return "chain" if isinstance(value, list | tuple) else "one"


MethodOrChain = Annotated[
    Annotated[_One, Tag("one")] | Annotated[_Chain, Tag("chain")], Discriminator(_one_or_chain)
]
"""One method, or a chain of them: each sees losses and gradients as the ones before have weighted them."""
