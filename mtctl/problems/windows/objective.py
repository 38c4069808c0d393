"""From the heads' raw outputs to predictions in the study's units, and to the losses that are minimised.

A regression head answers in a unit of its own, ŷ = offset + scale·z, and learns z from (y − offset)/scale:

    as documented       offset = 0, scale = 1; δ as documented
    standardised        offset = best constant, scale = the targets' standard deviation; δ = 1 such unit
    scalar countdown    y = first bar of the expansion; offset = 0, scale = 105 or as above; δ = 1 unit
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor

from mtctl.problems.windows.data import Dataset
from mtctl.problems.windows.losses import (
    DELTA,
    best_constant,
    countdown_from_start,
    start_of,
    window_losses,
)
from mtctl.problems.windows.network import HEADS, SequenceNetwork
from mtctl.problems.windows.parts import SequenceModel
from mtctl.problems.windows.windows import LENGTH


class Unit(NamedTuple):
    """Of a regression head: offset and scale of its answer, and where its Huber loss turns linear."""

    offset: Tensor
    scale: Tensor
    delta: float


class Objective:
    """What the heads' outputs mean and what each task minimises.

    Args:
        model: the recipe's model: which heads are standardised, what the countdown is.
        loss_factor: on single tasks' losses.
        training: the training windows, whose targets give constants and spreads.

    Attributes:
        constants: each task's best constant prediction, in the study's units.
        scalar: the heads that answer with one start for a window.
        units: in which each regression head answers.
    """

    def __init__(self, model: SequenceModel, loss_factor: Mapping[str, float], training: Dataset) -> None:
        self.constants = {task: best_constant(task, self.truth(task, training)) for task in HEADS}
        self.scalar = frozenset({"countdown"} if model.countdown == "scalar" else ())
        self.loss_factor = loss_factor
        self._standardised = set(model.standardise)
        self.units = {task: self.unit(task, training) for task in DELTA}

    def to(self, device: torch.device) -> Objective:
        """Return what takes outputs and batches on a device."""
        if device.type == "cpu":
            return self
        moved = copy(self)
        moved.units = {
            task: Unit(unit.offset.to(device), unit.scale.to(device), unit.delta)
            for task, unit in self.units.items()
        }
        return moved

    def unit(self, task: str, training: Dataset) -> Unit:
        """Return the unit that a regression head answers in."""
        if task in self._standardised:
            wanted = self.wanted(task, training)
            offset = wanted.nanmean() if task in self.scalar else self.constants[task]
            return Unit(offset, _spread(wanted), 1.0)
        zero, one = torch.tensor(0.0), torch.tensor(1.0)
        return Unit(zero, one * LENGTH, 1.0) if task in self.scalar else Unit(zero, one, DELTA[task])

    def truth(self, task: str, data: Dataset) -> Tensor:
        """Return a task's targets in the study's units."""
        return data.targets[task]

    def wanted(self, task: str, data: Dataset) -> Tensor:
        """Return what a regression head is asked for, in the targets' unit; starts [N, 1] if it is scalar."""
        if task not in self.scalar:
            return data.targets[task]
        countdown = self.truth(task, data)
        # A countdown that is missing is a start that is missing.
        missing = countdown.isnan().any(1, keepdim=True)
        return start_of(countdown)[:, None].masked_fill(missing, torch.nan)

    def prepare(self, network: SequenceNetwork) -> None:
        """Let standardised heads start at their best constant; weights stay as they were drawn."""
        with torch.no_grad():
            for task in self._standardised:
                bias = network.head(task).bias
                bias.copy_(torch.zeros_like(bias) if task in DELTA else self.constants[task].expand_as(bias))

    def losses(self, raw: Mapping[str, Tensor], batch: Dataset, tasks: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the scalar that each task minimises on a batch, in the unit that its head answers in.

        Args:
            raw: outputs of the heads.
            batch: targets.
            tasks: which tasks.
        """
        return {task: self.loss(task, raw, batch) for task in tasks}

    def loss(self, task: str, raw: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        """Return the scalar that one task minimises on a batch."""
        if task in DELTA:
            offset, scale, delta = self.units[task]
            losses = window_losses(task, raw[task], (self.wanted(task, batch) - offset) / scale, delta)
        else:
            losses = window_losses(task, raw[task], batch.targets[task])
        return losses.mean() * self.loss_factor.get(task, 1.0)

    def predictions(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the answers in the study's units: logits of type and binary, ptr, countdown [N, 105]."""
        return {
            head: countdown_from_start(self.answer(head, output))
            if head in self.scalar
            else self.answer(head, output)
            for head, output in raw.items()
        }

    def answer(self, head: str, output: Tensor) -> Tensor:
        """Return what a head's raw output says, in the study's units; of a scalar countdown, the start."""
        if head not in DELTA:
            return output
        offset, scale, _ = self.units[head]
        return offset + scale * output

    def distance(self, task: str, training: Dataset) -> float:
        """Return how far a head has to travel: RMS distance of targets from its first answers, in its unit.

        First answers are about the offset. NaN for classification, whose targets have no place.
        """
        if task not in DELTA:
            return float("nan")
        offset, scale, _ = self.units[task]
        gap = (self.wanted(task, training) - offset) / scale
        return float(gap[~gap.isnan()].square().mean().sqrt())


def _spread(target: Tensor) -> Tensor:
    """Return the standard deviation of a target [N, …] over windows and bars; 1 where it does not vary.

    [2] for the pointer, whose centre and length are two quantities; else a scalar.
    """
    known = target[~target.isnan().flatten(1).any(1)].double()
    columns = known if target.shape[1] == 2 else known.reshape(-1, 1)
    spread = columns.std(0) if len(columns) > 1 else columns.new_zeros(columns.shape[1])
    return torch.where(spread > 0, spread, 1.0).float()
