"""Which parameters of a user's model are shared and which belong to a task: read off the losses' graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import graph


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the graphs of a few batches show.

    Args:
        shared: what the losses of several tasks reach.
        own: what the loss of one task alone reaches, by task.
        last: the last shared layer; all that is shared where no layer is behind every loss.
        unreached: trainable parameters that no loss reaches, with their names.
    """

    shared: tuple[Parameter, ...]
    own: Mapping[str, tuple[Parameter, ...]]
    last: tuple[Parameter, ...]
    unreached: Mapping[str, Parameter]


def sharing(model: nn.Module, reached: Mapping[str, set[Tensor]], losses: Mapping[str, Tensor]) -> Sharing:
    """Return which parameters are whose.

    Args:
        model: of the user.
        reached: the leaves that each task's losses have reached.
        losses: of one batch, of all tasks that it has.
    """
    owners = {
        parameter: [task for task, leaves in reached.items() if parameter in leaves]
        for parameter in model.parameters()
        if parameter.requires_grad
    }
    one_task = len(reached) == 1
    shared = tuple(p for p, tasks in owners.items() if len(tasks) > 1 or (one_task and tasks))
    own = {
        task: tuple(p for p, tasks in owners.items() if tasks == [task] and not one_task) for task in reached
    }
    everywhere = frozenset(shared).intersection(*reached.values())
    layer = graph.last_layer(list(losses.values()), frozenset(everywhere)) if everywhere else None
    last = tuple(p for p in shared if any(p is found for found in layer[1])) if layer else shared
    unreached = {name: p for name, p in model.named_parameters() if p.requires_grad and not owners[p]}
    return Sharing(shared, own, last, unreached)


def leaves(loss: Tensor) -> set[Tensor]:
    """Return the parameters that a loss depends on."""
    return set(graph.leaves(loss) or ())


def head_module(model: nn.Module, own: tuple[Parameter, ...]) -> nn.Module | None:
    """Return the smallest module of all of a task's own parameters and no others; None without one."""
    wanted = set(own)
    best: nn.Module | None = None
    for module in model.modules():  # from the outside in
        parameters = [p for p in module.parameters() if p.requires_grad]
        if parameters and wanted.issuperset(parameters) and (best is None or wanted == set(parameters)):
            best = module
    return best
