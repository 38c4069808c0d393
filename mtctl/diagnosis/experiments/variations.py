"""A recipe with one thing changed, as `-o` arguments: counterfactuals that tell causes apart; remedies."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from mtctl.diagnosis.report import Remedy
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.balancers import Equal, Manual, RunningMean
from mtctl.recipes.loading import revise

OUTPUTS: Final = {"type": 3, "ptr": 2, "binary": 105, "countdown": 105}
"""Elements of each head's output, as the documented fixes count them."""
FAST: Final = 5.0
"""Factor on the learning rate that standardised heads and a clipped gradient bear: `windows_fixed`'s."""
FEW_WINDOWS: Final = 16
"""What any head that works can learn by heart."""
HEART_LR: Final = 5e-3
"""Learning rate at which they are learned: it must not depend on the recipe's, which may be what is wrong."""
HEAD_LR: Final = 20.0
"""Factor on a head's learning rate that moves its output as far as dividing a target of ±20 by 20."""


def varied(recipe: WindowsRecipe, overrides: Sequence[str]) -> WindowsRecipe:
    """Return a recipe with overrides applied."""
    found = revise(recipe, overrides)
    assert isinstance(found, WindowsRecipe)
    return found


def without(recipe: WindowsRecipe, tasks: Collection[str]) -> WindowsRecipe:
    """Return a recipe in which some tasks are not trained, and no setting speaks of them."""
    told = recipe.model_dump(mode="json")
    told["problem"]["tasks"] = [task for task in recipe.problem.tasks if task not in tasks]
    return WindowsRecipe.model_validate({**told, "balancer": _left_out(told["balancer"], tasks)})


def _left_out(value: Any, names: Collection[str]) -> Any:
    """Return nested settings without the entries of these names."""
    if isinstance(value, dict):
        return {key: _left_out(one, names) for key, one in value.items() if key not in names}
    return [_left_out(one, names) for one in value] if isinstance(value, list) else value


# ----- counterfactuals


def alone(task: str) -> list[str]:
    """Train one task without the others; its heads, data and initial weights stay as they are."""
    return [f"problem.tasks=[{task}]", "balancer={kind: equal}"]


def standardised(recipe: WindowsRecipe, *tasks: str) -> list[str]:
    """Let heads start at the best constant and answer in units of their target's standard deviation."""
    wanted = list(dict.fromkeys([*recipe.model.standardise, *tasks]))
    return [f"model.standardise={_flow(wanted)}"]


def equalised(length: float = 1.0) -> list[str]:
    """Give every task the same share of the trunk's gradient: weights 1/‖∇Lᵢ‖, averaged over some ten steps.

    Lengths change slowly, and measuring them costs a pass for each task: every third step is looked at.

    Args:
        length: the sum of the shares' lengths; it matters to SGD only.
    """
    settings = f"layer: all_shared, momentum: 0.7, every: 3, total_norm: {length!r}"
    return [f"balancer={{kind: encodec, {settings}}}"]


def learning_rate(recipe: WindowsRecipe, factor: float) -> list[str]:
    """Change all learning rates by a factor."""
    return [f"training.lr={recipe.training.lr * factor!r}"]


def summed(recipe: WindowsRecipe, task: str) -> list[str]:
    """Sum one task's loss over its outputs instead of taking their mean."""
    faults = [fault.model_dump(mode="json") for fault in recipe.problem.faults]
    factor = {"kind": "scaled_loss", "task": task, "factor": float(OUTPUTS[task])}
    return [f"problem.faults={_flow([*faults, factor])}"]


def pampered(recipe: WindowsRecipe, task: str) -> list[str]:
    """Do everything for one task: alone, standardised, no dropout, Adam at a rate of its own, clipped."""
    return [
        *alone(task),
        *standardised(recipe, task),
        "training.optimizer=adam",
        f"training.lr={HEART_LR!r}",
        f"training.head_lr={{{task}: 1.0}}",
        "training.gradient_clip=1.0",
        "model.dropout=0.0",
        "model.head_dropout=0.0",
    ]


def by_heart(recipe: WindowsRecipe, task: str) -> list[str]:
    """Learn a few windows by heart, with everything done for it."""
    few = [f"problem.limit={FEW_WINDOWS}", f"training.batch_size={FEW_WINDOWS}"]
    return [*pampered(recipe, task), *few, "training.gradient_clip=null"]


# ----- remedies


def remedies(recipe: WindowsRecipe, task: str) -> list[Remedy]:
    """Return the changes that may help a stuck task: the documented fixes first, then ours.

    A remedy that would leave the recipe as it is is left out.
    """
    weights = base_weights(recipe)
    sizes = {one: OUTPUTS[one] for one in recipe.problem.tasks}
    every = recipe.problem.tasks
    found = [
        Remedy("uncertainty", "uncertainty weighting", ("balancer={kind: uncertainty}",), "fix 1"),
        Remedy(
            "running_mean_sqrt_d",
            "running mean × √d",
            (
                "balancer={kind: running_mean, base_weights: "
                f"{_flow(weights)}, size_exponent: 0.5, sizes: {_flow(sizes)}}}",
            ),
            "fix 2",
        ),
        Remedy(
            "scalar_countdown", "scalar countdown", ("model.countdown=scalar",), "fix 3", changes_model=True
        ),
        Remedy("batch_scale", "batch scale, detached", ("balancer={kind: batch_scale}",), "fix 4"),
        Remedy("manual", "manual weights", (_manual(recipe, task, weights),), "fix 5"),
        Remedy("raw", "raw losses, weights 1", ("balancer={kind: equal}",)),
        Remedy("standardise", f"standardised {task} head", tuple(standardised(recipe, task))),
        Remedy(
            "head_lr",
            f"{task} head × {HEAD_LR:g} learning rate",
            (f"training.head_lr={{{task}: {HEAD_LR!r}}}",),
        ),
        Remedy(
            "standardise_raw",
            f"standardised {task} head, raw losses",
            (*standardised(recipe, task), "balancer={kind: equal}"),
        ),
        Remedy(
            "standardise_all_raw",
            "all heads standardised, raw losses",
            (*standardised(recipe, *every), "balancer={kind: equal}"),
        ),
        Remedy(
            "standardise_all_fast",
            "all heads standardised, raw losses, no dropout, clipped and faster",
            (
                *standardised(recipe, *every),
                "balancer={kind: equal}",
                "model.dropout=0.0",
                "model.head_dropout=0.0",
                f"training.lr={FAST * recipe.training.lr!r}",
                "training.gradient_clip=1.0",
            ),
        ),
    ]
    return [one for one in found if _applies(one, task) and varied(recipe, one.overrides) != recipe]


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


def _manual(recipe: WindowsRecipe, task: str, weights: dict[str, float]) -> str:
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
        return f"balancer={{kind: running_mean, base_weights: {_flow(revised)}}}"
    return f"balancer={{kind: manual, weights: {_flow(revised)}}}"


def is_plain(recipe: WindowsRecipe) -> bool:
    """Say whether the losses are summed as they are."""
    return all(isinstance(method, Equal) for method in recipe.chain)


def _flow(value: object) -> str:
    """Write a list or mapping on one line, as YAML reads it."""
    return json.dumps(value).replace('"', "")
