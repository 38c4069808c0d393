"""A second problem for the engine: two regression tasks on one trunk, learned through plain autograd.

Task "wave" is sin(2x), task "line" is 3x − 1, both from the same inputs; a unit is an epoch of a few batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtctl.balancing.gradients import AutogradGradients
from mtctl.problems.contract import (
    Frame,
    ParameterCount,
    Record,
    SeedList,
    TaskEvaluation,
    TaskSignals,
)
from mtctl.problems.score import Figures, Score

BATCHES = 10
ROWS = 32


class Regression:
    """Two tasks, a shared layer, a head each.

    Args:
        units: epochs.
        seed: decides initial weights and batches.
        lr: Adam's learning rate.
        absent: a task whose labels are missing in every other batch.
    """

    unit = "epoch"
    item = "point"
    device = torch.device("cpu")
    code: Mapping[str, str] | None = None
    score = Score(name="error", higher_is_better=False, success=None)
    figures = Figures("error")
    tasks: tuple[str, ...] = ("wave", "line")
    scored = tasks
    definition: Mapping[str, Any] = {"tasks": {"wave": "sin 2x", "line": "3x - 1"}}

    def __init__(self, units: int = 30, seed: int = 0, lr: float = 1e-2, absent: str | None = None) -> None:
        self.units, self.done = units, 0
        self._generator = torch.Generator().manual_seed(seed)
        self._absent = absent
        self._trunk = nn.Linear(1, 32)
        self._heads = [nn.Linear(32, 1) for _ in self.tasks]
        parameters = [*self._trunk.parameters(), *(p for head in self._heads for p in head.parameters())]
        with torch.no_grad():
            for parameter in parameters:
                parameter.normal_(0.0, 0.5, generator=self._generator)
        self._optimizer = torch.optim.Adam(parameters, lr=lr)
        self._batches = 0
        self.updates = 0
        self._inputs = torch.zeros(ROWS, 1)

    def parameter_count(self) -> ParameterCount:
        return ParameterCount(total=64 + 66, shared=64)

    def budget(self) -> dict[str, int]:
        return {
            "environment_steps": self._batches,
            "updates": self.updates,
            "samples_per_update": 2 * ROWS,
        }

    def advance(self) -> Record | None:
        self._inputs = torch.empty(ROWS, 1).uniform_(-2, 2, generator=self._generator)
        self._batches += 1
        if self._batches % BATCHES:
            return None
        self.done += 1
        return {
            "kind": "unit",
            "unit": self.done,
            "tasks": {},
            "extra": {},
            "environment_steps": self._batches,
        }

    def _losses(self, inputs: Tensor) -> dict[str, Tensor]:
        hidden = self._trunk(inputs).tanh()
        truth = {"wave": (2 * inputs).sin(), "line": 3 * inputs - 1}
        return {
            task: (head(hidden) - truth[task]).square().mean()
            for task, head in zip(self.tasks, self._heads, strict=True)
        }

    def gradients(self) -> AutogradGradients | None:
        if self._batches == 1:
            return None  # as if the first batch were still being collected
        missing = self._absent if self._batches % 2 else None
        losses = self._losses(self._inputs)
        return AutogradGradients(
            self.tasks,
            losses,
            shared=list(self._trunk.parameters()),
            own=[list(head.parameters()) for head in self._heads],
            last_shared=[next(self._trunk.parameters())],
            active=torch.tensor([task != missing for task in self.tasks]),
        )

    def update(self) -> None:
        self._optimizer.step()
        self.updates += 1

    def revisit(self) -> Tensor:
        with torch.no_grad():
            losses = self._losses(self._inputs)
        return torch.stack([losses[task] for task in self.tasks]).double()

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        with torch.no_grad():
            losses = self._losses(torch.linspace(-2, 2, items or 200).unsqueeze(1))
        return {task: TaskEvaluation((losses[task].item(),) * (items or 200)) for task in tasks or self.tasks}

    def inspect(self) -> TaskSignals:
        return {"head_norm": {"wave": float(self._heads[0].weight.detach().norm()), "line": None}}

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        raise NotImplementedError

    def policy_state(self) -> dict[str, Any]:
        return {
            "trunk": self._trunk.state_dict(),
            "heads": [head.state_dict() for head in self._heads],
        }

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self._trunk.load_state_dict(state["trunk"])
        for head, stored in zip(self._heads, state["heads"], strict=True):
            head.load_state_dict(stored)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.policy_state(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "counts": [self.done, self._batches, self.updates],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.load_policy_state(state["policy"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        self.done, self._batches, self.updates = state["counts"]

    def mark(self) -> None:
        raise NotImplementedError

    def rewind(self) -> None:
        raise NotImplementedError
