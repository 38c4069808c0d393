"""Trainings for float16: with gradients that are too small for it, too large, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mtctl.problems.python.training import Task, Training
from tests.problems.python.tiny import build, points


def large(seed: int, unit: float) -> Training:
    """Heights in a small unit, whose gradients are huge."""
    return build(seed, unit=unit)


def hopeless(seed: int) -> Training:
    """Losses that are finite, and of which one has a gradient that is not."""
    training = build(seed)
    tasks = {**training.tasks, "height": Task(lambda output, target: (output - output).abs().sqrt().mean())}
    return replace(training, tasks=tasks)


def halved(seed: int) -> Training:
    training = build(seed)
    training.model.half()
    return training


def own_losses(seed: int) -> Training:
    """Losses of which one is in float16 itself, where its scaled gradient begins."""
    training = build(seed)
    model = training.model

    def losses(batch: Any) -> dict[str, Tensor]:
        outputs = model(batch[0])
        return {
            "side": F.cross_entropy(outputs["side"].float(), batch[1]),
            "height": (outputs["height"] - batch[2].to(outputs["height"])).abs().mean(),
        }

    return replace(training, tasks={}, losses=losses)


def scheduled(seed: int, every: str) -> Training:
    """Epochs of one batch, with a schedule."""
    return replace(
        build(seed),
        train=DataLoader(points(16, 0), 16),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5),
        scheduler_every=every,
    )


def small(seed: int, factor: float) -> Training:
    """Losses whose gradients are small: each is multiplied by a factor."""

    def less(loss: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        return lambda output, target: loss(output, target) * factor

    training = build(seed)
    return replace(
        training,
        tasks={name: Task(less(task.loss)) for name, task in training.tasks.items()},
        # RMSprop takes steps of the same length whatever the factor.
        optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=3e-3, eps=1e-20),
    )
