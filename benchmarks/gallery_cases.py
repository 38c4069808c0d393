"""The cases of the gallery: recipes with something planted that keeps a task from learning, and healthy ones.

The base recipe is small and healthy: 400 windows in batches of 16, five epochs, 125 updates; BiLSTM of 32
units; all heads standardised; equal weights; Adam at 2e-3. Every task reaches a skill of 10 % within 35
updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from benchmarks.faults import PlantedRecipe
from mtctl.diagnosis.codes import Code
from mtctl.problems.changes import Changes

Half = Literal["thresholds", "held_out"]
WHOLE_RUN: Final = "*"
"""In place of a task: what is planted concerns the run as a whole."""
CERTAIN: Final = frozenset(
    {
        Code.BAD_TARGETS,
        Code.DEAD_HEAD,
        Code.DETACHED_TASK,
        Code.NOT_IN_OPTIMIZER,
        Code.FROZEN_TRUNK,
        Code.IGNORES_INPUT,
        Code.NOISY_LABELS,
        Code.SHIFTED_LABELS,
        Code.WRONG_GRADIENT,
    }
)
"""Causes that are wrong whether or not they cost a task anything within the budget."""

_BASE: Final = PlantedRecipe.model_validate(
    {
        "name": "gallery",
        "problem": {
            "kind": "windows",
            "data": {"kind": "synthetic", "windows": 400, "validation": 128, "held_out": 128},
        },
        "model": {
            "kind": "bilstm",
            "hidden": 32,
            "projection": 32,
            "dropout": 0.1,
            "head_dropout": 0.1,
            "standardise": ["type", "ptr", "binary", "countdown"],
        },
        "training": {"epochs": 5, "optimizer": "adam", "lr": 2e-3, "batch_size": 16},
        "balancer": {"kind": "equal"},
    }
)
_DOCUMENTED: Final = {
    "training.lr": 0.001,
    "model.hidden": 64,
    "model.projection": 64,
    "model.standardise": [],
    "balancer": {
        "kind": "running_mean",
        "base_weights": {"type": 0.1, "ptr": 0.7, "binary": 0.1, "countdown": 0.1},
    },
}
"""The study's loop at batch 16; with 400 windows 25 updates an epoch, with 160 windows 10."""
_SGD: Final = {"training.optimizer": "sgd", "training.lr": 0.3, "training.weight_decay": 0.0}


@dataclass(frozen=True, slots=True)
class Case:
    """One recipe of the gallery.

    Args:
        name: what is planted, in a few words.
        changes: what makes it of the base recipe.
        planted: for each task that is meant to suffer, the causes of which one must be named first;
            empty for a healthy control.
        control: what makes the recipe that it is measured against.
        warm: epochs of training before the diagnosis, so that it starts from a converged network.
    """

    name: str
    changes: Changes
    planted: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)
    control: Changes = field(default_factory=dict)
    warm: int = 0

    @property
    def recipe(self) -> PlantedRecipe:
        return _BASE.revised(self.changes)

    @property
    def control_recipe(self) -> PlantedRecipe:
        return _BASE.revised(self.control)


def _fault(*planted: dict[str, Any]) -> Changes:
    return {"problem.faults": list(planted)}


def _weights(**changed: float) -> Changes:
    weights = dict.fromkeys(("type", "ptr", "binary", "countdown"), 1.0) | changed
    return {"balancer": {"kind": "manual", "weights": weights}}


def _raw(*tasks: str) -> Changes:
    kept = [task for task in ("type", "ptr", "binary", "countdown") if task not in tasks]
    return {"model.standardise": kept}


_BOTH: Final = (Code.TARGET_OUT_OF_REACH, Code.MULTIPLIER_DOMINANCE)
_PATIENCE: Final = (Code.BUDGET_TOO_SMALL, Code.SLOW)

