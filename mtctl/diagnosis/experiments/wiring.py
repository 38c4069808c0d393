"""What is certain before any training: targets, parameters, and one batch's gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mtctl.balancing.task_gradients import TaskGradients
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Check, Evidence, Finding
from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    DEALS,
    FEWEST_WINDOWS,
    NO_GRADIENT,
)
from mtctl.problems.windows.losses import MISSING
from mtctl.problems.windows.network import CLASSES
from mtctl.problems.windows.problem import Windows


def examine(problem: Windows) -> tuple[list[Finding], list[Check]]:
    """Look at a problem that has not been trained yet.

    Args:
        problem: fresh; its first batch is drawn here, so it is not to be trained afterwards.
    """
    findings = [*_targets(problem), *_optimizer(problem)]
    broken = {finding.task for finding in findings if finding.code == Code.BAD_TARGETS}
    checks = [
        _check("targets are present, finite and not constant", findings, Code.BAD_TARGETS),
        _check("every parameter is in the optimizer", findings, Code.NOT_IN_OPTIMIZER, Code.FROZEN_TRUNK),
    ]
    problem.advance()
    gradients = problem.gradients()
    unconnected = list(_gradients(problem, gradients, broken))
    checks.append(
        _check("every loss reaches its head and the trunk", unconnected, Code.DETACHED_TASK, Code.DEAD_HEAD)
    )
    return [*findings, *unconnected], checks


def _check(name: str, findings: list[Finding], *codes: Code) -> Check:
    found = [finding for finding in findings if finding.code in codes]
    detail = ", ".join(finding.task or "trunk" for finding in found)
    return Check(name, "found" if found else "passed", detail)


def _targets(problem: Windows) -> Iterator[Finding]:
    for task in problem.tasks:
        target = problem.splits.training.targets[task]
        wrong = _wrong(task, target)
        if wrong.any():
            rows = wrong.flatten(1).any(1) if wrong.dim() > 1 else wrong
            yield Finding(
                Code.BAD_TARGETS,
                task,
                "error",
                "certain",
                f"{int(rows.sum())} of {len(rows)} training windows have a {task} target that is missing, "
                "not finite or outside the range of its loss",
                (Evidence("windows with a bad target", int(rows.sum()), "", f"of {len(rows)}"),),
            )
        elif len(target) > 1 and bool((target == target[:1]).all()) and _flat_in_time(target):
            yield Finding(
                Code.BAD_TARGETS,
                task,
                "error",
                "certain",
                f"the {task} target is the same for every training window, so there is nothing to learn",
                (Evidence("standard deviation of the target", 0.0),),
            )


def _wrong(task: str, target: Tensor) -> Tensor:
    if task == "type":
        return (target == MISSING) | (target < 0) | (target >= CLASSES)
    wrong = ~target.isfinite()
    return wrong | (target < 0) | (target > 1) if task == "binary" else wrong


def _flat_in_time(target: Tensor) -> bool:
    """Say whether a target per bar is one number; others are one per window anyway."""
    return target.dim() < 2 or target.shape[1] <= 2 or bool((target == target[:, :1]).all())


def _optimizer(problem: Windows) -> Iterator[Finding]:
    moved = {id(parameter) for group in problem.optimizer.param_groups for parameter in group["params"]}
    for task in problem.tasks:
        own = problem.head(task)
        missing = sum(parameter.numel() for parameter in own if id(parameter) not in moved)
        if missing:
            yield Finding(
                Code.NOT_IN_OPTIMIZER,
                task,
                "error",
                "certain",
                f"the {task} head is not in the optimizer: {missing:,} parameters never move",
                (Evidence("parameters left out", missing, "", f"of {sum(p.numel() for p in own):,}"),),
            )
    trunk = problem.trunk()
    missing = sum(parameter.numel() for parameter in trunk if id(parameter) not in moved)
    if missing:
        yield Finding(
            Code.FROZEN_TRUNK,
            None,
            "error",
            "certain",
            f"{missing:,} parameters of the shared trunk are not in the optimizer: all tasks use its initial "
            "features",
            (Evidence("parameters left out", missing, "", f"of {sum(p.numel() for p in trunk):,}"),),
        )


def _gradients(problem: Windows, gradients: TaskGradients, broken: set[str | None]) -> Iterator[Finding]:
    trunk, own = gradients.norms("all_shared"), gradients.own_norms()
    for place, task in enumerate(problem.tasks):
        if task in broken:
            continue
        if problem.head(task) and float(own[place]) < NO_GRADIENT:
            yield Finding(
                Code.DEAD_HEAD,
                task,
                "error",
                "certain",
                f"the {task} head gets no gradient from its own loss: its output is saturated or cut off",
                (Evidence("own-head gradient norm", float(own[place]), "", f"below {NO_GRADIENT:g}"),),
            )
        elif float(trunk[place]) < NO_GRADIENT:
            yield Finding(
                Code.DETACHED_TASK,
                task,
                "error",
                "certain",
                f"the {task} loss does not reach the shared trunk: only its head learns",
                (Evidence("trunk gradient norm", float(trunk[place]), "", f"below {NO_GRADIENT:g}"),),
            )


def ignores_input(problem: Windows, task: str, answers: Mapping[str, Tensor] | None = None) -> float:
    """Return by how much a task's validation loss rises when inputs are dealt to other windows, relative.

    0 for a head that does not look at the prices, for example one that answers by the bar's position only,
    and for a rise that may be chance.

    Args:
        problem: trained.
        task: its name.
        answers: the heads' raw outputs on the validation windows, where they are known already.
    """
    split = problem.splits.validation
    count = len(split)
    answers = problem.answers(split.inputs) if answers is None else answers
    as_is = problem.window_losses(answers, split)[task].double()
    dealt = torch.zeros_like(as_is)
    for deal in range(1, DEALS + 1):
        order = torch.arange(count).roll(max(1, deal * count // (DEALS + 1)))
        dealt += (
            problem.window_losses({head: one[order] for head, one in answers.items()}, split)[task] / DEALS
        )
    rise = dealt - as_is
    error = rise.std() / count**0.5
    if count >= FEWEST_WINDOWS and float(rise.mean()) < BEYOND_NOISE * float(error):
        return 0.0
    return float(rise.mean() / as_is.mean())
