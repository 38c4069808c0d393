"""The windows problem: one sequence model learns four tasks on windows of price bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.problems.contract import SeedList
from mtctl.problems.device import device_of
from mtctl.problems.supervised.answers import Answers, Choices, Numbers
from mtctl.problems.supervised.inspection import Inspection
from mtctl.problems.supervised.problem import BadTargets, Supervised
from mtctl.problems.windows import data
from mtctl.problems.windows.data import Dataset, Splits
from mtctl.problems.windows.losses import DELTA, MISSING, countdown_from_start, measures, window_losses
from mtctl.problems.windows.network import CLASSES, HEADS, SequenceNetwork
from mtctl.problems.windows.objective import Objective
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsProblem
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.problems.windows.targets import OUTPUTS

_OPTIMIZERS: Final[Mapping[str, Callable[..., torch.optim.Optimizer]]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
_ADAM: Final = frozenset({"step", "exp_avg", "exp_avg_sq"})
"""What Adam notes of each parameter; SGD without momentum notes nothing."""
_ROWS: Final = 256
"""Windows of one forward pass in an evaluation: more would only cost memory."""


class Windows(Supervised[Dataset]):
    """Four tasks on windows of price bars, learned by one sequence model.

    Args:
        problem: the recipe's problem.
        model: the recipe's model.
        training: the recipe's training.
        seed: the run's; data, initial weights, batches and dropout draw from separate streams of it.
    """

    item = "window"
    has_order = True

    def __init__(self, problem: WindowsProblem, model: SequenceModel, training: Training, seed: int) -> None:
        super().__init__(problem.tasks, training.epochs, training.gradient_clip)
        self.device = device_of(training.device)
        self.splits = self._load(problem, seed)
        self.definition = data.definition(problem)
        self.objective = self._new_objective(model, training)
        initial, order, dropout = _seeds(seed)
        self._network = SequenceNetwork(model, data.input_size(problem), initial)
        self.objective.prepare(self.network)
        self._network.to(self.device)
        # What is learned from is where the network is; what scores it, and scores, are in main memory.
        self._training_rows = self.splits.training.to(self.device)
        self.learned = self.objective.to(self.device)
        self._order = torch.Generator().manual_seed(order)
        self._dropout = torch.Generator(self.device).manual_seed(dropout)
        self._training = training
        self.optimizer = self._build_optimizer()
        self._noise = self._dropout.get_state()
        self._inspection = self._new_inspection()

    def _load(self, problem: WindowsProblem, seed: int) -> Splits:
        return data.load(problem, seed)

    def _new_objective(self, model: SequenceModel, training: Training) -> Objective:
        return Objective(model, training.loss_factor, self.splits.training)

    def _new_inspection(self) -> Inspection:
        training = self.splits.training
        constants = {task: self._constant_losses(task, training) for task in self.tasks}
        return Inspection(
            {task: self.head(task) for task in self.tasks},
            {task: float(losses.double().mean()) for task, losses in constants.items()},
            {task: self.objective.distance(task, training) for task in self.tasks},
            {task: self.adam_step(task) for task in self.tasks},
            self.planned_updates,
        )

    @property
    def planned_updates(self) -> int:
        return self._training.epochs * self.updates_per_epoch

    @property
    def updates_per_epoch(self) -> int:
        return -(-len(self.splits.training) // self._training.batch_size)

    def adam_step(self, task: str) -> float | None:
        if self._training.optimizer == "sgd":
            return None
        return self._head_rate(task)

    def elements(self, task: str) -> int:
        return OUTPUTS[task]

    def averaged(self, task: str) -> int:
        return 1 if task == "type" else OUTPUTS[task]

    @property
    def network(self) -> SequenceNetwork:
        return self._network

    def trunk(self) -> list[Parameter]:
        return self.network.trunk()

    def head(self, task: str) -> list[Parameter]:
        return list(self.network.head(task).parameters())

    def _head_rate(self, task: str) -> float:
        return self._training.lr * self._training.head_lr.get(task, 1.0)

    def _build_optimizer(self) -> torch.optim.Optimizer:
        settings = self._training
        decay = 0.0 if settings.optimizer == "adam" else settings.weight_decay
        new = _OPTIMIZERS[settings.optimizer]
        return new(self._parameter_groups(), lr=settings.lr, weight_decay=decay, fused=True)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return what the optimizer moves: the trunk, and the head of each task."""
        heads: list[dict[str, Any]] = [
            {"params": self.head(task), "lr": self._head_rate(task)} for task in self.tasks
        ]
        for task, group in zip(self.tasks, heads, strict=True):
            if task in self._training.head_decay:
                group["weight_decay"] = self._training.head_decay[task]
        return [{"params": self.trunk(), "lr": self._training.lr}, *heads]

    def budget(self) -> dict[str, int]:
        return {"updates": self._updates, "samples_per_update": self._training.batch_size}

    def batches(self) -> Iterator[Dataset]:
        order = torch.randperm(len(self.splits.training), generator=self._order)
        return map(self._training_rows.take, order.to(self.device).split(self._training.batch_size))

    def gradients(self) -> TaskGradients:
        self._noise = self._dropout.get_state()
        hidden = self.network.hidden(self.batch.inputs)
        raw = self._answer(hidden, self._dropout)
        self._note(raw)
        return self.differentiate(self.learned.losses(raw, self.batch, self.tasks), hidden)

    def sampled_losses(self, rng: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(self.splits.training), (self._training.batch_size,), generator=rng)
        batch = self._training_rows.take(rows.to(self.device))
        return self.learned.losses(self.forward(batch.inputs), batch, self.tasks)

    def differentiate(self, losses: Mapping[str, Tensor], hidden: Tensor | None = None) -> AutogradGradients:
        """Return the task gradients of losses; the LSTM is the last layer that all tasks share.

        Args:
            losses: by task.
            hidden: the LSTM's output that they were made from: the space `features`.
        """
        return AutogradGradients(
            self.tasks,
            losses,
            shared=self.trunk(),
            own=[self.head(task) for task in self.tasks],
            last_shared=list(self.network.lstm.parameters()),
            features=[] if hidden is None else [hidden],
            cut=False,  # the projection is shared too, and lies above the LSTM
        )

    def forward(self, inputs: Tensor, dropout: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return the raw outputs of the tasks' heads."""
        return self._answer(self.network.hidden(inputs), dropout)

    def _answer(self, hidden: Tensor, dropout: torch.Generator | None) -> dict[str, Tensor]:
        features = self.network.read(hidden, dropout)
        if dropout is not None:
            self._inspection.see(features)
        return self._outputs(features)

    @torch.no_grad()
    def revisit(self) -> Tensor:
        noise = torch.Generator(self.device)
        noise.set_state(self._noise)
        raw = self._outputs(self.network.features(self.batch.inputs, noise))
        losses = self.learned.losses(raw, self.batch, self.tasks)
        return torch.stack([losses[task] for task in self.tasks]).cpu().double()

    def _outputs(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.network.outputs({head: features[head] for head in HEADS if head in self.tasks})

    @torch.no_grad()
    def _note(self, raw: Mapping[str, Tensor]) -> None:
        """Add the batch's losses to the epoch's means, in the study's units."""
        share = len(self.batch) / len(self.splits.training)
        predictions = self.learned.predictions(raw)
        for task in self.tasks:
            losses = self._window_losses(task, predictions, self.batch)
            self._means[task]["loss"] += share * float(losses.mean())

    def row_losses(self, task: str, raw: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        """Return a task's losses [N] in the study's units."""
        return self._window_losses(task, self.objective.predictions(raw), batch)

    def _window_losses(self, task: str, predictions: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        return window_losses(task, predictions[task], self.objective.truth(task, batch))

    def constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        return {task: self._constant_losses(task, self._split(split)) for task in self.tasks}

    def _constant_losses(self, task: str, split: Dataset) -> Tensor:
        truth = self.objective.truth(task, split)
        shape = (len(split), CLASSES) if task == "type" else truth.shape
        return window_losses(task, self.objective.constants[task].expand(shape), truth)

    def _split(self, seeds: SeedList) -> Dataset:
        return self.splits.held_out if seeds == "held_out" else self.splits.validation

    def answers(self, split: SeedList, items: int | None = None) -> Answers[Dataset]:
        windows = self._split(split)
        windows = windows if items is None else windows.take(slice(items))
        return Answers([(self.raw(windows.inputs), windows)], self.row_losses)

    @torch.no_grad()
    def raw(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the heads' raw outputs [N, …] without dropout, in main memory, a part at a time."""
        parts = [self.forward(part.to(self.device)) for part in inputs.split(_ROWS)]
        return {head: torch.cat([part[head] for part in parts]).cpu() for head in parts[0]}

    def measures(self, task: str, answers: Answers[Dataset], split: SeedList) -> dict[str, float]:
        del split
        ((raw, windows),) = answers.parts
        predictions = self.objective.predictions(raw)
        return self._measures(task, predictions, windows)

    def _measures(self, task: str, predictions: Mapping[str, Tensor], split: Dataset) -> dict[str, float]:
        return measures(task, predictions[task], split.targets[task], split.start, split.end)

    def is_of_classes(self, task: str) -> bool:
        return task not in DELTA

    @torch.no_grad()
    def choices(self, task: str, split: SeedList) -> Choices | None:
        if task in DELTA:
            return None
        windows = self._split(split)
        answers, labels = self.raw(windows.inputs)[task], self.objective.truth(task, windows)
        if task == "binary":  # each bar for itself
            answers, labels = answers.reshape(-1, 1), labels.reshape(-1, 1)
        known = ~labels.isnan().any(1) if task == "binary" else labels != MISSING
        answers, labels = answers[known], labels[known]
        classes = CLASSES if task == "type" else 2
        losses = [window_losses(task, answers, torch.full_like(labels, label)) for label in range(classes)]
        return Choices(torch.stack(losses, 1), labels.reshape(-1).long())

    @torch.no_grad()
    def numbers(self, task: str, split: SeedList) -> Numbers | None:
        if task not in DELTA:
            return None
        windows = self._split(split)
        answers = self.objective.predictions(self.raw(windows.inputs))[task]
        return Numbers(answers, self.objective.truth(task, windows))

    def blind_losses(self) -> dict[str, float]:
        """Return what one start for all windows reaches, the training median: position makes a scalar."""
        if "countdown" not in self.objective.scalar:
            return {}
        split = self.splits.held_out
        start = self.splits.training.start.float().median().expand(len(split), 1)
        losses = window_losses(
            "countdown", countdown_from_start(start), self.objective.truth("countdown", split)
        )
        return {"countdown": float(losses.double().mean())}

    def bad_targets(self, task: str) -> BadTargets | None:
        target = self.splits.training.targets[task]
        wrong = _wrong(task, target)
        rows = wrong.flatten(1).any(1) if wrong.dim() > 1 else wrong
        if rows.any():
            return BadTargets(int(rows.sum()), len(rows))
        if len(target) > 1 and bool((target == target[:1]).all()) and _flat_in_time(target):
            return BadTargets(0, len(rows))
        return None

    def policy_state(self) -> dict[str, Any]:
        return dict(self.network.state_dict())

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        if self._epoch is not None:
            raise RuntimeError("an epoch is under way; its batches are not saved")
        return {
            "network": self.policy_state(),
            "optimizer": self.optimizer.state_dict(),
            "order": self._order.get_state(),
            "dropout": self._dropout.get_state(),
            "done": self.done,
            "updates": self._updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        # Its settings are the recipe's; what it remembers of each parameter is state.
        moments = state["optimizer"]["state"]
        names = frozenset() if self._training.optimizer == "sgd" else _ADAM
        _refuse_moments(moments, [p for group in self.optimizer.param_groups for p in group["params"]], names)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self._order.set_state(state["order"])
        self._dropout.set_state(state["dropout"])
        self.done, self._updates = state["done"], state["updates"]
        self._epoch = None
        self._inspection.restart(self._updates)


def _wrong(task: str, target: Tensor) -> Tensor:
    """Return which targets are missing, not finite or outside the range of their loss."""
    if task == "type":
        return (target == MISSING) | (target < 0) | (target >= CLASSES)
    wrong = ~target.isfinite()
    return wrong | (target < 0) | (target > 1) if task == "binary" else wrong


def _flat_in_time(target: Tensor) -> bool:
    """Say whether a target per bar is one number; others are one per window anyway."""
    return target.dim() < 2 or target.shape[1] <= 2 or bool((target == target[:, :1]).all())


@singledispatch
def build(recipe: WindowsRecipe, seed: int) -> Windows:
    """Return a recipe's problem, freshly initialised. Subclasses of recipes may register their own."""
    return Windows(recipe.problem, recipe.model, recipe.training, seed)


def _refuse_moments(
    stored: Mapping[int, Mapping[str, Tensor | None]], parameters: Sequence[Parameter], names: frozenset[str]
) -> None:
    """Refuse what an optimizer cannot have noted of its parameters: by place, a tensor for each name."""
    for place, moments in stored.items():
        noted = {name: value for name, value in moments.items() if value is not None}
        if type(place) is not int or not 0 <= place < len(parameters) or noted.keys() != names:
            raise ValueError(
                f"the optimizer noted {', '.join(noted) or 'nothing'} of parameter {place!r:.40}"
            )
        for name, value in noted.items():
            shape = [] if name == "step" else list(parameters[place].shape)
            if value.dtype != torch.float32 or list(value.shape) != shape:
                raise ValueError(
                    f"the optimizer's {name} of parameter {place} has the shape {list(value.shape)}"
                )
            if name != "exp_avg" and (value < 0).any():
                raise ValueError(f"the optimizer's {name} of parameter {place} is negative")


def _seeds(seed: int) -> tuple[int, int, int]:
    """Return seeds of the initial weights, the order of the windows and dropout."""
    words = np.random.SeedSequence([seed, 1]).generate_state(3, np.uint64) >> np.uint64(2)
    return int(words[0]), int(words[1]), int(words[2])
