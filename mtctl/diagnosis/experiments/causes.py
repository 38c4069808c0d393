"""Why a task does not learn, decided by experiment.

The core is a 2 × 2 counterfactual, {joint, alone} × {as is, standardised}; all four share seed, data, initial
weights and order. With r(run) = τ(as is)/τ(run), and 1 for runs that are not twice as fast,

    the others          r(alone) ≥ 2, or r(both) ≥ 2·r(standardised): they make the difference; see company.py
    target-out-of-reach r(standardised) ≥ 2, or r(both) ≥ 2·r(alone): the unit makes the difference

and if none of the three is twice as fast, the task is its own problem:

    learning-rate       another one is much faster
    budget-too-small    it learns as is within four budgets, or a somewhat higher learning rate helps
    an aid              it learns with everything done for it, and not without one part of that; see aids.py
    unlearnable         a few rows are learned by heart, and nothing that holds on others, not even in a long
                        training with everything done for it
    capacity            not even those, though the loss falls
    dead-head           not even that

Before the 2 × 2 comes what would mislead it: hardly any updates at all; a learning rate with which no task
learns, or with which this one gets worse. A task that learns within the budget, but late, goes through the
2 × 2 only; one that learns, but far less than alone, is asked what the others do. Only the runs that the next
line needs are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import aids, labels, width
from mtctl.diagnosis.experiments.company import blame, drowned
from mtctl.diagnosis.experiments.laboratory import Laboratory, OutOfTime, lasts
from mtctl.diagnosis.report import Confidence, Evidence, Experiment, Finding, Severity
from mtctl.diagnosis.thresholds import (
    CATCHES_UP_BUDGETS,
    COMMON_RATES,
    FASTER,
    FEW_ROWS,
    FEWEST_UPDATES,
    HEAD_LR,
    HELD_BACK,
    HELD_BACK_SHARE,
    KNOWN_BY_HEART,
    LATE_BUDGETS,
    LEARNED,
    LOWER_RATES,
    MORE_UPDATES_RATES,
    MUCH_FASTER,
    OTHER_HEAD_RATE,
    OTHER_RATES,
    RECOVERED,
    SLOW_BUDGETS,
    SPIKE,
    STARTS_FAR,
    UNCERTAIN_SKILL,
    UNDERFITTED,
    UNSTABLE,
    percent,
)
from mtctl.problems.supervised.interventions import (
    HeadRate,
    Intervention,
    LossFactor,
    NoDecay,
    Rate,
    Standardised,
)

__all__ = ["Laboratory", "OutOfTime", "below_alone", "decide", "held_back", "suspects"]


def suspects(laboratory: Laboratory, tasks: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tasks that do not learn, those that moved least first, and the tasks that learn late."""
    joint, budget = laboratory.joint, laboratory.budget
    flat = [task for task in tasks if not laboratory.learned(task)]
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
        told, laboratory.told = laboratory.told, True
        return [] if told else [common[0]]
    if (finding := _unlike_the_trunk(laboratory, task)) is not None:
        return [finding]
    if (finding := _too_fast(laboratory, task)) is not None:
        return [finding]
    return _two_by_two(laboratory, task) or [_of_itself(laboratory, task)]


