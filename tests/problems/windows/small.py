"""Windows problems that are small enough to be trained in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method
from mtctl.balancing.fixed import Equal
from mtctl.engine.fit import Balancing, Observer, fit
from mtctl.engine.signals import SignalLog
from mtctl.problems.contract import Record
from mtctl.problems.windows.data import Dataset, Splits
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsProblem
from mtctl.problems.windows.problem import Windows

TASKS = ("type", "ptr", "binary", "countdown")
DATA = {"kind": "synthetic", "windows": 20, "validation": 12, "held_out": 16}
MODEL = {"kind": "bilstm", "hidden": 6, "projection": 5}
TRAINING = {"epochs": 2, "batch_size": 8, "lr": 1e-2}


def described(tasks: Sequence[str] = TASKS, **settings: Any) -> WindowsProblem:
    """Return `problem:` of a recipe with 20 training windows, if nothing else is said."""
    return WindowsProblem.model_validate({"kind": "windows", "tasks": tasks, "data": DATA, **settings})


def small(
    tasks: Sequence[str] = TASKS,
    *,
    seed: int = 0,
    model: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **settings: Any,
) -> Windows:
    """Return a problem with a model of about 600 parameters: three updates an epoch."""
    return Windows(
        described(tasks, **settings),
        SequenceModel.model_validate({**MODEL, **(model or {})}),
        Training.model_validate({**TRAINING, **(training or {})}),
        seed,
    )


class Recorder:
    """Keeps the records of a training."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def unit_ended(self, record: Record) -> None:
        self.records.append({**record, "tasks": deepcopy(record["tasks"])})


class Trainer:
    """Trains a problem as a run does, and can go on with it.

    Args:
        problem: what.
        methods: how tasks share; equal weights if left out.
        every: updates between two measurements of gradients.
    """

    def __init__(self, problem: Windows, *methods: Method, every: int = 2, seed: int = 0) -> None:
        self.problem = problem
        self.balancing = Balancing(Chain(methods or (Equal(),)), problem.tasks, seed)
        self.log = SignalLog(problem.tasks, shared=True, every=every, inspect=problem.inspect)

    def train(self, epochs: int | None = None, *observers: Observer) -> list[Record]:
        """Train for so many more epochs, or to the end; return the records."""
        recorder = Recorder()
        last = self.problem.units if epochs is None else self.problem.done + epochs
        observers = (recorder, *observers)
        fit(self.problem, self.balancing, self.log, observers, stop=lambda: self.problem.done >= last)
        return recorder.records


def weights(problem: Windows) -> dict[str, torch.Tensor]:
    """Return a copy of the network's parameters by name."""
    return {name: value.clone() for name, value in problem.policy_state().items()}


def skills(problem: Windows) -> dict[str, float]:
    """Return each task's held-out skill in %."""
    found = problem.evaluate(None, "held_out")
    return {task: sum(one.scores) / len(one.scores) for task, one in found.items()}


def zeros(problem: Windows, part: Dataset) -> dict[str, torch.Tensor]:
    """Return raw outputs of 0."""
    return {task: torch.zeros_like(raw) for task, raw in problem.raw(part.inputs).items()}


def minimised(problem: Windows, raw: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return what each task minimises on the training windows."""
    losses = problem.objective.losses(raw, problem.splits.training, problem.tasks)
    return {task: float(loss) for task, loss in losses.items()}


def parts(splits: Splits) -> tuple[Dataset, Dataset, Dataset]:
    """Return the three splits."""
    return splits.training, splits.validation, splits.held_out


def same(one: Dataset, other: Dataset) -> bool:
    """Say whether two datasets are equal."""
    tensors = [(one.inputs, other.inputs), (one.start, other.start), (one.end, other.end)]
    tensors += [(one.targets[task], other.targets[task]) for task in TASKS]
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in tensors)


def losses_of(problem: Windows, raw: Mapping[str, Tensor], windows: Dataset) -> dict[str, Tensor]:
    """Return each task's losses [N] in the study's units."""
    return {task: problem.row_losses(task, raw, windows) for task in problem.tasks}


def constant_losses_of(problem: Windows, windows: Dataset) -> dict[str, Tensor]:
    """Return each task's losses [N] on any windows if it always answered its best constant."""
    return {task: problem._constant_losses(task, windows) for task in problem.tasks}
