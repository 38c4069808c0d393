"""Further models of one's own: labels, regularisation, capacity, rates, and healthy tasks of low skill.

Of each kind there are two where there are two: thresholds may be tuned on the first, the second is held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from benchmarks.gallery_cases import WHOLE_RUN
from benchmarks.own_gallery.cases import OwnCase, plant
from mtctl.diagnosis.codes import Code

_MODELS: Final = "benchmarks.own_gallery.models"
_SMALL: Final = "benchmarks.own_gallery.small"
_GRADNORM: Final = {"kind": "gradnorm", "lr": 1.0, "alpha": 12.0}
_WEIGHED: Final = (Code.BALANCER_SETTINGS, Code.MULTIPLIER_DOMINANCE)

_NARROW: Final = (Code.CAPACITY,)
_CORNER_SUM: Final = {"first": "corner", "second": "sum"}
_NUMBERS: Final = {"first": "sum", "second": "product"}


def _small(
    name: str, tasks: Mapping[str, str], planted: Mapping[str, tuple[Code, ...]], **narrow: Any
) -> OwnCase:
    """Return a small model with layers that may be too narrow; those of the control are not."""
    wide = {"kind": "rows", "tasks": tasks}
    settings = {**wide, **narrow}
    return OwnCase(name, _SMALL, (), planted, settings, epochs=8, control_epochs=8, control_arguments=wide)


def _wrong(name: str, second: str, kind: str, **settings: Any) -> OwnCase:
    """Return a small model of which a share of the first task's labels is wrong."""
    wide = {"kind": "rows", "tasks": {"first": name.partition("s:")[0], "second": second}}
    plants = (plant(kind, task="first", **settings),)
    planted = {"first": (Code.NOISY_LABELS,)}
    return OwnCase(name, _SMALL, plants, planted, wide, epochs=8, control_epochs=8, control_arguments=wide)


