"""What a `Training` must be so that it can be trained: all that is wrong with it, at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.data import Dataset, IterableDataset

from mtctl.errors import MtctlError
from mtctl.problems.python.training import Task, Training
from mtctl.yaml.mistakes import closest

_IN_NAMES = "|./"
"""Characters that stand between the parts of records' names."""
_BATCHES = "a DataLoader, or a list of batches"


class _Problem(NamedTuple):
    text: str
    remedy: str


Problems = Iterator[_Problem]


def require_training(training: Training, place: str) -> None:
    """Refuse a training that cannot be trained, with all that is wrong with it.

    Args:
        training: to check; nothing of it is run.
        place: of the function that has built it.

    Raises:
        MtctlError: it has at least one problem.
    """
    problems = list(_problems(training))
    if not problems:
        return
    if len(problems) == 1:
        raise MtctlError(f"{place}: {problems[0].text}", hint=problems[0].remedy)
    lines = [f"{place}: the Training that it returned cannot be trained ({len(problems)} problems)"]
    for problem in problems:
        lines += [f"  - {problem.text}", f"    {problem.remedy}"]
    raise MtctlError("\n".join(lines))


def _problems(training: Training) -> Problems:
    yield from _of_model(training.model)
    yield from _of_tasks(training)
    for name in ("train", "validation", "held_out"):
        loader = getattr(training, name)
        if loader is not None or name != "held_out":
            yield from _of_loader(name, loader)
    yield from _of_steps(training)
    yield from _of_function("forward", training.forward, "lambda batch: {…}")
    yield from _of_function("losses", training.losses, "lambda batch: {…}")
    yield from _of_optimizer(training)
    yield from _of_name("last_shared", training.last_shared, training.model)


def _of_model(model: Any) -> Problems:
    if isinstance(model, type) and issubclass(model, nn.Module):
        yield _Problem(f"`model` is the class {model.__name__}", f"make one: model={model.__name__}(…)")
    elif not isinstance(model, nn.Module):
        remedy = "put several into one: model=nn.ModuleDict({…})" if isinstance(model, Mapping | list) else ""
        yield _Problem(
            f"`model` must be an nn.Module, but it is {type_of(model)}",
            remedy or "give the module that is trained",
        )
    elif any(is_lazy(parameter) for parameter in model.parameters()):
        yield _Problem(
            "`model` has parameters without a shape yet", "call it on a batch before the Training is returned"
        )
    elif not any(parameter.requires_grad for parameter in model.parameters()):
        yield _Problem("`model` has no parameter that can be trained", "one needs requires_grad=True")


def _of_tasks(training: Training) -> Problems:
    tasks: Any = training.tasks
    if not isinstance(tasks, Mapping):
        yield _Problem(
            f"`tasks` must be a mapping of names to tasks, but it is {type_of(tasks)}",
            'write tasks={"depth": mtctl.Task(loss=…)}',
        )
        return
    if tasks and training.losses is not None:
        yield _Problem("`tasks` and `losses` are both given", "leave out `losses`: tasks tell more")
    if not tasks and training.losses is None:
        yield _Problem(
            "there are no tasks", 'write tasks={"depth": mtctl.Task(loss=…)}, or losses=lambda batch: {…}'
        )
    for name, task in tasks.items():
        yield from _of_task_name(name)
        if not isinstance(task, Task):
            yield _Problem(
                f"task `{name}` must be an mtctl.Task, but it is {type_of(task)}",
                f'write "{name}": mtctl.Task(loss=…)',
            )
            continue
        yield from _of_function(
            f"loss` of task `{name}", task.loss, "lambda outputs, targets: …", needed=True
        )
        yield from _of_function(f"score` of task `{name}", task.score, "lambda outputs, targets: …")
        yield from _of_selection(f"target` of task `{name}", task.target)
        yield from _of_selection(f"mask` of task `{name}", task.mask)
        yield from _of_name(f"head` of task `{name}", task.head, training.model)


def _of_task_name(name: Any) -> Problems:
    if not isinstance(name, str):
        yield _Problem(f"a task is called {name!r}, which is no string", "name it in words")
    elif not name.strip() or name != name.strip() or not name.isprintable() or set(name) & set(_IN_NAMES):
        yield _Problem(
            f"a task cannot be called {name!r}",
            "a task's name is printable and has neither `|`, `.` nor `/`, nor spaces around it",
        )


