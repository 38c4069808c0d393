"""A run that gets a larger budget: its records become those of a run that had it from the start.

Most records are the same for any budget. Where one is not (see `Restating`), the records are written anew beside
the old ones and take their place once the checkpoint counts their bytes, so that a kill at any moment leaves
records and a checkpoint that go together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import write_atomically
from mtctl.engine.metrics import encoded
from mtctl.problems.contract import Problem, Restating


def restate(
    place: RunDirectory, content: Mapping[str, Any], problem: Problem, units: int, recipe_hash: str
) -> int:
    """Turn a run's records into those of the longer run that it is part of now.

    Args:
        place: the run.
        content: of its last checkpoint.
        problem: of the longer run.
        units: of the run that made them.
        recipe_hash: of the longer run's recipe.

    Returns:
        How many bytes of the records the last checkpoint covers.

    Raises:
        MtctlError: a record does not tell.
    """
    kept = int(content["training"]["metrics_bytes"])
    if not isinstance(problem, Restating):
        return kept
    before = place.metrics.read_bytes()[:kept]
    after = b"".join(encoded(problem.restated(json.loads(line), units)) for line in before.splitlines())
    if after == before:
        return kept
    write_atomically(place.path / layout.restated(recipe_hash), lambda file: file.write(after))
    training = {**content["training"], "metrics_bytes": len(after)}
    changed = {**content, "recipe_hash": recipe_hash, "training": training}
    checkpoint.save(place.checkpoint(layout.LAST), {key: changed[key] for key in changed if key != "schema"})
    settle(place, recipe_hash)
    return len(after)


def settle(place: RunDirectory, recipe_hash: str) -> None:
    """Let restated records take their place: those of the recipe that the last checkpoint is of; drop others.

    Args:
        place: the run.
        recipe_hash: of the last checkpoint.
    """
    for file in place.path.glob(layout.restated("*")):
        if file.name == layout.restated(recipe_hash):
            file.replace(place.metrics)
        elif layout.is_written(file.name):
            file.unlink()
