"""What the sequence model knows of each task besides its gradients: how far heads move, how far they must.

relative_loss   mean training loss of the epoch / loss of the best constant on the training windows
own_update      ‖Δθ‖ of the head's own parameters, per update
reach           needed / movable: RMS distance of the targets from a head's first answers, in the head's unit,
                over what Adam can move an answer in the whole run: lr·(‖h‖₁ + 1) per update, as every
                parameter moves by about lr; none for classification, whose targets have no place
dead_units      share of the features that a head reads whose standard deviation over the batch is < 1e-4
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.contract import TaskSignals

_BARS: Final = 7
"""Of features per bar, every so many are looked at: 15 of 105 tell the same at a seventh of the time."""
_STILL: Final = 1e-4
"""Standard deviation below which a feature counts as dead: LSTM outputs that carry something vary by 1e-2 or
more."""


class Inspection:
    """Looks at the heads of a network at the end of each epoch.

    Args:
        heads: each task's own parameters, which training moves.
        constants: the mean training loss of each task's best constant.
        distances: RMS distance of each task's targets from its head's first answers, in the head's unit.
        steps: how far one update can move each of a head's parameters; None where nothing bounds it.
        planned: updates of the whole run.
    """

    def __init__(
        self,
        heads: Mapping[str, Sequence[Tensor]],
        constants: Mapping[str, float],
        distances: Mapping[str, float],
        steps: Mapping[str, float | None],
        planned: int,
    ) -> None:
        self._own, self._constants, self._distances = heads, constants, distances
        self._steps, self._planned = steps, planned
        self._features: Mapping[str, Tensor] = {}
        self.restart(0)

    def restart(self, updates: int) -> None:
        """Begin to count from the parameters as they are now, after so many updates."""
        self._heads = self._parameters()
        self._updates = updates

    def see(self, features: Mapping[str, Tensor]) -> None:
        """Remember what the heads last read."""
        self._features = {head: given.detach() for head, given in features.items()}

    def take(self, epoch_losses: Mapping[str, float], updates: int) -> TaskSignals:
        """Return the signals since the last call.

        Args:
            epoch_losses: the epoch's mean training losses.
            updates: made so far.
        """
        before, spent = self._heads, max(1, updates - self._updates)
        self.restart(updates)
        tasks = tuple(self._own)
        return {
            "relative_loss": {task: _ratio(epoch_losses[task], self._constants[task]) for task in tasks},
            "own_update": {task: _distance(before[task], self._heads[task], spent) for task in tasks},
            "reach": {task: self._reach(task) for task in tasks},
            "dead_units": {task: self._dead(task) for task in tasks},
        }

    def _parameters(self) -> dict[str, list[Tensor]]:
        return {
            task: [parameter.detach().clone() for parameter in parameters]
            for task, parameters in self._own.items()
        }

    def _reach(self, task: str) -> float | None:
        lr = self._steps[task]
        if lr is None or task not in self._features or not self._heads[task]:
            return None
        length = float(_sample(self._features[task]).abs().sum(-1).mean())
        return self._reach_of(task, lr, length, self._planned)

    def _reach_of(self, task: str, lr: float, length: float, updates: int) -> float | None:
        return _ratio(self._distances[task], lr * (length + 1) * updates)

    def restated(self, reaches: Mapping[str, float | None], updates: int) -> dict[str, float | None]:
        """Return what this run would have recorded as `reach` where one of so many updates recorded this.

        Raises:
            MtctlError: that is not what such a run records.
        """
        return {task: reach and self._restated(task, reach, updates) for task, reach in reaches.items()}

    def _restated(self, task: str, reach: float, updates: int) -> float | None:
        lr = self._steps[task]
        if lr is not None:
            # ‖h‖₁ is of single precision and the record of double, so that one tells the other exactly.
            guess = np.float32(self._distances[task] / (reach * lr * updates) - 1)
            for length in (
                guess,
                np.nextafter(guess, np.float32(0)),
                np.nextafter(guess, np.float32(np.inf)),
            ):
                if self._reach_of(task, lr, float(length), updates) == reach:
                    return self._reach_of(task, lr, float(length), self._planned)
        raise MtctlError(
            f"the run's records hold a `reach` of `{task}` that does not match a run of {updates:,} updates",
            hint="train the longer run from its start: `-o name=NEW` keeps this one, --force replaces it",
        )

    def _dead(self, task: str) -> float | None:
        if task not in self._features:
            return None
        features = _sample(self._features[task])
        return float((features.std(0) < _STILL).cpu().double().mean()) if len(features) > 1 else None


def _sample(features: Tensor) -> Tensor:
    """Return [rows, width] of what a head reads: of features per bar, those of every few bars."""
    return features[:, ::_BARS].flatten(0, 1) if features.dim() == 3 else features


def _distance(before: list[Tensor], after: list[Tensor], updates: int) -> float | None:
    if not after:
        return None
    moved = [(now - then).square().sum() for then, now in zip(before, after, strict=True)]
    return float(torch.stack(moved).sum().sqrt()) / updates


def _ratio(value: float, base: float) -> float | None:
    ratio = value / base if base else math.nan
    return ratio if math.isfinite(ratio) else None
