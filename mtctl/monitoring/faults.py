"""What is certainly wrong with a loop's wiring, said while it trains: each fault once."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor, nn
from torch.optim import Optimizer

import mtctl
from mtctl.balancing.gradients import graph
from mtctl.diagnosis.codes import Code

_PACKAGE: Final = str(Path(mtctl.__file__).parent)
_NAMED: Final = 3
"""Parameters that a message names."""


class MonitorWarning(UserWarning):
    """A fault of a training loop that `mtctl.Monitor` is certain of."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong.

    Args:
        code: what `mtctl diagnose` calls it.
        task: whose; None for what tasks share.
        text: what is wrong, in one sentence.
        remedy: what to do about it.
        certain: whether it is a fault whatever the loop means to do.
    """

    code: Code
    task: str | None
    text: str
    remedy: str
    certain: bool = True

    def stored(self) -> dict[str, str | None]:
        """Return what run.json keeps of it."""
        return {"code": str(self.code), "task": self.task, "text": self.text}


class Faults:
    """The faults that were said, each once."""

    def __init__(self) -> None:
        self._said: dict[tuple[Code, str | None, bool], Fault] = {}

    @property
    def said(self) -> list[Fault]:
        """All faults, in the order in which they were seen."""
        return list(self._said.values())

    def say(self, faults: Iterable[Fault]) -> None:
        """Warn of each fault that has not been said before."""
        new = {(fault.code, fault.task, fault.certain): fault for fault in faults}
        new = {key: fault for key, fault in new.items() if key not in self._said}
        self._said |= new
        for fault in new.values():
            warnings.warn(f"{fault.text}: {fault.remedy}", MonitorWarning, stacklevel=_users_level())


def _users_level() -> int:
    """Return the stack level, as seen from the caller, of the line outside this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


class Wiring:
    """What is known of a loop's parameters.

    Args:
        optimizers: that train them; none: nothing is said about it.
        model: whose names messages use; shapes are named without it.
        heads: each task's own parameters, where the user names them.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        model: nn.Module | None,
        heads: Mapping[str, Sequence[Tensor]],
    ) -> None:
        self._optimizers, self.heads = optimizers, heads
        named = () if model is None else model.named_parameters()
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in named}

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that the optimizers have now."""
        groups = [group for one in self._optimizers for group in one.param_groups]
        return [parameter for group in groups for parameter in group["params"]]

    def reached(self, losses: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """Return the parameters that each loss depends on; not of losses whose graph does not show them."""
        trained = set(self.trained)
        leaves = {task: graph.leaves(loss) for task, loss in losses.items() if loss.requires_grad}
        return {
            task: [leaf for leaf in found if isinstance(leaf, nn.Parameter) or leaf in trained]
            for task, found in leaves.items()
            if found is not None
        }

    def own(self, reached: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
        """Return the parameters that one task's loss alone depends on, of all tasks' losses; by task."""
        counts = Counter(parameter for parameters in reached.values() for parameter in parameters)
        if len(reached) < 2:
            return {}
        return {task: [one for one in found if counts[one] == 1] for task, found in reached.items()}

    def faults(
        self, losses: Mapping[str, Tensor], reached: Mapping[str, Sequence[Tensor]]
    ) -> Iterator[Fault]:
        """Yield what the graphs of a step's losses show.

        Args:
            losses: of the tasks that are present.
            reached: the parameters that they depend on.
        """
        yield from _without_graph(losses)
        yield from self._left_out(reached)
        yield from self._cut_off(reached)
        counts = Counter(parameter for parameters in reached.values() for parameter in parameters)
        if len(reached) > 1 and counts and max(counts.values()) == 1:
            yield Fault(
                Code.DETACHED_TASK,
                None,
                "no parameter is reached by the losses of two tasks, so that they share nothing",
                "as it should be for independent networks; else look for .detach() between trunk and head",
                certain=False,
            )

    def _cut_off(self, reached: Mapping[str, Sequence[Tensor]]) -> Iterator[Fault]:
        """Yield heads, where they are named, that their losses do not reach, or do not get past."""
        heads = {parameter for head in self.heads.values() for parameter in head}
        beyond = {task: set(parameters) - heads for task, parameters in reached.items()}
        for task, head in self.heads.items():
            if task not in reached:
                continue
            if set(reached[task]).isdisjoint(head):
                text = f"{task}'s loss reaches none of the {len(head)} parameters of its head"
                remedy = "look for .detach(), or a head that the loss is not computed with"
                yield Fault(Code.DEAD_HEAD, task, text, remedy)
            elif not beyond[task] and any(beyond.values()):
                text = f"{task}'s loss reaches its head, and nothing of what other tasks' losses reach"
                yield Fault(Code.DETACHED_TASK, task, text, "look for .detach() between trunk and head")

    def _left_out(self, reached: Mapping[str, Sequence[Tensor]]) -> Iterator[Fault]:
        """Yield parameters that losses reach and no optimizer has."""
        if not self._optimizers:
            return
        trained = set(self.trained)
        owners: dict[Tensor, list[str]] = {}
        for task, parameters in reached.items():
            for parameter in parameters:
                if parameter not in trained:
                    owners.setdefault(parameter, []).append(task)
        by_owner: dict[str | None, list[Tensor]] = {}
        for parameter, tasks in owners.items():
            by_owner.setdefault(self._owner(parameter, tasks), []).append(parameter)
        for owner, parameters in by_owner.items():
            of = "that tasks share" if owner is None else f"of {owner}"
            text = f"the optimizer was not given {self._shown(parameters)} {of}, so nothing moves them"
            remedy = "build the optimizer from all parameters of the model, after its last layer is made"
            yield Fault(Code.NOT_IN_OPTIMIZER, owner, text, remedy)

    def _owner(self, parameter: Tensor, tasks: Sequence[str]) -> str | None:
        """Return the one task that uses a parameter."""
        named = [task for task, head in self.heads.items() if any(parameter is one for one in head)]
        owners = named or tasks
        return owners[0] if len(owners) == 1 else None

    def _shown(self, parameters: Sequence[Tensor]) -> str:
        order = {one: place for place, one in enumerate(self._names)}
        ordered = sorted(parameters, key=lambda one: order.get(one, len(order)))
        shown = [self._names.get(one) or _shape(one) for one in ordered[:_NAMED]]
        more = len(parameters) - len(shown)
        names = ", ".join(shown) + (f" and {more} more" if more else "")
        return f"{len(parameters)} parameter{'s' * (len(parameters) > 1)} ({names})"


def _without_graph(losses: Mapping[str, Tensor]) -> Iterator[Fault]:
    for task, loss in losses.items():
        if not loss.requires_grad:
            yield Fault(
                Code.DETACHED_TASK,
                task,
                f"{task}'s loss depends on no parameter that requires a gradient",
                "look for .detach(), .item(), torch.no_grad() or frozen parameters",
            )


def _shape(parameter: Tensor) -> str:
    return "×".join(map(str, parameter.shape)) or "one number"
