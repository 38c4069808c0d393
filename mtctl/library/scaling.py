"""Loss scaling for float16: what the losses of a step were multiplied with before their gradients are taken.

`scaler.scale(loss)` multiplies each loss with the same tensor, as the last operation of its graph, where it
is found. Where it cannot be, for it was a Python number or other operations came after it, `scale=` says it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients import scaled
from mtctl.library.gradients import LossGradients

Scale = float | Tensor | GradScaler
"""A number, a tensor of one element, or what scales the losses."""


class Scaling:
    """What is known of the scaling of losses; the first step with several losses decides.

    Later, a factor that some tasks' losses have in common is their weight if that step's had none in common,
    and losses that had one go on having one. What may be either is refused, not guessed.

    Attributes:
        found: whether losses are scaled; None as long as no step has shown it.
    """

    def __init__(self) -> None:
        self.found: bool | None = None

    def of(self, losses: Mapping[str, Tensor], given: Scale | None, tasks: int) -> float | None:
        """Return what a step's losses were multiplied with; None if they are not scaled.

        Args:
            losses: of the tasks that are present.
            given: what the user says; nothing is then looked for.
            tasks: how many tasks there are.

        Raises:
            BalanceError: what is given is no positive number, or not what is found; or losses that may be
                scaled or not.
        """
        if given is not None:
            return _given(losses, given)
        factors = {task: _factor(loss) for task, loss in losses.items()}
        common = _common(factors)
        if self.found is None and len(losses) > 1:
            self.found = common is not None
        if self.found and common is None:
            raise BalanceError(
                f"task `{_odd(factors)}`: its loss is not scaled, but losses were in the steps before",
                hint="use scaler.scale(loss) for every task, or name the scale: balance(…, scale=…)",
            )
        if self.found or common in (None, 1.0):
            return common if self.found else None
        if self.found is None or len(losses) == tasks:
            raise BalanceError(
                f"task `{next(iter(losses))}`: its loss was multiplied by a tensor of {common:g}, which may "
                "be a weight or the scale of a GradScaler",
                hint="balance(…, scale=scaler) if losses are scaled, balance(…, scale=1.0) if they are not",
            )
        return None


def number(scale: Scale) -> float:
    """Return a given scale as a number; 1 for a scaler that is disabled.

    Raises:
        BalanceError: it is no positive number.
    """
    value = scale.get_scale() if isinstance(scale, GradScaler) else scale
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise BalanceError(
            f"scale: expected a positive number or a GradScaler, found {value!r}",
            hint="use scale=scaler, or the number that every loss was multiplied by",
        )
    return float(value)


class Unscaled(scaled.Unscaled):
    """Losses and gradients as they would be without the factor that all losses were multiplied with.

    Args:
        gradients: of scaled losses, which stay what they are.
        scale: the factor; 1 without.
    """

    def __init__(self, gradients: LossGradients, scale: float) -> None:
        super().__init__(gradients, scale)
        self.gradients, self.limits = gradients, gradients.limits


def spoil(parameters: Iterable[Tensor]) -> None:
    """Make the `.grad` of parameters infinite, so that `scaler.step` skips the step of every optimizer."""
    for one in parameters:
        if one.grad is not None:
            gradient = one.grad.detach()
            (gradient._values() if gradient.is_sparse else gradient).fill_(math.inf)


def _given(losses: Mapping[str, Tensor], scale: Scale) -> float | None:
    value = number(scale)
    if not isinstance(scale, GradScaler):
        return None if value == 1 else value
    if not scale.is_enabled():
        return None
    for task, loss in losses.items():
        factor = _factor(loss)
        if factor is None or factor.item() != value:
            raise BalanceError(
                f"task `{task}`: its loss was not multiplied by the scaler's {value:g} in the last operation",
                hint="pass scaler.scale(loss); or, if another operation follows, name the number: scale=…",
            )
    return value


def _factor(loss: Tensor) -> Tensor | None:
    """Return what a loss was multiplied with at last: one number in a tensor without gradient."""
    node = loss.grad_fn
    if node is None or node.name() != "MulBackward0":
        return None
    constant = [child is None for child, _ in node.next_functions]
    if sum(constant) != 1:
        return None
    factor: Tensor = node._saved_self if constant[0] else node._saved_other  # type: ignore[attr-defined]
    return factor if factor.numel() == 1 else None


def _common(factors: Mapping[str, Tensor | None]) -> float | None:
    """Return the value of what is one tensor, or a copy of it on each device; None if it is not."""
    found = [factor for factor in factors.values() if factor is not None]
    by_device = {factor.device: factor for factor in found}
    one = all(factor.data_ptr() == by_device[factor.device].data_ptr() for factor in found)
    values = {factor.item() for factor in by_device.values()}
    if len(found) < len(factors) or not one or len(values) > 1:
        return None
    (value,) = values
    return float(value) if 0 < value < math.inf else None


def _odd(factors: Mapping[str, Tensor | None]) -> str:
    """Return the task that has no factor, or the first that has another."""
    first = next(iter(factors.values()))
    return next(
        (
            task
            for task, factor in factors.items()
            if factor is None or first is None or factor.data_ptr() != first.data_ptr()
        ),
        next(iter(factors)),
    )
