"""Faults that can be planted in any `Training`: each returns what it is given with one mistake in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks.own_gallery.rows import on_rows
from mtctl.problems.python.batches import target_of
from mtctl.problems.python.training import Batch, Task, Training

Plant = Callable[..., Training]


def weighted(training: Training, task: str, factor: float) -> Training:
    """Multiply a task's loss."""
    loss = training.tasks[task].loss
    return _with(training, task, loss=lambda output, target: factor * loss(output, target))


def scaled(training: Training, task: str, factor: float, shift: float = 0.0) -> Training:
    """Give a task its targets in another unit."""
    return _with_targets(training, task, lambda target: target * factor + shift)


def shuffled(training: Training, task: str) -> Training:
    """Give each row the target of the next one of its batch."""
    return _with_targets(training, task, lambda target: target.roll(1, 0))


def constant(training: Training, task: str) -> Training:
    """Give all rows the same target."""
    return _with_targets(training, task, torch.zeros_like)


def infinite(training: Training, task: str, every: int) -> Training:
    """Let every so many rows of a batch have an infinite target, as the logarithm of 0 is."""

    def spoiled(target: Tensor) -> Tensor:
        target = target.clone()
        target[::every] = -torch.inf
        return target

    return _with_targets(training, task, spoiled)


def missing(training: Training, task: str, every: int) -> Training:
    """Let every so many rows of a batch have no target, which is no fault."""

    def cut(target: Tensor) -> Tensor:
        target = target.clone()
        target[::every] = torch.nan
        return target

    return _with_targets(training, task, cut)


def flattened(training: Training, task: str) -> Training:
    """Give a task targets [N] where it answers [N, 1], so that its loss compares all rows with all."""
    return _with_targets(training, task, lambda target: target.reshape(-1))


def counted_from_one(training: Training, task: str) -> Training:
    """Count a task's classes from 1, so that the last one does not exist."""
    return _with_targets(training, task, lambda target: target + 1)


def summed(training: Training, task: str) -> Training:
    """Sum a task's loss over all numbers that it answers in a batch."""
    loss = training.tasks[task].loss
    return _with(training, task, loss=lambda output, target: loss(output, target) * target.numel())


def left_out(training: Training, module: str) -> Training:
    """Do not give a module's parameters to the optimizer."""
    optimizer = training.optimizer or torch.optim.AdamW
    out = set(training.model.get_submodule(module).parameters())
    return replace(
        training,
        optimizer=lambda parameters: optimizer([one for one in parameters if one not in out]),
    )


def frozen(training: Training, module: str) -> Training:
    """Let a module's parameters require no gradient."""
    training.model.get_submodule(module).requires_grad_(False)
    return training


def detached(training: Training, module: str) -> Training:
    """Detach what a module reads."""
    training.model.get_submodule(module).register_forward_pre_hook(lambda _, given: (given[0].detach(),))
    return training


def blind(training: Training, module: str) -> Training:
    """Let a module read the same for every row."""
    training.model.get_submodule(module).register_forward_pre_hook(
        lambda _, given: (given[0][:1].expand_as(given[0]),)
    )
    return training


def closed(training: Training, module: str) -> Training:
    """Put a ReLU behind a linear layer whose answers are all far below 0."""
    layer = training.model.get_submodule(module)
    assert isinstance(layer, nn.Linear)
    nn.init.constant_(layer.bias, -100.0)
    layer.register_forward_hook(lambda _, __, output: output.relu())
    return training


