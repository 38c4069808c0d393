"""A task that learns with every aid at once, and with none of the usual ones alone: which aid it needs.

The aids are taken back one at a time. An aid without which the task no longer learns, in four times the
updates that it took with all of them, names the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.company import blame
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Evidence, Experiment, Finding
from mtctl.diagnosis.thresholds import HEART_LR
from mtctl.problems.supervised.interventions import (
    RAW,
    Adam,
    Clipped,
    Intervention,
    NoDecay,
    NoDropout,
    Only,
    Standardised,
)


def needed(laboratory: Laboratory, task: str, patience: Experiment) -> Finding | None:
    """Return the cause that the one aid which a task needs stands for; None where no single aid is needed.

    Args:
        laboratory: makes the experiments.
        task: whose.
        patience: the training with all aids.
    """
    assert patience.steps is not None
    limit = max(1, round(4 * patience.steps))
    for aid, (code, text) in CAUSES.items():
        steps = laboratory.learns_within(task, f"{task}: all aids but {aid}", limit, *without(task, aid))
        if steps is not None:
            continue
        if aid == "rate" and (decay := _decay(laboratory, task, limit)) is not None:
            return decay
        evidence = (
            Evidence("updates to learn with all aids", patience.steps),
            Evidence(f"without {NAMES[aid]}", "does not learn", "", f"within {limit:,} updates"),
        )
        if aid == "solitude":
            return _company(laboratory, task, limit, evidence)
        changes = laboratory.recipe.changes(*CURES[aid](task))
        return Finding(code, task, "error", "measured", text.format(task=task), evidence, changes)
    return None


def _decay(laboratory: Laboratory, task: str, limit: int) -> Finding | None:
    """Return the weight decay as the cause, if the recipe's own optimizer learns without it."""
    name, aids = f"{task}: all aids, its own optimizer without decay", without(task, "rate")
    if (steps := laboratory.learns_within(task, name, limit, *aids, NoDecay())) is None:
        return None
    text = f"the weight decay keeps {task} from learning"
    evidence = (Evidence("updates to learn with all other aids and no decay", steps),)
    cure = laboratory.recipe.changes(NoDecay())
    return Finding(Code.REGULARISATION, task, "error", "measured", text, evidence, cure)


def _company(laboratory: Laboratory, task: str, limit: int, proof: tuple[Evidence, ...]) -> Finding:
    """Return what the others do to a task that has every other aid."""

    def helps(name: str, change: Intervention) -> Evidence | None:
        aids = without(task, "solitude")
        steps = laboratory.learns_within(task, f"{task}: other aids, {name}", limit, *aids, change)
        return None if steps is None else Evidence(f"updates to learn {name}", steps)

    return blame(laboratory, task, "it learns with all other aids", proof, helps)


def without(task: str, aid: str) -> tuple[Intervention, ...]:
    """Return all aids but one."""
    aids: dict[str, tuple[Intervention, ...]] = {
        "solitude": (Only((task,)), RAW),
        "unit": (Standardised((task,)),),
        "dropout": (NoDropout(),),
        "rate": (Adam(HEART_LR), Clipped(1.0)),
    }
    return tuple(change for name, changes in aids.items() if name != aid for change in changes)


NAMES: Mapping[str, str] = {
    "dropout": "switching dropout off",
    "rate": f"Adam at {HEART_LR:g}",
    "unit": "a standardised head",
    "solitude": "leaving the other tasks out",
}
CAUSES: Mapping[str, tuple[Code, str]] = {
    "dropout": (Code.REGULARISATION, "the dropout keeps {task} from learning"),
    "rate": (Code.LEARNING_RATE, "the optimizer's learning rate keeps {task} from learning"),
    "unit": (Code.TARGET_OUT_OF_REACH, "{task} learns only with a head that starts at the best constant"),
    "solitude": (Code.INTERFERENCE, ""),
}
CURES: Mapping[str, Callable[[str], tuple[Intervention, ...]]] = {
    "dropout": lambda task: (NoDropout(),),
    "rate": lambda task: (Adam(HEART_LR), Clipped(1.0)),
    "unit": lambda task: (Standardised((task,)),),
    "solitude": lambda task: (),
}
