"""What the four tasks minimise and how they are measured, window by window, in the targets' own units.

type       cross-entropy of 3 classes
ptr        Huber, δ = 0.08 windows, mean over centre and length
binary     binary cross-entropy of logits, mean over 105 bars
countdown  Huber, δ = 1 bar, mean over 105 bars
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from mtctl.problems.windows.targets import HORIZON
from mtctl.problems.windows.windows import LENGTH

DELTA: Final = {"ptr": 0.08, "countdown": 1.0}
"""Where the Huber losses turn linear; the study's values."""
MISSING: Final = -100
"""A type that is not known; its loss is NaN, as that of any other missing target."""


def window_losses(task: str, prediction: Tensor, target: Tensor, delta: float | None = None) -> Tensor:
    """Return [N] the loss of each window; NaN where a target is missing.

    Args:
        task: whose loss.
        prediction: [N, 3] logits, [N, 2], [N, 105] logits or [N, 105] bars.
        target: [N] classes, [N, 2], [N, 105] or [N, 105].
        delta: of a Huber loss, in the units of the prediction; the study's if left out.
    """
    match task:
        case "type":
            losses = functional.cross_entropy(prediction, target, reduction="none", ignore_index=MISSING)
            return losses.masked_fill(target == MISSING, torch.nan)
        case "binary":
            each = functional.binary_cross_entropy_with_logits(prediction, target, reduction="none")
        case _:
            each = functional.huber_loss(
                prediction, target, reduction="none", delta=DELTA[task] if delta is None else delta
            )
    return each.flatten(1).mean(1)


def countdown_from_start(start: Tensor) -> Tensor:
    """Return [N, 105] the countdown to a predicted start [N, 1] in bars: clip(s − t, ±20)."""
    return (start - torch.arange(LENGTH, device=start.device)).clamp(-HORIZON, HORIZON)


def best_constant(task: str, target: Tensor) -> Tensor:
    """Return the prediction of least mean loss among those that are the same for every window and bar.

    Args:
        task: whose.
        target: as in `window_losses`; missing ones are left out.

    Returns:
        [3] logits, [2], [1] logit or [1] bars: the class shares, the share of bars, or each Huber minimiser.
    """
    if task == "type":
        counts = torch.bincount(target[target != MISSING].clamp(0, 2), minlength=3).double()
        return (counts.clamp(min=0.5) / counts.clamp(min=0.5).sum()).log().float()
    columns = target.double() if task == "ptr" else target.double().reshape(-1, 1)
    if task == "binary":
        share = columns.nanmean(0).clamp(1e-6, 1 - 1e-6)
        return share.logit().float()
    return torch.stack([_huber_centre(column[~column.isnan()], DELTA[task]) for column in columns.T]).float()


def _huber_centre(values: Tensor, delta: float) -> Tensor:
    """Return argmin_c Σ huber(y − c): the root of the rising Σ clip(c − y, ±δ), by bisection."""
    if not len(values):
        return torch.tensor(torch.nan, dtype=torch.float64)
    low, high = values.min(), values.max()
    for _ in range(50):
        middle = (low + high) / 2
        rising = (middle - values).clamp(-delta, delta).sum() > 0
        low, high = (low, middle) if rising else (middle, high)
    return (low + high) / 2


def measures(task: str, prediction: Tensor, target: Tensor, start: Tensor, end: Tensor) -> dict[str, float]:
    """Return a task's figures over all windows, in bars and shares.

    Args:
        task: whose.
        prediction: as in `window_losses`, in the study's units.
        target: as in `window_losses`.
        start: [N] first bar of the expansion.
        end: [N] last bar.
    """
    return _MEASURES[task](prediction, target, start, end)


def _of_type(prediction: Tensor, target: Tensor, _start: Tensor, _end: Tensor) -> dict[str, float]:
    return {"accuracy": (prediction.argmax(1) == target).double().mean().item()}


def _of_ptr(prediction: Tensor, _target: Tensor, start: Tensor, end: Tensor) -> dict[str, float]:
    centre, length = (prediction.double() * LENGTH).unbind(1)
    errors = ((centre - length / 2) - start).abs() + ((centre + length / 2) - end).abs()
    return {"pointer_error": errors.mean().item() / 2}


def _of_binary(prediction: Tensor, _target: Tensor, start: Tensor, end: Tensor) -> dict[str, float]:
    bar = torch.arange(LENGTH)
    truth = (start[:, None] <= bar) & (bar <= end[:, None])
    marked = prediction > 0
    hits = (marked & truth).sum().item()
    return {"span_f1": 2 * hits / max(1, (marked.sum() + truth.sum()).item())}


def _of_countdown(prediction: Tensor, _target: Tensor, start: Tensor, _end: Tensor) -> dict[str, float]:
    return {"start_mae": (start_of(prediction) - start).abs().double().mean().item()}


def start_of(countdown: Tensor) -> Tensor:
    """Return [N] the start whose own countdown is nearest to a predicted one [N, 105] (least squares)."""
    starts = countdown_from_start(
        torch.arange(LENGTH, dtype=countdown.dtype, device=countdown.device)[:, None]
    )
    # argmin_s Σ_t (ĉ_t − c_t(s))², expanded: the ĉ² do not depend on s.
    return (starts.square().sum(1) - 2 * countdown @ starts.T).argmin(1).to(countdown.dtype)


_MEASURES: Final[Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], dict[str, float]]]] = {
    "type": _of_type,
    "ptr": _of_ptr,
    "binary": _of_binary,
    "countdown": _of_countdown,
}
