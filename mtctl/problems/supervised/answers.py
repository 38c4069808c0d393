"""A model's answers on a split, and what becomes of their losses when rows get the answers of other rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

B = TypeVar("B")
Outputs = Mapping[str, Tensor]
"""Raw outputs [N, …] of the tasks' heads, by head."""


@dataclass(frozen=True, slots=True)
class Answers(Generic[B]):
    """Raw outputs on the rows of a split, part by part, each with the batch of the part.

    Args:
        parts: outputs without dropout, and their batch.
        row_losses: returns a task's losses [N] of outputs on a batch, in original units.
        apart: whether outputs are known apart from losses, so that they can be dealt to other rows.
    """

    parts: Sequence[tuple[Outputs, B]]
    row_losses: Callable[[str, Outputs, B], Tensor]
    apart: bool = True

    def losses(self, task: str) -> Tensor:
        """Return a task's losses [N] float64, in original units."""
        return torch.cat([self.row_losses(task, raw, batch) for raw, batch in self.parts]).double()

    def dealt(self, task: str, deal: int, deals: int) -> Tensor:
        """Return a task's losses [N] where each row gets the answer of another row of its part.

        Args:
            task: whose.
            deal: which way of dealing, from 1: that row is deal/(deals + 1) of the part away.
            deals: how many ways there are.
        """
        return torch.cat(
            [self.row_losses(task, _dealt(raw, deal, deals), batch) for raw, batch in self.parts]
        )

    def against_others(self, task: str, deals: int) -> Tensor | None:
        """Return [deals, N] each row's answer's losses on the targets of other rows of its part.

        None where a part has rows without a target, so that rows of answers and of losses differ.

        Args:
            task: whose.
            deals: how many other rows, evenly apart.
        """
        parts = []
        for raw, batch in self.parts:
            count = len(self.row_losses(task, raw, batch))
            if not count:
                continue
            if any(len(output) != count for head, output in raw.items() if task not in raw or head == task):
                return None
            rolls = [max(1, deal * count // (deals + 1)) for deal in range(1, deals + 1)]
            losses = [
                self.row_losses(task, {head: output.roll(roll, 0) for head, output in raw.items()}, batch)
                for roll in rolls
            ]
            # Row r of such losses is of the answer of row r − roll.
            parts.append(torch.stack([one.roll(-roll, 0) for one, roll in zip(losses, rolls, strict=True)]))
        return torch.cat(parts, 1).double() if parts else None


def _dealt(raw: Outputs, deal: int, deals: int) -> Outputs:
    # Heads may have rows of their own, as tasks with a loader each have.
    return {head: output.roll(max(1, deal * len(output) // (deals + 1)), 0) for head, output in raw.items()}
