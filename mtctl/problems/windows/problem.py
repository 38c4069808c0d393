"""The windows problem: one sequence model learns four tasks on windows of price bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import singledispatch
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients
from mtctl.errors import MtctlError
from mtctl.problems.contract import (
    Frame,
    ParameterCount,
    Record,
    SeedList,
    TaskEvaluation,
    TaskSignals,
)
from mtctl.problems.score import LOSSES, SKILL
from mtctl.problems.windows import data
from mtctl.problems.windows.data import Dataset, Splits
from mtctl.problems.windows.inspection import Inspection
from mtctl.problems.windows.losses import measures, window_losses
from mtctl.problems.windows.network import CLASSES, HEADS, SequenceNetwork
from mtctl.problems.windows.objective import Objective
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsProblem
from mtctl.problems.windows.recipe import WindowsRecipe

_OPTIMIZERS: Final[Mapping[str, Callable[..., torch.optim.Optimizer]]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
_ADAM: Final = frozenset({"step", "exp_avg", "exp_avg_sq"})
"""What Adam notes of each parameter; SGD without momentum notes nothing."""
_ROWS: Final = 256
"""Windows of one forward pass in an evaluation: more would only cost memory."""
_LEAST: Final = 1e-9
"""Loss of a constant below which there is nothing to be better than; keeps skill finite."""


class Windows:
    """Epochs of shuffled batches; every batch is an update.

    Held-out scores are skill: 100·(1 − L/L_c) per window, L_c the mean held-out loss of the constant that is
    best on the training windows; 0 is no better than that constant, 100 is perfect.

    Args:
        problem: the recipe's problem.
        model: the recipe's model.
        training: the recipe's training.
        seed: the run's; data, initial weights, batches and dropout draw from separate streams of it.
    """

    unit = "epoch"
    item = "window"
    score = SKILL
    figures = LOSSES
    device = torch.device("cpu")

    def __init__(self, problem: WindowsProblem, model: SequenceModel, training: Training, seed: int) -> None:
        self.tasks: tuple[str, ...] = problem.tasks
        self.units = training.epochs
        self.done = 0
        self.splits = self._load(problem, seed)
        self.definition: Mapping[str, Any] = data.definition(problem)
        self.objective = self._new_objective(model, training)
        initial, order, dropout = _seeds(seed)
        self.network = SequenceNetwork(model, data.input_size(problem), initial)
        self.objective.prepare(self.network)
        self._order, self._dropout = (torch.Generator().manual_seed(word) for word in (order, dropout))
        self._training = training
        self.optimizer = self._build_optimizer()
        self._updates = 0
        self._batches: list[Tensor] = []
        self._marked: dict[str, Any] = {}
        self._batch = self.splits.training
        self._noise = self._dropout.get_state()
        self._means: dict[str, dict[str, float]] = {task: {"loss": 0.0} for task in self.tasks}
        self._inspection = self._new_inspection()

    def _load(self, problem: WindowsProblem, seed: int) -> Splits:
        return data.load(problem, seed)

    def _new_objective(self, model: SequenceModel, training: Training) -> Objective:
        return Objective(model, training.loss_factor, self.splits.training)

    def _new_inspection(self) -> Inspection:
        training = self.splits.training
        constants = self.constant_losses(training)
        return Inspection(
            {task: self.head(task) for task in self.tasks},
            {task: float(losses.double().mean()) for task, losses in constants.items()},
            {task: self.objective.distance(task, training) for task in self.tasks},
            {task: self.adam_step(task) for task in self.tasks},
            self.planned_updates,
        )

    @property
    def planned_updates(self) -> int:
        """Updates of the whole run."""
        return self._training.epochs * self._updates_per_epoch

    @property
    def _updates_per_epoch(self) -> int:
        return -(-len(self.splits.training) // self._training.batch_size)

    def adam_step(self, task: str) -> float | None:
        """Return how far one update can move each of a head's parameters; None where nothing bounds it."""
        if self._training.optimizer == "sgd":
            return None
        return self._head_rate(task)

    def trunk(self) -> list[Parameter]:
        """Return the parameters that several tasks use."""
        return self.network.trunk()

    def head(self, task: str) -> list[Parameter]:
        """Return the parameters that only one task uses."""
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
        heads = [{"params": self.head(task), "lr": self._head_rate(task)} for task in self.tasks]
        return [{"params": self.trunk(), "lr": self._training.lr}, *heads]

    def parameter_count(self) -> ParameterCount:
        """Count what the tasks use; heads of tasks that are left out do not count."""
        shared = sum(parameter.numel() for parameter in self.trunk())
        own = sum(parameter.numel() for task in self.tasks for parameter in self.head(task))
        return ParameterCount(shared + own, shared)

    def budget(self) -> dict[str, int]:
        return {"updates": self._updates, "samples_per_update": self._training.batch_size}

    def advance(self) -> Record | None:
        """Draw the next batch; return the epoch's record with its last one."""
        if not self._batches:
            order = torch.randperm(len(self.splits.training), generator=self._order)
            self._batches = list(order.split(self._training.batch_size))
            self._means = {task: {"loss": 0.0} for task in self.tasks}
        self._batch = self.splits.training.take(self._batches.pop(0))
        if self._batches:
            return None
        self.done += 1
        # The means are complete once this batch has been learned from, before anybody sees the record.
        return {"kind": "unit", "unit": self.done, "tasks": self._means, "extra": {}}

    def gradients(self) -> AutogradGradients:
        """Differentiate every task's loss on the batch."""
        self._noise = self._dropout.get_state()
        hidden = self.network.hidden(self._batch.inputs)
        raw = self._answer(hidden, self._dropout)
        self._note(raw)
        return self.differentiate(self.objective.losses(raw, self._batch, self.tasks), hidden)

    def sampled_gradients(self, rng: torch.Generator) -> Tensor:
        """Return [T, P] the tasks' gradients on the trunk for a batch drawn by `rng`, without dropout."""
        rows = torch.randint(len(self.splits.training), (self._training.batch_size,), generator=rng)
        batch = self.splits.training.take(rows)
        losses = self.objective.losses(self.forward(batch.inputs), batch, self.tasks)
        return self.differentiate(losses).jacobian("all_shared")

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
        """Return the last batch's losses, with the same dropout noise."""
        noise = torch.Generator()
        noise.set_state(self._noise)
        raw = self._outputs(self.network.features(self._batch.inputs, noise))
        losses = self.objective.losses(raw, self._batch, self.tasks)
        return torch.stack([losses[task] for task in self.tasks]).double()

    def _outputs(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.network.outputs({head: features[head] for head in HEADS if head in self.tasks})

    @torch.no_grad()
    def _note(self, raw: Mapping[str, Tensor]) -> None:
        """Add the batch's losses to the epoch's means, in the study's units."""
        share = len(self._batch) / len(self.splits.training)
        for task, losses in self.window_losses(raw, self._batch).items():
            self._means[task]["loss"] += share * float(losses.mean())

    def window_losses(self, raw: Mapping[str, Tensor], batch: Dataset) -> dict[str, Tensor]:
        """Return each task's losses [N] in the study's units."""
        predictions = self.objective.predictions(raw)
        return {task: self._window_losses(task, predictions, batch) for task in self.tasks}

    def _window_losses(self, task: str, predictions: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        return window_losses(task, predictions[task], self.objective.truth(task, batch))

    def update(self) -> None:
        clip = self._training.gradient_clip
        if clip is not None:
            given = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(given, clip)
        self.optimizer.step()
        self._updates += 1

    def inspect(self) -> TaskSignals:
        return self._inspection.take(
            {task: means["loss"] for task, means in self._means.items()}, self._updates
        )

    def restated(self, record: Record, units: int) -> Record:
        """Return an epoch's record of a run of `units` epochs as this run would have written it."""
        signals = record.get("signals")
        if not signals or "reach" not in signals:
            return record
        reaches = self._inspection.restated(signals["reach"], units * self._updates_per_epoch)
        return {**record, "signals": {**signals, "reach": reaches}}

    def constant_losses(self, split: Dataset) -> dict[str, Tensor]:
        """Return each task's losses [N] on a split if it always answered its best constant."""
        return {task: self._constant_losses(task, split) for task in self.tasks}

    def _constant_losses(self, task: str, split: Dataset) -> Tensor:
        truth = self.objective.truth(task, split)
        shape = (len(split), CLASSES) if task == "type" else truth.shape
        return window_losses(task, self.objective.constants[task].expand(shape), truth)

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        """Score held-out (or validation) windows without dropout."""
        split = self.splits.held_out if seeds == "held_out" else self.splits.validation
        # Of all windows, so that a window's skill does not depend on how many others are scored.
        constants = self.constant_losses(split)
        if items is not None:
            split = split.take(slice(items))
        raw = self.answers(split.inputs)
        losses = self.window_losses(raw, split)
        predictions = self.objective.predictions(raw)
        found = {}
        for task in tasks or self.tasks:
            least = constants[task].double().mean().clamp(min=_LEAST)
            skill = 100 * (1 - losses[task].double() / least)
            figures = {
                "loss": float(losses[task].double().mean()),
                **self._measures(task, predictions, split),
            }
            found[task] = TaskEvaluation(tuple(skill.tolist()), measures=figures)
        return found

    def _measures(self, task: str, predictions: Mapping[str, Tensor], split: Dataset) -> dict[str, float]:
        return measures(task, predictions[task], split.targets[task], split.start, split.end)

    @torch.no_grad()
    def answers(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the heads' raw outputs [N, …] without dropout, a part of the windows at a time."""
        parts = [self.forward(part) for part in inputs.split(_ROWS)]
        return {head: torch.cat([part[head] for part in parts]) for head in parts[0]}

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        raise MtctlError("windows have no episodes to show", hint="--render and --video are for lander runs")

    def policy_state(self) -> dict[str, Any]:
        return dict(self.network.state_dict())

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the future; complete at the end of an epoch only."""
        if self._batches:
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
        self._batches = []
        self._inspection.restart(self._updates)

    def mark(self) -> None:
        # The state's tensors are those that training moves.
        self._marked = deepcopy(self.state_dict())

    def rewind(self) -> None:
        self.load_state_dict(self._marked)


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
