"""Which parameters the tasks share: given by the user, or found in the graphs of their losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients import graph

Parameters = tuple[Tensor, ...]


class Layer(NamedTuple):
    """A last shared layer, and how it was chosen.

    Args:
        parameters: none where no layer is behind every task's loss.
        reason: in words.
    """

    parameters: Parameters
    reason: str


class Sharing:
    """What is known of shared parameters; it grows as steps show more.

    A parameter is shared once the losses of two tasks have reached it, in one step or in different ones, and
    stays so in steps in which the other task is absent. The last shared layer is the latest operation of the
    forward pass that works on a shared matrix (or kernel, or recurrent cell) and that the loss of every task
    depends on which any step has shown so far. It stays, so that norms of different steps are norms of the
    same thing, until a new task turns up that does not depend on it.

    Attributes:
        found: the parameters found so far.
        reached: by task, what its loss depends on; None where one operation hides that.
        reason: how the last shared layer was chosen; "" where it was not asked for.
    """

    def __init__(self) -> None:
        self.found: dict[Tensor, None] = {}
        self.reason = ""
        self.reached: dict[int, dict[Tensor, None] | None] = {}
        self._layer: Parameters | None = None
        self._judges: frozenset[int] = frozenset()
        self._told = (0, 0)

    def see(self, losses: Mapping[int, Tensor], shared: Iterable[Tensor]) -> None:
        """Take note of which parameters a step's losses depend on.

        Args:
            losses: by task.
            shared: what several of them reach.
        """
        self.found.update(dict.fromkeys(shared))
        for task in losses.keys() - self.reached.keys():
            reached = graph.leaves(losses[task])
            for other in self.reached.values():
                if reached is not None and other is not None:
                    self.found.update(dict.fromkeys(leaf for leaf in reached if leaf in other))
            self.reached[task] = reached

    @property
    def has_news(self) -> bool:
        """Whether more is known than `told` was called with."""
        return self._told != (len(self.found), len(self.reached))

    def told(self) -> None:
        """Take note that other processes know as much."""
        self._told = len(self.found), len(self.reached)

    def own(self, task: int) -> list[Tensor]:
        """Return the parameters that this task's loss depends on, and no other's as far as is known."""
        others = [reached for other, reached in self.reached.items() if other != task and reached]
        reached = self.reached.get(task) or {}
        return [one for one in reached if not any(one in other for other in others)]

    def apart(self, task: int, shared: Iterable[Tensor]) -> bool:
        """Say whether a task's loss is known to depend on none of some parameters."""
        reached = self.reached.get(task)
        return reached is not None and reached.keys().isdisjoint(shared)

    def last(
        self,
        losses: Mapping[int, Tensor],
        shared: Parameters,
        agree: Callable[[Callable[[], Layer]], Layer] = lambda choose: choose(),
    ) -> Parameters:
        """Return the last shared layer; all shared parameters where no layer is behind every task's loss.

        Args:
            losses: by task.
            shared: the shared parameters.
            agree: returns the layer that is taken, where others make a choice too.
        """
        self.see(losses, ())
        if self._layer is None or not self._suits(self.reached.keys() - self._judges):
            self._layer, self.reason = agree(lambda: self._choose(list(losses.values()), shared))
        self._judges = frozenset(self.reached)
        return self._layer or shared

    def _suits(self, tasks: Iterable[int]) -> bool:
        """Say whether tasks depend on the layer that was chosen; there is no better one if it is none."""
        known = [reached for task in tasks if (reached := self.reached[task]) is not None]
        return not self._layer or all(leaf in reached for reached in known for leaf in self._layer)

    def _choose(self, losses: Sequence[Tensor], shared: Parameters) -> Layer:
        known = [reached for reached in self.reached.values() if reached is not None]
        layer = graph.last_layer(losses, frozenset(shared).intersection(*known)) if losses else None
        if layer is None:
            return Layer((), "all shared parameters: no shared matrix is used by every loss")
        name, parameters = layer
        shapes = ", ".join("×".join(map(str, one.shape)) for one in parameters)
        return Layer(parameters, f"the last shared layer, found: {name} with parameters {shapes}")


def checked(name: str, parameters: Iterable[Tensor] | None) -> Parameters | None:
    """Return what a user gave as parameters, without those that are frozen.

    Raises:
        BalanceError: it holds something else, or nothing that can be trained.
    """
    if parameters is None:
        return None
    if isinstance(parameters, Tensor):
        return checked(name, [parameters])
    found = []
    try:
        given = list(parameters)
    except TypeError as error:
        raise _no_parameters(name, parameters) from error
    for one in given:
        if not isinstance(one, Tensor):
            raise _no_parameters(name, one)
        if not one.is_leaf:
            shape = "×".join(map(str, one.shape)) or "one number"
            raise BalanceError(
                f"{name}: expected parameters, got a tensor ({shape}) that is computed from them",
                hint="name the parameters of the model themselves, not parts or copies of them",
            )
        if one.requires_grad:
            found.append(one)
    if not found:
        raise BalanceError(f"{name}: none of {len(given)} parameters requires a gradient")
    return tuple(dict.fromkeys(found))


def _no_parameters(name: str, found: object) -> BalanceError:
    return BalanceError(
        f"{name}: expected parameters, found {type(found).__name__}",
        hint=f"{name}=list(model.trunk.parameters())",
    )
