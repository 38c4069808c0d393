"""The function that the recipes of the cases name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from benchmarks.own_gallery.plants import PLANTS
from mtctl.problems.python.training import Training


def build(
    seed: int,
    model: str,
    arguments: Mapping[str, Any] | None = None,
    plants: Sequence[Mapping[str, Any]] = (),
) -> Training:
    """Return what a module's `build` returns, with faults in it.

    Args:
        seed: of the run.
        model: the module: "examples.tabular", …
        arguments: of its function.
        plants: faults, each with its `kind` and its arguments.
    """
    training: Training = import_module(model).build(seed, **(arguments or {}))
    for plant in plants:
        settings = {key: value for key, value in plant.items() if key != "kind"}
        training = PLANTS[plant["kind"]](training, **settings)
    return training
