"""From a recipe's `balancer:` to the methods that carry it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Balancer
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.recipes import balancers as recipes


def build(methods: Sequence[recipes.Method], tasks: tuple[str, ...]) -> Chain:
    """Return the chain that a recipe describes; what it gives by task name goes into the order of `tasks`."""
    return Chain(tuple(_method(method, tasks) for method in methods))


def _method(recipe: recipes.Method, tasks: tuple[str, ...]) -> Balancer:
    if isinstance(recipe, recipes.FixedMethod):
        return _fixed(recipe, tasks)
    if isinstance(recipe, recipes.LossMethod):
        return _by_losses(recipe, tasks)
    if isinstance(recipe, recipes.NormMethod):
        return _by_norms(recipe, tasks)
    return _by_gramian(recipe, tasks)


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
        case _:
            assert_never(recipe)


def _by_norms(recipe: recipes.NormMethod, tasks: tuple[str, ...]) -> Balancer:
    match recipe:
        case recipes.GradNorm():
            return _gradnorm(recipe, tasks)
        case _:
            assert_never(recipe)


def _by_gramian(recipe: recipes.GramianMethod, tasks: tuple[str, ...]) -> Balancer:
    match recipe:
        case recipes.PCGrad():
            return PCGrad(recipe.reduction)
        case recipes.CAGrad():
            return CAGrad(recipe.c, recipe.rescale)
        case _:
            assert_never(recipe)


def _gradnorm(recipe: recipes.GradNorm, tasks: tuple[str, ...]) -> GradNorm:
    known = recipe.theoretical_losses
    return GradNorm(
        alpha=recipe.alpha,
        lr=recipe.lr,
        window=1 if recipe.initial_loss == "first_batch" else recipe.initial_window,
        initial_losses=None if known is None else _in_order(known, tasks),
        floor=recipe.weight_floor,
        space=recipe.layer,
    )


def _in_order(values: Mapping[str, float], tasks: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(values[task] for task in tasks)