def held_back(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return what costs a task something that learns late, or that it is slow."""
    within = laboratory.as_is(task) <= laboratory.budget
    if within and not laboratory.learned(task):
        return _lost(laboratory, task)
    if laboratory.budget < FEWEST_UPDATES:
        return [] if within else [_few(laboratory, task)]
    if (finding := _unlike_the_trunk(laboratory, task)) is not None:
        return [replace(finding, severity="warning")]
    return _two_by_two(laboratory, task, "warning") or ([] if within else [_slow(laboratory, task)])


def below_alone(laboratory: Laboratory, task: str) -> list[Finding]:
    """Return what the other tasks cost a task that learns, but far less than alone in the same budget.

    Nothing if it catches up by half within another budget, and is not drowned: then it lacks updates.
    """
    if len(laboratory.recipe.problem.tasks) == 1 or laboratory.budget < FEWEST_UPDATES:
        return []
    joint = laboratory.settled(task)
    alone = laboratory.reached(task, f"{task} alone", *laboratory.without_others(task))
    if alone - joint < HELD_BACK or joint > HELD_BACK_SHARE * alone:
        return []
    enough = joint + RECOVERED * (alone - joint)
    catches_up = laboratory.patient(task, enough, CATCHES_UP_BUDGETS) >= enough
    if catches_up and not drowned(laboratory, task):
        return []

    def helps(name: str, change: Intervention) -> Evidence | None:
        skill = laboratory.reached(task, f"{task} {name}", change)
        return Evidence(f"skill {name}", 100 * skill, "%") if skill >= enough else None

    costs = f"it reaches a skill of {100 * alone:.0f} % in the budget, instead of {100 * joint:.0f} %"
    proof = (Evidence("skill alone", 100 * alone, "%", f"as is {100 * joint:.0f} %"),)
    return [replace(blame(laboratory, task, costs, proof, helps), severity="warning")]


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
    if (decay := _common_decay(laboratory)) is not None:
        return decay
    unstable = any(laboratory.worst(task) >= UNSTABLE for task in tasks)
    rates = sorted(laboratory.rates(COMMON_RATES), key=lambda factor: (factor > 1) == unstable)
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
            cure = laboratory.recipe.changes(Rate(factor))
            return Finding(Code.LEARNING_RATE, None, "error", "measured", text, evidence, cure), cured
    return None


def _common_decay(laboratory: Laboratory) -> tuple[Finding, tuple[str, ...]] | None:
    """Return the weight decay as the cause of such a run: a lower rate makes less of it, too."""
    tasks = laboratory.joint.problem.tasks
    speedups = {task: _without_decay(laboratory, task) for task in tasks}
    cured = tuple(task for task, speedup in speedups.items() if speedup >= FASTER)
    if 2 * len(cured) < len(tasks):
        return None
    text = (
        f"no task learns within {laboratory.joint.updates} updates; without weight decay {', '.join(cured)} "
    )
    text += "learns" if len(cured) == 1 else "learn"
    evidence = tuple(laboratory.evidence(task, f"of {task}", speedups[task]) for task in cured)
    cure = laboratory.recipe.changes(NoDecay())
    return Finding(Code.REGULARISATION, None, "error", "measured", text, evidence, cure), cured


def _without_decay(laboratory: Laboratory, task: str) -> float:
    """Return r without weight decay; 1 where the optimizer has none."""
    return laboratory.speedup(task, "no weight decay", NoDecay()) if laboratory.decays else 1.0


def _unlike_the_trunk(laboratory: Laboratory, task: str) -> Finding | None:
    """Return the rate of a task's head as the cause, if it is far from the trunk's and the trunk's helps."""
    factor = laboratory.head_rate(task)
    if 1 / OTHER_HEAD_RATE < factor < OTHER_HEAD_RATE:
        return None
    return _other_head_rate(laboratory, task, 1 / factor)


def _too_fast(laboratory: Laboratory, task: str) -> Finding | None:
    """Return the learning rate as the cause if a task got worse with it and learns with a lower one."""
    worst = laboratory.worst(task)
    if not UNSTABLE <= worst <= SPIKE and task not in laboratory.lost:  # spikes have had lower rates tried
        return None
    for factor in LOWER_RATES:
        speedup = laboratory.speedup(task, f"learning rate × {factor:g}", Rate(factor))
        if speedup >= FASTER and _learns_faster_alone(laboratory, task, speedup):
            return None  # the rate is high for what the others do to the task
        if speedup >= FASTER:
            rate = laboratory.joint.problem.rate * factor
            text = (
                f"{task} gets worse in training, or loses what it had learned; at a learning rate of "
                f"{rate:g} it learns {laboratory.times(task, speedup)} as fast"
            )
            evidence = (
                Evidence("highest training loss over the first", worst, "×", f"threshold {UNSTABLE:g}"),
                laboratory.evidence(task, f"with {factor:g} × the learning rate", speedup),
            )
            cure = laboratory.recipe.changes(Rate(factor))
            return Finding(Code.LEARNING_RATE, task, "error", "measured", text, evidence, cure)
    return None


def _learns_faster_alone(laboratory: Laboratory, task: str, speedup: float) -> bool:
    """Say whether a task is much faster without the others, at the recipe's own rate, than at a lower one."""
    return len(laboratory.recipe.problem.tasks) > 1 and laboratory.alone(task) >= FASTER * speedup


# ----- company or unit


def _two_by_two(laboratory: Laboratory, task: str, severity: Severity = "error") -> list[Finding]:
    """Return whether the other tasks or the target's unit keep a task back, or both; or nothing."""
    # Where a head starts as good as the constant, another unit can only help by chance.
    unit = laboratory.standardised(task) if _starts_far(laboratory, task) else 1.0
    if len(laboratory.recipe.problem.tasks) == 1:
        causes = [(unit, _reach(laboratory, task, unit))] if unit >= FASTER else []
    else:
        alone, both = laboratory.alone(task), laboratory.both(task)
        # Where neither is twice as fast, each may be up to that: only what is beyond takes both.
        least, causes = FASTER if unit == alone == 1.0 else 1.0, []
        if alone >= FASTER or (both >= FASTER * max(unit, least) and not _soon(laboratory, task, unit)):
            effect = alone if alone >= FASTER else both
            causes.append((effect, _of_others(laboratory, task, effect, beside=alone < FASTER)))
        if unit >= FASTER or (both >= FASTER * max(alone, least) and not _soon(laboratory, task, alone)):
            effect = unit if unit >= FASTER else both
            causes.append((effect, _reach(laboratory, task, effect, beside=unit < FASTER)))
    causes.sort(key=lambda cause: cause[0], reverse=True)
    return [replace(finding, severity=severity) for _, finding in causes]


def _soon(laboratory: Laboratory, task: str, speedup: float) -> bool:
    """Say whether a task that is so much faster learns early in the budget: nothing else keeps it back."""
    return speedup >= FASTER and laboratory.as_is(task) / speedup <= LATE_BUDGETS * laboratory.budget


def _starts_far(laboratory: Laboratory, task: str) -> bool:
    """Say whether a head has a way to go to its best constant, by distance or by its first loss."""
    first = laboratory.joint.points[task][0].skill
    return laboratory.joint.signal("reach", task) is not None or first < -STARTS_FAR


def _of_others(laboratory: Laboratory, task: str, effect: float, *, beside: bool) -> Finding:
    """Return what the others do to a task that learns without them, or without them and in another unit."""
    unit = (Standardised((task,)),) if beside else ()

    def helps(name: str, change: Intervention) -> Evidence | None:
        full = f"{task} {name}{', standardised' if beside else ''}"
        speedup = laboratory.speedup(task, full, change, *unit)
        return laboratory.evidence(task, name, speedup) if speedup >= FASTER else None

    once = " once its head is standardised" if beside else ""
    costs = f"it learns {laboratory.times(task, effect)} as fast{once}"
    proof = (laboratory.evidence(task, "alone" + (", standardised" if beside else ""), effect),)
    return blame(laboratory, task, costs, proof, helps)


def _reach(laboratory: Laboratory, task: str, effect: float, *, beside: bool = False) -> Finding:
    evidence = [laboratory.evidence(task, "standardised" + (", alone" if beside else ""), effect)]
    times, once = laboratory.times(task, effect), "trained alone, " if beside else ""
    if (reach := laboratory.joint.signal("reach", task)) is not None:
        name = "distance of the targets over what the optimizer can move the head"
        evidence.append(Evidence(name, reach, "×"))
        start = f"{task}'s targets are out of reach in {laboratory.budget} updates"
    else:
        start = f"{task}'s head starts far from its best constant answer, at {laboratory.budget} updates"
    text = f"{start}: {once}it learns {times} as fast with a standardised head"
    cure = laboratory.recipe.changes(Standardised((task,)))
    return Finding(Code.TARGET_OUT_OF_REACH, task, "error", "measured", text, tuple(evidence), cure)


# ----- the task itself


def _of_itself(laboratory: Laboratory, task: str) -> Finding:
    """Name what keeps a task from learning that learns in no company."""
    if (speedup := _without_decay(laboratory, task)) >= FASTER:
        times = laboratory.times(task, speedup)
        text = f"the weight decay keeps {task} from learning: without it, it learns {times} as fast"
        proof = laboratory.evidence(task, "without weight decay", speedup)
        cure = laboratory.recipe.changes(NoDecay())
        return Finding(Code.REGULARISATION, task, "error", "measured", text, (proof,), cure)
    if (narrow := width.of_task(laboratory, task, "error")) is not None:
        return narrow
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
    for factor in laboratory.rates(OTHER_RATES):
        if faster(factor):
            return _rate(laboratory, task, factor, tried)
    patience = laboratory.patiently(task)
    if patience.steps is not None:
        return aids.needed(laboratory, task, patience) or _few(laboratory, task, tried, patience)
    noise = laboratory.noise(task)
    left = laboratory.by_heart(task)
    if left is None:
        text = (
            f"{task} does not learn, alone or jointly, at any rate tried, in up to {patience.watched} "
            "updates; why is unknown: its losses are given without outputs, so that targets and head were "
            "not examined"
        )
        return _finding(Code.FLAT_TASK, task, text, *_tried(tried))
    known = f"memorised below {KNOWN_BY_HEART:g}"
    few = f"{FEW_ROWS} {laboratory.joint.problem.item}s"
    fact = Evidence(f"training loss of {few} over the constant's", left, "", known)
    if left < KNOWN_BY_HEART and (wrong := labels.examine(laboratory, task, LEARNED)) is not None:
        return replace(wrong, severity="error")
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
    if left < UNDERFITTED:
        text = (
            f"{task} memorises {few} in part only, though gradients reach its head: the network is too small"
        )
        return Finding(Code.CAPACITY, task, "error", "likely", text, (fact, *_tried(tried)))
    text = f"{task} cannot even memorise {few}: its head is stuck"
    return _finding(Code.DEAD_HEAD, task, text, fact, *_tried(tried))


def _rate(laboratory: Laboratory, task: str, factor: float, tried: dict[float, float]) -> Finding:
    others = [other for other in laboratory.recipe.problem.tasks if other != task]
    others_learned = any(laboratory.skill(other) >= LEARNED for other in others)
    if factor > 1 and others_learned and not laboratory.scale_free(task):
        text = (
            f"{task}'s loss is too small beside the others': alone it learns "
            f"{laboratory.times(task, tried[factor])} as fast at {factor:g} times the learning rate, which "
            f"with this optimizer is its loss × {factor:g}"
        )
        cure = laboratory.recipe.changes(LossFactor(task, factor))
        return Finding(Code.MULTIPLIER_DOMINANCE, task, "error", "measured", text, tuple(_tried(tried)), cure)
    if others_learned and (own := _own_rate(laboratory, task, factor)) is not None:
        return own
    rate = laboratory.joint.problem.rate * factor
    text = (
        f"{task} learns {laboratory.times(task, tried[factor])} as fast at {factor:g} times the learning "
        f"rate ({rate:g}): the recipe's is too {'low' if factor > 1 else 'high'} for it"
    )
    cure = laboratory.recipe.changes(Rate(factor))
    return Finding(Code.LEARNING_RATE, task, "error", "measured", text, tuple(_tried(tried)), cure)


def _own_rate(laboratory: Laboratory, task: str, factor: float) -> Finding | None:
    """Return the rate of a task's own head as the cause, if another one there is all that it needs."""
    for multiple in dict.fromkeys([factor, HEAD_LR if factor > 1 else 1 / HEAD_LR, factor**2]):
        if (found := _other_head_rate(laboratory, task, multiple)) is not None:
            return found
    return None


def _other_head_rate(laboratory: Laboratory, task: str, multiple: float) -> Finding | None:
    change = HeadRate(task, multiple * laboratory.recipe.training.head_lr.get(task, 1.0))
    speedup = laboratory.speedup(task, f"{task} head × {multiple:g} learning rate", change)
    if speedup < FASTER:
        return None
    text = (
        f"{task} learns {laboratory.times(task, speedup)} as fast with {multiple:g} times the "
        f"learning rate of its own head: it is too {'low' if multiple > 1 else 'high'}"
    )
    proof = laboratory.evidence(task, f"with {multiple:g} × the head's learning rate", speedup)
    cure = laboratory.recipe.changes(change)
    return Finding(Code.LEARNING_RATE, task, "error", "measured", text, (proof,), cure)


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
