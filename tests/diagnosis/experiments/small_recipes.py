"""Windows recipes that are small enough to be diagnosed in a test, and courses made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtctl.diagnosis.experiments.course import Course, Point
from mtctl.problems.windows.recipe import WindowsRecipe
from tests.recipes.samples import revise

_SMALL = WindowsRecipe.model_validate(
    {
        "name": "small",
        "problem": {
            "kind": "windows",
            "data": {"kind": "synthetic", "windows": 32, "validation": 24, "held_out": 24},
        },
        "model": {
            "kind": "bilstm",
            "hidden": 6,
            "projection": 6,
            "dropout": 0.0,
            "head_dropout": 0.0,
            "standardise": ["type", "ptr", "binary", "countdown"],
        },
        "training": {"epochs": 2, "optimizer": "adam", "lr": 1e-2, "batch_size": 16},
        "balancer": {"kind": "equal"},
    }
)


def small(*overrides: str) -> WindowsRecipe:
    """Return a recipe of two epochs of two updates."""
    recipe = revise(_SMALL, overrides)
    assert isinstance(recipe, WindowsRecipe)
    return recipe


def course(recipe: WindowsRecipe | None = None, **skills: Sequence[float]) -> Course:
    """Return a course whose tasks had these skills after every ten updates; others' stayed at 0."""
    made = Course(recipe or small(), 0)
    looks = max(map(len, skills.values()), default=1)
    for task in made.problem.tasks:
        told = skills.get(task, [0.0] * looks)
        made.points[task] = [Point(10 * place, 1 - skill, skill) for place, skill in enumerate(told)]
    made.records = [_record(made.problem.tasks, 1.0) for _ in range(looks - 1)]
    return made


def _record(tasks: Sequence[str], relative: float) -> dict[str, Any]:
    names = ("own_weight", "gradient_norm", "gradient_share", "reach")
    return {
        "signals": {
            **{name: dict.fromkeys(tasks, 1.0) for name in names},
            "relative_loss": dict.fromkeys(tasks, relative),
            "cosine": {f"{a}|{b}": 0.0 for i, a in enumerate(tasks) for b in tasks[i + 1 :]},
        }
    }
