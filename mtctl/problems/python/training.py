"""What a user's `build(seed)` returns: a model, its tasks, its data and its optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Batch = Any
"""What a loader yields: a tuple, a list, a mapping, …"""
Select = Callable[[Batch], Any] | str | int
"""What is taken from a batch: a function of it, or the key or place where it stands."""


@dataclass(frozen=True)
class Task:
    """One task: a loss of outputs against targets.

    Args:
        loss: of outputs [N, …] and targets [N, …], a scalar: the mean over rows, or their sum. Outputs are
            those of `Training.forward` under the task's name.
        target: what of a batch are the targets [N, …]: a function of the batch, or a key or place in it. If
            left out, the batch's key, or the key of its last part, with the task's name; or its entry after
            the inputs, in the order of the tasks. A target that is None, or a row that is NaN throughout, is
            missing: the task has no part in it.
        mask: what of a batch says which rows [N] have a target; all whose target is not NaN if left out.
        score: a further figure of outputs and targets for reports, such as an accuracy; by default none.
        head: names of the module or parameters that only this task uses, such as "depth_head"; found by the
            autograd graph if left out.
    """

    loss: Callable[[Any, Any], Tensor]
    target: Select | None = None
    mask: Select | None = None
    score: Callable[[Any, Any], Any] | None = None
    head: str | None = None


@dataclass(frozen=True)
class Training:
    """A model of your own, as mtctl trains and diagnoses it; what `build(seed)` returns.

    Args:
        model: the module; an `nn.ModuleDict` if there are several.
        tasks: by name, in the order of reports.
        train: yields training batches: a `DataLoader`, or any iterable that can be iterated anew.
        validation: yields batches for evaluation during training.
        held_out: yields batches for the final score; `validation` if left out.
        forward: returns the outputs of a batch, by task; if left out, `model(*inputs)` of a batch (inputs,
            targets, …), or `model(batch)` of one that is a mapping.
        optimizer: returns the optimizer of parameters, or of parameter groups; AdamW at 1e-3 if left out.
        scheduler: returns a learning rate schedule of an optimizer; none if left out.
        steps_per_epoch: batches of `train` in an epoch; up to its end if left out. A stream without an end
            needs it. Every epoch iterates `train` anew, with torch's, NumPy's and Python's generators set for
            it: a stream that draws from these does not repeat itself.
        scheduler_every: whether the schedule moves on after each "epoch" or each "update".
        losses: in place of `tasks`, for a loop that computes its losses itself: returns them of a batch, by
            task. What needs outputs and targets apart (skill, standardised heads, whether inputs matter) is
            then not checked.
        last_shared: names of the last shared module, for methods that measure there; found if left out.
    """

    model: nn.Module
    train: Iterable[Batch]
    validation: Iterable[Batch]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    held_out: Iterable[Batch] | None = None
    forward: Callable[[Batch], Mapping[str, Any]] | None = None
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None
    scheduler_every: str = "epoch"
    losses: Callable[[Batch], Mapping[str, Tensor]] | None = None
    last_shared: str | None = None
    steps_per_epoch: int | None = None
