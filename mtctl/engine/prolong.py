"""A run that gets a larger budget: its records become those of a run that had it from the start.

Most records are the same for any budget. Where one is not (see `Restating`), the records are written anew
beside the old ones and take their place once the checkpoint counts their bytes, so that a kill at any moment
leaves records and a checkpoint that go together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import write_atomically
from mtctl.engine.metrics import encoded
from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem, Restating


def restated(records: bytes, problem: Problem, units: int) -> bytes:
    """Return a run's records as those of the longer run that it is part of now.

    Args:
        records: of the run.
        problem: of the longer run.
        units: of the run that made the records.

    Raises:
        MtctlError: a record does not tell.
    """
    if not isinstance(problem, Restating):
        return records
    try:
        return b"".join(encoded(problem.restated(json.loads(line), units)) for line in records.splitlines())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MtctlError(
            f"{layout.METRICS} holds a line that is not a record ({error}), so the run cannot be prolonged",
            hint="restore the file from a copy, or train the longer run from its start with --force",
        ) from error


def replace_records(
    place: RunDirectory, content: Mapping[str, Any], records: bytes, recipe_hash: str
) -> None:
    """Let restated records, and a checkpoint that covers them, take the place of a run's own.

    Args:
        place: the run.
        content: of its last checkpoint.
        records: all that it covers.
        recipe_hash: of the longer run's recipe.
    """
    write_atomically(place.path / layout.restated(recipe_hash), lambda file: file.write(records))
    training = {**content["training"], "metrics_bytes": len(records)}
    changed = {**content, "recipe_hash": recipe_hash, "training": training}
    checkpoint.save(place.checkpoint(layout.LAST), {key: changed[key] for key in changed if key != "schema"})
    settle(place, recipe_hash)


def settle(place: RunDirectory, recipe_hash: str) -> None:
    """Finish what a kill cut short: restated records take their place if the last checkpoint covers them.

    Args:
        place: the run.
        recipe_hash: of the last checkpoint.
    """
    for file in place.path.glob(layout.restated("*")):
        if file.name == layout.restated(recipe_hash):
            file.replace(place.metrics)
        elif layout.is_written(file.name):
            file.unlink()
