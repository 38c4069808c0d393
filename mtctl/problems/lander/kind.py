"""The lander as a kind of problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mtctl.problems.kind import Kind
from mtctl.problems.lander.published import STUDY
from mtctl.problems.lander.tasks import FIGURES, SCORE, TASKS

if TYPE_CHECKING:
    from mtctl.problems.lander.problem import Lander
    from mtctl.problems.lander.recipe import LanderRecipe
    from mtctl.problems.playing import Playing


def _recipe() -> type[LanderRecipe]:
    from mtctl.problems.lander.recipe import LanderRecipe  # noqa: PLC0415 - for those who read recipes

    return LanderRecipe


def _playing() -> Playing[LanderRecipe]:
    from mtctl.problems.lander.alternatives import PLAYING  # noqa: PLC0415 - for those who diagnose

    return PLAYING


def _build(recipe: LanderRecipe, seed: int) -> Lander:
    from mtctl.problems.lander.problem import Lander  # noqa: PLC0415 - Box2D is for lander recipes only

    evaluation = recipe.evaluation
    averaging = evaluation.averaging if evaluation.policy == "averaged" else None
    return Lander(recipe.problem, recipe.agent, seed, averaging=averaging)


LANDER: Final = Kind(
    name="lander",
    title="the lander",
    load_recipe=_recipe,
    build=_build,
    unit="episode",
    item="episode",
    score=SCORE,
    figures=FIGURES,
    # About 95 at first, and 150 to 450 once the lander learns: 420 over the published runs.
    steps_per_unit=(150, 450),
    glance=60,  # about a minute of all tasks
    playing=_playing,
    no_stack="its episodes are played in Box2D, world by world, which takes most of its time",
    without_success={
        name: "cannot reward a landing: its wind also pushes a landed hull, and only a hull at rest gets +100"
        for name, task in TASKS.items()
        if task.hull_noise
    },
    published=STUDY,
)
