"""From the heads' raw outputs to predictions in the targets' units, and to the losses that are minimised.

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
from mtctl.problems.windows.losses import DELTA, best_constant, countdown_from_start, window_losses
from mtctl.problems.windows.network import HEADS, SequenceNetwork
from mtctl.problems.windows.tampering import Tampering
from mtctl.problems.windows.windows import LENGTH
from mtctl.recipes.windows import ScaledTargets, SequenceModel, WindowsProblem


class _Unit(NamedTuple):
    """Of a regression head: offset and scale of its answer, and where its Huber loss turns linear."""

    offset: Tensor
    scale: float
    delta: float


class Objective:
    """What the heads' outputs mean and what each task minimises.

    Args:
        problem: the recipe's problem: the planted faults.
        model: the recipe's model: which heads are standardised, what the countdown is.
        training: the training windows, whose targets give constants and spreads.

    Attributes:
        constants: each task's best constant prediction, in the targets' units.
        spreads: each regression target's standard deviation.
        unit: how many of a target's units make one of the study's; other than 1 for targets that were scaled.
    """

    def __init__(self, problem: WindowsProblem, model: SequenceModel, training: Dataset) -> None:
        self.tampering = Tampering(problem.faults, problem.tasks)
        self.unit: dict[str, float] = {
            fault.task: fault.factor for fault in problem.faults if isinstance(fault, ScaledTargets)
        }
        self.constants = {task: best_constant(task, training.targets[task]) for task in HEADS}
        self.spreads = {task: _spread(training.targets[task]) for task in DELTA}
        self._scalar = model.countdown == "scalar"
        self._standardised = set(model.standardise)
        self._units = {task: self._unit_of(task, training) for task in DELTA}

    def _unit_of(self, task: str, training: Dataset) -> _Unit:
        standardised = task in self._standardised
        if task == "countdown" and self._scalar:
            start = training.start.float() * self.unit.get(task, 1.0)
            if standardised:
                return _Unit(start.mean(), _spread(start), 1.0)
            return _Unit(torch.tensor(0.0), float(LENGTH), 1.0)
        if standardised:
            return _Unit(self.constants[task], self.spreads[task], 1.0)
        return _Unit(torch.tensor(0.0), 1.0, DELTA[task])

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
        target = batch.targets[head]
        if head == "countdown" and self._scalar:
            target = batch.start[:, None].float() * self.unit.get(head, 1.0)
            # A countdown that is missing is a start that is missing.
            target = target.masked_fill(batch.targets[head].isnan().any(1, keepdim=True), torch.nan)
        wanted = sign * (target - offset) / scale
        return window_losses(head, output, wanted, delta).mean() * self.tampering.factor(task)

    def predictions(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the answers in the targets' units: logits of type and binary, ptr, countdown [N, 105]."""
        found = {}
        for head, output in raw.items():
            answer = self.tampering.output(head, output)
            if head in DELTA:
                offset, scale, _ = self._units[head]
                answer = offset + scale * answer
            if head == "countdown" and self._scalar:
                unit = self.unit.get(head, 1.0)
                answer = countdown_from_start(answer / unit) * unit
            found[head] = answer
        return found

    def distance(self, task: str, training: Dataset) -> float:
        """Return how far a head has to travel: RMS distance of targets from its first answers, in its unit.

        First answers are about the offset. NaN for classification, whose targets have no place.
        """
        if task not in DELTA:
            return float("nan")
        offset, scale, _ = self._units[task]
        scalar = task == "countdown" and self._scalar
        target = training.start * self.unit.get(task, 1.0) if scalar else training.targets[task]
        gap = (target - offset) / scale
        return float(gap[~gap.isnan()].square().mean().sqrt())


def _spread(target: Tensor) -> float:
    known = target[~target.isnan()].double()
    spread = float(known.std()) if len(known) > 1 else 0.0
    return spread if spread > 0 else 1.0
