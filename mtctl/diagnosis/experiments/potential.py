"""Why a task that learns stalls far below what it can reach.

What it can reach is measured: alone, standardised, without dropout, by Adam at a usual rate, for two budgets
or more. If that is far more than it reaches in the budget, one change at a time is made to the recipe as it
is, and the first that closes half of the gap names the cause:

    regularisation      no dropout, or no weight decay
    slow                nothing but up to four budgets
    target-out-of-reach a standardised head
    learning-rate       another rate of its own head, or of all
    an aid              it gets there with all aids, and not without this one
    below-potential     none of these: why is unknown

If all that is done for it does not help, the network is too small (not even a few rows are learned by heart),
or the labels are wrong (see labels.py), or the task is at its ceiling, which is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import aids, labels, width
from mtctl.diagnosis.experiments.company import drowned
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Evidence, Finding, Severity
from mtctl.diagnosis.thresholds import (
    FEWEST_UPDATES,
    HEAD_LR,
    HELD_BACK,
    HELD_BACK_SHARE,
    KNOWN_BY_HEART,
    LOWER_RATES,
    MORE_ROWS,
    MORE_UPDATES_RATES,
    RECOVERED,
    WATCHED_BUDGETS,
    percent,
)
from mtctl.problems.supervised.interventions import (
    HeadRate,
    Intervention,
    NoDecay,
    NoDropout,
    Rate,
    Standardised,
)


class _Change(NamedTuple):
    """One change that may close the gap, and what it would show."""

    code: Code
    name: str
    cause: str
    intervention: Intervention


def instead_of_unknown(laboratory: Laboratory, task: str, found: list[Finding]) -> list[Finding]:
    """Return a measured cause in the place of others that hold a task back, if their part is not measured.

    Why they do is unknown, or told by angles of gradients alone. Two tasks are learned at the cost of each
    other where too little is left for both: dropout, decay, or a network that is too small.
    """
    codes = [finding.code for finding in found]
    told = [Code.INTERFERENCE], [Code.CONFLICT], [Code.MULTIPLIER_DOMINANCE]
    if codes not in told or laboratory.budget < FEWEST_UPDATES:
        return found
    if codes == [Code.MULTIPLIER_DOMINANCE] and drowned(laboratory, task):
        return found
    skill, severity = laboratory.settled(task), found[0].severity
    if (narrow := width.of_company(laboratory, task, severity)) is not None:
        return [narrow]
    if codes == [Code.MULTIPLIER_DOMINANCE]:
        return found
    reached = max(laboratory.potential(task), skill)
    enough = skill + RECOVERED * (reached - skill)
    gap = (Evidence("skill with all aids combined", 100 * reached, "%", f"as is {100 * skill:.0f} %"),)
    stalls = (
        f"{task} reaches a skill of {100 * skill:.0f} % in the budget; {100 * reached:.0f} % are possible"
    )
    for change in _regularisation(laboratory) if reached >= skill + HELD_BACK else ():
        if (cause := _tried(laboratory, task, change, stalls, enough, gap)) is not None:
            return [replace(cause, severity=severity)]
    small = _too_small(laboratory, task, reached) if reached <= HELD_BACK_SHARE else []
    return [replace(cause, severity=severity) for cause in small] or found


def below_potential(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return what keeps a task that learns far below what it can reach; nothing of one at its ceiling."""
    skill = laboratory.settled(task)
    if skill > HELD_BACK_SHARE:
        return []
    enough = max(skill + HELD_BACK, skill / HELD_BACK_SHARE)
    reached = laboratory.potential(task)
    if reached < enough:
        return _at_its_ceiling(laboratory, task, max(skill, reached))
    return [_cause(laboratory, task, skill, reached)]


def _at_its_ceiling(laboratory: Laboratory, task: str, reached: float) -> list[Finding]:
    if (narrow := width.of_task(laboratory, task)) is not None:
        return [narrow]
    if small := _too_small(laboratory, task, reached):
        return small
    found = labels.examine(laboratory, task, reached)
    return [] if found is None else [found]


def _too_small(laboratory: Laboratory, task: str, reached: float) -> list[Finding]:
    """Return that the network is too small, where not even the rows of one batch are learned by heart."""
    left = laboratory.by_heart(task, MORE_ROWS)
    if left is not None and left >= KNOWN_BY_HEART:
        item = laboratory.joint.problem.item
        text = (
            f"{task} stays at a skill of {100 * reached:.0f} % with all aids combined, and memorises "
            f"{MORE_ROWS} {item}s in part only: the network is too small"
        )
        name = f"training loss of {MORE_ROWS} {item}s over the constant's"
        fact = Evidence(name, left, "", f"memorised below {KNOWN_BY_HEART:g}")
        return [Finding(Code.CAPACITY, task, "warning", "likely", text, (fact,))]
    return []


