"""Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019) over a few flat tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Adam:
    """PyTorch's fused Adam without `torch.optim.Adam` around it, whose step costs three times as much here.

        θ ← θ − lr · decay · θ
        m ← 0.9·m + 0.1·g,  v ← 0.999·v + 0.001·g²,  θ ← θ − lr · m̂ / (√v̂ + 1e-8)

    A tensor whose `.grad` is None is left alone, its moments too.

    Args:
        parameters: flat tensors.
        rates: learning rate of each.
        decay: weight decay, apart from the gradient; 0 for Adam.
    """

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[float], *, decay: float = 0.0) -> None:
        self._decay = decay
        self._parameters = list(parameters)
        self._rates = list(rates)
        self._first = [torch.zeros_like(parameter) for parameter in parameters]
        self._second = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = [torch.zeros(()) for _ in parameters]

    def step(self, factor: float = 1.0) -> None:
        """Move every parameter that has a gradient, at `factor` times its learning rate."""
        for rate in dict.fromkeys(self._rates):
            places = [
                place
                for place, parameter in enumerate(self._parameters)
                if parameter.grad is not None and self._rates[place] == rate
            ]
            if places:
                self._move(places, factor * rate)

    def _move(self, places: list[int], rate: float) -> None:
        steps = [self._steps[place] for place in places]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            [self._parameters[place] for place in places],
            [gradient for place in places if (gradient := self._parameters[place].grad) is not None],
            [self._first[place] for place in places],
            [self._second[place] for place in places],
            [],
            steps,
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self._decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            name: [tensor.clone() for tensor in tensors]
            for name, tensors in (("first", self._first), ("second", self._second), ("steps", self._steps))
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, tensors in (("first", self._first), ("second", self._second), ("steps", self._steps)):
            for tensor, stored in zip(tensors, state[name], strict=True):
                if name != "first" and (stored < 0).any():
                    raise ValueError(f"the optimizer's {name} moments are negative")
                tensor.copy_(stored)
