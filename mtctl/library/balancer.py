"""A balancing method with its memory, as a training loop keeps it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from mtctl.balancing._positive import NegativeLoss
from mtctl.balancing.chain import Chain, ChainState, Decision
from mtctl.balancing.contract import AdaptiveMethod, Method, Need, NonFiniteSignal, SignalError
from mtctl.balancing.draws import Draws
from mtctl.balancing.errors import BalanceError, NonFiniteError
from mtctl.balancing.fixed import Equal
from mtctl.catalogue.settings import Spec, described, refuse_misnamed
from mtctl.library.scaling import Scale, Scaling, Unscaled, number
from mtctl.library.sharing import Sharing
from mtctl.yaml.mistakes import suggestion

GRADIENTS: Final[frozenset[Need]] = frozenset({"norms", "gramian"})
"""What is measured on shared parameters, and needs them to be known."""

Measured = dict[int, frozenset[int]]
"""For each method of a chain, by its place, the ids of the parameters that its averages are of."""

Memory = tuple[ChainState, Measured, Tensor]


class Balancer:
    """A balancing method and what it remembers from step to step; make it once, next to the optimizer.

    >>> import mtctl
    >>> mtctl.Balancer("gradnorm", alpha=0.5)
    Balancer(gradnorm)
    >>> mtctl.Balancer([{"kind": "gradnorm"}, {"kind": "pcgrad"}], tasks=("depth", "normals"))
    Balancer(gradnorm + pcgrad, tasks=('depth', 'normals'))

    Args:
        method: a kind such as "gradnorm" (`mtctl recipes list --methods` shows all); what a recipe says under
            `balancer:`, as a mapping or a list of them; or a method or a `Chain`, your own too.
        tasks: names of the tasks, in order. The names in the first step's losses if left out: give them if a
            task may be absent from that step.
        seed: of the methods that draw random numbers.
        **settings: of a method that is named by its kind; `mtctl explain KIND` shows them.

    Raises:
        BalanceError: there is no such method or setting.
    """

    def __init__(
        self,
        method: Spec | Chain = "equal",
        /,
        *,
        tasks: Iterable[str] | None = None,
        seed: int = 0,
        **settings: object,
    ) -> None:
        if settings and isinstance(method, Chain | Method):
            raise BalanceError(f"{', '.join(settings)}: a method object already has its settings")
        methods = method.methods if isinstance(method, Chain) else described(method, settings)
        self._chain = Chain(methods)
        self.name = " + ".join(one.kind for one in methods)
        self._rng = torch.Generator().manual_seed(seed)
        self._untouched = self._rng.get_state()
        self._state: ChainState = {}
        self._measured: Measured = {}
        self._open: tuple[Unscaled, Decision] | None = None
        self._skipped = False
        self.sharing, self.scaling = Sharing(), Scaling()
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

    @property
    def settings(self) -> str:
        """The methods, with the settings that are not their defaults."""
        parts = []
        for method in self._chain.methods:
            settings = method.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
            parts.append(f"{method.kind} {settings}" if settings else method.kind)
        return " + ".join(parts)

    @property
    def fingerprint(self) -> tuple[float, float]:
        """Two numbers that tell the random numbers to come, and the memory, from others'."""
        memory = sum(float(value.nansum()) for value in self._state.values())
        return float(zlib.crc32(self._rng.get_state().numpy().tobytes())), memory

    @property
    def looks_at_gradients(self) -> bool:
        """Whether a method needs to know which parameters are shared."""
        return any(method.needs & GRADIENTS for method in self._chain.methods)

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

    def weigh(self, shown: Unscaled) -> Decision:
        """Return a step's weights and move the methods' memory on.

        Raises:
            BalanceError: a loss or a gradient that the method cannot work with, with the task's name.
        """
        if self._open is not None:
            raise BalanceError(
                f"{self.name} has not been shown the result of its last step",
                hint="after optimizer.step(), show it the same batch's losses: with torch.no_grad(): "
                "balancer.follow(losses)",
            )
        self._skipped = False
        chain, state, measured = self._chain, self._state, self._measured
        if self.looks_at_gradients:
            if shown.gradients.nothing_shared_yet:
                chain = Chain(tuple(Equal() if one.needs & GRADIENTS else one for one in chain.methods))
            else:
                state, measured = self._renewed(shown)
        with self._named():
            decision, state = chain.balance(shown, state, Draws(self._rng))
        self._refuse_too_large(decision, shown)
        self._state, self._measured = state, measured
        if decision.wants_outcome:
            self._open = shown, decision
        return decision

    def _renewed(self, shown: Unscaled) -> tuple[ChainState, Measured]:
        """Return the memory, and what is measured; where that has changed, averages of it begin anew."""
        state, measured = self._state, dict(self._measured)
        active = shown.active.numpy(force=True)
        for place, method in enumerate(self._chain.methods):
            if method.averages_gradients and self._chain.asks(place, active, state) & GRADIENTS:
                measured[place] = frozenset(map(id, shown.gradients.parameters(method.space)))
                if self._measured.get(place, measured[place]) != measured[place]:
                    state = self._chain.begun_anew(place, self.tasks, state)
        return state, measured

    def memory(self) -> Memory:
        """Return what the next step would move on, for `skip`."""
        return self._state, self._measured, self._rng.get_state()

    def skip(self, memory: Memory) -> None:
        """Forget a step: the methods rest where they were before it, and wait for no outcome."""
        self._state, self._measured, rng = memory
        self._rng.set_state(rng)
        self._open, self._skipped = None, True

    @property
    def fixed(self) -> bool:
        """Whether the weights are fixed beforehand, whatever losses and gradients are."""
        return not any(isinstance(method, AdaptiveMethod) for method in self._chain.methods)

    @property
    def follows(self) -> bool:
        """Whether the last step's method, such as FAMO, waits to be shown what the step did: see `follow`."""
        return self._open is not None

    def follow(self, losses: Mapping[str, Tensor | float | None], *, scale: Scale = 1.0) -> None:
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

        A step that overflowed, and that a GradScaler skips, has no outcome: nothing is looked at then.

        Args:
            losses: by task, after the step.
            scale: what they are multiplied with; 1.0, the losses themselves, whether or not those of the step
                were scaled: without a gradient, nothing can overflow.

        Raises:
            BalanceError: no step waits for it; a task of the step is missing, or its loss is not one finite
                number.
        """
        if self._skipped:
            return
        if self._open is None:
            raise BalanceError(
                f"{self.name} expects no losses now",
                hint="call balancer.follow(…) once after each step, if balancer.follows",
            )
        shown, decision = self._open

        def after() -> Tensor:
            found = torch.zeros(len(self.tasks), dtype=torch.float64)
            for place in shown.gradients.present:
                found[place] = _number(self.tasks[place], losses.get(self.tasks[place])) / number(scale)
            return found

        with self._named():
            self._state = self._chain.follow(shown, shown.gradients.joined(after), decision, self._state)
        self._open = None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of signals that a method cannot work with which task's they are."""
        try:
            yield
        except SignalError as error:
            kind = NonFiniteError if isinstance(error, NonFiniteSignal) else BalanceError
            hint = error.remedy if isinstance(error, NegativeLoss) else None
            raise kind(f"task `{self.tasks[error.task]}`: {error.problem}", hint=hint) from error

    def _refuse_too_large(self, decision: Decision, shown: Unscaled) -> None:
        """Raise where a weight is infinite in the precision of the loss that it is for."""
        weights = torch.maximum(decision.shared.abs(), decision.own.abs())
        for place, task in enumerate(self.tasks):
            if weights[place] > shown.limits[place]:
                raise BalanceError(
                    f"task `{task}`: {self.name} gives it the weight {float(weights[place]):.1e}, "
                    f"too large for the precision of its loss; the loss is {float(shown.losses[place]):.1e}",
                    hint="leave out (None) a loss that is almost 0, or whose gradient is; "
                    "`log`, `batch_scale` and `famo` have an `epsilon` for it",
                )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the steps to come: tensors and plain values, for `torch.save`.

        Raises:
            BalanceError: a step is under way: its outcome has not been shown yet.
        """
        if self._open is not None:
            raise BalanceError(f"{self.name} has a step without its result", hint="call follow(…) first")
        return {
            "method": self.name,
            "tasks": list(self.tasks),
            "state": dict(self._state),
            "rng": self._rng.get_state(),
            "scaled": self.scaling.found,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called.

        Raises:
            BalanceError: the state is of another method, or of other tasks.
        """
        if state["method"] != self.name:
            raise BalanceError(f"expected a state of {self.name}, got one of {state['method']}")
        tasks = tuple(state["tasks"])
        if self.tasks and tasks != self.tasks:
            raise BalanceError(
                f"the state is of the tasks {', '.join(tasks)}, not of {', '.join(self.tasks)}"
            )
        if tasks:
            if self._first_state(tasks).keys() != state["state"].keys():
                raise BalanceError(f"the state is of {self.name} with other settings")
            self.tasks = tasks
        self._state, self._open, self._skipped = dict(state["state"]), None, False
        self._measured = {}
        self.scaling.found = state.get("scaled")
        self._rng.set_state(state["rng"])

    def _begin(self, tasks: tuple[str, ...]) -> None:
        self._state, self.tasks = self._first_state(tasks), tasks

    def _first_state(self, tasks: tuple[str, ...]) -> ChainState:
        if len(set(tasks)) < len(tasks):
            raise BalanceError(f"tasks: {', '.join(tasks)}: a name occurs twice")
        refuse_misnamed(self._chain.methods, tasks)
        return self._chain.init(tasks)


def _number(task: str, loss: Tensor | float | None) -> float:
    if loss is None or (isinstance(loss, Tensor) and loss.numel() != 1):
        found = "none" if loss is None else f"a tensor of {loss.numel()} elements"
        raise BalanceError(
            f"task `{task}`: expected its loss after the step, found {found}",
            hint="follow(…) takes the same losses as balance(…), computed again",
        )
    return float(loss.detach() if isinstance(loss, Tensor) else loss)
