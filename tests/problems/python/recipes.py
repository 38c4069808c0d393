"""Recipes of models of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtctl.problems.python.recipe import PythonRecipe

TINY = Path(__file__).parent / "tiny.py"


def own(file: Path = TINY, function: str = "build", **changes: Any) -> PythonRecipe:
    """Return a recipe of a function, with values changed by dotted key (`__` for the dots)."""
    plain = PythonRecipe.model_validate(
        {
            "name": "own",
            "problem": {"kind": "python", "build": f"{file}:{function}", "tasks": ["side", "height"]},
            "training": {"epochs": 2, "device": "cpu"},
            "balancer": {"kind": "equal"},
        }
    )
    return plain.revised({key.replace("__", "."): value for key, value in changes.items()})
