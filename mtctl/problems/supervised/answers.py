"""A model's answers on a split, and what becomes of their losses when rows get the answers of other rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

B = TypeVar("B")
Outputs = Mapping[str, Tensor]
"""Raw outputs [N, …] of the tasks' heads, by head."""


class Choices(NamedTuple):
    """Answers about classes, each place of a sequence for itself.

    Args:
        losses: [M, C] what each answer would lose if its label were each class.
        labels: [M] the class that it is.
    """

    losses: Tensor
    labels: Tensor


class Numbers(NamedTuple):
    """Answers [N, K] that are numbers, and their targets [N, K], in the targets' unit."""

    answers: Tensor
    targets: Tensor


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


def _dealt(raw: Outputs, deal: int, deals: int) -> Outputs:
    # Heads may have rows of their own, as tasks with a loader each have.
    return {head: output.roll(max(1, deal * len(output) // (deals + 1)), 0) for head, output in raw.items()}
