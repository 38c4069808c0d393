"""Who watches steps of `mtctl.balance`, seen from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from mtctl.library.report import Report


class Watcher(Protocol):
    """Records steps: see `mtctl.Monitor`."""

    @property
    def wants_gradients(self) -> bool:
        """Whether gradients are to be measured in the step to come."""
        ...

    def see(
        self, tasks: tuple[str, ...], losses: Mapping[str, Tensor], values: Tensor, *, scale: float
    ) -> None:
        """Look at the losses of a step that is about to be made, whatever becomes of it.

        Args:
            tasks: all T tasks.
            losses: with their graphs, of the tasks that are present.
            values: [T] the losses, without the scale.
            scale: that the losses were multiplied with; 1 without.
        """
        ...

    def step(self, report: Report) -> None:
        """Take in a step that has been made."""
        ...
