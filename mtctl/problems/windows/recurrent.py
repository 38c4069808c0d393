"""Bidirectional LSTMs of B runs on batches of their own.

On the CPU each run's own kernel is the fastest: torch's is written for it, and one core gains nothing from a
batch. On a GPU, where a small network waits for its launches, all runs and both directions take each of the
steps together, as one batched product, by hand (torch has no batched LSTM):

    (i, f, g, o) = x_t·W_ihᵀ + h_{t−1}·W_hhᵀ + b;   c_t = σ(f)·c_{t−1} + σ(i)·tanh(g);   h_t = σ(o)·tanh(c_t)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def bidirectional(inputs: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return [B, N, L, 2H] the outputs of B bidirectional LSTMs of one layer.

    Args:
        inputs: [B, N, L, F].
        weights: as `nn.LSTM` lists them, [B, …] each: W_ih, W_hh, b_ih, b_hh of both directions.
    """
    return one_by_one(inputs, weights) if inputs.device.type == "cpu" else together(inputs, weights)


def one_by_one(inputs: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return what `bidirectional` does, by torch's own kernel, run after run."""
    by_run = zip(*(weight.unbind() for weight in weights), strict=True)
    units = weights[1].shape[-1]
    outputs = []
    for rows, own in zip(inputs.unbind(), by_run, strict=True):
        start = rows.new_zeros(2, len(rows), units)
        outputs.append(torch.lstm(rows, (start, start), list(own), True, 1, 0.0, True, True, True)[0])
    return torch.stack(outputs)


def together(inputs: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return what `bidirectional` does, all runs and both directions in each product."""
    runs, rows, length, _ = inputs.shape
    w_ih, w_hh, b_ih, b_hh = (torch.cat(pair) for pair in zip(weights[:4], weights[4:], strict=True))
    both = torch.cat([inputs, inputs.flip(2)])
    flat = both.flatten(1, 2)
    driven = torch.baddbmm((b_ih + b_hh).unsqueeze(1), flat, w_ih.mT).view(2 * runs, rows, length, -1)
    hidden = _Recurrence.apply(driven.permute(2, 0, 1, 3), w_hh.mT)  # type: ignore[no-untyped-call]
    forward, backward = hidden.permute(1, 2, 0, 3).split(runs)
    return torch.cat([forward, backward.flip(2)], dim=-1)


class _Recurrence(torch.autograd.Function):
    """[L, S, N, H] outputs of S LSTMs from what drives them, [L, S, N, 4H], and W [S, H, 4H]."""

    @staticmethod
    def forward(ctx: Any, driven: Tensor, weights: Tensor) -> Tensor:
        length, stack, rows, width = driven.shape
        units = width // 4
        gates = driven.new_empty(driven.shape)
        cells = driven.new_zeros(length + 1, stack, rows, units)
        hidden, squashed = torch.zeros_like(cells), driven.new_empty(length, stack, rows, units)
        for t in range(length):
            torch.baddbmm(driven[t], hidden[t], weights, out=gates[t])
            i, f, g, o = gates[t].split(units, -1)
            gates[t, ..., : 2 * units].sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, cells[t], out=cells[t + 1])
            cells[t + 1].addcmul_(i, g)
            torch.tanh(cells[t + 1], out=squashed[t])
            torch.mul(o, squashed[t], out=hidden[t + 1])
        ctx.save_for_backward(gates, cells, hidden, squashed, weights)
        return hidden[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, arriving: Tensor) -> tuple[Tensor, Tensor]:
        gates, cells, hidden, squashed, weights = ctx.saved_tensors
        units = squashed.shape[-1]
        i, f, g, o = gates.split(units, -1)
        # What a slope at c, or at h, is multiplied with on its way to each gate, for all steps at once.
        to_cell = o * (1 - squashed.square())
        to_gates = torch.cat(
            [g * i * (1 - i), cells[:-1] * f * (1 - f), i * (1 - g.square()), squashed * o * (1 - o)], -1
        )
        slopes = torch.empty_like(gates)
        at_cell, at_hidden = torch.zeros_like(squashed[0]), torch.zeros_like(squashed[0])
        back = weights.mT
        for t in reversed(range(len(gates))):
            at_hidden = at_hidden + arriving[t]
            at_cell = torch.addcmul(at_cell, at_hidden, to_cell[t])
            both = torch.cat([at_cell, at_cell, at_cell, at_hidden], -1)
            torch.mul(both, to_gates[t], out=slopes[t])
            at_cell = at_cell * f[t]
            at_hidden = torch.bmm(slopes[t], back)
        by_stack = slopes.transpose(0, 1).flatten(1, 2)
        return slopes, torch.bmm(hidden[:-1].transpose(0, 1).flatten(1, 2).mT, by_stack)