def _of_function(name: str, value: Any, example: str, *, needed: bool = False) -> Problems:
    if isinstance(value, type) and issubclass(value, nn.Module):
        yield _Problem(f"`{name}` is the class {value.__name__}", f"make one: {value.__name__}()")
    elif (needed or value is not None) and not callable(value):
        yield _Problem(f"`{name}` must be a function, but it is {type_of(value)}", f"write {example}")


def _of_selection(name: str, value: Any) -> Problems:
    known = isinstance(value, str | int) and not isinstance(value, bool)
    if value is not None and not known and not callable(value):
        yield _Problem(
            f"`{name}` must be a key, a place or a function of the batch, but it is {type_of(value)}",
            "write a key of the batch, or lambda batch: …",
        )


def _of_loader(name: str, value: Any) -> Problems:
    if isinstance(value, Iterator):
        yield _Problem(
            f"`{name}` is {type_of(value)}, which can be iterated once only",
            f"give {_BATCHES}, or a class with __iter__: every epoch begins anew",
        )
    elif isinstance(value, Dataset) and not isinstance(value, IterableDataset):
        yield _Problem(
            f"`{name}` is a data set, which yields rows, not batches",
            f"write {name}=DataLoader(…, batch_size=…)",
        )
    elif isinstance(value, torch.Tensor | str | bytes | Mapping) or not _can_be_iterated(value):
        made = " (a function: call it)" if callable(value) else ""
        yield _Problem(f"`{name}` must yield batches, but it is {type_of(value)}{made}", f"give {_BATCHES}")
    elif _length(value) == 0:
        dropped = getattr(value, "drop_last", False)
        yield _Problem(
            f"`{name}` has no batches",
            "with drop_last=True, its batch_size must not be larger than the data set"
            if dropped
            else "give it at least one",
        )


def _of_steps(training: Training) -> Problems:
    steps: Any = training.steps_per_epoch
    if steps is None:
        return
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        yield _Problem(
            f"`steps_per_epoch` must be a whole number from 1, but it is {steps!r}",
            "how many batches of `train` are an epoch",
        )
    elif (length := _length(training.train)) and steps > length:
        yield _Problem(
            f"`steps_per_epoch` is {steps:,}, but `train` has {length:,} batches",
            "lower it, or leave it out: an epoch then ends with the loader",
        )


def _can_be_iterated(value: Any) -> bool:
    kind = type(value)
    return isinstance(value, Iterable) or (hasattr(kind, "__getitem__") and hasattr(kind, "__len__"))


def _length(value: Any) -> int | None:
    if not isinstance(value, Sized):
        return None
    try:
        return len(value)
    except (TypeError, NotImplementedError):  # how a loader says that it does not know
        return None


def _of_optimizer(training: Training) -> Problems:
    optimizer: Any = training.optimizer
    scheduler: Any = training.scheduler
    if isinstance(optimizer, torch.optim.Optimizer):
        name = type(optimizer).__name__
        yield _Problem(
            f"`optimizer` is an optimizer ({name}), but mtctl makes one for every training",
            f"write optimizer=lambda parameters: torch.optim.{name}(parameters, lr=…)",
        )
    else:
        yield from _of_function("optimizer", optimizer, "lambda parameters: torch.optim.AdamW(parameters)")
    if isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler):
        name = type(scheduler).__name__
        yield _Problem(
            f"`scheduler` is a schedule ({name}), but mtctl makes one for every training",
            f"write scheduler=lambda optimizer: torch.optim.lr_scheduler.{name}(optimizer, …)",
        )
    else:
        yield from _of_function("scheduler", scheduler, "lambda optimizer: …")
    if training.scheduler_every not in ("epoch", "update"):
        yield _Problem(f"`scheduler_every` is {training.scheduler_every!r}", 'choose from: "epoch", "update"')


def _of_name(name: str, value: Any, model: Any) -> Problems:
    if value is None or not isinstance(model, nn.Module):
        return
    if not isinstance(value, str):
        yield _Problem(f"`{name}` must be a name, but it is {type_of(value)}", "such as depth_head")
        return
    known = [each for each, _ in (*model.named_modules(), *model.named_parameters()) if each]
    if value in known:
        return
    match = closest(value, known)
    children = ", ".join(child for child, _ in model.named_children())
    guess = f"did you mean `{match}`? " if match else ""
    yield _Problem(
        f"`{name}` is {value!r}, but the model has no module or parameter of that name",
        f"{guess}its modules: {children}" if children else guess or "leave it out",
    )


def type_of(value: object) -> str:
    """Return what a value is, in words: "a list"."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
