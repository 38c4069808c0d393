"""Which parameters of a user's model are shared and which belong to a task.

The losses' graphs tell. What a graph does not show, because something is detached or requires no gradient,
shows in the answers: they change with the parameters' values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import graph


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a few batches show.

    Args:
        shared: trainable parameters that several tasks use.
        own: those that one task alone uses, by task.
        last: the last shared layer; all that is shared where no layer is behind every loss.
        unreached: trainable parameters that no task uses, with their names.
        frozen: parameters that require no gradient and that several tasks use.
    """

    shared: tuple[Parameter, ...]
    own: Mapping[str, tuple[Parameter, ...]]
    last: tuple[Parameter, ...]
    unreached: Mapping[str, Parameter]
    frozen: tuple[Parameter, ...]


def sharing(
    model: nn.Module,
    reached: Mapping[str, set[Tensor]],
    used: Mapping[str, set[Tensor]],
    losses: Mapping[str, Tensor],
) -> Sharing:
    """Return which parameters are whose.

    Args:
        model: of the user.
        reached: the leaves that each task's losses have reached.
        used: further parameters on which each task's answers depend.
        losses: of one batch, of all tasks that it has.
    """
    users = {
        parameter: [task for task in reached if parameter in reached[task] or parameter in used[task]]
        for parameter in model.parameters()
    }
    owners = {parameter: tasks for parameter, tasks in users.items() if parameter.requires_grad}
    one_task = len(reached) == 1
    shared = tuple(p for p, tasks in owners.items() if len(tasks) > 1 or (one_task and tasks))
    own = {
        task: tuple(p for p, tasks in owners.items() if tasks == [task] and not one_task) for task in reached
    }
    everywhere = frozenset(shared).intersection(*reached.values())
    layer = graph.last_layer(list(losses.values()), frozenset(everywhere)) if everywhere else None
    last = tuple(p for p in shared if any(p is found for found in layer[1])) if layer else shared
    unreached = {name: p for name, p in model.named_parameters() if p.requires_grad and not owners[p]}
    everybody = len(reached)
    frozen = tuple(p for p, tasks in users.items() if not p.requires_grad and len(tasks) == everybody)
    return Sharing(shared, own, last, unreached, frozen)


@torch.no_grad()
def used_unseen(
    model: nn.Module, reached: Mapping[str, set[Tensor]], answers: Callable[[], Mapping[str, Tensor]]
) -> dict[str, set[Tensor]]:
    """Return the parameters on which each task's answers depend although its loss does not reach them.

    Args:
        model: of the user.
        reached: the leaves that each task's losses have reached.
        answers: returns every task's answers on the same few rows, always from the same random numbers.
    """
    before = answers()
    numbers = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    frozen = [parameter for parameter in numbers if not parameter.requires_grad]
    used: dict[str, set[Tensor]] = {task: set() for task in reached}

    def note(parameters: Iterable[Parameter], tasks: Iterable[str]) -> list[str]:
        with _changed(parameters):
            now = answers()
        differ = [task for task in tasks if not _alike(before[task], now[task])]
        for task in differ:
            used[task].update(parameters)
        return differ

    if frozen:
        note(frozen, reached)
    for task, leaves_of_task in reached.items():
        unseen = [p for p in numbers if p.requires_grad and p not in leaves_of_task]
        if note(unseen, [task]):
            used[task].difference_update(unseen)
            for parameter in unseen:
                note([parameter], [task])
    return used


@contextmanager
def _changed(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Let parameters have other values for a while."""
    before = [(parameter, parameter.detach().clone()) for parameter in parameters]
    try:
        for parameter, value in before:
            parameter.copy_(1.5 * value + 0.1)
        yield
    finally:
        for parameter, value in before:
            parameter.copy_(value)


def _alike(before: Tensor, now: Tensor) -> bool:
    """Say whether answers are the same but for rounding."""
    return bool(torch.allclose(before, now, rtol=1e-3, atol=1e-6, equal_nan=True))


def leaves(loss: Tensor) -> set[Tensor]:
    """Return the parameters that a loss depends on."""
    return set(graph.leaves(loss) or ())
