"""Hybrid actions as a kind of problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mtctl.problems.hybrid.score import FIGURES, SCORE
from mtctl.problems.kind import Kind

if TYPE_CHECKING:
    from mtctl.problems.hybrid.problem import Hybrid
    from mtctl.problems.hybrid.recipe import HybridRecipe
    from mtctl.problems.playing import Playing


def _recipe() -> type[HybridRecipe]:
    from mtctl.problems.hybrid.recipe import HybridRecipe  # noqa: PLC0415 - for those who read recipes

    return HybridRecipe


def _playing() -> Playing[HybridRecipe]:
    from mtctl.problems.hybrid.alternatives import PLAYING  # noqa: PLC0415 - for those who diagnose

    return PLAYING


def _build(recipe: HybridRecipe, seed: int) -> Hybrid:
    from mtctl.problems.device import device_of  # noqa: PLC0415 - torch is for what is trained
    from mtctl.problems.hybrid.problem import Hybrid  # noqa: PLC0415

    return Hybrid(
        recipe.problem, recipe.agent, seed, recipe.evaluation.actions, device_of(recipe.training.device)
    )


HYBRID: Final = Kind(
    name="hybrid",
    title="hybrid actions",
    load_recipe=_recipe,
    build=_build,
    unit="iteration",
    item="episode",
    score=SCORE,
    figures=FIGURES,
    steps_per_unit=(4096, 4096),
    glance=20,
    playing=_playing,
    no_stack="the losses of several policies are not computed side by side yet",
)
