"""Per-task gradients of any torch model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import Parameter

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import lengths, products
from mtctl.balancing.gradients.arriving import Arriving, Stacked
from mtctl.balancing.gradients.gathered import added, as_gradient, weighted
from mtctl.balancing.gradients.heads import Heads, Own, through_heads
from mtctl.balancing.gradients.layers import Linear
from mtctl.balancing.gradients.passes import Passes
from mtctl.balancing.gradients.products import Rows, real_rows
from mtctl.balancing.gradients.rows import closed_form
from mtctl.errors import MtctlError


class AutogradGradients:
    """Losses and per-task gradients of any torch model, by backward passes that are made only when needed.

    With the tensors that the heads read (`features`), a head is passed once, and what T tasks cost is T
    passes through the shared part, made as a batch; only methods that look at shared parameters pay that.
    Without them, each of the T passes starts at a loss. Weights of whole losses cost one backward pass, whose
    gradients are those of Σ wᵢ·Lᵢ: bit for bit, whatever was asked before, except that with features a head
    that has been passed is not passed again, so that the last digits differ if something was asked.

    Args:
        tasks: names of the T tasks.
        losses: a differentiable scalar for each task, by name; those of inactive tasks may be left out.
            Entries of one tensor would do, but each task's backward pass then walks through all tasks' heads.
        shared: parameters that several tasks use.
        own: for each task, the parameters that only it uses.
        last_shared: the last shared layer's parameters, some of `shared`.
        features: the tensors through which the losses depend on `shared` (see `refuse_detours`): the last
            shared representation, or several of them. What the space `features` means.
        rows: how many rows of the batch belong to each task, if the rows stand in the order of the tasks and
            a task's loss depends on its own rows alone, as with a batch for each task. Shared layers that are
            linear then give all tasks' gradients in one backward pass.
        active: [T] bool; all tasks if left out.
        auxiliary: a differentiable scalar that is optimised beside the tasks' losses, with weight 1, and that
            no method sees, such as a critic's loss. It costs one more backward pass.
        auxiliary_own: parameters that only it uses.

    Attributes:
        how: how per-task gradients of shared parameters were found last, and why so; "" as long as none were.

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
        features: Sequence[Tensor] = (),
        rows: Sequence[int] | None = None,
        active: Tensor | None = None,
        auxiliary: Tensor | None = None,
        auxiliary_own: Sequence[Parameter] = (),
    ) -> None:
        self.tasks = tasks
        self.active = torch.ones(len(tasks), dtype=torch.bool) if active is None else active
        self.importance = torch.ones(len(tasks), dtype=torch.float64)
        present = [task for task, is_active in enumerate(self.active.tolist()) if is_active]
        if missing := [tasks[task] for task in present if tasks[task] not in losses]:
            raise ValueError(f"losses: no loss for {', '.join(missing)}")
        if len(own) != len(tasks):
            raise ValueError(f"own: expected parameters for each of {len(tasks)} tasks, found {len(own)}")
        self._losses = {task: losses[tasks[task]] for task in present}
        self.losses = torch.zeros(len(tasks), dtype=torch.float64)
        if present:
            values = torch.stack([loss.detach() for loss in self._losses.values()])
            self.losses[present] = values.double().cpu()
        self._parameters = {"all_shared": list(shared), "last_shared": list(last_shared)}
        self._own = [list(parameters) for parameters in own]
        self.auxiliary = None if auxiliary is None else auxiliary.detach()
        self._auxiliary, self._auxiliary_own = auxiliary, list(auxiliary_own)
        self._features = list(features)
        self._counts = rows
        self.how = ""
        # Per-task gradients of what has been asked; None: no active task uses it.
        self._rows: dict[Parameter, Rows | None] = {}

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        if space == "features":
            parts = [here.norms(len(self.tasks)) for here in self._at_features]
            return parts[0] if len(parts) == 1 else torch.stack(parts).square().sum(0).sqrt()
        short = self._norms_of_short_layer(space)
        return products.norms(self._blocks(space), len(self.tasks)) if short is None else short

    def _norms_of_short_layer(self, space: Space) -> Tensor | None:
        """Return the norms if they can be had for less than the gradients: see `lengths`."""
        parameters = self._parameters.get(space, [])
        if not self._features or self._counts is not None or any(one in self._rows for one in parameters):
            return None
        layer = lengths.short_layer(self._features, parameters)
        if layer is None or (found := self._at_output(layer)) is None:
            return None
        squares = lengths.squared_lengths(layer, found.values)
        if squares is None:
            return None
        norms = torch.zeros(len(self.tasks), dtype=torch.float64)
        norms[list(found.tasks)] = squares.sqrt()
        return norms

    def _at_output(self, layer: Linear) -> Rows | None:
        """Return the tasks' gradients [tasks, N, out] at a linear layer's outputs; None if there are none."""
        if len(self._features) == 1 and (slopes := lengths.slopes(self._features[0], layer)) is not None:
            (here,) = self._heads.arriving
            self.how = "one pass for all tasks, through an activation to the output of a linear layer"
            return Rows(here.tasks, here.rows(here.tasks) * slopes) if here.tasks else None
        (found,) = self._passes.single([layer.output])
        self.how = f"{self._passes.how}, to the output of a linear layer"
        if found is None or layer.inputs is None:
            return None
        shape = (len(found.tasks), len(layer.inputs), -1)
        return Rows(found.tasks, as_gradient(found.values, shape, layer.inputs.dtype))

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        if space == "features":
            return torch.stack([here.gramian(len(self.tasks)) for here in self._at_features]).sum(0)
        return products.gramian(self._blocks(space), len(self.tasks))

    def jacobian(self, space: Space) -> Tensor:
        """Return [T, P] the per-task gradients on the P numbers of `space`; 0 where a task uses none.

        A complex number counts as two.
        """
        if space == "features":
            everyone = range(len(self.tasks))
            pairs = zip(self._features, self._at_features, strict=True)
            return torch.cat(
                [
                    real_rows(here.rows(everyone)) if here.tasks else self._full(feature, None)
                    for feature, here in pairs
                ],
                dim=1,
            )
        self._differentiate(self._parameters[space])
        return torch.cat([self._full(one, self._rows[one]) for one in self._parameters[space]], dim=1)

    def _full(self, of: Tensor, rows: Rows | None) -> Tensor:
        found = real_rows(of.detach().new_zeros(len(self.tasks), of.numel()))
        if rows is not None and rows.tasks:
            found[list(rows.tasks)] = rows.values
        return found

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        for task, gradients in self._own_gradients.items():
            if self._own[task]:
                norms[task] = _norm([gradient for gradient in gradients if gradient is not None])
        return norms

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        trunk = self._parameters["all_shared"]
        found = [parameter.grad for parameter in (*trunk, *self._leaves, *self._auxiliary_own)]
        return math.isfinite(_norm([gradient for gradient in found if gradient is not None]))

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own parameters) into `.grad`.

        Parameters that no active task uses get None. Where both weights are equal this is one backward pass
        of the weighted sum of losses, or what is left of it if features let the heads be passed before. An
        auxiliary loss adds its gradient, by a pass of its own.
        """
        trunk = self._parameters["all_shared"]
        halfway = bool(self._features) and "_heads" in self.__dict__
        if torch.equal(shared, own) and not halfway:
            _write(trunk + self._leaves, self._backward(own, trunk + self._leaves))
        else:
            self._combine_own(own)
            _write(trunk, self._weighted(shared, trunk))
        if self._auxiliary is not None:
            self._add_auxiliary(self._auxiliary)

    def _add_auxiliary(self, loss: Tensor) -> None:
        _write(self._auxiliary_own, [None] * len(self._auxiliary_own))
        reached = [*self._parameters["all_shared"], *self._leaves, *self._auxiliary_own]
        found = torch.autograd.grad(loss, reached, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(reached, found, strict=True):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else added(parameter.grad, gradient)

    def _combine_own(self, weights: Tensor) -> None:
        if not self._features:
            _write(self._leaves, self._backward(weights, self._leaves))
            return
        scales = weights.tolist()
        _write(self._leaves, [None] * len(self._leaves))
        found = [
            (parameter, scales[task], gradient)
            for task, gradients in self._own_gradients.items()
            for parameter, gradient in zip(self._own[task], gradients, strict=True)
            if gradient is not None
        ]
        if found:
            parameters, factors, gradients = zip(*found, strict=True)
            _write(parameters, torch._foreach_mul(gradients, factors))

    def _weighted(self, weights: Tensor, parameters: list[Parameter]) -> Sequence[Tensor | None]:
        """Return Σᵢ wᵢ·∇Lᵢ for shared parameters: of their rows if these are there, else by one more pass."""
        if self._counts is not None:
            self._differentiate(parameters)
        if all(parameter in self._rows for parameter in parameters):
            found = [self._rows[parameter] for parameter in parameters]
            return [
                None
                if rows is None
                else as_gradient(weighted(weights, rows), parameter.shape, parameter.dtype)
                for parameter, rows in zip(parameters, found, strict=True)
            ]
        if not self._features:
            return self._backward(weights, parameters)
        return self._passes.weighted(weights, parameters)

    def _backward(self, weights: Tensor, parameters: list[Parameter]) -> Sequence[Tensor | None]:
        """Return the gradient of the weighted sum of losses."""
        if not parameters or not self._losses:
            return [None] * len(parameters)
        scales = weights.tolist()
        total = torch.stack([scales[task] * loss for task, loss in self._losses.items()]).sum()
        return torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)

    @cached_property
    def _leaves(self) -> list[Parameter]:
        """The tasks' own parameters."""
        return [parameter for parameters in self._own for parameter in parameters]

    @cached_property
    def _heads(self) -> Heads:
        return through_heads(self._losses, self._own, self._features)

    @cached_property
    def _own_gradients(self) -> Own:
        # Rows of a batch are split between the heads: what arrives at their features is not wanted then.
        needed = self._counts is None or "_heads" in self.__dict__
        return (self._heads if needed else through_heads(self._losses, self._own, ())).own

    @cached_property
    def _passes(self) -> Passes:
        if self._features:
            return Passes(self._features, self._heads.arriving)
        ones = [Stacked((task,), torch.ones_like(loss).unsqueeze(0)) for task, loss in self._losses.items()]
        return Passes(list(self._losses.values()), ones)

    @property
    def _at_features(self) -> Sequence[Arriving]:
        if not self._features:
            raise MtctlError(
                "`layer: features`: this problem does not say what its heads read",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._heads.arriving

    def _blocks(self, space: Space) -> list[Rows]:
        """Return the per-task gradients on parameters, one block for each tensor that any task uses."""
        self._differentiate(self._parameters[space])
        found = (self._rows[parameter] for parameter in self._parameters[space])
        return [rows for rows in found if rows is not None]

    def _differentiate(self, parameters: list[Parameter]) -> None:
        missing = [parameter for parameter in parameters if parameter not in self._rows]
        if missing and self._losses:
            self._rows |= zip(missing, self._single(missing), strict=True)
        else:
            self._rows |= dict.fromkeys(missing)

    def _single(self, parameters: list[Parameter]) -> Sequence[Rows | None]:
        reason = ""
        if self._counts is not None:
            found = closed_form(self._losses, parameters, self._counts)
            if not isinstance(found, str):
                self.how = "closed form: one backward pass over the rows of all tasks"
                return found
            reason = f"; no closed form: {found}"
        found = self._passes.single(parameters, batched=bool(self._features))
        self.how = self._passes.how + reason
        return found


def _write(parameters: Sequence[Parameter], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def _norm(gradients: list[Tensor]) -> float:
    """Return the Euclidean norm of several tensors together; 0 for none."""
    if not gradients:
        return 0.0
    # One call for all, as torch's own clipping does.
    numbers = [one.coalesce().values() if one.layout == torch.sparse_coo else one for one in gradients]
    lengths: tuple[Tensor, ...] = torch._foreach_norm(numbers)
    return float(torch.linalg.vector_norm(torch.stack([length.double() for length in lengths])))
