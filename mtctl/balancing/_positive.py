"""What must be positive to be divided by."""

from __future__ import annotations

from mtctl.balancing.contract import Array, SignalError

#: A loss or norm up to here counts as 0: dividing by it could overflow.
NEGLIGIBLE = 1e-150


REMEDY = (
    "for a loss that may be negative, such as a negative log-likelihood, use a method on gradients, such as "
    "encodec, pcgrad or nash_mtl; or add a constant that keeps it above 0"
)


class NegativeLoss(SignalError):  # noqa: N818 - named after what was found
    """A loss below 0, or below a bound that was set.

    Args:
        task: index of the (first) task concerned.
        consequence: what does not work then, e.g. "so that its logarithm does not exist".
        remedy: what to do about it.
    """

    def __init__(self, task: int, consequence: str, remedy: str) -> None:
        super().__init__(task, f"its loss is negative, {consequence}")
        self.remedy = remedy


def refuse_negative(losses: Array, consequence: str, remedy: str = REMEDY) -> None:
    """Raise where a loss [..., T] is negative. Further arguments as of `NegativeLoss`.

    Raises:
        NegativeLoss: with the first such task.
    """
    if losses.size and losses.min() < 0:
        task = int((losses < 0).reshape(-1, losses.shape[-1]).any(0).argmax())
        raise NegativeLoss(task, consequence, remedy)
