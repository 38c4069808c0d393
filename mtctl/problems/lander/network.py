"""Q-networks with a closed-form backward pass that yields every task's gradient at once.

Each row of a replay batch belongs to one task, so a task's gradient needs its own rows only: for a Linear
layer it is hᵢᵀ·δᵢ over the rows of task i. One forward and one backward over all rows therefore give the
whole Jacobian J ∈ ℝᵀˣᴾ at the arithmetic cost of the plain sum's gradient, without an autograd graph.

A task is told to a shared network through extra inputs e_i ∈ ℝᵈ (its number, one-hot, or a learned
embedding). They are constant over a task's rows, so they act as a bias of the first layer: x·W + (e_i·W_e +
b); the gradients of W_e, e_i and b follow from the sum of δ₁ over the task's rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor

Encoding = Literal["none", "raw_id", "onehot", "embedding"]

EMBEDDING_SD: Final = 0.1
"""Standard deviation of a fresh embedding, as in the published study."""


class Workspace:
    """Reused memory for one network's passes: fresh tensors of this size would cost page faults in every
    step.

    Networks of one shape may share it, as long as one's results are used before the other's next pass.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, ...], tuple[list[Tensor], list[Tensor]]] = {}

    def of(self, rows: int, units: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Return each layer's outputs [rows, units], and memory for the hidden layers' derivatives."""
        key = (rows, *units)
        if key not in self._held:
            # Inference mode lasts as long as its tensors: one made in it could not be written to outside.
            with torch.inference_mode(mode=False):
                outputs = [torch.zeros(rows, width) for width in units]
                self._held[key] = outputs, [torch.zeros(rows, width) for width in units[:-1]]
        return self._held[key]


class QNetwork:
    """K copies of a ReLU network obs → hidden … → actions: one for all T tasks (K = 1) or one per task (K =
    T).

    All K·P numbers live in one tensor, so that an optimizer step and a target copy are one operation each.

    Args:
        tasks: T.
        sizes: units of the layers, observations first, actions last.
        encoding: how a shared network is told the task.
        embedding_dim: width of a learned embedding.
        independent: one copy per task.
        generator: where initial values come from (He-normal weights, zero biases, N(0, 0.1²) embeddings).
        workspace: memory to share with another network of the same shape.

    Attributes:
        parameters: [K, P] weights and biases (the rows of W_e after those of W in the first layer).
        codes: [T, d] the tasks' extra inputs; learned only with `encoding="embedding"`.
        gradient: [P] memory for the combined gradient of a shared network.
    """

    def __init__(
        self,
        tasks: int,
        sizes: Sequence[int],
        *,
        encoding: Encoding = "none",
        embedding_dim: int = 8,
        independent: bool = False,
        generator: torch.Generator,
        workspace: Workspace | None = None,
    ) -> None:
        self.tasks = tasks
        self.copies = tasks if independent else 1
        self.learned_codes = encoding == "embedding"
        self.codes = _codes(encoding, tasks, embedding_dim, generator)
        self._inputs = sizes[0]
        fan_ins = [sizes[0] + self.codes.shape[1], *sizes[1:-1]]
        self._shapes = list(zip(fan_ins, sizes[1:], strict=True))
        self.parameters = torch.zeros(self.copies, sum(rows * units + units for rows, units in self._shapes))
        self._leaves = [*self.parameters.unbind(0), *([self.codes] if self.learned_codes else [])]
        self._layers = self._views(self.parameters)
        self._layers_of = [
            [(weight[copy], bias[copy]) for weight, bias in self._layers] for copy in range(self.copies)
        ]
        self._transposed = [
            [(weight.t(), bias, torch.zeros_like(bias)) for weight, bias in layers]
            for layers in self._layers_of
        ]
        self._jacobian = torch.zeros(tasks, self.parameters.shape[1])
        self.gradient = torch.zeros(self.parameters.shape[1])
        self._blocks = self._views(self._jacobian)
        self._units = [units for _, units in self._shapes]
        self._workspace = workspace or Workspace()
        for weight, _ in self._layers:
            weight.normal_(0.0, math.sqrt(2.0 / weight.shape[1]), generator=generator)

    @property
    def count(self) -> int:
        """Trainable numbers, embeddings included."""
        return self.parameters.numel() + (self.codes.numel() if self.learned_codes else 0)

    def leaves(self) -> list[Tensor]:
        """Return what an optimizer moves: one flat tensor per copy, then the embeddings if learned."""
        return self._leaves

    def last_shared(self) -> slice:
        """Return where the last hidden layer's weights lie in a row of P: GradNorm's layer."""
        start = 0
        for rows, units in self._shapes[:-2]:
            start += rows * units + units
        rows, units = self._shapes[-2]
        return slice(start, start + rows * units)

    def act(self, observation: Tensor, task: int) -> int:
        """Return the greedy action for one observation [8]."""
        (weight, bias, memory), *rest = self._transposed[task if self.copies > 1 else 0]
        if self.codes.shape[1]:
            bias = torch.addmv(bias, weight[:, self._inputs :], self.codes[task])
            weight = weight[:, : self._inputs]
        out = torch.addmv(bias, weight, observation, out=memory)
        for weight, bias, memory in rest:
            out = torch.addmv(bias, weight, out.relu_(), out=memory)
        values: list[float] = out.tolist()
        return values.index(max(values))

    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return Q [N, actions], which stays valid until the next call.

        Args:
            observations: [N, 8], grouped by task.
            counts: rows of each task; with independent networks, equal for all tasks that have any.
        """
        outputs, _ = self._workspace.of(len(observations), self._units)
        if self.copies > 1:
            self._forward_copies(observations, counts, outputs)
            return outputs[-1]
        (weight, bias), *rest = self._layers_of[0]
        if self.codes.shape[1]:
            biases = torch.addmm(bias, self.codes, weight[self._inputs :])
            biases = biases.repeat_interleave(torch.tensor(counts), dim=0, output_size=len(observations))
            torch.addmm(biases, observations, weight[: self._inputs], out=outputs[0])
        else:
            torch.addmm(bias, observations, weight, out=outputs[0])
        for place, (weight, bias) in enumerate(rest):
            torch.addmm(bias, outputs[place].relu_(), weight, out=outputs[place + 1])
        return outputs[-1]

    def _forward_copies(self, observations: Tensor, counts: tuple[int, ...], outputs: list[Tensor]) -> None:
        span, groups = _present(counts)
        hidden = observations.unflatten(0, groups)
        for place, (weight, bias) in enumerate(self._layers):
            out = outputs[place].unflatten(0, groups)
            torch.baddbmm(bias[span].unsqueeze(1), hidden.relu_() if place else hidden, weight[span], out=out)
            hidden = out

    def backward(
        self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]
    ) -> tuple[Tensor, Tensor | None]:
        """Return every task's gradient of the batch that `forward` has just seen, from one backward pass.

        Args:
            observations: [N, 8], as given to `forward`.
            delta: [N, actions] derivative of each row's task loss with respect to Q.
            counts: rows of each task.

        Returns:
            J [T, P]: row i is ∇Lᵢ on the network that task i uses; and [T, d] gradients of learned
            embeddings. Both stay valid until the next call.
        """
        outputs, deltas = self._workspace.of(len(observations), self._units)
        inputs = [observations, *outputs[:-1]]
        for place in range(len(self._blocks) - 1, -1, -1):
            weight_block, bias_block = self._blocks[place]
            if place == 0 and self.codes.shape[1]:
                weight_block = weight_block[:, : self._inputs]
            _per_task_products(inputs[place], delta, counts, weight_block, bias_block)
            if place:
                self._to_previous(delta, place, counts, deltas[place - 1])
                # The derivative of ReLU from its output, which is not needed any more: 1 if positive, 0 if 0.
                delta = deltas[place - 1].mul_(inputs[place].sign_())
        return self._jacobian, self._code_gradients(self._blocks[0])

    def _to_previous(self, delta: Tensor, place: int, counts: tuple[int, ...], out: Tensor) -> None:
        if self.copies == 1:
            torch.mm(delta, self._layers_of[0][place][0].t(), out=out)
            return
        span, groups = _present(counts)
        weight = self._layers[place][0][span].transpose(1, 2)
        torch.bmm(delta.unflatten(0, groups), weight, out=out.unflatten(0, groups))

    def _code_gradients(self, first: tuple[Tensor, Tensor]) -> Tensor | None:
        if not self.codes.shape[1]:
            return None
        weight_block, sums = first
        torch.mul(self.codes.unsqueeze(2), sums.unsqueeze(1), out=weight_block[:, self._inputs :])
        if not self.learned_codes:
            return None
        return torch.mm(sums, self._layers[0][0][0, self._inputs :].t())

    def _views(self, flat: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's weights [R, in, out] and biases [R, out] as views of R flat rows."""
        views, start = [], 0
        for rows, units in self._shapes:
            middle, end = start + rows * units, start + rows * units + units
            views.append((flat[:, start:middle].unflatten(1, (rows, units)), flat[:, middle:end]))
            start = end
        return views

    def copy_from(self, other: QNetwork, copy: int | None = None) -> None:
        """Copy another network's values: all, or those of one copy."""
        rows = slice(None) if copy is None else slice(copy, copy + 1)
        self.parameters[rows] = other.parameters[rows]
        self.codes.copy_(other.codes)

    def move_towards(self, other: QNetwork, tau: float) -> None:
        """Set every value to (1 − tau)·own + tau·other."""
        self.parameters.lerp_(other.parameters, tau)
        self.codes.lerp_(other.codes, tau)

    def state_dict(self) -> dict[str, Any]:
        return {"parameters": self.parameters.clone(), "codes": self.codes.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.parameters.copy_(state["parameters"])
        self.codes.copy_(state["codes"])


def _codes(encoding: Encoding, tasks: int, width: int, generator: torch.Generator) -> Tensor:
    match encoding:
        case "none":
            return torch.zeros(tasks, 0)
        case "raw_id":
            return torch.arange(tasks, dtype=torch.float32).unsqueeze(1)
        case "onehot":
            return torch.eye(tasks)
        case "embedding":
            return torch.zeros(tasks, width).normal_(0.0, EMBEDDING_SD, generator=generator)


def _present(counts: tuple[int, ...]) -> tuple[slice, tuple[int, int]]:
    """Return the span of tasks that have rows, and how to group the rows: (tasks, rows of each)."""
    present = [task for task, count in enumerate(counts) if count]
    return slice(present[0], present[-1] + 1), (len(present), counts[present[0]])


def _per_task_products(
    inputs: Tensor, delta: Tensor, counts: tuple[int, ...], weight_block: Tensor, bias_block: Tensor
) -> None:
    """Write hᵢᵀ·δᵢ into weight_block [T, in, out], Σ δᵢ into bias_block [T, out]; 0 for absent tasks."""
    if min(counts) == max(counts):
        grouped = delta.unflatten(0, (len(counts), counts[0]))
        torch.bmm(inputs.unflatten(0, (len(counts), counts[0])).transpose(1, 2), grouped, out=weight_block)
        torch.sum(grouped, 1, out=bias_block)
        return
    own = zip(weight_block.unbind(0), inputs.split(counts), delta.split(counts), strict=True)
    for block, task_inputs, task_delta in own:
        torch.mm(task_inputs.t(), task_delta, out=block)
    membership = torch.eye(len(counts)).repeat_interleave(torch.tensor(counts), dim=1, output_size=len(delta))
    torch.mm(membership, delta, out=bias_block)
