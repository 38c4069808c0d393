"""Whether a task's way through the network is too narrow, proved by a readout of what comes before.

A neck (see necks.py) is only suspicious: one number is enough for one answer. It is the cause

    of a task       if a small readout, trained on the numbers before the neck and nothing else, is far better
                    on rows that it has not seen than the network is behind the neck, with all aids combined
    of its company  if the tasks that share a neck are asked for more numbers than pass there, and this one
                    learns far more without the others

The readout has one hidden layer. It learns the validation rows and is scored on the held-out ones, and the
other way round: neither has been learned from by the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import torch
from torch import Tensor, nn

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.experiments.necks import Neck, Place, necks, passed
from mtctl.diagnosis.report import Evidence, Finding, Severity
from mtctl.diagnosis.thresholds import FEWEST_READ, HELD_BACK
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.supervised.problem import Supervised

_FOLDS: Final[tuple[SeedList, SeedList]] = ("monitor", "held_out")
_UNITS, _RATE, _DECAY, _UPDATES, _EVERY = 64, 1e-2, 1e-2, 300, 15
_LEAST_SPREAD: Final = 0.03
"""Part of the largest spread that a number is taken to have at least."""
_FLAT: Final = 2048
"""Numbers of a row up to which a readout takes them all; of more, their means over places."""


def of_task(laboratory: Laboratory, task: str, severity: Severity = "warning") -> Finding | None:
    """Return that a task's way is too narrow for it alone; None where no readout shows it.

    Args:
        laboratory: makes the experiments.
        task: one that learns less than it might.
        severity: of the finding.
    """
    narrow = [neck for neck in necks(laboratory.joint.problem) if task in neck.asked]
    if not narrow:
        return None
    reached = max(laboratory.potential(task), laboratory.settled(task))
    neck, problem = narrow[0], laboratory.pampered(task).problem
    read = readout(problem, task, neck.before)
    if read is None or read < reached + HELD_BACK:
        return None
    text = (
        f"{task}'s way through the network is too narrow: {_way(neck, [task])}; with all aids it "
        f"reaches a skill of {100 * reached:.0f} %, and a small readout of the numbers before, "
        f"{100 * read:.0f} %"
    )
    evidence = (
        Evidence(f"numbers of a row in {neck.place}", neck.numbers, "", _answered(neck, task)),
        Evidence(f"numbers of a row in {neck.before}", neck.before_numbers, "", "at least"),
        Evidence("skill of a readout of these, on rows it has not seen", 100 * read, "%"),
        Evidence("skill with all aids combined", 100 * reached, "%"),
    )
    return Finding(Code.CAPACITY, task, severity, "measured", text, evidence)


def of_company(laboratory: Laboratory, task: str, severity: Severity = "warning") -> Finding | None:
    """Return that tasks share too few numbers, where this one learns far more without the others."""
    for neck in necks(laboratory.joint.problem):
        others = [other for other in neck.asked if other != task]
        if task not in neck.asked or not others or neck.numbers >= sum(neck.asked.values()):
            continue
        alone = laboratory.reached(task, f"{task} alone", *laboratory.without_others(task))
        joint = laboratory.settled(task)
        if alone < joint + HELD_BACK:
            return None
        text = (
            f"the network is too narrow for its tasks: {_way(neck, [task, *others])}; without the others "
            f"{task} reaches a skill of {100 * alone:.0f} %, instead of {100 * joint:.0f} %"
        )
        evidence = (
            Evidence(
                f"numbers of a row in {neck.place}", neck.numbers, "", f"asked for {sum(neck.asked.values())}"
            ),
            Evidence(f"numbers of a row in {neck.before}", neck.before_numbers, "", "at least"),
            Evidence("skill alone", 100 * alone, "%", f"as is {100 * joint:.0f} %"),
        )
        return Finding(Code.CAPACITY, task, severity, "measured", text, evidence)
    return None


def _way(neck: Neck, tasks: Sequence[str]) -> str:
    numbers = "1 number" if neck.numbers == 1 else f"{neck.numbers} numbers"
    names, know = " and ".join(tasks), "knows" if len(tasks) == 1 else "know"
    return f"all that {names} {know} of a row is {numbers} in {neck.place}"


def _answered(neck: Neck, task: str) -> str:
    return f"{neck.asked[task]} {'is' if neck.asked[task] == 1 else 'are'} asked for"


# ----- the readout


@dataclass(frozen=True, slots=True)
class _Fold:
    """The rows of a split: numbers [N, …] of every part that has the task, and what answers lose there."""

    parts: Sequence[tuple[Tensor, Any, Any]]
    answers: Answers[Any]
    constant: float

    def loss(self, task: str, readout: _Readout) -> Tensor:
        losses = [
            self.answers.row_losses(task, {**raw, task: readout(numbers)}, batch)
            for numbers, raw, batch in self.parts
        ]
        return torch.cat(losses).mean() / self.constant


class _Readout(nn.Module):
    """One hidden layer; where numbers [N, L, F] and answers have the same places L, the same one for each."""

    def __init__(self, numbers: Tensor, answer: Tensor) -> None:
        super().__init__()
        length = numbers.shape[1] if numbers.dim() == 3 and numbers.shape[1] > 1 else 0
        self.axis = next((i for i in range(1, answer.dim()) if answer.shape[i] == length), None)
        self.shape = answer.shape[1:]
        flat = self.arranged(numbers)
        self.mean, self.spread = flat.mean((0, 1)), _spread(flat)
        places = 1 if self.axis is None else length
        last = nn.Linear(_UNITS, self.shape.numel() // places)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(flat.shape[2], _UNITS), nn.ReLU(), last).to(numbers)

    def arranged(self, numbers: Tensor) -> Tensor:
        """Return numbers as [N, places, F]."""
        if self.axis is not None:
            return numbers
        flat = numbers.flatten(1)
        if flat.shape[1] > _FLAT and numbers.dim() > 2:
            flat = numbers.mean(1) if numbers.dim() == 3 else numbers.flatten(2).mean(2)
        return flat[:, None]

    def forward(self, numbers: Tensor) -> Tensor:
        answers: Tensor = self.layers((self.arranged(numbers) - self.mean) / self.spread)
        if self.axis is None:
            return answers.reshape(len(numbers), *self.shape)
        rest = [size for i, size in enumerate(self.shape, 1) if i != self.axis]
        return answers.reshape(*answers.shape[:2], *rest).movedim(1, self.axis)


def _spread(flat: Tensor) -> Tensor:
    """Return the standard deviation of each number; a larger one of dead numbers, which rounding moves."""
    spread = flat.std((0, 1))
    return spread.clamp(min=max(1e-6, _LEAST_SPREAD * float(spread.max())))


def readout(problem: Supervised[Any], task: str, place: Place) -> float | None:
    """Return the skill of a readout of the numbers at a place; None where there are too few rows for one.

    Args:
        problem: whose network has them; it answers in the task's own unit, so that 0 is the best constant.
        task: whose targets are read.
        place: in the network.
    """
    folds = [_fold(problem, task, place, split) for split in _FOLDS]
    first, second = folds
    if first is None or second is None:
        return None
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        return fmean((_learned(task, first, second), _learned(task, second, first)))


@torch.no_grad()
def _fold(problem: Supervised[Any], task: str, place: Place, split: SeedList) -> _Fold | None:
    answers = problem.answers(split)
    having = [(raw, batch) for raw, batch in answers.parts if task in raw]
    numbers = passed(problem, split).get(place, [])
    if len(numbers) != len(having) or sum(map(len, numbers)) < FEWEST_READ:
        return None
    if any(len(own) != len(raw[task]) for own, (raw, _) in zip(numbers, having, strict=True)):
        return None
    constant = float(problem.constant_losses(split)[task].mean())
    parts = [(own, raw, batch) for own, (raw, batch) in zip(numbers, having, strict=True)]
    return _Fold(parts, answers, constant) if constant > 0 else None


def _learned(task: str, rows: _Fold, others: _Fold) -> float:
    """Return the best skill on other rows that a readout keeps for two looks while it learns some."""
    readout = _Readout(torch.cat([numbers for numbers, _, _ in rows.parts]), rows.parts[0][1][task])
    optimizer = torch.optim.AdamW(readout.parameters(), lr=_RATE, weight_decay=_DECAY)
    skills = []
    for update in range(_UPDATES):
        optimizer.zero_grad()
        rows.loss(task, readout).backward()
        optimizer.step()
        if update % _EVERY == _EVERY - 1:
            with torch.no_grad():
                skills.append(1 - float(others.loss(task, readout)))
    return max(map(min, skills, skills[1:]))
