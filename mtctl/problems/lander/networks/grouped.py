"""Q-networks that only say how they compute Q: one pass of autograd gives every task's gradient.

A batch is laid out as [T, n, 8]: n rows of each task. A shared weight matrix enters the computation once per
task, as [T, in, out] with the same numbers, so that its gradient comes out as [T, in, out], a task each: one
backward pass over all rows gives the whole Jacobian, at the arithmetic cost of the plain sum's gradient.
Tasks with fewer rows than others are filled up with rows that no loss looks at.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.networks.flat import FlatNetwork, Slopes, task_codes
from mtctl.problems.lander.networks.layers import EPSILON
from mtctl.problems.lander.values import Values

Shapes = Mapping[str, tuple[int, ...]]
"""Of a network's tensors, by name."""


class _Pass(NamedTuple):
    """A forward pass that is yet to be differentiated.

    Args:
        outputs: [T, n, actions · width].
        shared: [T, …] shared tensors.
        own: [T, …] tensors of the tasks' own, and learned codes.
    """

    outputs: Tensor
    shared: dict[str, Tensor]
    own: dict[str, Tensor]
    codes: Tensor


class GroupedNetwork(FlatNetwork):
    """A Q-network that all tasks use, with or without numbers of the tasks' own.

    Args:
        agent: the recipe's agent: how the network is told the task.
        tasks: T.
        shared: tensors that all tasks use. Weights are [in, out].
        own: tensors that each task has one of.
        last_shared: which shared tensor holds the last hidden layer's weights.
        values: what the outputs mean.
        generator: where initial values come from: He-normal for what has `weight` in its name, 0 for others.
    """

    def __init__(
        self,
        agent: DQNAgent,
        tasks: int,
        shared: Shapes,
        own: Shapes,
        last_shared: str,
        values: Values,
        generator: torch.Generator,
    ) -> None:
        codes = task_codes(agent.task_encoding, tasks, agent.embedding_dim, generator)
        sizes = [sum(map(math.prod, shapes.values())) for shapes in (shared, own)]
        learned = agent.task_encoding == "embedding"
        super().__init__(codes, *sizes, learned_codes=learned, values=values)
        self._shared = views(self.parameters, shared)
        self._own = views(self.own, own)
        self._last_shared = _place(shared, last_shared)
        for name, tensor in (self._shared | self._own).items():
            self._draw(name, tensor, generator)
        self._pass: _Pass | None = None

    def _draw(self, name: str, tensor: Tensor, generator: torch.Generator) -> None:
        """Set the initial values of a tensor [1 or T, …] of zeros."""
        if "weight" in name:
            tensor.normal_(0.0, math.sqrt(2.0 / max(1, tensor.shape[-2])), generator=generator)

    @abstractmethod
    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        """Return the outputs [T, n, actions · width].

        Args:
            rows: [T, n, 8] observations; a single task's are [1, n, 8].
            codes: [T, d].
            numbers: the tasks' own tensors [T, …] and the shared ones, [T, …] too in the pass that is
                differentiated, else [1, …], by name.
            learning: whether it is the pass that is differentiated: with the noise of a network that has any.
        """

    def last_shared(self) -> slice:
        return self._last_shared

    @torch.no_grad()
    def answer_one(self, observation: Tensor, task: int) -> Tensor:
        span = slice(task, task + 1)
        numbers = self._shared | {name: tensor[span] for name, tensor in self._own.items()}
        return self.answer(observation.view(1, 1, -1), self.codes[span], numbers, learning=False).flatten()

    @torch.no_grad()
    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        rows = grouped(observations, counts)
        return listed(self.answer(rows, self.codes, self._shared | self._own, learning=False), counts)

    def learn(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        # Autograd works neither in inference mode nor with its tensors.
        with torch.inference_mode(mode=False), torch.enable_grad():
            shared = {
                name: tensor.detach().expand(self.tasks, *tensor.shape[1:]).requires_grad_()
                for name, tensor in self._shared.items()
            }
            own = {name: tensor.detach().requires_grad_() for name, tensor in self._own.items()}
            codes = self.codes.detach().requires_grad_(self.learned_codes)
            rows = grouped(observations.clone(), counts)
            outputs = self.answer(rows, codes, shared | own, learning=True)
        self._pass = _Pass(outputs, shared, own, codes)
        return listed(outputs.detach(), counts)

    def backward(self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]) -> Slopes:
        if self._pass is None:
            raise RuntimeError("there has been no pass to differentiate")
        outputs, shared, own, codes = self._pass
        self._pass = None
        leaves = [*shared.values(), *own.values(), *([codes] if self.learned_codes else [])]
        with torch.inference_mode(mode=False):
            slopes = grouped(delta.clone(), counts)
            found = torch.autograd.grad(outputs, leaves, slopes, materialize_grads=True)
            parts = [gradient.flatten(1) for gradient in found]
            torch.cat(parts[: len(shared)], dim=1, out=self._jacobian)
        own_parts = parts[len(shared) : len(shared) + len(own)]
        gradients = [*parts[len(shared) + len(own) :], *([torch.cat(own_parts, dim=1)] if own_parts else [])]
        return Slopes(self._jacobian, tuple(gradients))


def linear(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x·W + b of each task: x [T, n, in], W [T or 1, in, out], b [T or 1, out]."""
    if len(weight) == 1:
        together: Tensor = torch.addmm(bias[0], rows.flatten(0, 1), weight[0]).unflatten(0, rows.shape[:2])
        return together
    return torch.baddbmm(bias.unsqueeze(1), rows, weight)


def normalised(rows: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Return γ ∘ LN(x) + β of each task: x [T, n, units], γ and β [T or 1, units].

    Source: Ba et al., 2016 (arXiv 1607.06450).
    """
    units = rows.shape[-1:]
    if len(gain) == 1:
        return torch.layer_norm(rows, units, gain[0], shift[0], EPSILON)
    return torch.addcmul(shift.unsqueeze(1), torch.layer_norm(rows, units, eps=EPSILON), gain.unsqueeze(1))


def told(rows: Tensor, codes: Tensor) -> Tensor:
    """Return every row [T, n, inputs] with its task's code [T, d] behind it."""
    if not codes.shape[1]:
        return rows
    return torch.cat([rows, codes.unsqueeze(1).expand(-1, rows.shape[1], -1)], dim=2)


def views(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """Return the tensors [R, …] that lie one after another in rows [R, size]."""
    parts: tuple[Tensor, ...] = flat.split([math.prod(shape) for shape in shapes.values()], dim=1)
    return {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _place(shapes: Shapes, wanted: str) -> slice:
    names = list(shapes)
    start = sum(math.prod(shapes[name]) for name in names[: names.index(wanted)])
    return slice(start, start + math.prod(shapes[wanted]))


def grouped(rows: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return rows [N, …] as [T, n, …], n those of the task that has most; zeros where one has fewer."""
    most = max(counts)
    if min(counts) == most:
        even: Tensor = rows.unflatten(0, (len(counts), most))
        return even
    padded: Tensor = pad_sequence(rows.split(counts), batch_first=True)
    return padded


def listed(grouped: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return [T, n, …] as rows [N, …]: what `grouped` added is left out."""
    if min(counts) == max(counts):
        return grouped.flatten(0, 1)
    return torch.cat([rows[:count] for rows, count in zip(grouped, counts, strict=True)])
