"""`problem:`, `model:` and `training:` of a windows recipe: the supervised sequence model and its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from mtctl.part import (
    LARGEST,
    LATER,
    Fraction,
    Misfit,
    NonNegativeFloat,
    NonNegativeInt,
    Part,
    PositiveFloat,
    PositiveInt,
)
from mtctl.problems.device import DeviceName
from mtctl.problems.supervised.recipe import SupervisedProblem, SupervisedTraining

WindowsTask = Literal["type", "ptr", "binary", "countdown"]
WindowsTasks = Annotated[tuple[WindowsTask, ...], Field(min_length=1, strict=False)]
PerHead = Annotated[tuple[WindowsTask, ...], Field(strict=False)]


class SyntheticWindows(Part):
    """Generated windows: training windows from the run's seed, held-out ones the same for every run."""

    kind: Literal["synthetic"]
    windows: PositiveInt = 168
    """Training windows: 80 % of the documented 210."""
    validation: PositiveInt = 128
    """Windows that are scored during training."""
    held_out: PositiveInt = 256
    """Windows of the final score; generated ones cost nothing, so that scores are exact to about 2 %."""
    difficulty: Fraction = 0.3
    """How much of the signal is hidden: 0 shows every expansion, 1 leaves none in the prices."""
    seed: NonNegativeInt = 0
    """Seed of the validation and held-out windows."""


class WindowsFile(Part):
    """Windows of your own, from a CSV or parquet file in the documented schema."""

    kind: Literal["file"]
    path: Annotated[str, Field(min_length=1)]
    """The file: window_id, 105 OHLC bars, label, expansion_start, expansion_end. Relative to the folder in
    which mtctl runs; a run keeps the absolute path."""
    known_as: str | None = None
    """The path as it was written at first, which a run's recipe keeps: data that has moved is the same data.
    Leave it out in a recipe of your own."""
    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of the windows that are scored during training; windows that overlap stay in one part."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    """Share of the windows of the final score."""
    seed: NonNegativeInt = 0
    """Seed of the split."""


WindowsData = Annotated[SyntheticWindows | WindowsFile, Field(discriminator="kind")]


class WindowsProblem(SupervisedProblem):
    """Four tasks on windows of 105 OHLC bars: an expansion's type, pointers to it, its mask and countdown."""

    kind: Literal["windows"]
    tasks: WindowsTasks = ("type", "ptr", "binary", "countdown")
    """Tasks that are trained and scored. The other heads are there and stay as they are, so that one task
    alone starts from the same weights."""
    data: WindowsData = SyntheticWindows(kind="synthetic")
    """Where the windows come from: drawn by a generator, or read from a file."""
    position: bool = False
    """A 13th feature: the bar's place in the window, t/104."""
    limit: PositiveInt | None = None
    """Train on the first so many training windows only; null: on all."""

    @model_validator(mode="before")
    @classmethod
    def _without_the_faults_of_earlier_versions(cls, values: Any) -> Any:
        """Leave out a list that every kept recipe of such a version has, and that is empty."""
        if isinstance(values, dict) and values.get("faults") == []:
            return {key: value for key, value in values.items() if key != "faults"}
        return values

    @property
    def training_windows(self) -> int | None:
        """How many training windows there are, where the recipe says it."""
        known = [self.data.windows] if isinstance(self.data, SyntheticWindows) else []
        return min([*known, *([self.limit] if self.limit else [])], default=None)

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        known = get_args(WindowsTask)
        for task in self.target_shift:
            if task not in known:
                yield Misfit(("target_shift", task), f"`{task}` has no targets", choices=known)


class SequenceModel(Part):
    """Bidirectional LSTM; `type` and `ptr` read a pooled projection, `binary` and `countdown` every step."""

    kind: Literal["bilstm"]
    hidden: PositiveInt = 96
    """Units of the LSTM in each direction."""
    projection: PositiveInt = 64
    """Width of the projection of the mean over steps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Dropout of the pooled projection."""
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.6
    """Dropout in front of each head."""
    countdown: Literal["per_step", "scalar"] = "per_step"
    """`per_step`: one countdown for each bar, as documented. `scalar`: the start of the expansion, divided by
    105, from the pooled projection ("fix 3")."""
    standardise: PerHead = ()
    """Heads that start at the best constant prediction and answer in units of their target's standard
    deviation."""


class Training(SupervisedTraining):
    """How the sequence model is trained."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Which of torch's optimizers takes the steps."""
    lr: PositiveFloat = 1e-3
    """Learning rate; heads may have a factor of their own (`head_lr`)."""
    weight_decay: NonNegativeFloat = 1e-2
    """AdamW's and SGD's; torch's own default for AdamW. Adam uses none."""
    batch_size: PositiveInt = 32
    """Windows per update."""
    device: Annotated[DeviceName, LATER] = "cpu"
    """Where the model computes; auto: a GPU where there is one. The CPU unless you say otherwise: there a run
    can be repeated bit for bit."""

    def misfits(self) -> Iterator[Misfit]:
        known = get_args(WindowsTask)
        for task in self.loss_factor:
            if task not in known:
                yield Misfit(("loss_factor", task), f"`{task}` has no loss", choices=known)
        for task in self.head_decay:
            if task not in known:
                yield Misfit(("head_decay", task), f"`{task}` has no head", choices=known)
        for task in self.head_lr:
            if task not in known:
                yield Misfit(("head_lr", task), f"`{task}` has no head", choices=known)
            elif self.lr * self.head_lr[task] > LARGEST:
                yield Misfit(("head_lr", task), f"`lr` times this factor is above {LARGEST:g}")