_IN_TURN: Final = (
    OwnCase(
        "left digit: 35 % of labels wrong",
        "two_digits",
        (plant("flipped", task="left", share=0.35, classes=10),),
        {"left": (Code.NOISY_LABELS,)},
    ),
    OwnCase(
        "module: 35 % of labels wrong",
        "tokens",
        (plant("flipped", task="module", share=0.35, classes=4),),
        {"module": (Code.NOISY_LABELS,)},
    ),
    OwnCase(
        "right digit: labels off by one row",
        "two_digits",
        (plant("off_by", task="right", rows=1),),
        {"right": (Code.SHIFTED_LABELS,)},
    ),
    OwnCase(
        "texture off by two rows",
        "tabular",
        (plant("off_by", task="texture", rows=2),),
        {"texture": (Code.SHIFTED_LABELS,)},
    ),
    OwnCase(
        "kinds off by one row",
        "tokens",
        (plant("off_by", task="kind", rows=-1),),
        {"kind": (Code.SHIFTED_LABELS,)},
    ),
    OwnCase(
        "ink off by one row, a batch for each task",
        "own_loaders",
        (plant("off_by", task="ink", rows=-1),),
        {"ink": (Code.UNLEARNABLE,)},
    ),
    OwnCase("dropout 0.9", "two_digits", (plant("dropped", share=0.9),), {WHOLE_RUN: (Code.REGULARISATION,)}),
    OwnCase(
        "dropout 0.95 before texture's head",
        "tabular",
        (plant("dropout_before", module="heads.texture", share=0.95),),
        {"texture": (Code.REGULARISATION,)},
    ),
    OwnCase(
        "weight decay 100",
        "two_digits",
        (plant("decayed", decay=100.0),),
        {WHOLE_RUN: (Code.REGULARISATION,)},
    ),
    OwnCase(
        "weight decay 60, a batch for each task",
        "own_loaders",
        (plant("decayed", decay=60.0),),
        {WHOLE_RUN: (Code.REGULARISATION,)},
    ),
    OwnCase(
        "digits through one number",
        "two_digits",
        (plant("narrowed", module="trunk"),),
        {WHOLE_RUN: (Code.CAPACITY,)},
    ),
    OwnCase(
        "text through one number",
        "tokens",
        (plant("narrowed", module="encoder"),),
        {"kind": (Code.CAPACITY,)},
    ),
    OwnCase(
        "GradNorm at rate 1 with alpha 12", "two_digits", planted={WHOLE_RUN: _WEIGHED}, balancer=_GRADNORM
    ),
    OwnCase(
        "GradNorm at rate 1 with alpha 12, table",
        "tabular",
        planted={WHOLE_RUN: _WEIGHED},
        balancer=_GRADNORM,
    ),
    OwnCase(
        "left digit's gradient reversed",
        "two_digits",
        (plant("reversed_gradient", module="left"),),
        {"left": (Code.WRONG_GRADIENT,)},
    ),
    OwnCase(
        "texture's gradient reversed",
        "tabular",
        (plant("reversed_gradient", module="heads.texture"),),
        {"texture": (Code.WRONG_GRADIENT,)},
    ),
    OwnCase(
        "first convolution requires no gradient",
        "two_digits",
        (plant("frozen", module="trunk.0"),),
        {WHOLE_RUN: (Code.FROZEN_TRUNK,)},
    ),
    OwnCase(
        "embedding requires no gradient",
        "tokens",
        (plant("frozen", module="characters"),),
        {WHOLE_RUN: (Code.FROZEN_TRUNK,)},
    ),
    OwnCase(
        "texture head at 1e-4 of the rate",
        "tabular",
        (plant("module_rate", module="heads.texture", factor=1e-4),),
        {"texture": (Code.LEARNING_RATE,)},
    ),
    OwnCase(
        "turn head at 1000 times the rate, a batch for each task",
        "own_loaders",
        (plant("module_rate", module="heads.turn", factor=1e3),),
        {"turn": (Code.LEARNING_RATE,)},
    ),
    _small("classes behind a head of one unit", _CORNER_SUM, {"first": _NARROW}, widths={"first": 1}),
    _small(
        "five numbers behind a head of one unit",
        {"first": "vector", "second": "side"},
        {"first": _NARROW},
        widths={"first": 1},
    ),
    _small("classes and a number through one number", _CORNER_SUM, {WHOLE_RUN: _NARROW}, trunk=1),
    _small("two numbers through one", _NUMBERS, {WHOLE_RUN: _NARROW}, trunk=1),
    _wrong("corners: 40 % of labels wrong", "side", "flipped", share=0.4, classes=6),
    _wrong("sides: 25 % of labels wrong", "sum", "flipped", share=0.25, classes=2),
    _wrong("sums: 35 % of other rows", "side", "dealt", share=0.35),
    _wrong("products: 25 % of other rows", "sum", "dealt", share=0.25),
    # Healthy.
    _small(
        "heads of one unit for one number each",
        {"first": "side", "second": "sum"},
        {},
        widths={"first": 1, "second": 1},
    ),
    _small("two numbers through two", _NUMBERS, {}, trunk=2),
    _small("prices, and amounts of which a third are 0", {"first": "price", "second": "bought"}, {}),
    _small("errors of long tails, and blurred numbers", {"first": "tailed", "second": "blurred"}, {}),
    _small(
        "ordered classes behind a head of one unit",
        {"first": "band", "second": "side"},
        {},
        widths={"first": 1},
    ),
    OwnCase("tags of steps", _SMALL, arguments={"kind": "steps"}, epochs=10),
    OwnCase(
        "a noisy task at its ceiling", _MODELS, arguments={"kind": "table", "first": "sum", "second": "noisy"}
    ),
    OwnCase("doubtful classes", _MODELS, arguments={"kind": "table", "first": "sum", "second": "doubtful"}),
    OwnCase(
        "one row in 20 is of a class", _MODELS, arguments={"kind": "table", "first": "rare", "second": "sum"}
    ),
    OwnCase(
        "noisy and doubtful", _MODELS, arguments={"kind": "table", "first": "noisy", "second": "doubtful"}
    ),
    OwnCase("digits with dropout 0.4", "two_digits", (plant("dropped", share=0.4),)),
    OwnCase("table with decay 0.1", "tabular", (plant("decayed", decay=1e-3),)),
)

FURTHER_CASES: Final = tuple(
    replace(case, half="thresholds" if place % 2 == 0 else "held_out") for place, case in enumerate(_IN_TURN)
)