def rate(training: Training, lr: float) -> Training:
    """Train at another learning rate."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        found = (training.optimizer or torch.optim.AdamW)(parameters)
        for group in found.param_groups:
            group["lr"] = lr
        return found

    return replace(training, optimizer=optimizer)


def sgd(training: Training, lr: float, momentum: float = 0.0) -> Training:
    """Train by SGD."""
    return replace(training, optimizer=lambda parameters: torch.optim.SGD(parameters, lr, momentum))


def rebatched(training: Training, size: int) -> Training:
    """Train on batches of another size."""
    assert isinstance(training.train, torch.utils.data.DataLoader)
    return replace(training, train=torch.utils.data.DataLoader(training.train.dataset, size, shuffle=True))


def opposed(training: Training, task: str, other: str) -> Training:
    """Let a task ask the other one's output for the opposite of the other one's target."""
    forward = training.forward or (lambda batch: training.model(batch[0]))
    names = list(training.tasks)
    place = names.index(other)
    target = training.tasks[other]
    changed = _with(training, task, target=lambda batch: -target_of(other, target, place, len(names), batch))
    return replace(changed, forward=lambda batch: {**(found := forward(batch)), task: found[other]})


def reversed_gradient(training: Training, module: str) -> Training:
    """Let the gradient that leaves a module have the wrong sign."""
    training.model.get_submodule(module).register_forward_pre_hook(
        lambda _, given: (2 * given[0].detach() - given[0],)
    )
    return training


def narrowed(training: Training, module: str) -> Training:
    """Let a module answer with one number: the mean of its features [N, …, F], in the place of each."""
    training.model.get_submodule(module).register_forward_hook(
        lambda _, __, output: output.mean(-1, keepdim=True).expand_as(output)
    )
    return training


def module_rate(training: Training, module: str, factor: float) -> Training:
    """Train one module at a multiple of the learning rate."""
    optimizer = training.optimizer or torch.optim.AdamW
    apart = set(training.model.get_submodule(module).parameters())

    def grouped(parameters: Any) -> torch.optim.Optimizer:
        given = list(parameters)
        found = optimizer([one for one in given if one not in apart])
        lr = found.param_groups[0]["lr"] * factor
        found.add_param_group({"params": [one for one in given if one in apart], "lr": lr})
        return found

    return replace(training, optimizer=grouped)


def decayed(training: Training, decay: float) -> Training:
    """Let the optimizer decay weights by this much."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        found = (training.optimizer or torch.optim.AdamW)(parameters)
        for group in found.param_groups:
            group["weight_decay"] = decay
        return found

    return replace(training, optimizer=optimizer)


def dropout_before(training: Training, module: str, share: float) -> Training:
    """Drop this share of what a module reads."""
    parent, _, name = module.rpartition(".")
    owner, reader = training.model.get_submodule(parent), training.model.get_submodule(module)
    setattr(owner, name, nn.Sequential(nn.Dropout(share), reader))
    return training


def flipped(training: Training, task: str, share: float, classes: int) -> Training:
    """Give a share of all rows another class than theirs, the same one in every epoch."""

    def change(targets: Tensor, generator: torch.Generator) -> Tensor:
        wrong = torch.rand(targets.shape, generator=generator) < share
        other = torch.randint(1, classes, targets.shape, generator=generator)
        flat = (targets + other.to(targets)) % classes
        return torch.where(wrong, flat, targets)

    return on_rows(training, task, change)


def dealt(training: Training, task: str, share: float) -> Training:
    """Give a share of all rows the target of another one of them, the same one in every epoch."""

    def change(targets: Tensor, generator: torch.Generator) -> Tensor:
        wrong = torch.rand(len(targets), generator=generator) < share
        targets = targets.clone()
        targets[wrong] = targets[wrong].roll(1, 0)
        return targets

    return on_rows(training, task, change)


def off_by(training: Training, task: str, rows: int) -> Training:
    """Give every row of a data set the target of the one that is so many rows before it."""
    return on_rows(training, task, lambda targets, _: targets.roll(rows, 0))


def dropped(training: Training, share: float) -> Training:
    """Let all dropout drop this share."""
    for module in training.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
    return training


PLANTS: Final[dict[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        weighted, scaled, shuffled, constant, infinite, missing, flattened, counted_from_one, summed,
        left_out, frozen, detached, blind, closed, rate, sgd, rebatched, opposed, dropped,
        reversed_gradient, narrowed, module_rate, decayed, dropout_before, flipped, dealt, off_by,
    )
}  # fmt: skip


def _with(training: Training, task: str, **changes: Any) -> Training:
    """Return the training with one task changed."""
    return replace(training, tasks={**training.tasks, task: replace(training.tasks[task], **changes)})


def _with_targets(training: Training, task: str, change: Callable[[Tensor], Tensor]) -> Training:
    """Return the training with the targets of one task changed, wherever it has any."""
    names = list(training.tasks)
    before: Task = training.tasks[task]

    def target(batch: Batch) -> Tensor | None:
        found = target_of(task, before, names.index(task), len(names), batch)
        return None if found is None else change(found)

    return _with(training, task, target=target)
