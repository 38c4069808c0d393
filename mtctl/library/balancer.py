"""A balancing method with its memory, as a training loop keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mtctl.balancing.build import build
from mtctl.balancing.chain import Chain, ChainState, Decision
from mtctl.balancing.contract import Balancer as Method
from mtctl.balancing.contract import SignalError
from mtctl.balancing.fixed import Equal, Manual
from mtctl.library.errors import BalanceError
from mtctl.library.gradients import LossGradients
from mtctl.library.settings import Spec, described, refuse_misnamed
from mtctl.library.sharing import Sharing
from mtctl.recipes import balancers as recipes
from mtctl.recipes.mistakes import suggestion


class Balancer:
    """A balancing method and what it remembers from step to step; make it once, next to the optimizer.

    >>> import mtctl
    >>> mtctl.Balancer("gradnorm", alpha=0.5)
    Balancer(gradnorm)
    >>> mtctl.Balancer([{"kind": "gradnorm"}, {"kind": "pcgrad"}], tasks=("depth", "normals"))
    Balancer(gradnorm + pcgrad, tasks=('depth', 'normals'))

    Args:
        method: a kind such as "gradnorm" (`mtctl recipes list --methods` shows all); what a recipe says under
            `balancer:`, as a mapping or a list of them; a recipe's part; or a method or `Chain` of your own.
        tasks: names of the tasks, in order. The names in the first step's losses if left out: give them if a
            task may be absent from that step.
        seed: of the methods that draw random numbers.
        **settings: of a method that is named by its kind; `mtctl explain KIND` shows them.

    Raises:
        BalanceError: there is no such method or setting.
    """

    def __init__(
        self,
        method: Spec | Chain | Method = "equal",
        /,
        *,
        tasks: Iterable[str] | None = None,
        seed: int = 0,
        **settings: object,
    ) -> None:
        self._parts: tuple[recipes.Method, ...] = ()
        if isinstance(method, Chain | Method):
            if settings:
                raise BalanceError(f"{', '.join(settings)}: a method of your own has its settings already")
            self._chain = method if isinstance(method, Chain) else Chain((method,))
            self.name = " + ".join(type(one).__name__ for one in self._chain.methods)
        else:
            self._parts = described(method, settings)
            self._chain = Chain(())
            self.name = " + ".join(one.kind for one in self._parts)
        self._rng = torch.Generator().manual_seed(seed)
        self._untouched = self._rng.get_state()
        self._state: ChainState = {}
        self._open: tuple[LossGradients, Decision] | None = None
        self.sharing = Sharing()
        self.tasks: tuple[str, ...] = ()
        if tasks is not None:
            self._begin(tuple(tasks))

    def __repr__(self) -> str:
        """Return the method and, once they are known, the tasks."""
        return f"Balancer({self.name}{f', tasks={self.tasks}' if self.tasks else ''})"

    @property
    def remembers(self) -> bool:
        """Whether a step depends on the ones before: through a memory, or through random numbers."""
        return bool(self._state) or not torch.equal(self._rng.get_state(), self._untouched)

    def admit(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return all tasks in order, after making sure that a step's are among them.

        Args:
            names: of a step's losses, in order; the first step's become the tasks if none were given.

        Raises:
            BalanceError: a task that is not known, or settings by task that name others.
        """
        if not self.tasks:
            self._begin(tuple(names))
        if new := [name for name in names if name not in self.tasks]:
            raise BalanceError(
                f"task `{new[0]}` is new: this balancer began with {', '.join(self.tasks)}",
                hint=f"{suggestion(new[0], self.tasks)}; "
                "or name all tasks at the start: Balancer(…, tasks=[…])",
            )
        return self.tasks

    def weigh(self, gradients: LossGradients) -> Decision:
        """Return a step's weights and move the methods' memory on.

        Raises:
            BalanceError: a loss or a gradient that the method cannot work with, with the task's name.
        """
        if self._open is not None:
            raise BalanceError(
                f"{self.name} has not seen what its last step did",
                hint="after optimizer.step(), show it the same batch's losses: with torch.no_grad(): "
                "balancer.follow(losses)",
            )
        with self._named():
            decision, self._state = self._chain.balance(gradients, self._state, self._rng)
        if decision.wants_outcome:
            self._open = gradients, decision
        return decision

    @property
    def fixed(self) -> bool:
        """Whether the weights are fixed beforehand, whatever losses and gradients are."""
        return all(isinstance(method, Equal | Manual) for method in self._chain.methods)

    @property
    def follows(self) -> bool:
        """Whether the last step's method, such as FAMO, waits to be shown what the step did: see `follow`."""
        return self._open is not None

    def follow(self, losses: Mapping[str, Tensor | float | None]) -> None:
        """Show the method what its step did; call it after `optimizer.step()` if `follows` says so.

        >>> import torch, mtctl
        >>> model, data = torch.nn.Linear(4, 2), torch.randn(16, 4)
        >>> def losses():
        ...     left, right = model(data).square().mean(0)
        ...     return {"left": left, "right": right}
        >>> optimizer, balancer = torch.optim.SGD(model.parameters(), lr=0.1), mtctl.Balancer("famo")
        >>> for _ in range(3):
        ...     optimizer.zero_grad()
        ...     report = mtctl.balance(losses(), balancer=balancer)
        ...     optimizer.step()
        ...     with torch.no_grad():
        ...         balancer.follow(losses())

        The losses must be those of the same batch: with dropout, under the same noise (`torch.manual_seed`
        before both forward passes, or evaluation mode for both); batch normalisation may see the batch twice,
        unless its layers are in evaluation mode the second time.

        Args:
            losses: by task, as in the step, after it.

        Raises:
            BalanceError: no step waits for it; a task of the step is missing, or its loss is not one finite
                number.
        """
        if self._open is None:
            raise BalanceError(
                f"{self.name} waits for no losses",
                hint="balancer.follow(…) comes after a step, once, if balancer.follows",
            )
        gradients, decision = self._open
        after = torch.zeros(len(self.tasks), dtype=torch.float64)
        for place, task in enumerate(self.tasks):
            if gradients.active[place]:
                after[place] = _number(task, losses.get(task))
        with self._named():
            self._state = self._chain.follow(gradients, after, decision, self._state)
        self._open = None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of signals that a method cannot work with which task's they are."""
        try:
            yield
        except SignalError as error:
            raise BalanceError(f"task `{self.tasks[error.task]}`: {error.problem}") from error

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the steps to come: tensors and plain values, for `torch.save`.

        Raises:
            BalanceError: a step is under way: its outcome has not been shown yet.
        """
        if self._open is not None:
            raise BalanceError(f"{self.name} is between a step and its outcome", hint="call follow(…) first")
        return {
            "method": self.name,
            "tasks": list(self.tasks),
            "state": dict(self._state),
            "rng": self._rng.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called.

        Raises:
            BalanceError: the state is of another method, or of other tasks.
        """
        if state["method"] != self.name:
            raise BalanceError(f"a state of {state['method']} is no state of {self.name}")
        tasks = tuple(state["tasks"])
        if self.tasks and tasks != self.tasks:
            raise BalanceError(
                f"the state is of the tasks {', '.join(tasks)}, not of {', '.join(self.tasks)}"
            )
        if tasks:
            chain, fresh = self._prepared(tasks)
            if fresh.keys() != state["state"].keys():
                raise BalanceError(f"the state is of {self.name} with other settings")
            self._chain, self.tasks = chain, tasks
        self._state, self._open = dict(state["state"]), None
        self._rng.set_state(state["rng"])

    def _begin(self, tasks: tuple[str, ...]) -> None:
        self._chain, self._state = self._prepared(tasks)
        self.tasks = tasks

    def _prepared(self, tasks: tuple[str, ...]) -> tuple[Chain, ChainState]:
        if len(set(tasks)) < len(tasks):
            raise BalanceError(f"tasks: {', '.join(tasks)}: a name stands twice")
        refuse_misnamed(self._parts, tasks)
        chain = build(self._parts, tasks) if self._parts else self._chain
        try:
            return chain, chain.init(len(tasks))
        except ValueError as error:
            raise BalanceError(f"{self.name}: {error}") from error


def _number(task: str, loss: Tensor | float | None) -> float:
    if loss is None or (isinstance(loss, Tensor) and loss.numel() != 1):
        found = "none" if loss is None else f"a tensor of {loss.numel()} elements"
        raise BalanceError(
            f"task `{task}`: expected its loss after the step, found {found}",
            hint="follow(…) takes the same losses as balance(…), computed again",
        )
    return float(loss.detach() if isinstance(loss, Tensor) else loss)
