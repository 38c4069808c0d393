"""A remedy as lines of Python: what a user changes in a training loop of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from mtctl.diagnosis.report import TaskState


def code_lines(changes: Mapping[str, Any], states: Sequence[TaskState] = ()) -> list[str]:
    """Return the lines that make the same change as a recipe's settings do.

    Args:
        changes: new values by dotted key, as in `Remedy.changes`. Keys that stand for nothing in a loop have
            no line.
        states: of the tasks, for the numbers of their targets.
    """
    by_task = {state.task: state for state in states}
    return [
        line
        for key, value in changes.items()
        for line in (
            _standardised(value, by_task) if key == _STANDARDISE else _LINES.get(key, _nothing)(value)
        )
    ]


def _nothing(_value: object) -> Iterator[str]:
    yield from ()


def _head_rates(factors: Mapping[str, float]) -> Iterator[str]:
    yield "optimizer = torch.optim.AdamW([  # or the optimizer that you have"
    yield '    {"params": other_parameters, "lr": lr},'
    for task, factor in factors.items():
        yield f'    {{"params": {task}_head.parameters(), "lr": {factor:g} * lr}},'
    yield "])"


def _standardised(tasks: Sequence[str], states: Mapping[str, TaskState]) -> Iterator[str]:
    for task in tasks:
        state = states.get(task)
        if state is not None and state.classes:
            yield f"# {task}: begin with its head's bias at the logarithms of the classes' shares"
            continue
        unit = state.unit if state is not None else None
        mean, spread = ("mean", "std") if unit is None else (f"{unit[0]:.6g}", f"{unit[1]:.6g}")
        note = "  # mean and std of its training targets" if unit is None else ""
        yield f"{task}_target = ({task}_target - {mean}) / {spread}{note}"
        yield f"{task}_answer = {mean} + {spread} * {task}_output  # where you use what it says"


def _balancer(method: Mapping[str, Any] | list[Mapping[str, Any]]) -> Iterator[str]:
    if isinstance(method, Mapping) and method.get("kind") == "equal":
        yield "sum(losses.values()).backward()  # no weights, no balancing"
        return
    if isinstance(method, Mapping):
        settings = "".join(f", {key}={value!r}" for key, value in method.items() if key != "kind")
        yield f"balancer = mtctl.Balancer({_quoted(method['kind'])}{settings})  # once, beside the optimizer"
    else:
        yield f"balancer = mtctl.Balancer({method!r})  # once, beside the optimizer"
    yield "mtctl.balance(losses, balancer=balancer)  # in place of total.backward()"


def _quoted(kind: str) -> str:
    return f'"{kind}"'


def _loss_factors(factors: Mapping[str, float]) -> Iterator[str]:
    for task, factor in factors.items():
        yield f'losses["{task}"] = {factor:g} * losses["{task}"]'


def _shifts(shifts: Mapping[str, int]) -> Iterator[str]:
    for task, rows in shifts.items():
        if rows:
            yield f"{task}_target = {task}_target.roll({-rows}, 0)  # of all rows, before a shuffle"


def _head_decays(decays: Mapping[str, float]) -> Iterator[str]:
    yield "optimizer = torch.optim.AdamW([  # or the optimizer that you have"
    yield '    {"params": other_parameters, "lr": lr},'
    for task, decay in decays.items():
        yield f'    {{"params": {task}_head.parameters(), "lr": lr, "weight_decay": {decay:g}}},'
    yield "])"


def _rate(factor: float) -> Iterator[str]:
    if factor != 1:
        yield f"lr = {factor:g} * lr  # multiply every learning rate of your optimizer by {factor:g}"


def _clip(norm: float | None) -> Iterator[str]:
    if norm is not None:
        yield (
            f"torch.nn.utils.clip_grad_norm_(model.parameters(), {norm:g})  "
            "# after backward(), before optimizer.step()"
        )


def _adam(lr: float | None) -> Iterator[str]:
    if lr is not None:
        yield f"optimizer = torch.optim.Adam(model.parameters(), lr={lr:g})"


def _decay(decay: float | None) -> Iterator[str]:
    if decay is not None:
        yield f"optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay={decay:g})"


def _dropout(on: bool) -> Iterator[str]:
    if not on:
        yield "for module in model.modules():  # before training"
        yield "    if isinstance(module, torch.nn.Dropout):"
        yield "        module.p = 0.0"


_STANDARDISE: Final = "training.standardise"
_LINES: Final[Mapping[str, Callable[[Any], Iterator[str]]]] = {
    "training.loss_factor": _loss_factors,
    "balancer": _balancer,
    "training.lr_factor": _rate,
    "training.adam": _adam,
    "training.head_lr": _head_rates,
    "training.head_decay": _head_decays,
    "problem.target_shift": _shifts,
    "training.weight_decay": _decay,
    "training.dropout": _dropout,
    "training.gradient_clip": _clip,
}
"""By the dotted key of a recipe."""