CASES: Final = (
    # Two of each kind where there are two, so that each half gets one.
    Case(
        "1 in 10 pointers missing",
        _fault({"kind": "missing_targets", "task": "ptr"}),
        {"ptr": (Code.BAD_TARGETS,)},
    ),
    Case(
        "one type for all windows",
        _fault({"kind": "constant_targets", "task": "type"}),
        {"type": (Code.BAD_TARGETS,)},
    ),
    Case(
        "saturated sigmoid",
        _fault({"kind": "saturated_head", "bias": 20.0}),
        {"binary": (Code.DEAD_HEAD,)},
    ),
    Case(
        "countdown behind a closed ReLU",
        _fault({"kind": "dead_head", "task": "countdown"}),
        {"countdown": (Code.DEAD_HEAD,)},
    ),
    Case("type detached", _fault({"kind": "detached", "task": "type"}), {"type": (Code.DETACHED_TASK,)}),
    Case(
        "countdown detached",
        _fault({"kind": "detached", "task": "countdown"}),
        {"countdown": (Code.DETACHED_TASK,)},
    ),
    Case(
        "pointer head not in the optimizer",
        _fault({"kind": "not_in_optimizer", "task": "ptr"}),
        {"ptr": (Code.NOT_IN_OPTIMIZER,)},
    ),
    Case(
        "binary head not in the optimizer",
        _fault({"kind": "not_in_optimizer", "task": "binary"}),
        {"binary": (Code.NOT_IN_OPTIMIZER,)},
    ),
    Case("frozen trunk", _fault({"kind": "frozen_trunk"}), {WHOLE_RUN: (Code.FROZEN_TRUNK,)}),
    Case(
        "frozen trunk, raw targets",
        {**_fault({"kind": "frozen_trunk"}), **_raw("countdown")},
        {WHOLE_RUN: (Code.FROZEN_TRUNK,)},
    ),
    Case(
        "pointers of other windows",
        _fault({"kind": "shuffled_targets", "task": "ptr"}),
        {"ptr": (Code.UNLEARNABLE,)},
    ),
    Case(
        "types of other windows",
        _fault({"kind": "shuffled_targets", "task": "type"}),
        {"type": (Code.UNLEARNABLE,)},
    ),
    Case(
        "countdowns of other windows",
        _fault({"kind": "shuffled_targets", "task": "countdown"}),
        {"countdown": (Code.IGNORES_INPUT,)},
    ),
    Case(
        "prices of other windows",
        _fault({"kind": "shuffled_inputs"}),
        {"type": (Code.UNLEARNABLE,), "ptr": (Code.UNLEARNABLE,), "countdown": (Code.IGNORES_INPUT,)},
    ),
    Case(
        "countdown in fiftieths of a bar",
        {**_raw("countdown"), **_fault({"kind": "scaled_targets", "task": "countdown", "factor": 50.0})},
        {"countdown": (Code.TARGET_OUT_OF_REACH,)},
    ),
    Case(
        "pointers in thousandths of a window",
        {**_raw("ptr"), **_fault({"kind": "scaled_targets", "task": "ptr", "factor": 1000.0})},
        {"ptr": (Code.TARGET_OUT_OF_REACH,)},
    ),
    Case(
        "type at weight 0.003",
        _weights(type=0.003),
        {"type": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    Case(
        "type at weight 0.003, SGD",
        {**_SGD, **_weights(type=0.003)},
        {"type": (Code.MULTIPLIER_DOMINANCE,)},
        control=_SGD,
    ),
    Case(
        "pointer loss × 1000",
        {"training.loss_factor": {"ptr": 1000.0}},
        {"type": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    Case(
        "countdown loss summed",
        {"training.loss_factor": {"countdown": 105.0}},
        {"type": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    Case(
        "type asks the pointer head for the opposite",
        _fault({"kind": "contradiction", "task": "ptr", "by": "type"}),
        {"ptr": (Code.CONFLICT,)},
    ),
    Case(
        "pointer asks the countdown head for the opposite",
        _fault({"kind": "contradiction", "task": "countdown", "by": "ptr"}),
        {"countdown": (Code.CONFLICT,)},
    ),
    Case("learning rate 1e-5", {"training.lr": 1e-5}, {WHOLE_RUN: (Code.LEARNING_RATE,)}),
    Case("learning rate 0.5", {"training.lr": 0.5}, {WHOLE_RUN: (Code.LEARNING_RATE, Code.DIVERGED)}),
    Case(
        "10 updates",
        {"problem.data.windows": 160, "training.epochs": 1},
        {WHOLE_RUN: _PATIENCE},
    ),
    Case(
        "8 updates of 50",
        {"training.batch_size": 50, "training.epochs": 1},
        {WHOLE_RUN: _PATIENCE},
    ),
    Case(
        "documented loop, 160 windows",
        {**_DOCUMENTED, "problem.data.windows": 160},
        {"countdown": _BOTH},
        control={"problem.data.windows": 160},
    ),
    Case("documented loop, 400 windows", _DOCUMENTED, {"countdown": _BOTH}),
    Case(
        "types of other windows, countdown in fiftieths of a bar",
        {
            **_raw("countdown"),
            **_fault(
                {"kind": "scaled_targets", "task": "countdown", "factor": 50.0},
                {"kind": "shuffled_targets", "task": "type"},
            ),
        },
        {"countdown": (Code.TARGET_OUT_OF_REACH,), "type": (Code.UNLEARNABLE,)},
    ),
    Case(
        "1 in 10 pointers missing, type at weight 0.003",
        {**_fault({"kind": "missing_targets", "task": "ptr"}), **_weights(type=0.003)},
        {"ptr": (Code.BAD_TARGETS,), "type": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    # Healthy.
    Case("as it is", {}),
    Case("batches of 32, twice the learning rate", {"training.batch_size": 32, "training.lr": 0.004}),
    Case("raw targets, ten epochs", {**_raw("type", "ptr", "binary", "countdown"), "training.epochs": 10}),
    Case("64 units", {"model.hidden": 64, "model.projection": 64}),
    Case("converged before it starts", {}, warm=10),
    Case("uncertainty weighting", {"balancer": {"kind": "uncertainty"}}),
    Case("countdown at weight 0.002", _weights(countdown=0.002)),
    Case("binary loss × 5", {"training.loss_factor": {"binary": 5.0}}),
    Case("SGD", _SGD),
    Case("type and pointer only", {"problem.tasks": ["type", "ptr"]}),
)


def half_of(case: Case) -> Half:
    """Return which half a case is in: cases take turns in the order in which they are listed."""
    return "thresholds" if CASES.index(case) % 2 == 0 else "held_out"


def cases(half: Half | None = None) -> list[Case]:
    """Return the cases of a half, or all."""
    return [case for case in CASES if half is None or half_of(case) == half]
