"""Backward passes: those that only look, and the one that brings gradients into `.grad`, hooks and all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients.graph import leaf

Place = Tensor | GradientEdge
"""Where a backward pass begins or ends: a tensor, or an edge of a graph."""


def gradients_at(
    places: Sequence[Place],
    outputs: Sequence[Place],
    arriving: Sequence[Tensor] | None = None,
    *,
    retain: bool = True,
    batched: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradient at every place, None where no output depends on it. No `.grad`, no hook is touched.

    Args:
        places: parameters, or what is computed from them.
        outputs: where the pass begins.
        arriving: the gradients at the outputs; 1 at losses if left out.
        retain: whether to keep the graph for further passes.
        batched: whether `arriving` holds several tasks' gradients, in one more first dimension.

    Raises:
        BalanceError: a compiled model that passes backwards once only.
    """
    if not places or not outputs:
        return (None,) * len(places)
    ends = (one if isinstance(one, Tensor) else leaf(one.node) for one in places)
    with _hooks_waiting(one for one in ends if one is not None):
        try:
            return torch.autograd.grad(
                list(outputs),  # type: ignore[arg-type]  # torch does not declare that both may be mixed
                list(places),  # type: ignore[arg-type]
                arriving,
                retain_graph=retain,
                allow_unused=True,
                is_grads_batched=batched,
            )
        except RuntimeError as error:
            if "donated buffers" not in str(error):
                raise
            raise BalanceError(
                "the compiled model allows only one backward pass: torch.compile reuses its memory",
                hint="set torch._functorch.config.donated_buffer = False before the model is compiled",
            ) from error


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
def _hooks_waiting(parameters: Iterable[Tensor]) -> Iterator[None]:
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