def _cause(laboratory: Laboratory, task: str, skill: float, reached: float) -> Finding:
    """Name the cause of a gap between the skill as is and the skill that a task can reach."""
    enough = skill + RECOVERED * (reached - skill)
    gap = (
        Evidence("skill with all aids combined", 100 * reached, "%", f"as is {100 * skill:.0f} %"),
        Evidence("updates in the budget", laboratory.budget),
    )
    stalls = (
        f"{task} reaches a skill of {100 * skill:.0f} % in the budget; {100 * reached:.0f} % are possible"
    )
    if laboratory.budget < FEWEST_UPDATES:
        text = f"{stalls}: {laboratory.budget} updates are too few"
        return Finding(Code.BUDGET_TOO_SMALL, task, "warning", "likely", text, gap)
    if (narrow := width.of_task(laboratory, task)) is not None:
        return narrow
    for change in _regularisation(laboratory):
        if (found := _tried(laboratory, task, change, stalls, enough, gap)) is not None:
            return found
    if (later := laboratory.patient(task, enough)) >= enough:
        text = f"{stalls}: it still learns, and reaches {100 * later:.0f} % within {WATCHED_BUDGETS} budgets"
        evidence = Evidence("skill if it is trained for longer", 100 * later, "%")
        return Finding(Code.SLOW, task, "info", "measured", text, (evidence, *gap))
    for change in _others(laboratory, task):
        if (found := _tried(laboratory, task, change, stalls, enough, gap)) is not None:
            return found
    return _aid(laboratory, task, stalls, enough, gap)


def _tried(
    laboratory: Laboratory, task: str, change: _Change, stalls: str, enough: float, gap: tuple[Evidence, ...]
) -> Finding | None:
    skill = laboratory.reached(task, f"{task} {change.name}", change.intervention)
    if skill < enough:
        return None
    text = f"{stalls}: {change.cause}; {change.name} it reaches {100 * skill:.0f} %"
    evidence = (Evidence(f"skill {change.name}", 100 * skill, "%"), *gap)
    cure = laboratory.recipe.changes(change.intervention)
    severity: Severity = "warning"
    return Finding(change.code, task, severity, "measured", text, evidence, cure)


def _regularisation(laboratory: Laboratory) -> Iterator[_Change]:
    code = Code.REGULARISATION
    yield _Change(code, "without dropout", "dropout is too strong for it", NoDropout())
    if laboratory.decays:
        yield _Change(code, "without weight decay", "weight decay is too strong for it", NoDecay())


def _others(laboratory: Laboratory, task: str) -> Iterator[_Change]:
    unit = "its head starts far from its targets, or in another unit"
    yield _Change(Code.TARGET_OUT_OF_REACH, "standardised", unit, Standardised((task,)))
    given, code = laboratory.recipe.training.head_lr.get(task, 1.0), Code.LEARNING_RATE
    if len(laboratory.recipe.problem.tasks) > 1:
        as_the_trunk = 1 / laboratory.head_rate(task)
        factors = (HEAD_LR, HEAD_LR**2, 1 / HEAD_LR, 1 / HEAD_LR**2)
        for factor in (*((as_the_trunk,) if as_the_trunk != 1 else ()), *factors):
            name = f"with {factor:g} times the learning rate of its own head"
            how = "low" if factor > 1 else "high"
            yield _Change(
                code, name, f"its head's learning rate is too {how}", HeadRate(task, factor * given)
            )
    for factor in (*MORE_UPDATES_RATES, *LOWER_RATES):
        how = "low" if factor > 1 else "high"
        name = f"with {factor:g} times the learning rate"
        yield _Change(code, name, f"the learning rate is too {how} for it", Rate(factor))


def _aid(laboratory: Laboratory, task: str, stalls: str, enough: float, gap: tuple[Evidence, ...]) -> Finding:
    """Return the aid without which a task does not get there; unknown where there is none, or several."""
    limit = 2 * laboratory.pampered(task).updates
    needed = [
        aid
        for aid in aids.NAMES
        if not laboratory.learns_so_far(
            task,
            f"{task}: all aids but {aid}, to {percent(round(enough, 2))}",
            enough,
            limit,
            *aids.without(task, aid),
        )
    ]
    if len(needed) == 1 and needed[0] in aids.CAUSES:
        code, _ = aids.CAUSES[needed[0]]
        text = f"{stalls}: it gets there with all aids combined, and not without {aids.NAMES[needed[0]]}"
        cure = laboratory.recipe.changes(*aids.CURES[needed[0]](task))
        return Finding(code, task, "warning", "measured", text, gap, cure)
    listed = ", ".join(aids.NAMES[aid] for aid in needed)
    why = f"only together: {listed}" if needed else "why is unknown: no single change of those tried helps"
    return Finding(Code.BELOW_POTENTIAL, task, "warning", "measured", f"{stalls}; {why}", gap)
