"""What must be positive to be divided by."""

from __future__ import annotations

from mtctl.balancing.contract import Array, SignalError

#: A loss or norm up to here counts as 0: dividing by it could overflow.
NEGLIGIBLE = 1e-150


def refuse_negative(losses: Array, consequence: str) -> None:
    """Raise where a loss [..., T] is negative.

    Args:
        losses: [..., T].
        consequence: what does not work then, e.g. "so that its logarithm does not exist".

    Raises:
        SignalError: with the first such task.
    """
    if losses.size and losses.min() < 0:
        task = int((losses < 0).reshape(-1, losses.shape[-1]).any(0).argmax())
        raise SignalError(task, f"its loss is negative, {consequence}")
