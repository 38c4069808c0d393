"""Problems that are trained together: what their engine asks of them, and parameters side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from mtctl.balancing.gradients.stacked import StackedGradients
from mtctl.problems.contract import Problem

_LEAST: Final = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to a norm."""


class Stack(Protocol):
    """Problems of several runs, whose batches are differentiated and whose steps are made at once.

    A problem of it answers like any other, once what it is asked for has been worked out for all.

    Attributes:
        gradients: what was differentiated last; None where no run had a batch.
    """

    gradients: StackedGradients | None

    def add(self, recipe: Any, seed: int) -> tuple[int, Problem]:
        """Return a run's problem, freshly initialised, and its place, which names it from now on.

        Raises:
            MtctlError: it cannot be built.
        """
        ...

    def differentiate(self, places: Sequence[int]) -> None:
        """Differentiate the batches of some problems; their `gradients()` then return their parts."""
        ...

    def row(self, place: int) -> int | None:
        """Return where a problem stands in what was differentiated last; None where it had no batch."""
        ...

    def update(self, places: Sequence[int]) -> None:
        """Step with the combined gradients of some of the problems that were differentiated last.

        Their `update()` then finds it done.
        """
        ...


class SideBySide:
    """Parameters of B runs as slices of one tensor each, moved by one optimizer for all runs that are alike.

    A run's own parameters, and its own optimizer's notes, become views of what is common, so that whoever
    reads or writes them sees or changes the run as it is.

    Args:
        parameters: of each run, in one order; what its optimizer moves.
        optimizers: of each run. Runs that are alike (see `alike`) stand side by side.
        updates: that each run has behind it.
    """

    def __init__(
        self,
        parameters: Sequence[Sequence[Parameter]],
        optimizers: Sequence[Optimizer],
        updates: Sequence[int],
    ) -> None:
        self.leaves: list[Tensor] = []
        for same in zip(*parameters, strict=True):
            leaf = torch.stack([one.detach() for one in same])
            for own, one in zip(leaf.unbind(), same, strict=True):
                one.data = own
            self.leaves.append(leaf.requires_grad_())
        keys = [alike(one, done) for one, done in zip(optimizers, updates, strict=True)]
        starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
        ends = [*starts[1:], len(keys)]
        self._movers = [
            _Mover(self.leaves, slice(*rows), parameters[slice(*rows)], optimizers[slice(*rows)])
            for rows in zip(starts, ends, strict=True)
        ]

    @torch.no_grad()
    def clip(self, limits: Sequence[float | None]) -> None:
        """Bring the Euclidean norm of each run's gradient down to its limit, where it has one."""
        if all(limit is None for limit in limits):
            return
        gradients = [leaf.grad for leaf in self.leaves if leaf.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(one.flatten(1), dim=1) for one in gradients])
        most = norms.new_tensor([torch.inf if limit is None else limit for limit in limits])
        factors = (most / (torch.linalg.vector_norm(norms, dim=0) + _LEAST)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def step(self) -> None:
        """Let every run's optimizer take its step."""
        for mover in self._movers:
            mover.step()


def alike(optimizer: Optimizer, updates: int) -> tuple[int, str]:
    """Return what two runs have in common whose steps one optimizer can take."""
    settings = [
        {key: value for key, value in group.items() if key != "params"} for group in _groups(optimizer)
    ]
    return updates, repr((type(optimizer).__name__, settings))


def _groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    return optimizer.param_groups


class _Mover:
    """One optimizer for some rows of the leaves, in the place of as many that are alike."""

    def __init__(
        self,
        leaves: Sequence[Tensor],
        rows: slice,
        parameters: Sequence[Sequence[Parameter]],
        optimizers: Sequence[Optimizer],
    ) -> None:
        self._leaves, self._rows = leaves, rows
        self._slices = [leaf.detach()[rows] for leaf in leaves]
        self._parameters, self._optimizers = parameters, optimizers
        lead, place = optimizers[0], {one: self._slices[at] for at, one in enumerate(parameters[0])}
        groups = [{**group, "params": [place[one] for one in group["params"]]} for group in _groups(lead)]
        new: Callable[..., Optimizer] = type(lead)
        self._optimizer = new(groups)
        self._take_over()

    def _take_over(self) -> None:
        """Note side by side what the runs' optimizers have noted."""
        for own, *same in zip(self._slices, *self._parameters, strict=True):
            pairs = zip(self._optimizers, same, strict=True)
            notes = [optimizer.state.get(one, {}) for optimizer, one in pairs]
            for name, value in notes[0].items():
                stacked = torch.stack([note[name] for note in notes]) if value.dim() else value.clone()
                self._optimizer.state[own][name] = stacked
        self._hand_out()

    def _hand_out(self) -> None:
        """Let the runs' optimizers have noted what has been noted side by side."""
        for own, *same in zip(self._slices, *self._parameters, strict=True):
            for row, (optimizer, one) in enumerate(zip(self._optimizers, same, strict=True)):
                for name, value in self._optimizer.state.get(own, {}).items():
                    optimizer.state[one][name] = value[row] if value.dim() else value

    def step(self) -> None:
        for own, leaf in zip(self._slices, self._leaves, strict=True):
            own.grad = None if leaf.grad is None else leaf.grad[self._rows]
        for group, current in zip(_groups(self._optimizer), _groups(self._optimizers[0]), strict=True):
            group["lr"] = current["lr"]
        first = not self._optimizer.state
        self._optimizer.step()
        if first:
            self._hand_out()


def compact(state: Any, *, anew: bool = False) -> Any:
    """Return a state in which no tensor is a part of a larger one, as those of runs side by side are.

    Copied as it is, or written into a file, a part would bring the whole along.

    Args:
        state: tensors in mappings and lists.
        anew: whether the others are copied, too.
    """
    copies: dict[tuple[int, torch.Size], Tensor] = {}

    def of(value: Any) -> Any:
        if isinstance(value, Tensor):
            whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
            if whole and not anew:
                return value
            key = (value.data_ptr(), value.shape)
            return copies.setdefault(key, value.detach().clone()) if value.numel() else value
        if isinstance(value, dict):
            return {key: of(one) for key, one in value.items()}
        return [of(one) for one in value] if isinstance(value, list) else value

    return of(state)
