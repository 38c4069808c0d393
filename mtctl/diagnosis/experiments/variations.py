"""Lists of interventions: counterfactuals that tell causes apart, and remedies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtctl.balancing.fixed import Manual
from mtctl.balancing.running_mean import RunningMean
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Finding, Remedy
from mtctl.diagnosis.thresholds import (
    FAST,
    HEAD_LR,
    HEART_LR,
    OWN_FACTOR,
)
from mtctl.problems.changes import Changes
from mtctl.problems.supervised.interventions import (
    RAW,
    Adam,
    Balanced,
    Clipped,
    FewRows,
    HeadDecay,
    HeadRate,
    Intervention,
    LossFactor,
    NoDropout,
    Only,
    Rate,
    Shifted,
    Standardised,
)
from mtctl.problems.supervised.problem import Supervised
from mtctl.problems.supervised.recipe import OwnRemedy, SupervisedRecipe
from mtctl.recipes.resolved import recipe_hash, text

# ----- counterfactuals


def equalised(length: float = 1.0) -> Balanced:
    """Give every task the same share of the trunk's gradient: weights 1/‖∇Lᵢ‖, averaged over some ten steps.

    Lengths change slowly, and measuring them costs a pass for each task: every third step is looked at.

    Args:
        length: the sum of the shares' lengths; it matters to SGD only.
    """
    settings = {"layer": "all_shared", "momentum": 0.7, "every": 3, "total_norm": length}
    return Balanced("encodec", settings)


def pampered(task: str) -> tuple[Intervention, ...]:
    """Do everything for one task: alone, standardised, no dropout, Adam at a rate of its own, clipped."""
    return Only((task,)), RAW, Standardised((task,)), NoDropout(), Adam(HEART_LR), Clipped(1.0)


def shifted(task: str, rows: int) -> tuple[Intervention, ...]:
    """Do everything for one task that is asked for the targets of the rows so many places further on."""
    return *pampered(task), Shifted(task, rows)


def by_heart(task: str, rows: int) -> tuple[Intervention, ...]:
    """Learn a few rows by heart, with everything done for it."""
    return *pampered(task), FewRows(rows), Clipped(None)


# ----- remedies

_OF_ITSELF = frozenset(
    {
        Code.LEARNING_RATE,
        Code.REGULARISATION,
        Code.BUDGET_TOO_SMALL,
        Code.BELOW_POTENTIAL,
        Code.OVERFITTING,
        Code.NOISY_LABELS,
    }
)
"""Causes that lie in the task, so that remedies of this task alone are tried."""


def remedies(
    recipe: SupervisedRecipe, problem: Supervised[Any], task: str, causes: Sequence[Finding] = ()
) -> list[Remedy]:
    """Return the changes that may help a stuck task: cures of its causes, the documented fixes, then ours.

    A remedy that would leave the recipe as it is is left out, and one that comes to the same as another.

    Args:
        recipe: as is.
        problem: of the recipe.
        task: the stuck one.
        causes: with what removed them in an experiment.
    """
    cures = [_cure(finding) for finding in causes]
    candidates = [*_of_any_problem(recipe, problem, task), *recipe.own_remedies(task)]
    if any(finding.task == task and finding.code in _OF_ITSELF for finding in causes):
        candidates += _of_one_task(task)
    candidates.sort(key=lambda remedy: (not remedy.documented, remedy.documented))
    described = [
        (remedy, _effective(recipe, recipe.changes(*problem.applicable(*remedy.interventions))))
        for remedy in candidates
    ]
    usual = [
        Remedy(
            remedy.name, remedy.title, overrides(changes), remedy.documented, remedy.changes_model, changes
        )
        for remedy, changes in described
    ]
    # The usual name of a change wins over that of a cure.
    revised = {id(remedy): recipe_hash(recipe.revised(remedy.changes)) for remedy in (*usual, *cures)}
    first = {revised[id(remedy)]: remedy for remedy in reversed([*usual, *cures])}
    first.pop(recipe_hash(recipe), None)
    return [remedy for remedy in (*cures, *usual) if first.get(revised[id(remedy)]) is remedy]


def _effective(recipe: SupervisedRecipe, changes: Changes) -> Changes:
    """Return changes without those that change nothing by themselves."""
    return {key: value for key, value in changes.items() if recipe.revised({key: value}) != recipe}


def _cure(finding: Finding) -> Remedy:
    """Return what removed a cause, as a remedy."""
    name, changes = f"cure_{finding.code}".replace("-", "_"), overrides(finding.cure)
    return Remedy(name, ", ".join(changes), changes, changes=finding.cure)


def _of_any_problem(recipe: SupervisedRecipe, problem: Supervised[Any], task: str) -> Iterator[OwnRemedy]:
    weights, tasks = base_weights(recipe), recipe.problem.tasks
    sizes = {name: problem.elements(name) for name in tasks}
    sqrt_d = Balanced("running_mean", {"base_weights": weights, "size_exponent": 0.5, "sizes": sizes})
    own, everything = Standardised((task,)), Standardised(tasks)
    for name, title, interventions in (
        ("uncertainty", "uncertainty weighting", (Balanced("uncertainty"),)),
        ("running_mean_sqrt_d", "running mean × √d", (sqrt_d,)),
        ("batch_scale", "batch scale, detached", (Balanced("batch_scale"),)),
        ("manual", "manual weights", (_manual(recipe, task, weights),)),
        ("raw", "raw losses, weights 1", (RAW,)),
        ("standardise", f"standardised {task} head", (own,)),
        ("head_lr", f"{task} head × {HEAD_LR:g} learning rate", (HeadRate(task, HEAD_LR),)),
        ("standardise_raw", f"standardised {task} head, raw losses", (own, RAW)),
        ("standardise_all_raw", "all heads standardised, raw losses", (everything, RAW)),
        (
            "standardise_all_fast",
            "all heads standardised, raw losses, no dropout, clipped and faster",
            (everything, RAW, NoDropout(), Rate(FAST), Clipped(1.0)),
        ),
    ):
        yield OwnRemedy(name, title, interventions, recipe.documented.get(name, ""))


def _of_one_task(task: str) -> Iterator[OwnRemedy]:
    """Yield what changes one task alone, for a cause that is its own: its head's rate and decay, its loss."""
    for name, title, intervention in (
        ("head_lr_low", f"{task} head × {1 / HEAD_LR:g} learning rate", HeadRate(task, 1 / HEAD_LR)),
        ("head_decay", f"{task} head without weight decay", HeadDecay(task, 0.0)),
        ("loss_factor", f"{task}'s loss × {OWN_FACTOR:g}", LossFactor(task, OWN_FACTOR)),
        ("loss_factor_low", f"{task}'s loss × {1 / OWN_FACTOR:g}", LossFactor(task, 1 / OWN_FACTOR)),
    ):
        yield OwnRemedy(name, title, (intervention,))


