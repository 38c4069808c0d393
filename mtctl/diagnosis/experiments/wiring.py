"""What is certain before any training: targets, parameters, and one batch's gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from mtctl.balancing.task_gradients import TaskGradients
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Check, Evidence, Finding
from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    DEALS,
    FEWEST_ROWS,
    NO_GRADIENT,
)
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.supervised.problem import Supervised


def examine(problem: Supervised[Any]) -> tuple[list[Finding], list[Check]]:
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
    unconnected = list(_unconnected(problem, broken))
    turned = list(_wrong_gradients(problem, {finding.task for finding in unconnected} | broken))
    checks.append(_check("every gradient lowers its own loss", turned, Code.WRONG_GRADIENT))
    checks.append(
        _check("every loss reaches its head and the trunk", unconnected, Code.DETACHED_TASK, Code.DEAD_HEAD)
    )
    return [*findings, *unconnected, *turned], checks


def _check(name: str, findings: list[Finding], *codes: Code) -> Check:
    found = [finding for finding in findings if finding.code in codes]
    detail = ", ".join(finding.task or "trunk" for finding in found)
    return Check(name, "found" if found else "passed", detail)


def _targets(problem: Supervised[Any]) -> Iterator[Finding]:
    for task in problem.tasks:
        if (bad := problem.bad_targets(task)) is None:
            continue
        if bad.misfit:
            text = bad.misfit
            evidence = Evidence(f"{problem.item}s with a bad target", bad.rows, "", f"of {bad.of}")
        elif bad.rows:
            text = (
                f"{bad.rows} of {bad.of} training {problem.item}s have a {task} target that is missing, "
                "not finite or outside the range of its loss"
            )
            evidence = Evidence(f"{problem.item}s with a bad target", bad.rows, "", f"of {bad.of}")
        else:
            same = f"the same for every training {problem.item}"
            text = f"the {task} target is {same}, so there is nothing to learn"
            evidence = Evidence("standard deviation of the target", 0.0)
        yield Finding(Code.BAD_TARGETS, task, "error", "certain", text, (evidence,))


def _optimizer(problem: Supervised[Any]) -> Iterator[Finding]:
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
    if frozen := sum(parameter.numel() for parameter in problem.frozen()):
        yield Finding(
            Code.FROZEN_TRUNK,
            None,
            "info",
            "certain",
            f"{frozen:,} parameters of the shared trunk require no gradient: all tasks use its features as "
            "they are",
            (Evidence("parameters that require no gradient", frozen),),
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


def _unconnected(problem: Supervised[Any], broken: set[str | None]) -> Iterator[Finding]:
    """Look at the first gradient of each task: of the first batch that has targets of it."""
    wanted = {task for task in problem.tasks if task not in broken}
    for _ in range(problem.updates_per_epoch):
        if not wanted:
            return
        problem.advance()
        with problem.looking():
            gradients = problem.gradients()
        present = {
            task for task, active in zip(problem.tasks, gradients.active.tolist(), strict=True) if active
        }
        yield from _gradients(problem, gradients, wanted & present)
        wanted -= present


def _gradients(problem: Supervised[Any], gradients: TaskGradients, wanted: set[str]) -> Iterator[Finding]:
    trunk, own = gradients.norms("all_shared"), gradients.own_norms()
    for place, task in enumerate(problem.tasks):
        if task not in wanted:
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
        elif problem.trunk() and float(trunk[place]) < NO_GRADIENT:
            yield Finding(
                Code.DETACHED_TASK,
                task,
                "error",
                "certain",
                f"the {task} loss does not reach the shared trunk: only its head learns",
                (Evidence("trunk gradient norm", float(trunk[place]), "", f"below {NO_GRADIENT:g}"),),
            )


def _wrong_gradients(problem: Supervised[Any], apart: set[str | None]) -> Iterator[Finding]:
    for task, descent in problem.descents(0).items():
        if descent < 0 and task not in apart:
            text = f"a step along {task}'s own gradient raises its loss: the gradient has the wrong sign"
            name = "fall of the loss over what the gradient promises"
            evidence = Evidence(name, descent, "", "expected about 1")
            yield Finding(Code.WRONG_GRADIENT, task, "error", "certain", text, (evidence,))


def ignores_input(answers: Answers[Any], task: str) -> float:
    """Return by how much a task's validation loss rises when inputs are dealt to other rows, relative.

    0 for a head that does not look at its inputs, for example one that answers by the position only, and for
    a rise that may be chance; infinite where outputs are not known, so that nobody is accused.

    Args:
        answers: on the validation rows.
        task: its name.
    """
    if not answers.apart:
        return math.inf
    as_is = answers.losses(task)
    count, dealt = len(as_is), torch.zeros_like(as_is)
    for deal in range(1, DEALS + 1):
        dealt += answers.dealt(task, deal, DEALS) / DEALS
    rise = dealt - as_is
    error = rise.std() / count**0.5
    if count >= FEWEST_ROWS and float(rise.mean()) < BEYOND_NOISE * float(error):
        return 0.0
    return float(rise.mean() / as_is.mean().abs())  # of a density, the logarithm may be negative
