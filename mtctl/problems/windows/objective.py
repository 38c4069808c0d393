"""From the heads' raw outputs to predictions in the study's units, and to the losses that are minimised.

A regression head answers in a unit of its own, ŷ = offset + scale·z, and learns z from (y − offset)/scale:

    as documented       offset = 0, scale = 1; δ as documented
    standardised        offset = best constant, scale = the targets' standard deviation; δ = 1 such unit
    scalar countdown    y = first bar of the expansion; offset = 0, scale = 105 or as above; δ = 1 unit
"""

from __future__ import annotations

from collections.abc import Mapping
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
from mtctl.problems.windows.parts import ScaledTargets, SequenceModel, WindowsProblem
from mtctl.problems.windows.tampering import Tampering
from mtctl.problems.windows.windows import LENGTH


class _Unit(NamedTuple):
    """Of a regression head: offset and scale of its answer, and where its Huber loss turns linear."""

    offset: Tensor
    scale: Tensor
    delta: float


class Objective:
    """What the heads' outputs mean and what each task minimises.

    Args:
        problem: the recipe's problem: the planted faults.
        model: the recipe's model: which heads are standardised, what the countdown is.
        training: the training windows, whose targets give constants and spreads.

    Attributes:
        constants: each task's best constant prediction, in the study's units.
    """

    def __init__(self, problem: WindowsProblem, model: SequenceModel, training: Dataset) -> None:
        self.tampering = Tampering(problem.faults, problem.tasks)
        self._factors = dict.fromkeys(DELTA, 1.0)
        for fault in problem.faults:
            if isinstance(fault, ScaledTargets):
                self._factors[fault.task] *= fault.factor
        self.constants = {task: best_constant(task, self.truth(task, training)) for task in HEADS}
        self._scalar = model.countdown == "scalar"
        self._standardised = set(model.standardise)
        self._units = {task: self._unit_of(task, training) for task in DELTA}

    def _unit_of(self, task: str, training: Dataset) -> _Unit:
        scalar = task == "countdown" and self._scalar
        if task in self._standardised:
            wanted = self._wanted(task, training)
            offset = wanted.nanmean() if scalar else self.constants[task] * self._factors[task]
            return _Unit(offset, _spread(wanted), 1.0)
        zero, one = torch.tensor(0.0), torch.tensor(1.0)
        return _Unit(zero, one * LENGTH, 1.0) if scalar else _Unit(zero, one, DELTA[task])

    def truth(self, task: str, data: Dataset) -> Tensor:
        """Return a task's targets in the study's units."""
        factor = self._factors.get(task, 1.0)
        return data.targets[task] if factor == 1 else data.targets[task] / factor

    def _wanted(self, task: str, data: Dataset) -> Tensor:
        """Return what a regression head is asked for, in the targets' unit; starts [N, 1] if it is scalar."""
        if task != "countdown" or not self._scalar:
            return data.targets[task]
        countdown = self.truth(task, data)
        start = start_of(countdown)[:, None] * self._factors[task]
        # A countdown that is missing is a start that is missing.
        return start.masked_fill(countdown.isnan().any(1, keepdim=True), torch.nan)

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
        return {task: self._loss(task, raw, batch) for task in tasks}

    def _loss(self, task: str, raw: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        contested = self.tampering.contradicted.get(task)
        head, sign = (task, 1.0) if contested is None else (contested, -1.0)
        output = self.tampering.output(head, raw[head])
        if head not in DELTA:
            return window_losses(head, output, batch.targets[head]).mean() * self.tampering.factor(task)
        offset, scale, delta = self._units[head]
        wanted = (sign * self._wanted(head, batch) - offset) / scale
        return window_losses(head, output, wanted, delta).mean() * self.tampering.factor(task)

    def predictions(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the answers in the study's units: logits of type and binary, ptr, countdown [N, 105]."""
        found = {}
        for head, output in raw.items():
            answer = self.tampering.output(head, output)
            if head in DELTA:
                offset, scale, _ = self._units[head]
                answer = (offset + scale * answer) / self._factors[head]
            if head == "countdown" and self._scalar:
                answer = countdown_from_start(answer)
            found[head] = answer
        return found

    def distance(self, task: str, training: Dataset) -> float:
        """Return how far a head has to travel: RMS distance of targets from its first answers, in its unit.

        First answers are about the offset. NaN for classification, whose targets have no place.
        """
        if task not in DELTA:
            return float("nan")
        offset, scale, _ = self._units[task]
        gap = (self._wanted(task, training) - offset) / scale
        return float(gap[~gap.isnan()].square().mean().sqrt())


def _spread(target: Tensor) -> Tensor:
    """Return the standard deviation of a target [N, …] over windows and bars; 1 where it does not vary.

    [2] for the pointer, whose centre and length are two quantities; else a scalar.
    """
    known = target[~target.isnan().flatten(1).any(1)].double()
    columns = known if target.shape[1] == 2 else known.reshape(-1, 1)
    spread = columns.std(0) if len(columns) > 1 else columns.new_zeros(columns.shape[1])
    return torch.where(spread > 0, spread, 1.0).float()