def overrides(changes: Changes) -> tuple[str, ...]:
    """Return changes as the arguments of `-o` that a user would type."""
    return tuple(f"{key}={text(value)}" for key, value in changes.items())


def base_weights(recipe: SupervisedRecipe) -> dict[str, float]:
    """Return the weights that a recipe gives by hand, 1 each where it gives none."""
    for method in recipe.chain:
        if isinstance(method, Manual):
            return dict(method.weights)
        if isinstance(method, RunningMean) and method.base_weights is not None:
            return dict(method.base_weights)
    return dict.fromkeys(recipe.problem.tasks, 1.0)


def _manual(recipe: SupervisedRecipe, task: str, weights: Mapping[str, float]) -> Balanced:
    """Double the stuck task's weight at the largest's cost: 0.60 / 0.20 for the documented 0.70 / 0.10."""
    largest = max((name for name in weights if name != task), key=lambda name: weights[name], default=task)
    given = weights[task]
    moved = min(given, weights[largest] / 2) if largest != task else 0.0
    revised = {
        **weights,
        largest: round(weights[largest] - moved, 6),
        task: round(given + max(moved, given), 6),
    }
    if isinstance(recipe.chain[0], RunningMean) and len(recipe.chain) == 1:
        return Balanced("running_mean", {"base_weights": revised})
    return Balanced("manual", {"weights": revised})
