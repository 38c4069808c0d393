"""Which parameters the tasks share: given by the user, or found in the graphs of their losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from mtctl.library import graph
from mtctl.library.errors import BalanceError

Parameters = tuple[Tensor, ...]


class Sharing:
    """What is known of shared parameters; it grows as steps show more.

    A parameter is shared once two losses of one step have reached it, and stays so in steps in which the
    other task is absent. The last shared layer is the latest operation of the forward pass that works on a
    shared matrix (or kernel, or recurrent cell) and that every loss depends on. It is chosen once, at the
    first step that has all tasks, so that norms of different steps are norms of the same thing.

    Attributes:
        found: the parameters found so far.
        reason: how the last shared layer was chosen; "" where it was not asked for.
    """

    def __init__(self) -> None:
        self.found: dict[Tensor, None] = {}
        self.reason = ""
        self._layer: Parameters | None = None

    def last(self, losses: Sequence[Tensor], shared: Parameters, *, all_present: bool) -> Parameters:
        """Return the last shared layer of the losses' graphs, or all shared parameters if there is none."""
        if self._layer is not None:
            return self._layer
        layer = graph.last_layer(losses, shared)
        if layer is None:
            self.reason = "all shared parameters: no operation on a shared matrix is behind every loss"
            return shared
        name, parameters = layer
        shapes = ", ".join("×".join(map(str, one.shape)) for one in parameters)
        self.reason = f"the last shared layer, found: {name} with parameters {shapes}"
        self._layer = parameters if all_present else None
        return parameters


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
                f"{name}: a tensor ({shape}) is computed from parameters, and is none itself",
                hint="name the parameters as they stand in the model, not parts or copies of them",
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
