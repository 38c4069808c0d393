"""What a user's heads read, for signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients.products import at_least_float32


def watched(model: nn.Module, own: Mapping[str, tuple[Parameter, ...]]) -> Mapping[str, Tensor]:
    """Return what each task's head has read last in training: [N, …], filled as the model is called.

    Args:
        model: of the user.
        own: each task's own parameters.
    """
    features: dict[str, Tensor] = {}
    for task, parameters in own.items():
        module = head_module(model, parameters)
        if module is not None:
            module.register_forward_pre_hook(_remembering(task, features))
    return features


def _remembering(task: str, features: dict[str, Tensor]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training and inputs and isinstance(inputs[0], Tensor):
            given = at_least_float32(inputs[0].detach())
            features[task] = given.flatten(2).mean(2) if given.dim() > 3 else given

    return hook


def head_module(model: nn.Module, own: tuple[Parameter, ...]) -> nn.Module | None:
    """Return the smallest module of all of a task's own parameters and no others; None without one."""
    wanted = set(own)
    best: nn.Module | None = None
    for module in model.modules():  # from the outside in
        parameters = [p for p in module.parameters() if p.requires_grad]
        if parameters and wanted.issuperset(parameters) and (best is None or wanted == set(parameters)):
            best = module
    return best
