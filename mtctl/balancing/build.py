"""From a recipe's `balancer:` to the methods that carry it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.aligned_mtl import AlignedMTL
from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.chain import Chain
from mtctl.balancing.config import ConFIG
from mtctl.balancing.contract import Balancer
from mtctl.balancing.db_mtl import db_mtl
from mtctl.balancing.dualproj import DualProj
from mtctl.balancing.dwa import DWA
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.every import Every
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
from mtctl.recipes import balancers as recipes


def build(methods: Sequence[recipes.Method], tasks: tuple[str, ...]) -> Chain:
    """Return the chain that a recipe describes; what it gives by task name goes into the order of `tasks`."""
    return Chain(tuple(_reused(recipe, one) for recipe in methods for one in _in_a_row(recipe, tasks)))


def _reused(recipe: recipes.Method, method: Balancer) -> Balancer:
    every = recipe.every if isinstance(recipe, recipes.AdaptiveMethod) else 1
    return method if every == 1 else Every(method, every)


def _in_a_row(recipe: recipes.Method, tasks: tuple[str, ...]) -> tuple[Balancer, ...]:
    if isinstance(recipe, recipes.ComposedMethod):
        return db_mtl(recipe.momentum, recipe.layer)
    if isinstance(recipe, recipes.FixedMethod):
        return (_fixed(recipe, tasks),)
    if isinstance(recipe, recipes.LossMethod):
        return (_by_losses(recipe, tasks),)
    if isinstance(recipe, recipes.NormMethod):
        return (_by_norms(recipe, tasks),)
    return (_by_gramian(recipe, tasks),)


def _fixed(recipe: recipes.FixedMethod, tasks: tuple[str, ...]) -> Balancer:
    match recipe:
        case recipes.Equal():
            return Equal()
        case recipes.Manual():
            return Manual(_in_order(recipe.weights, tasks))
        case _:
            assert_never(recipe)


def _by_losses(recipe: recipes.LossMethod, tasks: tuple[str, ...]) -> Balancer:
    match recipe:
        case recipes.Uncertainty():
            return Uncertainty(recipe.lr, recipe.initial_log_variance)
        case recipes.RunningMean():
            return RunningMean(recipe.momentum, recipe.warmup_steps, *_sized(recipe, tasks))
        case recipes.BatchScale():
            return BatchScale(recipe.scale, recipe.epsilon, *_sized(recipe, tasks))
        case recipes.DWA():
            return DWA(recipe.window, recipe.temperature)
        case recipes.RLW():
            return RLW()
        case recipes.GLS():
            return GLS()
        case recipes.LogLoss():
            return LogLoss(recipe.epsilon)
        case recipes.IMTLL():
            return IMTLL(recipe.lr, recipe.limit)
        case recipes.STCH():
            base, ideal = _if_given(recipe.base_weights, tasks), _if_given(recipe.ideal, tasks)
            return STCH(recipe.form, recipe.mu, base, ideal, recipe.initial_window)
        case recipes.FAMO():
            ideal = _if_given(recipe.ideal, tasks)
            return FAMO(recipe.lr, recipe.weight_decay, ideal, recipe.epsilon)
        case _:
            assert_never(recipe)


def _by_norms(recipe: recipes.NormMethod, tasks: tuple[str, ...]) -> Balancer:
    match recipe:
        case recipes.GradNorm():
            return _gradnorm(recipe, tasks)
        case recipes.Encodec():
            base = _if_given(recipe.base_weights, tasks)
            return Encodec(recipe.momentum, recipe.total_norm, base, recipe.layer)
        case recipes.AdaptiveScaling():
            base = _if_given(recipe.base_weights, tasks)
            return AdaptiveScaling(recipe.mode, *recipe.settings, recipe.warmup_steps, base, recipe.layer)
        case _:
            assert_never(recipe)


def _by_gramian(recipe: recipes.GramianMethod, tasks: tuple[str, ...]) -> Balancer:
    layer = recipe.layer
    match recipe:
        case recipes.PCGrad():
            return PCGrad(recipe.reduction, layer)
        case recipes.CAGrad():
            return CAGrad(recipe.c, recipe.rescale, layer)
        case recipes.MGDA():
            return MGDA(layer)
        case recipes.GradVac():
            return GradVac(recipe.beta, layer)
        case recipes.IMTLG():
            return IMTLG(layer)
        case recipes.NashMTL():
            return NashMTL(recipe.max_norm, layer)
        case recipes.FairGrad():
            return FairGrad(recipe.alpha, layer)
        case recipes.AlignedMTL():
            return AlignedMTL(recipe.reduction, layer)
        case recipes.UPGrad():
            return UPGrad(recipe.reduction, layer)
        case recipes.DualProj():
            return DualProj(recipe.reduction, layer)
        case recipes.ConFIG():
            return ConFIG(layer)
        case _:
            assert_never(recipe)


def _gradnorm(recipe: recipes.GradNorm, tasks: tuple[str, ...]) -> GradNorm:
    return GradNorm(
        alpha=recipe.alpha,
        lr=recipe.lr,
        window=1 if recipe.initial_loss == "first_batch" else recipe.initial_window,
        initial_losses=_if_given(recipe.theoretical_losses, tasks),
        floor=recipe.weight_floor,
        space=recipe.layer,
    )


def _sized(
    recipe: recipes.SizedMethod, tasks: tuple[str, ...]
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, float]:
    """Return base weights, sizes and their exponent."""
    return _if_given(recipe.base_weights, tasks), _if_given(recipe.sizes, tasks), recipe.size_exponent


def _if_given(values: Mapping[str, float] | None, tasks: tuple[str, ...]) -> tuple[float, ...] | None:
    return None if values is None else _in_order(values, tasks)


def _in_order(values: Mapping[str, float], tasks: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(values[task] for task in tasks)
