"""From differentiable losses to per-task gradients, and what a Gramian says about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from mtctl.balancing.contract import Space


class AutogradGradients:
    """Losses and per-task gradients of any torch model, by backward passes that are made only when needed.

    Norms and Gramians of a space cost T backward passes down to it, once; weights of whole losses cost one
    backward pass, whose gradients are bit for bit those of Σ wᵢ·Lᵢ.

    Args:
        tasks: names of the T tasks.
        losses: a differentiable scalar for each task, by name; those of inactive tasks may be left out.
            Entries of one tensor would do, but each task's backward pass then walks through all tasks' heads.
        shared: parameters that several tasks use.
        own: for each task, the parameters that only it uses.
        last_shared: the last shared layer's parameters, some of `shared`.
        active: [T] bool; all tasks if left out.

    Raises:
        ValueError: an active task has no loss, or `own` is not one list for each task.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        shared: Sequence[Parameter],
        own: Sequence[Sequence[Parameter]],
        last_shared: Sequence[Parameter],
        active: Tensor | None = None,
    ) -> None:
        self.tasks = tasks
        self.active = torch.ones(len(tasks), dtype=torch.bool) if active is None else active
        present = [task for task, is_active in enumerate(self.active.tolist()) if is_active]
        if missing := [tasks[task] for task in present if tasks[task] not in losses]:
            raise ValueError(f"losses: no loss for {', '.join(missing)}")
        if len(own) != len(tasks):
            raise ValueError(f"own: expected parameters for each of {len(tasks)} tasks, found {len(own)}")
        self._losses = {task: losses[tasks[task]] for task in present}
        self.losses = torch.zeros(len(tasks), dtype=torch.float64)
        for task, loss in self._losses.items():
            self.losses[task] = loss.detach()
        self._parameters: dict[Space, list[Parameter]] = {
            "all_shared": list(shared),
            "last_shared": list(last_shared),
        }
        self._own = [list(parameters) for parameters in own]
        self._heads = [parameter for parameters in own for parameter in parameters]
        # Per-task gradients [T, parameter's shape] of what has been asked; None: no active task uses it.
        self._rows: dict[Parameter, Tensor | None] = {}

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        squares = torch.zeros(len(self.tasks), dtype=torch.float64)
        for rows in self._jacobian(space):
            squares += rows.square().sum(1).cpu()
        return squares.sqrt()

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        gramian = torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64)
        for rows in self._jacobian(space):
            gramian += (rows @ rows.T).cpu()
        return gramian

    def jacobian(self, space: Space) -> Tensor:
        """Return [T, P] the per-task gradients on the P parameters of `space`; 0 where a task uses none."""
        self._differentiate(self._parameters[space])
        found = []
        for parameter in self._parameters[space]:
            rows = self._rows[parameter]
            found.append(
                parameter.new_zeros(len(self.tasks), parameter.numel()) if rows is None else rows.flatten(1)
            )
        return torch.cat(found, dim=1)

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        for task, loss in self._losses.items():
            if self._own[task]:
                found = torch.autograd.grad(loss, self._own[task], retain_graph=True, allow_unused=True)
                norms[task] = _norm([gradient for gradient in found if gradient is not None])
        return norms

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        found = [parameter.grad for parameter in (*self._parameters["all_shared"], *self._heads)]
        return math.isfinite(_norm([gradient for gradient in found if gradient is not None]))

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own parameters) into `.grad`.

        Parameters that no active task uses get None. Where both weights are equal, the gradients are bit for
        bit those of the weighted sum of losses, whatever was asked before: looking changes nothing.
        """
        trunk = self._parameters["all_shared"]
        if torch.equal(shared, own):
            self._backward(own, trunk + self._heads)
            return
        self._backward(own, self._heads)
        self._differentiate(trunk)
        for parameter in trunk:
            rows = self._rows[parameter]
            parameter.grad = None if rows is None else torch.tensordot(shared.to(rows), rows, dims=1)

    def _backward(self, weights: Tensor, parameters: list[Parameter]) -> None:
        """Write the gradient of the weighted sum of losses into `.grad`."""
        for parameter in parameters:
            parameter.grad = None
        if not parameters or not self._losses:
            return
        scales = weights.tolist()
        total = torch.stack([scales[task] * loss for task, loss in self._losses.items()]).sum()
        gradients = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    def _jacobian(self, space: Space) -> Iterator[Tensor]:
        """Yield each parameter's per-task gradients, [T, its size] float64."""
        self._differentiate(self._parameters[space])
        for parameter in self._parameters[space]:
            rows = self._rows[parameter]
            if rows is not None:
                yield rows.flatten(1).double()

    def _differentiate(self, parameters: list[Parameter]) -> None:
        missing = [parameter for parameter in parameters if parameter not in self._rows]
        if not missing:
            return
        gradients = {
            task: torch.autograd.grad(loss, missing, retain_graph=True, allow_unused=True)
            for task, loss in self._losses.items()
        }
        for place, parameter in enumerate(missing):
            used = {task: own[place] for task, own in gradients.items() if own[place] is not None}
            self._rows[parameter] = self._stack(parameter, used) if used else None

    def _stack(self, parameter: Parameter, gradients: Mapping[int, Tensor]) -> Tensor:
        rows = parameter.new_zeros(len(self.tasks), *parameter.shape)
        for task, gradient in gradients.items():
            rows[task] = gradient
        return rows


def _norm(gradients: list[Tensor]) -> float:
    """Return the Euclidean norm of several tensors together; 0 for none."""
    if not gradients:
        return 0.0
    # One call for all, as torch's own clipping does.
    lengths: tuple[Tensor, ...] = torch._foreach_norm(gradients)
    return float(torch.linalg.vector_norm(torch.stack([length.double() for length in lengths])))


def cosines(gramian: Tensor) -> Tensor:
    """Return [..., T, T] cosines Gᵢⱼ/√(Gᵢᵢ·Gⱼⱼ) of a Gramian [..., T, T]; NaN where a gradient is 0."""
    norms = gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    # Divided one by one: the product of two small norms may underflow. Rounding may exceed 1.
    return (gramian / norms.unsqueeze(-1) / norms.unsqueeze(-2)).clamp(-1.0, 1.0)


def conflict_rate(gramian: Tensor, active: Tensor) -> Tensor:
    """Return [...] the share of directed pairs of active tasks with Gᵢⱼ < 0; NaN without any pair.

    Args:
        gramian: [..., T, T] G.
        active: [..., T] bool.
    """
    others = ~torch.eye(gramian.shape[-1], dtype=torch.bool, device=gramian.device)
    pairs = active.unsqueeze(-1) & active.unsqueeze(-2) & others
    return ((gramian < 0) & pairs).sum((-2, -1)) / pairs.sum((-2, -1)).double()


def gradient_shares(weights: Tensor, gramian: Tensor) -> Tensor:
    """Return [..., T] the shares |wᵢ|·‖gᵢ‖ / Σⱼ |wⱼ|·‖gⱼ‖ of the tasks' weighted gradients; NaN if all are 0.

    Args:
        weights: [..., T] w.
        gramian: [..., T, T] G.
    """
    lengths = weights.abs() * gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    return lengths / lengths.sum(-1, keepdim=True)
