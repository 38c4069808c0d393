"""What the DQN asks of a Q-network, and how the numbers of all of them are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, Self

import torch
from torch import Tensor

from mtctl.problems.lander.values import SCALAR, Values

Encoding = Literal["none", "raw_id", "onehot", "embedding"]

EMBEDDING_SD: Final = 0.1
"""Standard deviation of a fresh embedding, as in the published study."""


class Slopes(NamedTuple):
    """Every task's gradient of a batch; valid until the next one is computed.

    Args:
        shared: J [T, P]: row i is ∇Lᵢ on the network that task i uses.
        own: of each tensor of the tasks' own numbers, in the order of `FlatNetwork.own_leaves`: [T, …], row
            i with respect to task i's.
    """

    shared: Tensor
    own: tuple[Tensor, ...]


class FlatNetwork(ABC):
    """K copies of a Q-network of P numbers: one for all T tasks (K = 1) or one per task (K = T).

    All K·P numbers live in one tensor, so that an optimizer step and a target copy are one operation each;
    the numbers that belong to one task alone, in another.

    Args:
        codes: [T, d] the tasks' extra inputs, by which a shared network is told the task.
        size: P.
        own_size: O, numbers of each task alone.
        independent: one copy per task.
        learned_codes: whether the codes are trained.
        values: what the outputs mean.

    Attributes:
        parameters: [K, P] weights and biases.
        codes: [T, d].
        own: [T, O].
        gradient: [P] memory for the combined gradient of a shared network.
        penalty: None, or () a loss of the network's own that is optimised and not balanced, as it was when
            `learn` was called last.
    """

    penalty: Tensor | None = None

    def __init__(
        self,
        codes: Tensor,
        size: int,
        own_size: int = 0,
        *,
        independent: bool = False,
        learned_codes: bool = False,
        values: Values = SCALAR,
    ) -> None:
        self.tasks = len(codes)
        self.copies = self.tasks if independent else 1
        self.codes, self.learned_codes = codes, learned_codes
        self.parameters = torch.zeros(self.copies, size)
        self.own = torch.zeros(self.tasks, own_size)
        self.gradient = torch.zeros(size)
        self.values = values
        self._jacobian = torch.zeros(self.tasks, size)
        self._own_leaves = [*([codes] if learned_codes else []), *([self.own] if own_size else [])]
        self._leaves = [*self.parameters.unbind(0), *self._own_leaves]

    def act(self, observation: Tensor, task: int) -> int:
        """Return the greedy action for one observation [8]."""
        return self.values.greedy(self.answer_one(observation, task))

    @abstractmethod
    def answer_one(self, observation: Tensor, task: int) -> Tensor:
        """Return the outputs [actions · width] for one observation [8], or numbers in their order."""

    @abstractmethod
    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the outputs [N, actions · width], which stay valid until the next call.

        Args:
            observations: [N, 8], grouped by task.
            counts: rows of each task; with independent networks, equal for all tasks that have any.
        """

    def learn(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the outputs as `forward` does, for a batch that `backward` differentiates next."""
        return self.forward(observations, counts)

    @abstractmethod
    def backward(self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]) -> Slopes:
        """Return every task's gradient of the batch that `learn` has just seen.

        Args:
            observations: [N, 8], as given to `learn`.
            delta: [N, actions · width] derivative of each row's task loss with respect to the outputs.
            counts: rows of each task.
        """

    @abstractmethod
    def last_shared(self) -> slice:
        """Return where the last hidden layer's weights lie in a row of P: GradNorm's layer."""

    def add_penalty(self) -> None:
        """Add the gradient of `penalty` to the leaves' `.grad`."""
        assert self.penalty is None

    def for_evaluation(self) -> FlatNetwork:
        """Return the network that evaluations play, as its numbers are now."""
        return self

    def signals(self) -> dict[str, Tensor]:
        """Return [T] figures of the network's own to record of each task, by name."""
        return {}

    @property
    def count(self) -> int:
        """Trainable numbers, embeddings included."""
        return sum(leaf.numel() for leaf in self._leaves)

    def leaves(self) -> list[Tensor]:
        """Return what an optimizer moves: one flat tensor per copy, then the tasks' own."""
        return self._leaves

    def own_leaves(self) -> list[Tensor]:
        """Return the tasks' own numbers, a row for each: embeddings if learned, then what else is theirs."""
        return self._own_leaves

    def copy_from(self, other: Self, copy: int | None = None) -> None:
        """Copy another network's values: all, or those of one copy."""
        rows = slice(None) if copy is None else slice(copy, copy + 1)
        self.parameters[rows] = other.parameters[rows]
        self.codes.copy_(other.codes)
        self.own.copy_(other.own)

    def move_towards(self, other: Self, tau: float) -> None:
        """Set every value to (1 − tau)·own + tau·other."""
        self.parameters.lerp_(other.parameters, tau)
        self.codes.lerp_(other.codes, tau)
        self.own.lerp_(other.own, tau)

    def state_dict(self) -> dict[str, Any]:
        own = {"own": self.own.clone()} if self.own.shape[1] else {}
        return {"parameters": self.parameters.clone(), "codes": self.codes.clone(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.parameters.copy_(state["parameters"])
        self.codes.copy_(state["codes"])
        if self.own.shape[1]:
            self.own.copy_(state["own"])


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
