"""A recipe with one thing changed: what counterfactual trainings and remedies are made of."""

from __future__ import annotations

from collections.abc import Sequence

from mtctl.recipes import balancers
from mtctl.recipes.base import Part
from mtctl.recipes.recipe import WindowsRecipe
from mtctl.recipes.windows import ScaledLoss, WindowsTask


def changed[P: Part](part: P, **values: object) -> P:
    """Return a part with other values, checked like one that was read from a file."""
    return type(part).model_validate({**{name: getattr(part, name) for name in type(part).model_fields}, **values})
