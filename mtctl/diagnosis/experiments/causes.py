"""Why a task does not learn, decided by experiment.

The core is a 2 × 2 counterfactual, {joint, alone} × {as is, standardised}; all four share seed, data, initial
weights and order. With r(run) = τ(as is)/τ(run), and 1 for runs that are not twice as fast,

    multiplier-dominance   r(alone) ≥ 2 or r(both)/r(standardised) ≥ 2: the others' end makes the difference
    target-out-of-reach    r(standardised) ≥ 2 or r(both)/r(alone) ≥ 2: the unit makes the difference
    conflict               in place of dominance where the task's gradient points away from another one's

and if none of the three is twice as fast, the task is its own problem:

    learning-rate          another one is much faster
    budget-too-small       it learns as is within four budgets, or a somewhat higher learning rate helps
    unlearnable            a few rows are learned by heart, and nothing that holds on others, not even in
                           a long training with everything done for it
    dead-head              not even those

Before the 2 × 2 comes what would mislead it: hardly any updates at all; a learning rate with which no task
learns, or with which this one gets worse. A task that learns within the budget, but late, goes through the
2 × 2 only. Only the runs that the next line needs are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.laboratory import Laboratory, OutOfTime, lasts
from mtctl.diagnosis.report import Confidence, Evidence, Experiment, Finding, Severity
from mtctl.diagnosis.thresholds import (
    COMMON_RATES,
    FASTER,
    FEW_ROWS,
    FEWEST_UPDATES,
    KNOWN_BY_HEART,
    LATE_BUDGETS,
    LEARNED,
    LOWER_RATES,
    MORE_UPDATES_RATES,
    MUCH_FASTER,
    OPPOSED,
    OTHER_RATES,
    SLOW_BUDGETS,
    SPIKE,
    UNCERTAIN_SKILL,
    UNSTABLE,
    percent,
)
from mtctl.problems.supervised.interventions import Rate, Standardised

__all__ = ["Laboratory", "OutOfTime", "decide", "held_back", "suspects"]


def suspects(laboratory: Laboratory, tasks: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tasks that do not learn, those that moved least first, and the tasks that learn late."""
    joint, budget = laboratory.joint, laboratory.budget
    flat = [task for task in tasks if laboratory.skill(task) < LEARNED]
    if flat:
        laboratory.watch(flat)
    soon = SLOW_BUDGETS * budget
    slow = [task for task in flat if (steps := joint.steps(task)) is not None and steps <= soon]
    late = [task for task in tasks if task not in flat and laboratory.as_is(task) > LATE_BUDGETS * budget]
    stuck = sorted((task for task in flat if task not in slow), key=lambda task: _moved(laboratory, task))
    return stuck, [*slow, *late]


