"""Windows problems with faults that are small enough to be trained in a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.faults import PlantedProblem, PlantedWindows
from mtctl.problems.windows.parts import SequenceModel, Training
from tests.problems.windows.small import MODEL, TASKS, TRAINING, described


def fault(kind: str, task: str | None = None, **settings: Any) -> dict[str, Any]:
    """Return a fault as a recipe has it."""
    return {"kind": kind, **({} if task is None else {"task": task}), **settings}


def faulty(*faults: dict[str, Any], tasks: Sequence[str] = TASKS, **settings: Any) -> PlantedProblem:
    """Return `problem:` of a recipe with 20 training windows, if nothing else is said."""
    clean = described(tasks, **settings).model_dump(mode="json")
    return PlantedProblem.model_validate({**clean, "faults": faults})


def small(
    tasks: Sequence[str] = TASKS, *faults: dict[str, Any], model: dict[str, Any] | None = None
) -> PlantedWindows:
    """Return a problem with a model of about 600 parameters: three updates an epoch."""
    return PlantedWindows(
        faulty(*faults, tasks=tasks),
        SequenceModel.model_validate({**MODEL, **(model or {})}),
        Training.model_validate(TRAINING),
        0,
    )
