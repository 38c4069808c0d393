"""A Q-network of any torch module, whose gradients come from autograd."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mtctl.problems.lander.flat import FlatNetwork


class ModuleNetwork(FlatNetwork):
    """Q from a module, each task's gradient from a backward pass over the task's own rows.

    All passes together cost a batch's backward pass, and the rows' forward pass is made once more.

    Args:
        codes: [T, d] the tasks' extra inputs.
        module: builds a module that maps [N, 8 + d], an observation and its task's code, row by row to Q
            [N, actions]; the same for the same input, so no dropout.
        last_shared: name of the last hidden layer's weights in the module, e.g. "2.weight".
        independent: one copy per task.
        learned_codes: whether the codes are trained.
        generator: where initial values come from: He-normal matrices and zero vectors, but what the module
            sets to 1, as a normalisation's gains, stays.
    """

    def __init__(
        self,
        codes: Tensor,
        module: Callable[[], nn.Module],
        last_shared: str,
        *,
        independent: bool = False,
        learned_codes: bool = False,
        generator: torch.Generator,
    ) -> None:
        with torch.random.fork_rng(devices=[]):  # modules draw values of their own, which are not used
            modules = [module() for _ in range(len(codes) if independent else 1)]
        named = dict(modules[0].named_parameters())
        starts, size = {}, 0
        for name, parameter in named.items():
            starts[name] = size
            size += parameter.numel()
        super().__init__(codes, size, independent=independent, learned_codes=learned_codes)
        self._last_shared = slice(starts[last_shared], starts[last_shared] + named[last_shared].numel())
        self._modules = modules
        self._own = [list(one.parameters()) for one in modules]
        for flat, parameters in zip(self.parameters, self._own, strict=True):
            views = flat.split([parameter.numel() for parameter in parameters])
            for parameter, view in zip(parameters, views, strict=True):
                view.copy_(_initial(parameter.detach(), generator).flatten())
                parameter.data = view.view(parameter.shape)

    def last_shared(self) -> slice:
        return self._last_shared

    def act(self, observation: Tensor, task: int) -> int:
        return int(self._values(observation.unsqueeze(0), task).argmax())

    def forward(self, observations: Tensor, counts: tuple[int, ...]) -> Tensor:
        rows = zip(range(self.tasks), observations.split(counts), strict=True)
        return torch.cat([self._values(own, task) for task, own in rows])

    @torch.no_grad()
    def _values(self, observations: Tensor, task: int) -> Tensor:
        return self._answer(observations, self.codes[task], task)

    def _answer(self, observations: Tensor, code: Tensor, task: int) -> Tensor:
        inputs = torch.cat([observations, code.expand(len(observations), -1)], dim=1)
        values: Tensor = self._modules[task if self.copies > 1 else 0](inputs)
        return values

    def backward(
        self, observations: Tensor, delta: Tensor, counts: tuple[int, ...]
    ) -> tuple[Tensor, Tensor | None]:
        # Autograd works neither in inference mode nor with its tensors.
        with torch.inference_mode(mode=False), torch.enable_grad():
            codes = torch.zeros_like(self.codes) if self.learned_codes else None
            tasks = zip(observations.clone().split(counts), delta.clone().split(counts), strict=True)
            for task, (rows, slopes) in enumerate(tasks):
                code = self.codes[task].clone().requires_grad_(self.learned_codes)
                parameters = self._own[task if self.copies > 1 else 0]
                found = torch.autograd.grad(
                    self._answer(rows, code, task),
                    [*parameters, *([code] if self.learned_codes else [])],
                    slopes,
                    materialize_grads=True,
                )
                gradients = found[: len(parameters)]
                self._jacobian[task] = torch.cat([gradient.flatten() for gradient in gradients])
                if codes is not None:
                    codes[task] = found[-1]
        return self._jacobian, codes


def _initial(values: Tensor, generator: torch.Generator) -> Tensor:
    if values.dim() >= 2:
        return torch.empty_like(values).normal_(0.0, math.sqrt(2.0 / values[0].numel()), generator=generator)
    return values if bool((values == 1).all()) else torch.zeros_like(values)
