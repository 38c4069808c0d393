"""Whether a task's labels are right: off by some rows, or partly wrong.

Both are told by rows that nothing was learned from. Labels are off by k rows if the task reaches far more
with the targets of the rows k places further on, and not with those of the next ones after these: rows of a
series hold the values of earlier rows, so that every forecast is easier with earlier targets.

Labels that are wrong at random show where answers are surest: in an honest task the surest tenth of the
answers is nearly always right, however hard the other rows are; with a share of labels wrong, whatever the
inputs, these are as often contradicted as any. How sure an answer is, is the loss that it would have with
other rows' labels (cf. Northcutt et al., "Confident Learning", 2021, which compares classes' probabilities).
Labels that are drawn by chance with the same odds for all rows look the same, and labels that are all wrong
look like inputs that say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    CLEARLY_LEARNED,
    HELD_BACK,
    HELD_BACK_SHARE,
    OFF_BY,
    OTHER_ROWS,
    SURE_GAIN,
    SURE_GAIN_OF_SKILL,
    SURE_ROWS,
    SURE_SKILL,
    SUREST,
)
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.interventions import Shifted
from mtctl.problems.supervised.problem import Supervised

_SPLITS: tuple[SeedList, ...] = ("monitor", "held_out")


@dataclass(frozen=True, slots=True)
class Sureness:
    """How answers fit held-out labels.

    Args:
        skill: of all rows.
        error: its standard error.
        gain: 1 − loss / loss with other rows' labels, of the surest answers.
        rows: how many those are.
    """

    skill: float
    error: float
    gain: float
    rows: int

    @property
    def contradicted(self) -> bool:
        """Whether labels contradict the surest answers as they do the others."""
        return (
            self.rows >= SURE_ROWS
            and self.skill >= max(SURE_SKILL, BEYOND_NOISE * self.error)
            and self.gain <= min(SURE_GAIN, SURE_GAIN_OF_SKILL * self.skill)
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
    found = [(sure, course) for course in courses if (sure := sureness(course.problem, task)) is not None]
    if not found:
        return None
    sure, course = max(found, key=lambda pair: pair[0].skill)
    if not sure.contradicted:
        return None
    text = (
        f"part of {task}'s labels look wrong: held-out labels contradict the surest answers as often as "
        "others; labels that chance decides, with the same odds for every row, look the same"
    )
    item = course.problem.item
    evidence = (
        Evidence(
            f"loss saved against other {item}s' labels by the surest {SUREST:.0%} of answers",
            100 * sure.gain,
            "%",
            f"honest: above {SURE_GAIN:.0%}, or {SURE_GAIN_OF_SKILL:g} times the skill",
        ),
        Evidence(f"skill on {item}s that were not learned from", 100 * sure.skill, "%"),
        *_by_heart(laboratory.pampered(task), task),
    )
    return Finding(Code.NOISY_LABELS, task, "warning", "likely", text, evidence)


def _by_heart(course: Course, task: str) -> tuple[Evidence, ...]:
    """Return how far the training loss has fallen below the held-out one, which wrong labels keep up."""
    relatives = course.relatives(task)
    if not relatives:
        return ()
    against = f"held-out {1 - course.best(task):.2f} at best"
    return (Evidence("training loss over the constant's, all aids combined", relatives[-1], "", against),)


@torch.no_grad()
def sureness(problem: Supervised[Any], task: str) -> Sureness | None:
    """Return how a task's answers fit held-out labels; None where that is not known.

    For classes only: numbers whose errors have long tails look the same.
    """
    if not problem.is_of_classes(task):
        return None
    own, others, constant = [], [], []
    for split in _SPLITS:
        answers = problem.answers(split)
        against = answers.against_others(task, OTHER_ROWS) if answers.apart else None
        if against is None:
            return None
        own.append(answers.losses(task))
        others.append(against)
        constant.append(problem.constant_losses(split)[task].double())
    losses, mean, base = torch.cat(own), torch.cat(others, 1).mean(0), torch.cat(constant)
    rows = round(SUREST * len(losses))
    surest = mean.argsort(descending=True)[:rows]
    gains = (base - losses) / base.mean()
    return Sureness(
        skill=float(gains.mean()),
        error=float(gains.std() / len(gains) ** 0.5),
        gain=float(1 - losses[surest].mean() / mean[surest].mean()) if rows else 0.0,
        rows=rows,
    )
