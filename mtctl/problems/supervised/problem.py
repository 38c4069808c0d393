"""What all supervised problems share: epochs of batches, heads, a trunk, and losses against a constant's.

The skill of a row is 100·(1 − L/L_c), L_c the mean held-out loss of the constant that is best on the training
rows: 0 is no better than that constant, 100 is perfect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.task_gradients import TaskGradients
from mtctl.errors import MtctlError
from mtctl.problems.contract import Frame, ParameterCount, Record, SeedList, TaskEvaluation, TaskSignals
from mtctl.problems.score import LOSSES, SKILL
from mtctl.problems.supervised.answers import Answers, Choices, Numbers
from mtctl.problems.supervised.inspection import Inspection
from mtctl.problems.supervised.interventions import Intervention

B = TypeVar("B")
_LEAST: Final = 1e-9
"""Loss of a constant below which there is nothing to be better than; keeps skill finite."""
_PROMISED: Final = 3e-3
"""Share of a loss that a step along its gradient is to take off: small enough for a straight line, and
far above rounding."""


@dataclass(frozen=True, slots=True)
class BadTargets:
    """What is wrong with a task's training targets.

    Args:
        rows: how many are missing, not finite or outside the range of the loss; 0 where all are the same.
        of: how many rows there are.
        misfit: what else is wrong with them, as a sentence without its full stop; "" if that is all.
    """

    rows: int
    of: int
    misfit: str = ""


class Supervised(ABC, Generic[B]):
    """Epochs of batches, of which every one is an update; a batch is a `B`.

    A kind of problem supplies its batches, its outputs and losses, and which parameters are whose. Diagnosis
    by experiment knows problems by this contract alone.

    Args:
        tasks: the T task names.
        epochs: how many to train.
        gradient_clip: largest Euclidean norm of the combined gradient; None: no clipping.

    Attributes:
        optimizer: moves the parameters.
    """

    unit = "epoch"
    item = "row"
    score = SKILL
    figures = LOSSES
    device = torch.device("cpu")
    definition: Mapping[str, Any]
    code: Mapping[str, str] | None = None
    has_order: bool
    """Whether the rows of a split have an order in which targets can be shifted."""
    optimizer: torch.optim.Optimizer
    _inspection: Inspection

    def __init__(self, tasks: tuple[str, ...], epochs: int, gradient_clip: float | None) -> None:
        self.tasks = self.scored = tasks
        self.units, self.done = epochs, 0
        self._clip, self._updates = gradient_clip, 0
        self._epoch: Iterator[B] | None = None
        self._batch: B | None = None
        self._ahead: B | None = None
        self._means: dict[str, dict[str, float]] = {task: {"loss": 0.0} for task in tasks}
        self._marked: dict[str, Any] = {}

    # ----- what a kind of problem supplies

    @property
    @abstractmethod
    def updates_per_epoch(self) -> int:
        """Updates of an epoch."""

    @property
    @abstractmethod
    def planned_updates(self) -> int:
        """Updates of the whole run."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network that answers."""

    @abstractmethod
    def trunk(self) -> list[Parameter]:
        """Return the parameters that several tasks use."""

    def frozen(self) -> list[Parameter]:
        """Return the parameters that all tasks use and that require no gradient."""
        return []

    @abstractmethod
    def head(self, task: str) -> list[Parameter]:
        """Return the parameters that only one task uses."""

    @abstractmethod
    def batches(self) -> Iterator[B]:
        """Begin an epoch: yield its batches; at least one."""

    @abstractmethod
    def gradients(self) -> TaskGradients:
        """Differentiate every task's loss on the batch."""

    def looking(self) -> AbstractContextManager[None]:
        """Let gradients be looked at, and not learned from: in full precision, whatever training has."""
        return nullcontext()

    @abstractmethod
    def sampled_losses(self, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Return the losses of the tasks that a batch drawn by `rng` has, with a graph, without dropout.

        Training's state stays untouched.
        """

    def sampled_gradients(self, rng: torch.Generator) -> Tensor:
        """Return [T, P] the tasks' gradients on the trunk for a batch drawn by `rng`, without dropout."""
        losses, trunk = self.sampled_losses(rng), self.trunk()
        if not trunk:
            return torch.zeros(len(self.tasks), 0)
        rows = []
        for task in self.tasks:
            found = (
                torch.autograd.grad(losses[task], trunk, retain_graph=True, allow_unused=True)
                if task in losses
                else [None] * len(trunk)
            )
            filled = (torch.zeros_like(p) if g is None else g for p, g in zip(trunk, found, strict=True))
            rows.append(torch.cat([gradient.flatten() for gradient in filled]))
        return torch.stack(rows)

    def descents(self, seed: int) -> dict[str, float]:
        """Return what a small step of the trunk along each task's own gradient does to its loss.

        As a share of what the gradient promises: about 1, and about −1 for a gradient of the wrong sign.
        Tasks that do not reach the trunk have none.

        Args:
            seed: of the batch that is looked at.
        """
        trunk, found = self.trunk(), {}
        losses = self.sampled_losses(torch.Generator().manual_seed(seed))
        rows = self.sampled_gradients(torch.Generator().manual_seed(seed)) if trunk else torch.empty(0)
        for row, task in zip(rows, self.tasks, strict=False):
            if task not in losses:
                continue
            square, value = float(row.double().square().sum()), float(losses[task].detach())
            if square > _LEAST**2 and value:
                length = _PROMISED * abs(value) / square
                after = self._after_step(trunk, -length * row, seed, task)
                found[task] = (value - after) / (length * square)
        return found

    @torch.no_grad()
    def _after_step(self, trunk: list[Parameter], step: Tensor, seed: int, task: str) -> float:
        """Return a task's loss with the trunk moved by a step, which is taken back."""
        parts = step.split([parameter.numel() for parameter in trunk])
        before = [parameter.clone() for parameter in trunk]
        for parameter, part in zip(trunk, parts, strict=True):
            parameter.add_(part.view_as(parameter))
        try:
            return float(self.sampled_losses(torch.Generator().manual_seed(seed))[task])
        finally:
            for parameter, value in zip(trunk, before, strict=True):
                parameter.copy_(value)

    @abstractmethod
    def revisit(self) -> Tensor:
        """Return the last batch's losses, with the same dropout noise."""

    @abstractmethod
    def answers(self, split: SeedList, items: int | None = None) -> Answers[B]:
        """Return what the model answers on the first `items` rows of a split, without dropout."""

    @abstractmethod
    def constant_losses(self, split: SeedList) -> Mapping[str, Tensor]:
        """Return each task's losses [N] on a split if it always answered its best constant.

        The constant is the one that is best on the training rows.
        """

    @abstractmethod
    def bad_targets(self, task: str) -> BadTargets | None:
        """Return what is wrong with a task's training targets; None if nothing is."""

    @abstractmethod
    def elements(self, task: str) -> int:
        """Return how many numbers a task answers for a row."""

    def averaged(self, task: str) -> int:
        """Return over how many numbers of a row a task's loss is a mean; 1 for classes."""
        return self.elements(task)

    @abstractmethod
    def adam_step(self, task: str) -> float | None:
        """Return how far one update can move each of a head's parameters; None where nothing bounds it."""

    def measures(self, task: str, answers: Answers[B], split: SeedList) -> dict[str, float]:
        """Return a task's further figures over all rows, in its own units, by name."""
        del task, answers, split
        return {}

    def is_of_classes(self, task: str) -> bool:
        """Say whether a task's targets are classes, which have no unit."""
        del task
        return False

    def choices(self, task: str, split: SeedList) -> Choices | None:
        """Return what a task's answers on a split would lose on each class; None where it has none."""
        del task, split
        return None

    def numbers(self, task: str, split: SeedList) -> Numbers | None:
        """Return a task's answers on a split and their targets; None where they are no such numbers."""
        del task, split
        return None

    def target_unit(self, task: str) -> tuple[float, float] | None:
        """Return the best constant and the standard deviation of targets, where both are numbers."""
        del task
        return None

    def applicable(self, *interventions: Intervention) -> tuple[Intervention, ...]:
        """Return interventions without what changes nothing here, such as a unit without outputs."""
        return interventions

    def blind_losses(self) -> Mapping[str, float]:
        """Return held-out losses that answers without any input reach, where a constant's are above them."""
        return {}

    # ----- the training

    @property
    def rate(self) -> float:
        """The learning rate of the trunk."""
        return float(self.optimizer.param_groups[0]["lr"])

    def parameter_count(self) -> ParameterCount:
        """Count what the tasks use; heads of tasks that are left out do not count."""
        shared = sum(parameter.numel() for parameter in self.trunk())
        own = sum(parameter.numel() for task in self.tasks for parameter in self.head(task))
        return ParameterCount(shared + own, shared)

    def advance(self) -> Record | None:
        """Draw the next batch; return the epoch's record with its last one."""
        if self._epoch is None:
            self._epoch = self.batches()
            self._ahead = next(self._epoch)
            self._means = {task: {"loss": 0.0} for task in self.tasks}
        self._batch, self._ahead = self._ahead, next(self._epoch, None)
        if self._ahead is not None:
            return None
        self._epoch = None
        self.done += 1
        # The means are complete once this batch has been learned from, before anybody sees the record.
        return {"kind": "unit", "unit": self.done, "tasks": self._means, "extra": {}}

    @property
    def batch(self) -> B:
        """The batch that is learned from."""
        assert self._batch is not None
        return self._batch

    def update(self) -> None:
        if self._clip is not None:
            given = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(given, self._clip)
        self.optimizer.step()
        self._updates += 1

    def inspect(self) -> TaskSignals:
        means = {task: figures["loss"] for task, figures in self._means.items()}
        return self._inspection.take(means, self._updates)

    def restated(self, record: Record, units: int) -> Record:
        """Return an epoch's record of a run of `units` epochs as this run would have written it."""
        signals = record.get("signals")
        if not signals or "reach" not in signals:
            return record
        reaches = self._inspection.restated(signals["reach"], units * self.updates_per_epoch)
        return {**record, "signals": {**signals, "reach": reaches}}

    # ----- scores

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        """Score held-out (or validation) rows without dropout."""
        # Of all rows, so that a row's skill does not depend on how many others are scored.
        constants = self.constant_losses(seeds)
        answers = self.answers(seeds, items)
        return {task: self._evaluation(task, answers, constants[task], seeds) for task in tasks or self.tasks}

    def _evaluation(
        self, task: str, answers: Answers[B], constant: Tensor, split: SeedList
    ) -> TaskEvaluation:
        losses = answers.losses(task)
        skill = 100 * (1 - losses / constant.double().mean().clamp(min=_LEAST))
        figures = {"loss": float(losses.mean()), **self.measures(task, answers, split)}
        return TaskEvaluation(tuple(skill.tolist()), measures=figures)

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        raise MtctlError(
            f"{self.item}s have no episodes to show", hint="--render and --video are for lander runs"
        )

    # ----- state

    @abstractmethod
    def budget(self) -> dict[str, int]:
        """Return what has been spent so far: updates, samples_per_update."""

    @abstractmethod
    def policy_state(self) -> dict[str, Any]:
        """Return what evaluation needs: the network's weights."""

    @abstractmethod
    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `policy_state` returned."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the future; complete at the end of an epoch only."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""

    def mark(self) -> None:
        # The state's tensors are those that training moves.
        self._marked = deepcopy(self.state_dict())

    def rewind(self) -> None:
        self.load_state_dict(self._marked)
