"""The cases: examples with something planted in them that keeps a task from learning, and healthy models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.gallery_cases import WHOLE_RUN, Half
from mtctl.diagnosis.codes import Code
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.tasks import complete

_BUILD: Final = f"{Path(__file__).with_name('builder.py')}:build"
_EPOCHS: Final = {"two_digits": 5, "tabular": 10, "tokens": 4, "own_loaders": 5}
"""Enough for every task of the examples."""
_EQUAL: Final = {"kind": "equal"}


@dataclass(frozen=True, slots=True)
class OwnCase:
    """A model of one's own, healthy or with faults in it.

    Args:
        name: what is planted, in a few words.
        model: which module builds it: an example's name, or that of another module.
        plants: faults, as `builder.build` takes them.
        planted: for each task that is meant to suffer, the causes of which one must be named first;
            empty for a healthy control.
        arguments: of the module's own function.
        control: faults that the control has too.
        epochs: the budget; the example's own if left out.
        control_epochs: the control's budget; likewise.
        control_arguments: those of the control; none if left out.
        balancer: how the tasks are balanced.
        half: what the case is reported with.
    """

    name: str
    model: str
    plants: tuple[dict[str, Any], ...] = ()
    planted: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    control: tuple[dict[str, Any], ...] = ()
    epochs: int | None = None
    control_epochs: int | None = None
    control_arguments: Mapping[str, Any] = field(default_factory=dict)
    balancer: Mapping[str, Any] = field(default_factory=lambda: _EQUAL)
    half: Half | Literal["own"] = "own"

    @property
    def recipe(self) -> PythonRecipe:
        return self._recipe((*self.control, *self.plants), self.arguments, self.epochs, self.balancer)

    @property
    def control_recipe(self) -> PythonRecipe:
        return self._recipe(self.control, self.control_arguments, self.control_epochs, _EQUAL)

    def _recipe(
        self,
        plants: tuple[dict[str, Any], ...],
        arguments: Mapping[str, Any],
        epochs: int | None,
        balancer: Mapping[str, Any],
    ) -> PythonRecipe:
        named = {
            "model": self.model if "." in self.model else f"examples.{self.model}",
            "arguments": dict(arguments),
            "plants": list(plants),
        }
        told = {
            "name": "own-gallery",
            "problem": {"kind": "python", "build": _BUILD, "arguments": named},
            "training": {"epochs": epochs or _EPOCHS.get(self.model, 5), "device": "cpu"},
            "balancer": dict(balancer),
        }
        return complete(PythonRecipe.model_validate(told))


def plant(kind: str, **settings: Any) -> dict[str, Any]:
    """Return a fault as `builder.build` takes it."""
    return {"kind": kind, **settings}


CASES: Final = (
    OwnCase(
        "left digit's loss × 0.001, SGD",
        "two_digits",
        (plant("weighted", task="left", factor=1e-3),),
        {"left": (Code.MULTIPLIER_DOMINANCE,)},
        control=(plant("sgd", lr=0.1, momentum=0.9),),
    ),
    OwnCase(
        "left digit's loss × 0.001",
        "two_digits",
        (plant("weighted", task="left", factor=1e-3),),
        {"left": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    OwnCase(
        "left head not in the optimizer",
        "two_digits",
        (plant("left_out", module="left"),),
        {"left": (Code.NOT_IN_OPTIMIZER,)},
    ),
    OwnCase(
        "trunk not in the optimizer",
        "two_digits",
        (plant("left_out", module="trunk"),),
        {WHOLE_RUN: (Code.FROZEN_TRUNK,)},
    ),
    OwnCase(
        "trunk requires no gradient",
        "two_digits",
        (plant("frozen", module="trunk"),),
        {WHOLE_RUN: (Code.FROZEN_TRUNK,)},
    ),
    OwnCase(
        "left head detached",
        "two_digits",
        (plant("detached", module="left"),),
        {"left": (Code.DETACHED_TASK,)},
    ),
    OwnCase(
        "left digit behind a closed ReLU",
        "two_digits",
        (plant("closed", module="left"),),
        {"left": (Code.DEAD_HEAD,)},
    ),
    OwnCase(
        "left labels of other images",
        "two_digits",
        (plant("shuffled", task="left"),),
        {"left": (Code.UNLEARNABLE,)},
    ),
    OwnCase(
        "digits at a learning rate of 1e-7",
        "two_digits",
        (plant("rate", lr=1e-7),),
        {WHOLE_RUN: (Code.LEARNING_RATE,)},
    ),
    OwnCase(
        "digits at a learning rate of 3",
        "two_digits",
        (plant("rate", lr=3.0),),
        {WHOLE_RUN: (Code.LEARNING_RATE, Code.DIVERGED)},
    ),
    OwnCase(
        "the table's own units",
        "tabular",
        planted={
            "area": (Code.TARGET_OUT_OF_REACH,),
            "concavity": (Code.MULTIPLIER_DOMINANCE,),
        },
        arguments={"raw": True},
    ),
    OwnCase(
        "texture in thousandths",
        "tabular",
        (plant("scaled", task="texture", factor=1e3, shift=3e3),),
        {"texture": (Code.TARGET_OUT_OF_REACH,)},
    ),
    OwnCase(
        "area asks for the opposite of concavity",
        "tabular",
        (plant("opposed", task="area", other="concavity"),),
        {"area": (Code.CONFLICT,), "concavity": (Code.CONFLICT,)},
    ),
    OwnCase(
        "the logarithm of zero areas",
        "tabular",
        (plant("infinite", task="area", every=7),),
        {"area": (Code.BAD_TARGETS,)},
    ),
    OwnCase("one area for all", "tabular", (plant("constant", task="area"),), {"area": (Code.BAD_TARGETS,)}),
    OwnCase(
        "area head reads the first row of the batch",
        "tabular",
        (plant("blind", module="heads.area"),),
        {"area": (Code.DEAD_HEAD, Code.UNLEARNABLE, Code.IGNORES_INPUT)},
    ),
    OwnCase(
        "table, 9 updates",
        "tabular",
        (plant("rebatched", size=128),),
        {WHOLE_RUN: (Code.BUDGET_TOO_SMALL, Code.SLOW)},
        epochs=3,
    ),
    OwnCase(
        "module's loss × 0.0001",
        "tokens",
        (plant("weighted", task="module", factor=1e-4),),
        {"module": (Code.MULTIPLIER_DOMINANCE,)},
        epochs=1,
        control_epochs=1,
    ),
    OwnCase(
        "kind head detached", "tokens", (plant("detached", module="kind"),), {"kind": (Code.DETACHED_TASK,)}
    ),
    OwnCase(
        "modules counted from 1",
        "tokens",
        (plant("counted_from_one", task="module"),),
        {"module": (Code.BAD_TARGETS,)},
    ),
    OwnCase(
        "ink in thousandths",
        "own_loaders",
        (plant("scaled", task="ink", factor=1e3, shift=3e3),),
        {"digit": (Code.MULTIPLIER_DOMINANCE,), "turn": (Code.MULTIPLIER_DOMINANCE,)},
    ),
    OwnCase(
        "ink of shape [N] beside answers [N, 1]",
        "own_loaders",
        (plant("flattened", task="ink"),),
        {"ink": (Code.BAD_TARGETS,)},
    ),
    OwnCase(
        "digit head not in the optimizer, a batch for each task",
        "own_loaders",
        (plant("left_out", module="heads.digit"),),
        {"digit": (Code.NOT_IN_OPTIMIZER,)},
    ),
    OwnCase(
        "turn detached, a batch for each task",
        "own_loaders",
        (plant("detached", module="heads.turn"),),
        {"turn": (Code.DETACHED_TASK,)},
    ),
    OwnCase(
        "turns of other images, a batch for each task",
        "own_loaders",
        (plant("shuffled", task="turn"),),
        {"turn": (Code.UNLEARNABLE,)},
    ),
    OwnCase(
        "digit's loss × 0.001, SGD, tasks together",
        "own_loaders",
        (plant("weighted", task="digit", factor=1e-3),),
        {"digit": (Code.MULTIPLIER_DOMINANCE,)},
        arguments={"together": True},
        control=(plant("sgd", lr=0.05, momentum=0.9),),
        control_arguments={"together": True},
        epochs=10,
        control_epochs=10,
    ),
    # Healthy.
    OwnCase("two digits", "two_digits"),
    OwnCase("two digits, SGD", "two_digits", (plant("sgd", lr=0.1, momentum=0.9),)),
    OwnCase("table", "tabular"),
    OwnCase("table, 1 in 3 areas missing", "tabular", (plant("missing", task="area", every=3),)),
    OwnCase("tokens", "tokens"),
    OwnCase("a batch for each task", "own_loaders"),
    OwnCase("tasks with data of their own together", "own_loaders", arguments={"together": True}, epochs=10),
    *(
        OwnCase(name, "benchmarks.own_gallery.models", arguments=arguments)
        for name, arguments in (
            ("batch normalisation, one cycle", {"kind": "batch_norm"}),
            ("recurrent, outputs for each step", {"kind": "lstm"}),
            ("recurrent, targets partly missing", {"kind": "lstm", "absent": True}),
            ("recurrent, losses summed", {"kind": "lstm", "reduction": "sum"}),
            ("stream without a length", {"kind": "stream"}),
            ("stream from two workers", {"kind": "stream", "workers": 2}),
            ("losses of its own", {"kind": "own_losses"}),
        )
    ),
)
