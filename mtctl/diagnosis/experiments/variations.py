"""Changes of a recipe: counterfactuals that tell causes apart, and remedies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from mtctl.balancing.fixed import Manual
from mtctl.balancing.running_mean import RunningMean
from mtctl.diagnosis.report import Remedy
from mtctl.diagnosis.thresholds import (
    FAST,
    FEW_WINDOWS,
    HEAD_LR,
    HEART_LR,
)
from mtctl.problems.changes import Changes
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.resolved import text

OUTPUTS: Final = {"type": 3, "ptr": 2, "binary": 105, "countdown": 105}
"""Elements of each head's output, as the documented fixes count them."""
_RAW: Final = {"balancer": {"kind": "equal"}}
_NO_DROPOUT: Final = {"model.dropout": 0.0, "model.head_dropout": 0.0}


def without(recipe: WindowsRecipe, tasks: Collection[str]) -> WindowsRecipe:
    """Return a recipe in which some tasks are not trained, and no setting speaks of them."""
    told = recipe.model_dump(mode="json")
    told["problem"]["tasks"] = [task for task in recipe.problem.tasks if task not in tasks]
    return type(recipe).model_validate({**told, "balancer": _left_out(told["balancer"], tasks)})


def _left_out(value: Any, names: Collection[str]) -> Any:
    """Return nested settings without the entries of these names."""
    if isinstance(value, dict):
        return {key: _left_out(one, names) for key, one in value.items() if key not in names}
    return [_left_out(one, names) for one in value] if isinstance(value, list) else value


# ----- counterfactuals


def alone(task: str) -> Changes:
    """Train one task without the others; its heads, data and initial weights stay as they are."""
    return {"problem.tasks": [task], **_RAW}


def standardised(recipe: WindowsRecipe, *tasks: str) -> Changes:
    """Let heads start at the best constant and answer in units of their target's standard deviation."""
    return {"model.standardise": list(dict.fromkeys([*recipe.model.standardise, *tasks]))}


def equalised(length: float = 1.0) -> Changes:
    """Give every task the same share of the trunk's gradient: weights 1/‖∇Lᵢ‖, averaged over some ten steps.

    Lengths change slowly, and measuring them costs a pass for each task: every third step is looked at.

    Args:
        length: the sum of the shares' lengths; it matters to SGD only.
    """
    settings = {"layer": "all_shared", "momentum": 0.7, "every": 3, "total_norm": length}
    return {"balancer": {"kind": "encodec", **settings}}


def learning_rate(recipe: WindowsRecipe, factor: float) -> Changes:
    """Change all learning rates by a factor."""
    return {"training.lr": recipe.training.lr * factor}


def summed(recipe: WindowsRecipe, task: str) -> Changes:
    """Sum one task's loss over its outputs instead of taking their mean."""
    given = recipe.training.loss_factor.get(task, 1.0)
    return {"training.loss_factor": {task: OUTPUTS[task] * given}}


def pampered(recipe: WindowsRecipe, task: str) -> Changes:
    """Do everything for one task: alone, standardised, no dropout, Adam at a rate of its own, clipped."""
    return {
        **alone(task),
        **standardised(recipe, task),
        **_NO_DROPOUT,
        "training.optimizer": "adam",
        "training.lr": HEART_LR,
        "training.head_lr": {task: 1.0},
        "training.gradient_clip": 1.0,
    }


def by_heart(recipe: WindowsRecipe, task: str) -> Changes:
    """Learn a few windows by heart, with everything done for it."""
    return {
        **pampered(recipe, task),
        "problem.limit": FEW_WINDOWS,
        "training.batch_size": FEW_WINDOWS,
        "training.gradient_clip": None,
    }


# ----- remedies


def remedies(recipe: WindowsRecipe, task: str) -> list[Remedy]:
    """Return the changes that may help a stuck task: the documented fixes first, then ours.

    A remedy that would leave the recipe as it is is left out.
    """
    weights = base_weights(recipe)
    sizes = {one: OUTPUTS[one] for one in recipe.problem.tasks}
    sqrt_d = {"kind": "running_mean", "base_weights": weights, "size_exponent": 0.5, "sizes": sizes}
    everything = standardised(recipe, *recipe.problem.tasks)
    fast = {"training.lr": FAST * recipe.training.lr, "training.gradient_clip": 1.0}
    found = [
        _remedy("uncertainty", "uncertainty weighting", _balanced("uncertainty"), "fix 1"),
        _remedy("running_mean_sqrt_d", "running mean × √d", {"balancer": sqrt_d}, "fix 2"),
        _remedy("scalar_countdown", "scalar countdown", {"model.countdown": "scalar"}, "fix 3", model=True),
        _remedy("batch_scale", "batch scale, detached", _balanced("batch_scale"), "fix 4"),
        _remedy("manual", "manual weights", _manual(recipe, task, weights), "fix 5"),
        _remedy("raw", "raw losses, weights 1", _RAW),
        _remedy("standardise", f"standardised {task} head", standardised(recipe, task)),
        _remedy("head_lr", f"{task} head × {HEAD_LR:g} learning rate", {"training.head_lr": {task: HEAD_LR}}),
        _remedy(
            "standardise_raw",
            f"standardised {task} head, raw losses",
            {**standardised(recipe, task), **_RAW},
        ),
        _remedy("standardise_all_raw", "all heads standardised, raw losses", {**everything, **_RAW}),
        _remedy(
            "standardise_all_fast",
            "all heads standardised, raw losses, no dropout, clipped and faster",
            {**everything, **_RAW, **_NO_DROPOUT, **fast},
        ),
    ]
    return [one for one in found if _applies(one, task) and recipe.revised(one.changes) != recipe]


def _remedy(name: str, title: str, changes: Changes, documented: str = "", *, model: bool = False) -> Remedy:
    return Remedy(name, title, overrides(changes), documented, model, changes)


def overrides(changes: Changes) -> tuple[str, ...]:
    """Return changes as the arguments of `-o` that a user would type."""
    return tuple(f"{key}={text(value)}" for key, value in changes.items())


def _applies(remedy: Remedy, task: str) -> bool:
    return task == "countdown" or remedy.name != "scalar_countdown"


def base_weights(recipe: WindowsRecipe) -> dict[str, float]:
    """Return the weights that a recipe gives by hand, 1 each where it gives none."""
    for method in recipe.chain:
        if isinstance(method, Manual):
            return dict(method.weights)
        if isinstance(method, RunningMean) and method.base_weights is not None:
            return dict(method.base_weights)
    return dict.fromkeys(recipe.problem.tasks, 1.0)


def _manual(recipe: WindowsRecipe, task: str, weights: Mapping[str, float]) -> Changes:
    """Double the stuck task's weight at the largest's cost: 0.60 / 0.20 for the documented 0.70 / 0.10."""
    largest = max((one for one in weights if one != task), key=lambda one: weights[one], default=task)
    given = weights[task]
    moved = min(given, weights[largest] / 2) if largest != task else 0.0
    revised = {
        **weights,
        largest: round(weights[largest] - moved, 6),
        task: round(given + max(moved, given), 6),
    }
    if isinstance(recipe.chain[0], RunningMean) and len(recipe.chain) == 1:
        return _balanced("running_mean", base_weights=revised)
    return _balanced("manual", weights=revised)


def _balanced(kind: str, **settings: Any) -> Changes:
    return {"balancer": {"kind": kind, **settings}}
