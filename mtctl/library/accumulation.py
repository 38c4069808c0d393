"""How gradients get into `.grad`: as a backward pass would bring them, hooks and all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def accumulate(gradients: dict[Tensor, Tensor]) -> None:
    """Add gradients to the `.grad` of parameters, by torch's own accumulation; the mapping is emptied.

    So a hook on a parameter is called once, with the gradient of this step, and one that waits for `.grad` to
    be accumulated once, after it; sparse and dense gradients add up as in `loss.backward()`.

    Args:
        gradients: by parameter; nothing else holds on to them.
    """
    if gradients:
        with torch.enable_grad():
            arriving: Tensor = _Arriving.apply(gradients, *gradients)  # type: ignore[no-untyped-call]
        arriving.backward()


class _Arriving(torch.autograd.Function):
    """A number whose backward pass brings each parameter the gradient that is meant for it."""

    @staticmethod
    def forward(ctx: Any, gradients: dict[Tensor, Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return torch.zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        # Given away: what nobody else holds becomes `.grad` itself, without a copy.
        found = tuple(ctx.gradients.values())
        ctx.gradients.clear()
        return None, *found


@contextmanager
def hooks_wait(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Keep hooks on parameters from being called meanwhile: they are for the gradient that is accumulated."""
    hooks = [one._backward_hooks for one in parameters if one._backward_hooks]
    kept = [dict(by_id) for by_id in hooks]
    for by_id in hooks:
        by_id.clear()
    try:
        yield
    finally:
        for by_id, before in zip(hooks, kept, strict=True):
            by_id.update(before)
