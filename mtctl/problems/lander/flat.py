"""What the DQN asks of a Q-network, and how the numbers of all of them are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

import torch
from torch import Tensor

Encoding = Literal["none", "raw_id", "onehot", "embedding"]

EMBEDDING_SD: Final = 0.1
"""Standard deviation of a fresh embedding, as in the published study."""


class FlatNetwork(ABC):
    """K copies of a Q-network of P numbers: one for all T tasks (K = 1) or one per task (K = T).

    All K·P numbers live in one tensor, so that an optimizer step and a target copy are one operation each.

    Args:
        codes: [T, d] the tasks' extra inputs, by which a shared network is told the task.
        size: P.
        independent: one copy per task.
        learned_codes: whether the codes are trained.

    Attributes:
        parameters: [K, P] weights and biases.
        codes: [T, d].
        gradient: [P] memory for the combined gradient of a shared network.
    """

    def __init__(self, codes: Tensor, size: int, *, independent: bool, learned_codes: bool) -> None:
        self.tasks = len(codes)
        self.copies = self.tasks if independent else 1
        self.codes, self.learned_codes = codes, learned_codes
        self.parameters = torch.zeros(self.copies, size)
        self.gradient = torch.zeros(size)
        self._jacobian = torch.zeros(self.tasks, size)
        self._leaves = [*self.parameters.unbind(0), *([codes] if learned_codes else [])]

    @abstractmethod
    def act(self, observation: Tensor, task: int) -> int:
        """Return the greedy action for one observation [8]."""

    @abstractmethod
    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return Q [N, actions], which stays valid until the next call.

        Args:
            observations: [N, 8], grouped by task.
            counts: rows of each task; with independent networks, equal for all tasks that have any.
        """

    @abstractmethod
    def backward(
        self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]
    ) -> tuple[Tensor, Tensor | None]:
        """Return every task's gradient of the batch that `forward` has just seen.

        Args:
            observations: [N, 8], as given to `forward`.
            delta: [N, actions] derivative of each row's task loss with respect to Q.
            counts: rows of each task.

        Returns:
            J [T, P]: row i is ∇Lᵢ on the network that task i uses; and [T, d] gradients of learned
            embeddings. Both stay valid until the next call.
        """

    @abstractmethod
    def last_shared(self) -> slice:
        """Return where the last hidden layer's weights lie in a row of P: GradNorm's layer."""

    @property
    def count(self) -> int:
        """Trainable numbers, embeddings included."""
        return self.parameters.numel() + (self.codes.numel() if self.learned_codes else 0)

    def leaves(self) -> list[Tensor]:
        """Return what an optimizer moves: one flat tensor per copy, then the embeddings if learned."""
        return self._leaves

    def copy_from(self, other: Self, copy: int | None = None) -> None:
        """Copy another network's values: all, or those of one copy."""
        rows = slice(None) if copy is None else slice(copy, copy + 1)
        self.parameters[rows] = other.parameters[rows]
        self.codes.copy_(other.codes)

    def move_towards(self, other: Self, tau: float) -> None:
        """Set every value to (1 − tau)·own + tau·other."""
        self.parameters.lerp_(other.parameters, tau)
        self.codes.lerp_(other.codes, tau)

    def state_dict(self) -> dict[str, Any]:
        return {"parameters": self.parameters.clone(), "codes": self.codes.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.parameters.copy_(state["parameters"])
        self.codes.copy_(state["codes"])


def task_codes(encoding: Encoding, tasks: int, width: int, generator: torch.Generator) -> Tensor:
    """Return [T, d] what tells a shared network its task: a number, one of T, or a learned embedding."""
    match encoding:
        case "none":
            return torch.zeros(tasks, 0)
        case "raw_id":
            return torch.arange(float(tasks)).unsqueeze(1)
        case "onehot":
            return torch.eye(tasks)
        case "embedding":
            return torch.zeros(tasks, width).normal_(0.0, EMBEDDING_SD, generator=generator)
