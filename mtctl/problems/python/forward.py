"""Outputs and losses of a user's model on a batch, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.python.batches import Rows, forward_of, shape_of
from mtctl.problems.python.calling import call
from mtctl.problems.python.objective import Objective, Pair
from mtctl.problems.python.precision import Precision
from mtctl.problems.python.training import Training


class Forward:
    """A user's model as a function of batches.

    Args:
        training: of the user.
        objectives: by task; none where the user's code computes the losses itself.
        tasks: that are trained.
        precision: in which it computes.
        factors: on losses, by task.
    """

    def __init__(
        self,
        training: Training,
        objectives: Mapping[str, Objective],
        tasks: tuple[str, ...],
        precision: Precision,
        factors: Mapping[str, float],
    ) -> None:
        self._function, self._own_losses = forward_of(training), training.losses
        self._objectives, self._tasks = objectives, tasks
        self._precision, self._factors = precision, factors

    def outputs(self, rows: Rows) -> dict[str, Tensor]:
        """Return the outputs of the user's model, by task; none where it computes its losses itself."""
        if self._own_losses is not None:
            return {}
        with self._precision.autocast():
            raw = call("`forward`", self._function, rows.batch)
        objectives = self._objectives
        if not isinstance(raw, Mapping):
            if len(objectives) == 1 and isinstance(raw, Tensor):
                return {next(iter(objectives)): raw}
            raise MtctlError(
                f"`forward` returned {shape_of(raw)}, expected a mapping from tasks to outputs",
                hint="return {" + ", ".join(f'"{name}": …' for name in objectives) + "}",
            )
        absent = (name for name in self._tasks if name not in raw)
        if missing := [name for name in absent if objectives[name].target(rows) is not None]:
            raise MtctlError(
                f"`forward` returned no output of `{missing[0]}`, only {', '.join(map(str, raw)) or 'none'}",
                hint="return one for each task, under the task's name",
            )
        return {name: _output(name, raw[name]) for name in objectives if name in raw}

    def pair(self, task: str, raw: Mapping[str, Tensor], rows: Rows) -> Pair | None:
        """Return a task's outputs and targets; None where a batch has none."""
        return self._objectives[task].pair(raw[task], rows) if task in raw else None

    def pairs(self, raw: Mapping[str, Tensor], rows: Rows, tasks: Iterable[str]) -> dict[str, Pair]:
        """Return outputs and targets of the tasks that have any in a batch."""
        pairs = ((name, self.pair(name, raw, rows)) for name in tasks)
        return {name: pair for name, pair in pairs if pair is not None}

    def losses(self, raw: Mapping[str, Tensor], rows: Rows, tasks: Iterable[str]) -> dict[str, Tensor]:
        """Return the losses of the tasks that have a target in a batch, with a graph."""
        return self.losses_of(self.pairs(raw, rows, tasks), rows, tasks)

    def losses_of(self, pairs: Mapping[str, Pair], rows: Rows, tasks: Iterable[str]) -> dict[str, Tensor]:
        """Return the losses of outputs and targets, or those that the user's code makes of the batch."""
        if self._own_losses is not None:
            with self._precision.autocast():
                losses = call("`losses`", self._own_losses, rows.batch)
            losses = {name: losses[name] for name in tasks if losses.get(name) is not None}
        else:
            losses = {name: self._objectives[name].minimised(pair) for name, pair in pairs.items()}
        for name, loss in losses.items():
            _require_loss(name, loss)
        return {
            name: loss.reshape(()) * self._factors[name] if name in self._factors else loss.reshape(())
            for name, loss in losses.items()
        }


def _output(name: str, output: object) -> Tensor:
    if not isinstance(output, Tensor):
        raise MtctlError(f"the output of `{name}` is {shape_of(output)}, expected a tensor")
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def _require_loss(name: str, loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise MtctlError(f"the loss of `{name}` is {shape_of(loss)}, expected a scalar tensor")
    if torch.is_grad_enabled() and not loss.requires_grad:
        raise MtctlError(
            f"the loss of `{name}` does not depend on any trainable parameter",
            hint="make it from the model's outputs, without .detach(), .item() or torch.no_grad()",
        )