def decide(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return why a task does not learn: one cause, or two; the more effective first.

    Nothing for a task that a cause of the whole run explains which has been returned for another one.
    """
    if laboratory.budget < FEWEST_UPDATES:
        return [_few(laboratory, task)]
    if (common := _common_rate(laboratory)) is not None and task in common[1]:
        return [] if task != common[1][0] else [common[0]]
    if (finding := _too_fast(laboratory, task)) is not None:
        return [finding]
    return _two_by_two(laboratory, task) or [_of_itself(laboratory, task)]


def held_back(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return what costs a task something that learns late, or that it is slow."""
    within = laboratory.as_is(task) <= laboratory.budget
    if within and laboratory.skill(task) < LEARNED:
        return _lost(laboratory, task)
    if laboratory.budget < FEWEST_UPDATES:
        return [] if within else [_few(laboratory, task)]
    return _two_by_two(laboratory, task, "warning") or ([] if within else [_slow(laboratory, task)])


# ----- tasks that learn, late


def _slow(laboratory: Laboratory, task: str) -> Finding:
    steps = laboratory.as_is(task)
    text = (
        f"{task} learns too slowly for the budget: it needs {steps:.0f} updates for a skill of "
        f"{percent(LEARNED)}, and the budget has {laboratory.budget}"
    )
    evidence = Evidence(f"updates to skill {percent(LEARNED)}", steps, "", f"budget {laboratory.budget}")
    return Finding(Code.SLOW, task, "info", "measured", text, (evidence,))


def _lost(laboratory: Laboratory, task: str) -> list[Finding]:
    """Tell why a task that had learned lost it again: by heart instead, or for what else keeps tasks back.

    Nothing if it comes back within another budget: single looks go up and down.
    """
    joint = laboratory.joint
    joint.run(2 * laboratory.recipe.units)
    if lasts(joint, task):
        return []
    best = max(point.skill for point in joint.points[task])
    training = joint.relatives(task)[-1]
    if training >= 1 - best:
        laboratory.lost.add(task)
        return decide(laboratory, task)
    evidence = (
        Evidence("best skill", 100 * best, "%"),
        Evidence("skill at the end of the budget", 100 * laboratory.skill(task), "%"),
        Evidence("training loss relative to the best constant's", training),
    )
    text = f"{task} had learned, then got worse again on held-out {joint.problem.item}s"
    return [Finding(Code.OVERFITTING, task, "warning", "measured", text, evidence)]


# ----- what would mislead the 2 × 2


def _common_rate(laboratory: Laboratory) -> tuple[Finding, tuple[str, ...]] | None:
    """Return the learning rate as the cause of a run in which no task learns, and whom another one cures."""
    joint = laboratory.joint
    tasks = joint.problem.tasks
    if any(joint.steps(task) is not None for task in tasks):
        return None
    everything = Standardised(tasks)
    if any(laboratory.speedup(task, "all heads standardised", everything) >= FASTER for task in tasks):
        return None
    unstable = any(laboratory.worst(task) >= UNSTABLE for task in tasks)
    rates = sorted(COMMON_RATES, key=lambda factor: (factor > 1) == unstable)
    for factor in rates:
        name = f"learning rate × {factor:g}"
        speedups = {task: laboratory.speedup(task, name, Rate(factor)) for task in tasks}
        cured = tuple(task for task, speedup in speedups.items() if speedup >= FASTER)
        if 2 * len(cured) >= len(tasks):
            text = (
                f"no task learns within {joint.updates} updates; at {factor:g} times the learning rate "
                f"({joint.problem.rate * factor:g}) {', '.join(cured)} "
                f"{'learns' if len(cured) == 1 else 'learn'}"
            )
            evidence = tuple(laboratory.evidence(task, f"of {task}", speedups[task]) for task in cured)
            return Finding(Code.LEARNING_RATE, None, "error", "measured", text, evidence), cured
    return None


def _too_fast(laboratory: Laboratory, task: str) -> Finding | None:
    """Return the learning rate as the cause if a task got worse with it and learns with a lower one."""
    worst = laboratory.worst(task)
    if not UNSTABLE <= worst <= SPIKE and task not in laboratory.lost:  # spikes have had lower rates tried
        return None
    for factor in LOWER_RATES:
        speedup = laboratory.speedup(task, f"learning rate × {factor:g}", Rate(factor))
        if speedup >= FASTER:
            rate = laboratory.joint.problem.rate * factor
            return _finding(
                Code.LEARNING_RATE,
                task,
                f"{task} gets worse in training, or loses what it had learned; at a learning rate of "
                f"{rate:g} it learns {speedup:.1f} times as fast",
                Evidence("highest training loss over the first", worst, "×", f"threshold {UNSTABLE:g}"),
                laboratory.evidence(task, f"with {factor:g} × the learning rate", speedup),
            )
    return None


# ----- company or unit


def _two_by_two(laboratory: Laboratory, task: str, severity: Severity = "error") -> list[Finding]:
    """Return whether the other tasks or the target's unit keep a task back, or both; or nothing."""
    unit = laboratory.standardised(task)
    if len(laboratory.recipe.problem.tasks) == 1:
        found = [(unit, _reach(laboratory, task, unit))] if unit >= FASTER else []
    else:
        alone, both = laboratory.alone(task), laboratory.both(task)
        found = []
        if (effect := max(alone, both / unit)) >= FASTER:
            found.append((effect, _of_others(laboratory, task, alone, both)))
        if (effect := max(unit, both / alone)) >= FASTER:
            found.append((effect, _reach(laboratory, task, effect, beside=unit < FASTER)))
    found.sort(key=lambda one: one[0], reverse=True)
    return [replace(finding, severity=severity) for _, finding in found]


def _of_others(laboratory: Laboratory, task: str, alone: float, both: float) -> Finding:
    """Tell dominance from conflict: the task learns without the others."""
    if alone < FASTER:
        return _dominance(laboratory, task, both, None, beside=True)
    other, cosine = _most_opposed(laboratory, task)
    if cosine > OPPOSED:
        return _dominance(laboratory, task, alone, laboratory.equalised(task))
    return _finding(
        Code.CONFLICT,
        task,
        f"{task} learns {alone:.1f} times as fast alone, and its gradient opposes {other}'s: they pull the "
        "shared parameters in opposite directions",
        laboratory.evidence(task, "alone", alone),
        Evidence(f"mean cosine with {other}'s gradient", cosine, "", f"below {OPPOSED:g}"),
    )


def _most_opposed(laboratory: Laboratory, task: str) -> tuple[str, float]:
    """Return the other task whose gradient has the lowest mean cosine with this one's, and that cosine."""
    joint = laboratory.joint
    found = {other: joint.cosine(task, other) for other in joint.problem.tasks if other != task}
    other = min(found, key=lambda one: found[one] or 0.0)
    return other, found[other] or 0.0


def _reach(laboratory: Laboratory, task: str, effect: float, *, beside: bool = False) -> Finding:
    evidence = [laboratory.evidence(task, "standardised" + (", once alone" if beside else ""), effect)]
    if (reach := laboratory.joint.signal("reach", task)) is not None:
        name = "distance of the targets over what the optimizer can move the head"
        evidence.append(Evidence(name, reach, "×"))
    return _finding(
        Code.TARGET_OUT_OF_REACH,
        task,
        f"{task}'s targets are out of reach in {laboratory.budget} updates: "
        + ("trained alone, " if beside else "")
        + f"it learns {effect:.1f} times as fast with a standardised head",
        *evidence,
    )


def _dominance(
    laboratory: Laboratory, task: str, effect: float, equal: float | None, *, beside: bool = False
) -> Finding:
    joint = laboratory.joint
    evidence = [laboratory.evidence(task, "alone" + (", once standardised" if beside else ""), effect)]
    if equal is not None:
        evidence.append(laboratory.evidence(task, "with equal gradient shares", equal))
    if (share := joint.signal("gradient_share", task)) is not None:
        evidence.append(Evidence("share of the trunk's gradient", 100 * share, "%"))
    if (multiplier := joint.signal("own_weight", task)) is not None:
        largest = max(joint.signal("own_weight", one) or 0.0 for one in joint.problem.tasks)
        evidence.append(Evidence("multiplier ∂total/∂loss", multiplier, "", f"largest {largest:.4g}"))
    return _finding(
        Code.MULTIPLIER_DOMINANCE,
        task,
        f"the other tasks' gradients drown {task} in the trunk: without them it learns {effect:.1f} times as "
        "fast" + (" once its head is standardised" if beside else ""),
        *evidence,
    )


# ----- the task itself


def _of_itself(laboratory: Laboratory, task: str) -> Finding:
    """Name what keeps a task from learning that learns in no company."""
    tried: dict[float, float] = {}

    def faster(factor: float) -> bool:
        name = f"{task} alone, learning rate × {factor:g}"
        tried[factor] = laboratory.speedup(task, name, *laboratory.without_others(task, factor))
        return tried[factor] >= FASTER

    most, more = MORE_UPDATES_RATES
    if faster(most) and tried[most] >= MUCH_FASTER:
        return _rate(laboratory, task, most, tried)
    if laboratory.steps(laboratory.joint, task) is not None or tried[most] >= FASTER or faster(more):
        return _few(laboratory, task, tried)
    for factor in OTHER_RATES:
        if faster(factor):
            return _rate(laboratory, task, factor, tried)
    patience = laboratory.patiently(task)
    if patience.steps is not None:
        return _few(laboratory, task, tried, patience)
    noise = laboratory.noise(task)
    left = laboratory.by_heart(task)
    known = f"memorised below {KNOWN_BY_HEART:g}"
    few = f"{FEW_ROWS} {laboratory.joint.problem.item}s"
    fact = Evidence(f"training loss of {few} over the constant's", left, "", known)
    if left < KNOWN_BY_HEART:
        text = (
            f"{task} memorises {few} but never generalises, alone or jointly, at any rate "
            f"tried, in up to {patience.watched} updates: its targets do not follow from these inputs"
        )
        figures = (fact, Evidence("standard error of the skill", 100 * noise, "%"), *_tried(tried))
        if noise > UNCERTAIN_SKILL:
            text += f"; the held-out {laboratory.joint.problem.item}s are too few to be certain"
            return Finding(Code.UNLEARNABLE, task, "warning", "likely", text, figures)
        return _finding(Code.UNLEARNABLE, task, text, *figures)
    text = f"{task} cannot even memorise {few}: its head is stuck"
    return _finding(Code.DEAD_HEAD, task, text, fact, *_tried(tried))


def _rate(laboratory: Laboratory, task: str, factor: float, tried: dict[float, float]) -> Finding:
    rate = laboratory.joint.problem.rate * factor
    text = (
        f"{task} learns {tried[factor]:.1f} times as fast at {factor:g} times the learning rate ({rate:g}): "
        f"the recipe's is too {'low' if factor > 1 else 'high'} for it"
    )
    return _finding(Code.LEARNING_RATE, task, text, *_tried(tried))


def _few(
    laboratory: Laboratory,
    task: str,
    tried: dict[float, float] | None = None,
    patience: Experiment | None = None,
) -> Finding:
    budget, steps = laboratory.budget, laboratory.steps(laboratory.joint, task)
    evidence, name = [Evidence("updates in the budget", budget)], f"updates to skill {percent(LEARNED)}"
    if steps is not None:
        evidence.append(Evidence(name, steps))
    if patience is not None and patience.steps is not None:
        evidence.append(Evidence(f"{name} with all aids combined", patience.steps))
    if patience is not None:
        text = (
            f"{budget} updates are too few for {task}: it learns only with all aids combined (alone, "
            "standardised, no dropout, Adam)"
        )
    elif tried:
        text = f"{budget} updates are too few for {task}: only more updates or a higher learning rate help"
    else:
        text = f"{budget} updates are too few to learn anything, or to diagnose {task}"
    confidence: Confidence = "measured" if tried else "likely"
    return Finding(
        Code.BUDGET_TOO_SMALL, task, "warning", confidence, text, (*evidence, *_tried(tried or {}))
    )


def _tried(rates: dict[float, float]) -> list[Evidence]:
    return [
        Evidence(f"speed-up with {factor:g} × the learning rate", speedup, "×")
        for factor, speedup in rates.items()
    ]


def _finding(code: Code, task: str, summary: str, *evidence: Evidence) -> Finding:
    return Finding(code, task, "error", "measured", summary, evidence)


def _moved(laboratory: Laboratory, task: str) -> float:
    first, last = laboratory.joint.points[task][0], laboratory.joint.at(task, laboratory.budget)
    return 1 - last.loss / first.loss
