"""Whether a task's labels are right: off by some rows, or partly wrong.

All is told by rows that nothing was learned from. Labels are off by k rows if the task reaches far more with
the targets of the rows k places further on, and not with those of the next ones after these: rows of a series
hold the values of earlier rows, so that every forecast is easier with earlier targets.

Classes that are wrong at random show where answers are surest: in an honest task the surest tenth of the
answers is nearly always right, however hard the other rows are; with a share of labels wrong, whatever the
inputs, these are contradicted as often as the surer half, and by any class, not by their second choice. How
sure an answer is, is the loss that it would have with other rows' labels (cf. Northcutt et al., "Confident
Learning", 2021, which compares classes' probabilities).

Numbers that belong to other rows pull all answers towards the mean: most rows lie on a line that is steeper
than the answers, and the rest lies anywhere, without any slope. Errors with long tails, or in proportion to
the number, are spread about the same line for all rows.

Labels that are drawn by chance with the same odds for all rows look the same, and labels that are all wrong
look like inputs that say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.course import Course, scores
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    CLEARLY_LEARNED,
    HELD_BACK,
    HELD_BACK_SHARE,
    LEAST_OF_HALF,
    OFF_BY,
    SECOND_CHOICE,
    SECOND_CHOICE_ERRORS,
    STRAY,
    STRAY_SLOPE,
    STRAY_SPREAD,
    STRAYS,
    SURE_GAIN,
    SURE_GAIN_OF_HALF,
    SURE_GAIN_OF_SKILL,
    SURE_ROWS,
    SURE_SKILL,
    SUREST,
)
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.interventions import Shifted
from mtctl.problems.supervised.problem import Supervised

_SPLITS: tuple[SeedList, ...] = ("monitor", "held_out")
_STEPS = 30
"""Reweightings to a line of least absolute errors: it stands still after about 15."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """How answers fit held-out labels.

    Args:
        skill: of all rows.
        error: its standard error.
        gain: 1 − loss / loss with other rows' labels, of the surest answers.
        half: the same of the surer half.
        second: how much more often than by chance labels that contradict these are their second choice.
        second_error: its standard error; infinite for two classes, of which one is always the second.
        rows: how many the surest are.
    """

    skill: float
    error: float
    gain: float
    half: float
    second: float
    second_error: float
    rows: int

    @property
    def contradicted(self) -> bool:
        """Whether labels contradict the surest answers as they do the others."""
        most = min(SURE_GAIN, SURE_GAIN_OF_SKILL * self.skill, SURE_GAIN_OF_HALF * self.half)
        return (
            self.rows >= SURE_ROWS
            and self.skill >= max(SURE_SKILL, BEYOND_NOISE * self.error)
            and LEAST_OF_HALF * self.half <= self.gain <= most
            and self.second <= SECOND_CHOICE + SECOND_CHOICE_ERRORS * self.second_error
        )


@dataclass(frozen=True, slots=True)
class Strays:
    """Rows far from the line on which most held-out targets lie, over the answers.

    Args:
        share: of the rows.
        slope: of their targets on the answers, in units of the line's.
        error: its standard error.
        spread: range of the middle half of their targets, in units of all targets'.
        wrong: share of rows of other rows' targets that would pull the answers so far towards the mean.
    """

    share: float
    slope: float
    error: float
    spread: float
    wrong: float

    @property
    def of_other_rows(self) -> bool:
        """Whether these look like the targets of other rows."""
        return (
            self.share >= STRAYS
            and self.wrong >= STRAYS
            and self.slope + BEYOND_NOISE * self.error <= 1
            and self.slope <= STRAY_SLOPE
            and self.spread >= STRAY_SPREAD
        )


def examine(laboratory: Laboratory, task: str, reached: float) -> Finding | None:
    """Return what is wrong with a task's labels; None where nothing shows it.

    Args:
        laboratory: makes the experiments.
        task: one that reaches less than it might, whatever is done for it.
        reached: the skill that it reaches at best.
    """
    return _displaced(laboratory, task, reached) or _noisy(laboratory, task)


def _displaced(laboratory: Laboratory, task: str, reached: float) -> Finding | None:
    if not laboratory.joint.problem.has_order:
        return None
    enough = max(reached + HELD_BACK, reached / HELD_BACK_SHARE)
    for rows in OFF_BY if reached < CLEARLY_LEARNED else OFF_BY[:2]:
        skill = laboratory.displaced(task, rows, enough)
        if skill < enough:
            continue
        if laboratory.displaced(task, rows + (1 if rows > 0 else -1), enough) >= enough:
            return None  # rows hold the values of earlier ones, as in a series: a forecast looks like this
        where = f"{abs(rows)} row{'' if abs(rows) == 1 else 's'} {'after' if rows > 0 else 'before'}"
        text = (
            f"{task}'s labels belong to other rows: with the target of {where} it reaches a skill of "
            f"{100 * skill:.0f} %; unless it is meant so, as a forecast is, the data are off by {abs(rows)}"
        )
        evidence = (
            Evidence(f"skill with the target of the row {rows:+d}", 100 * skill, "%"),
            Evidence("skill with its own, all aids combined", 100 * reached, "%"),
        )
        cure = laboratory.recipe.changes(Shifted(task, rows))
        return Finding(Code.SHIFTED_LABELS, task, "warning", "measured", text, evidence, cure)
    return None


def _noisy(laboratory: Laboratory, task: str) -> Finding | None:
    courses = (laboratory.joint, laboratory.at_its_best(task))
    course = max(courses, key=lambda one: scores(one.problem, "held_out")[task][1])
    problem = course.problem
    sure, strays = sureness(problem, task), mislaid(problem, task)
    if sure is not None and sure.contradicted:
        text = (
            f"part of {task}'s labels look wrong: held-out labels contradict the surest answers as often as "
            "others; labels that chance decides, with the same odds for every row, look the same"
        )
        figures = _of_classes(sure, problem.item)
    elif strays is not None and strays.of_other_rows:
        text = (
            f"part of {task}'s targets look like those of other {problem.item}s: most held-out ones follow "
            "the answers, and the others lie anywhere; targets that chance replaces look the same"
        )
        figures = _of_numbers(strays, problem.item)
    else:
        return None
    evidence = (*figures, *_by_heart(laboratory.pampered(task), task))
    return Finding(Code.NOISY_LABELS, task, "warning", "likely", text, evidence)


def _of_classes(sure: Sureness, item: str) -> tuple[Evidence, ...]:
    honest = (
        f"honest: above {SURE_GAIN:.0%}, or {SURE_GAIN_OF_SKILL:g} times the skill, or "
        f"{SURE_GAIN_OF_HALF:g} times that of the surer half"
    )
    name = f"loss saved against other {item}s' labels by the surest {SUREST:.0%} of answers"
    return (
        Evidence(name, 100 * sure.gain, "%", honest),
        Evidence("the same by the surer half", 100 * sure.half, "%"),
        Evidence(f"skill on {item}s that were not learned from", 100 * sure.skill, "%"),
    )


def _of_numbers(strays: Strays, item: str) -> tuple[Evidence, ...]:
    return (
        Evidence(f"{item}s far from the line that most targets follow", 100 * strays.share, "%"),
        Evidence(
            "slope of their targets over the line's", strays.slope, "", f"honest: above {STRAY_SLOPE:g}"
        ),
        Evidence("share of wrong targets that flattens answers so far", 100 * strays.wrong, "%"),
    )


def _by_heart(course: Course, task: str) -> tuple[Evidence, ...]:
    """Return how far the training loss has fallen below the held-out one, which wrong labels keep up."""
    relatives = course.relatives(task)
    if not relatives:
        return ()
    against = f"held-out {1 - course.best(task):.2f} at best"
    return (Evidence("training loss over the constant's, all aids combined", relatives[-1], "", against),)


@torch.no_grad()
def sureness(problem: Supervised[Any], task: str) -> Sureness | None:
    """Return how a task's answers fit held-out labels; None where these are no classes, or not known."""
    parts = [problem.choices(task, split) for split in _SPLITS]
    known = [part for part in parts if part is not None and len(part.labels)]
    if len(known) < len(_SPLITS):
        return None
    losses, labels = torch.cat([part.losses for part in known]).double(), torch.cat([p.labels for p in known])
    constant = torch.cat([problem.constant_losses(split)[task] for split in _SPLITS]).double().mean()
    shares = torch.bincount(labels, minlength=losses.shape[1]).double() / len(labels)
    own, others = losses.gather(1, labels[:, None])[:, 0], losses @ shares
    surest, rows = others.argsort(descending=True), round(SUREST * len(labels))

    def saved(some: Tensor) -> float:
        return float(1 - own[some].mean() / others[some].mean()) if len(some) else 0.0

    half = surest[: len(surest) // 2]
    second, second_error = _second(losses[half], labels[half], shares)
    gains = 1 - own / constant
    error = float(gains.std() / len(gains) ** 0.5)
    return Sureness(float(gains.mean()), error, saved(surest[:rows]), saved(half), second, second_error, rows)


def _second(losses: Tensor, labels: Tensor, shares: Tensor) -> tuple[float, float]:
    """Return how much more often than by chance labels are an answer's second choice, if not its first."""
    classes = losses.shape[1]
    if classes < 3:
        return 0.0, float("inf")
    first, second = losses.argsort(1)[:, :2].T
    wrong = labels != first
    if not wrong.any():
        return 1.0, 0.0
    first, second, labels = first[wrong], second[wrong], labels[wrong]
    chance = float((shares[second] / (1 - shares[first]).clamp(min=1e-9)).mean())
    chance = min(max(chance, 1 / (classes - 1)), 1 - 1e-9)
    found = float((labels == second).double().mean())
    error = (chance * (1 - chance) / len(labels)) ** 0.5
    return (found - chance) / (1 - chance), error / (1 - chance)


@torch.no_grad()
def mislaid(problem: Supervised[Any], task: str) -> Strays | None:
    """Return which rows are far from the line of most; None where targets are no numbers, or too few."""
    parts = [problem.numbers(task, split) for split in _SPLITS]
    known = [part for part in parts if part is not None]
    if len(known) < len(_SPLITS):
        return None
    answers, targets = (torch.cat(list(column)).double() for column in zip(*known, strict=True))
    whole = (answers.isfinite() & targets.isfinite()).all(1)
    answers, targets = answers[whole], targets[whole]
    if len(targets) < SURE_ROWS / SUREST:
        return None
    spread = targets.std(0).clamp(min=1e-12)
    return strays(
        (answers - answers.mean(0)).div(spread).flatten(), (targets - targets.mean(0)).div(spread).flatten()
    )


def strays(answers: Tensor, targets: Tensor) -> Strays | None:
    """Return which targets [M] are far from the line that most follow over the answers [M]; None without one.

    The line has the least absolute errors: by least squares reweighted, as strays may be a third of all.
    """
    columns = torch.stack([answers, torch.ones_like(answers)], 1)
    squares = line = _line(columns, targets, torch.ones_like(targets))
    for _ in range(_STEPS):
        left = (targets - columns @ line).abs()
        line = _line(columns, targets, 1 / left.clamp(min=1e-3 * float(left.median()) + 1e-12))
    left = (targets - columns @ line).abs()
    far = left > STRAY * left.median()
    slope = float(line[0])
    if slope <= 0 or float(squares[0]) <= 0 or int(far.sum()) < SURE_ROWS:
        return None
    some, own = answers[far], targets[far]
    of_far = _line(columns[far], own, torch.ones_like(own))
    noise = (own - columns[far] @ of_far).std() / (some.std() * len(some) ** 0.5).clamp(min=1e-12)
    return Strays(
        share=float(far.double().mean()),
        slope=float(of_far[0]) / slope,
        error=float(noise) / slope,
        spread=_middle(own) / max(_middle(targets), 1e-12),
        wrong=1 - float(squares[0]) / slope,
    )


def _middle(values: Tensor) -> float:
    """Return the range of the middle half of some values."""
    return float(values.quantile(0.75) - values.quantile(0.25))


def _line(columns: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return slope and start [2] of the line of least weighted squares."""
    weighted = columns * weights[:, None]
    found: Tensor = torch.linalg.lstsq(weighted.T @ columns, weighted.T @ targets[:, None]).solution
    return found[:, 0]
