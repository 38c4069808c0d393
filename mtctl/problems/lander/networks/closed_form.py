"""Q-networks with a closed-form backward pass that yields every task's gradient at once.

Each row of a replay batch belongs to one task, so a task's gradient needs its own rows only: for a Linear
layer it is hᵢᵀ·δᵢ over the rows of task i. One forward and one backward over all rows therefore give the
whole Jacobian J ∈ ℝᵀˣᴾ at the arithmetic cost of the plain sum's gradient, without an autograd graph.

A task is told to a shared network through extra inputs e_i ∈ ℝᵈ (its number, one-hot, or a learned
embedding). They are constant over a task's rows, so they act as a bias of the first layer: x·W + (e_i·W_e +
b); the gradients of W_e, e_i and b follow from the sum of δ₁ over the task's rows.

Two options, with backward passes of their own: hidden layers relu(γ ∘ LN(x·W + b) + β), see `Normalised`; and
two streams on halves v, a of the last hidden layer (Wang et al., 2016, arXiv 1511.06581),

    Q = V(v) + A(a) − mean A(a),   hence   ∂L/∂V = Σ ∂L/∂Q,   ∂L/∂A = ∂L/∂Q − mean ∂L/∂Q   over actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mtctl.problems.lander.networks.flat import Encoding, FlatNetwork, Slopes, task_codes
from mtctl.problems.lander.networks.layers import (
    EPSILON,
    Layer,
    Layout,
    Normalised,
    affine,
    per_task_products,
    per_task_sums,
    present,
)
from mtctl.problems.lander.values import SCALAR, Values


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


class QNetwork(FlatNetwork):
    """K copies of a ReLU network obs → hidden … → actions: one for all T tasks (K = 1) or one per task (K =
    T).

    Args:
        tasks: T.
        sizes: units of the layers, observations first, actions last.
        encoding: how a shared network is told the task.
        embedding_dim: width of a learned embedding.
        independent: one copy per task.
        layer_norm: normalise every hidden layer before its ReLU.
        dueling: two streams, of as many units each as the last hidden layer is said to have.
        generator: where initial values come from (He-normal weights, zero biases, N(0, 0.1²) embeddings;
            gains 1 and shifts 0).
        values: what the outputs mean.
        workspace: memory to share with another network of the same shape.

    The rows of W_e stand after those of W in the first layer.
    """

    def __init__(
        self,
        tasks: int,
        sizes: Sequence[int],
        *,
        encoding: Encoding = "none",
        embedding_dim: int = 8,
        independent: bool = False,
        layer_norm: bool = False,
        dueling: bool = False,
        generator: torch.Generator,
        values: Values = SCALAR,
        workspace: Workspace | None = None,
    ) -> None:
        codes = task_codes(encoding, tasks, embedding_dim, generator)
        self._inputs = sizes[0]
        self._layout = Layout((sizes[0] + codes.shape[1], *sizes[1:]), normalised=layer_norm, dueling=dueling)
        super().__init__(
            codes,
            self._layout.size,
            independent=independent,
            learned_codes=encoding == "embedding",
            values=values,
        )
        self._layers, self._norms, self._value = self._layout.views(self.parameters)
        self._layers_of = [
            [(weight[copy], bias[copy]) for weight, bias in self._layers] for copy in range(self.copies)
        ]
        self._transposed = [
            [(weight.t(), bias, torch.zeros_like(bias)) for weight, bias in layers]
            for layers in self._layers_of
        ]
        self._plain = not (layer_norm or dueling)
        self._normalised: list[Normalised] = []
        self._blocks, self._norm_blocks, self._value_block = self._layout.views(self._jacobian)
        self._workspace = workspace or Workspace()
        for weight, _ in [*self._layers, *([self._value] if self._value else [])]:
            weight.normal_(0.0, math.sqrt(2.0 / weight.shape[1]), generator=generator)
        for gain, _ in self._norms:
            gain.fill_(1.0)

    def last_shared(self) -> slice:
        return self._layout.last_shared

    def answer_one(self, observation: Tensor, task: int) -> Tensor:
        (weight, bias, memory), *rest = self._transposed[task if self.copies > 1 else 0]
        if self.codes.shape[1]:
            bias = torch.addmv(bias, weight[:, self._inputs :], self.codes[task])
            weight = weight[:, : self._inputs]
        out = torch.addmv(bias, weight, observation, out=memory)
        if self._plain:
            for weight, bias, memory in rest:
                out = torch.addmv(bias, weight, out.relu_(), out=memory)
        else:
            return self._advantages(out, rest, task if self.copies > 1 else 0)
        return out

    def _advantages(self, out: Tensor, rest: list[tuple[Tensor, Tensor, Tensor]], copy: int) -> Tensor:
        """Return what orders one observation's actions: their values, or their advantages."""
        for place, (weight, bias, memory) in enumerate(rest):
            if self._norms:
                gain, shift = self._norms[place]
                out = torch.layer_norm(out, out.shape, gain[copy], shift[copy], EPSILON)
            # With two streams the second half of the last hidden layer is the advantages'.
            out = torch.addmv(bias, weight, out.relu_()[-weight.shape[1] :], out=memory)
        return out

    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return Q [N, actions], which stays valid until the next call.

        Args:
            observations: [N, 8], grouped by task.
            counts: rows of each task; with independent networks, equal for all tasks that have any.
        """
        outputs, _ = self._workspace.of(len(observations), self._layout.units)
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
        if not self._plain:
            return self._forward_hidden(counts, outputs)
        for place, layer in enumerate(rest):
            affine(layer, outputs[place].relu_(), outputs[place + 1])
        return outputs[-1]

    def _forward_hidden(self, counts: tuple[int, ...], outputs: list[Tensor]) -> Tensor:
        """Return Q from the first layer's outputs, with layer normalisation or two streams."""
        self._normalised.clear()
        for place, following in enumerate(self._layers[1:]):
            hidden = self._activated(place, outputs[place], counts)
            units = following[0].shape[1]
            self._affine(following, hidden[:, -units:], counts, outputs[place + 1])
        if self._value is None:
            return outputs[-1]
        values = torch.empty(len(hidden), 1)
        self._affine(self._value, hidden[:, :units], counts, values)
        return outputs[-1].add_(values.sub_(outputs[-1].mean(1, keepdim=True)))

    def _activated(self, place: int, out: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return a hidden layer's outputs in place of what its weights have made of the inputs."""
        if self._norms:
            gain, shift = (self._by_row(each, counts) for each in self._norms[place])
            self._normalised.append(Normalised.of(out))
            torch.addcmul(shift, self._normalised[place].rows, gain, out=out)
        return out.relu_()

    def _by_row(self, of_copies: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return numbers [K, units] row by row of a batch: [N, units], or [1, units] if rows share them."""
        if self.copies == 1:
            return of_copies
        return of_copies.repeat_interleave(torch.tensor(counts), dim=0)

    def _affine(self, layer: Layer, inputs: Tensor, counts: tuple[int, ...], out: Tensor) -> None:
        weight, bias = layer
        if self.copies == 1:
            affine((weight[0], bias[0]), inputs, out)
            return
        span, groups = present(counts)
        grouped = inputs.unflatten(0, groups)
        torch.baddbmm(bias[span].unsqueeze(1), grouped, weight[span], out=out.unflatten(0, groups))

    def _forward_copies(self, observations: Tensor, counts: tuple[int, ...], outputs: list[Tensor]) -> None:
        span, groups = present(counts)
        hidden = observations.unflatten(0, groups)
        if not self._plain:
            weight, bias = self._layers[0]
            torch.baddbmm(bias[span].unsqueeze(1), hidden, weight[span], out=outputs[0].unflatten(0, groups))
            self._forward_hidden(counts, outputs)
            return
        for place, (weight, bias) in enumerate(self._layers):
            out = outputs[place].unflatten(0, groups)
            torch.baddbmm(bias[span].unsqueeze(1), hidden.relu_() if place else hidden, weight[span], out=out)
            hidden = out

    def backward(self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]) -> Slopes:
        # One pass gives the gradients of all tasks.
        outputs, deltas = self._workspace.of(len(observations), self._layout.units)
        inputs = [observations, *outputs[:-1]]
        if self._value is not None:
            delta = self._backward_streams(delta, counts, inputs[-1], deltas[-1])
        for place in range(len(self._blocks) - (1 if self._value is None else 2), -1, -1):
            weight_block, bias_block = self._blocks[place]
            if place == 0 and self.codes.shape[1]:
                weight_block = weight_block[:, : self._inputs]
            per_task_products(inputs[place], delta, counts, weight_block, bias_block)
            if place:
                self._through(self._layers[place][0], delta, counts, deltas[place - 1])
                # The derivative of ReLU from its output, which is not needed any more: 1 if positive, 0 if 0.
                delta = deltas[place - 1].mul_(inputs[place].sign_())
                if self._norms:
                    self._backward_norm(place - 1, delta, counts)
        return Slopes(self._jacobian, self._code_gradients(self._blocks[0]))

    def _backward_streams(
        self, delta: Tensor, counts: tuple[int, ...], hidden: Tensor, out: Tensor
    ) -> Tensor:
        """Differentiate both streams; return the derivative with respect to the last hidden layer's sums.

        Args:
            delta: [N, actions] derivative with respect to Q.
            counts: rows of each task.
            hidden: [N, 2·units] outputs of the last hidden layer; its signs afterwards.
            out: [N, 2·units] memory for the result.
        """
        assert self._value is not None
        assert self._value_block is not None
        units = hidden.shape[1] // 2
        halves = (hidden[:, :units], hidden[:, units:]), (out[:, :units], out[:, units:])
        slopes = delta.sum(1, keepdim=True), delta - delta.mean(1, keepdim=True)
        layers, blocks = (self._value, self._layers[-1]), (self._value_block, self._blocks[-1])
        for stream in range(2):
            per_task_products(halves[0][stream], slopes[stream], counts, *blocks[stream])
            self._through(layers[stream][0], slopes[stream], counts, halves[1][stream])
        out.mul_(hidden.sign_())
        if self._norms:
            self._backward_norm(len(self._norms) - 1, out, counts)
        return out

    def _backward_norm(self, place: int, delta: Tensor, counts: tuple[int, ...]) -> None:
        """Differentiate γ, β and the normalisation of a hidden layer: `delta` [N, units] changes in place."""
        gains, shifts = self._norm_blocks[place]
        normalised = self._normalised[place]
        per_task_sums(delta, counts, shifts)
        per_task_sums(delta * normalised.rows, counts, gains)
        normalised.before(delta.mul_(self._by_row(self._norms[place][0], counts)), delta)

    def _through(self, weight: Tensor, delta: Tensor, counts: tuple[int, ...], out: Tensor) -> None:
        """Write δ·Wᵀ, with each row's own network's weights [K, in, out], into `out`."""
        if self.copies == 1:
            torch.mm(delta, weight[0].t(), out=out)
            return
        span, groups = present(counts)
        transposed = weight[span].transpose(1, 2)
        torch.bmm(delta.unflatten(0, groups), transposed, out=out.unflatten(0, groups))

    def _code_gradients(self, first: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        if not self.codes.shape[1]:
            return ()
        weight_block, sums = first
        torch.mul(self.codes.unsqueeze(2), sums.unsqueeze(1), out=weight_block[:, self._inputs :])
        if not self.learned_codes:
            return ()
        return (torch.mm(sums, self._layers[0][0][0, self._inputs :].t()),)
