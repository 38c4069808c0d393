"""A user's model before it is trained: where it computes, in what, and without dropout if so wished."""

from __future__ import annotations

import torch
from torch import nn

from mtctl.errors import MtctlError


def refuse_half(builder: str, model: nn.Module) -> None:
    """Refuse parameters in float16, which cannot be trained with scaled losses.

    Args:
        builder: the function's name.
        model: that it has built.
    """
    for name, parameter in model.named_parameters():
        if parameter.dtype == torch.float16:
            raise MtctlError(
                f"{builder}: `{name}` is in float16, which small updates do not change",
                hint="leave it in float32, without .half(): training.precision=fp16 is autocast, which "
                "computes in float16 where that is safe",
            )


def drops(module: nn.Module) -> bool:
    """Say whether a module drops anything in training."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0


def without_dropout(model: nn.Module) -> None:
    """Let a model's dropout modules drop nothing."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
