"""A user's optimizer and learning rate schedule, with what a recipe changes about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch.nn import Parameter

from mtctl.errors import MtctlError
from mtctl.problems.python.builder import call
from mtctl.problems.python.recipe import PythonTraining
from mtctl.problems.python.training import Training

_DEFAULT_LR = 1e-3
_OWN_DECAY = "own_decay"
"""Key of the groups whose weight decay is that of one head."""


class Optimization:
    """The optimizer of a run and its schedule.

    Args:
        training: of the user.
        settings: of the recipe.
        own: each task's own parameters.
    """

    def __init__(
        self, training: Training, settings: PythonTraining, own: Mapping[str, Sequence[Parameter]]
    ) -> None:
        parameters = [parameter for parameter in training.model.parameters() if parameter.requires_grad]
        if settings.adam is not None:
            optimizer: Any = torch.optim.Adam(parameters, lr=settings.adam)
        elif training.optimizer is None:
            optimizer = torch.optim.AdamW(parameters, lr=_DEFAULT_LR)
        else:
            optimizer = call("`optimizer`", training.optimizer, parameters)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise MtctlError(
                f"`optimizer` returned {type(optimizer).__name__}, expected a torch.optim.Optimizer",
                hint="optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)",
            )
        self.optimizer = optimizer
        self._change_rates(settings, own)
        self._schedule: Any = None
        if training.scheduler is not None and settings.adam is None:
            self._schedule = call("`scheduler`", training.scheduler, optimizer)
        self._every = training.scheduler_every

    def _change_rates(self, settings: PythonTraining, own: Mapping[str, Sequence[Parameter]]) -> None:
        for task in dict.fromkeys([*settings.head_lr, *settings.head_decay]):
            factor, decay = settings.head_lr.get(task, 1.0), settings.head_decay.get(task)
            if factor != 1.0 or decay is not None:
                self._move(set(own.get(task, ())), factor, decay)
        for group in self.optimizer.param_groups:
            group["lr"] *= settings.lr_factor
            if settings.weight_decay is not None and "weight_decay" in group and _OWN_DECAY not in group:
                group["weight_decay"] = settings.weight_decay

    def _move(self, parameters: set[Parameter], factor: float, decay: float | None) -> None:
        """Give parameters groups of their own, at a multiple of the rate of the groups that they are in.

        Args:
            parameters: to move.
            factor: on the rate.
            decay: in place of those groups' weight decay; None: it stays.
        """
        own = {} if decay is None else {"weight_decay": decay, _OWN_DECAY: True}
        for group in list(self.optimizer.param_groups):
            moved = [parameter for parameter in group["params"] if parameter in parameters]
            if moved:
                group["params"] = [parameter for parameter in group["params"] if parameter not in parameters]
                options = {key: value for key, value in group.items() if key != "params"}
                self.optimizer.add_param_group(
                    {**options, **own, "params": moved, "lr": group["lr"] * factor}
                )
        groups = self.optimizer.param_groups
        groups[:] = [group for group in groups if group["params"]]

    def adam_step(self, parameters: Sequence[Parameter]) -> float | None:
        """Return how far an update can move parameters; None where the gradient's length decides."""
        if isinstance(self.optimizer, torch.optim.SGD):
            return None
        wanted = set(parameters)
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups if not wanted or wanted.intersection(group["params"])]
        return float(rates[0]) if rates else None

    def updated(self, losses: Mapping[str, Mapping[str, float]]) -> None:
        """Move a schedule of updates on after one."""
        if self._every == "update":
            self._move_on(losses)

    def epoch_ended(self, losses: Mapping[str, Mapping[str, float]]) -> None:
        """Move a schedule of epochs on after one."""
        if self._every == "epoch":
            self._move_on(losses)

    def _move_on(self, losses: Mapping[str, Mapping[str, float]]) -> None:
        """Move the schedule on.

        One that is at its end leaves the rates as they are: experiments go on for longer than a run.
        """
        if self._schedule is None:
            return
        try:
            if isinstance(self._schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                self._schedule.step(fmean(figures["loss"] for figures in losses.values()))
            else:
                self._schedule.step()
        except ValueError:  # OneCycleLR, past its last step
            self._schedule = None

    def state_dict(self) -> dict[str, Any]:
        schedule = None if self._schedule is None else self._schedule.state_dict()
        return {"optimizer": self.optimizer.state_dict(), "schedule": schedule}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self._schedule is not None and state["schedule"] is not None:
            self._schedule.load_state_dict(state["schedule"])
