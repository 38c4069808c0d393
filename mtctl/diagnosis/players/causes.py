"""What trainings of changes say of a task: which of them help, and which causes that proves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.variations import overrides
from mtctl.diagnosis.players.laboratory import Change, Laboratory
from mtctl.diagnosis.records.playing import shown
from mtctl.diagnosis.report import Confidence, Evidence, Experiment, Finding, Remedy, Severity, Trial
from mtctl.diagnosis.thresholds import BELOW_RANDOM, COSTLY, GAINED, LEARNED, percent
from mtctl.diagnosis.verdict import verdict
from mtctl.problems.playing import Aspect
from mtctl.statistics import estimate

CAUSES: Final[Mapping[Aspect, Code]] = {
    "alone": Code.INTERFERENCE,
    "weights": Code.BALANCER_SETTINGS,
    "encoding": Code.TASK_ENCODING,
    "rate": Code.LEARNING_RATE,
    "discount": Code.DISCOUNT,
    "target": Code.TARGET_NETWORK,
    "replay": Code.REPLAY_STARVATION,
    "exploration": Code.EXPLORATION,
    "reward_scale": Code.REWARD_SCALE,
    "batches": Code.BATCHES,
    "learner": Code.LEARNER_SETTINGS,
    "network": Code.CAPACITY,
    "clip": Code.CLIP_BINDS,
    "ratio": Code.RATIO_NOT_ONE,
    "together": Code.LEARNER_SETTINGS,
    "length": Code.BUDGET_TOO_SMALL,
}
"""What it proves that a change of an aspect helps."""


def experiment(laboratory: Laboratory, title: str, task: str) -> Experiment:
    """Return what a change did with the first seed; steps are environment steps."""
    seed, tenth = laboratory.seeds[0], laboratory.scale.tenth(task)
    before, after = laboratory.unchanged[seed], laboratory.tried[title][seed]
    steps, as_is = after.steps_to(task, tenth), before.steps_to(task, tenth)
    known = before.environment_steps if as_is is None else as_is
    speedup = None if steps is None else known / max(steps, 1.0)
    return Experiment(title, task, steps, after.environment_steps, speedup, laboratory.skill(after, task))


def trial(laboratory: Laboratory, change: Change, task: str, seeds: Sequence[int]) -> Trial:
    """Return what a change does over seeds, paired with the recipe as is.

    Args:
        laboratory: has trained both.
        change: of the recipe.
        task: that it is for.
        seeds: that prove it.
    """
    title = change.alternative.title
    changes = dict(change.alternative.changes)
    name = change.alternative.aspect
    remedy = Remedy(name, title, overrides(changes), changes=changes, changes_model=_changes_model(change))
    tried = laboratory.tried.get(title, {})
    made = [tried[seed] for seed in seeds if seed in tried]
    if failure := next((each.failure for each in made if each.failure), ""):
        return Trial(remedy, "failed", failure=failure)
    pairs = laboratory.pairs(title, task, seeds)
    if not pairs:
        return Trial(remedy, "unclear")
    others = {
        other: estimate(gains)
        for other in laboratory.recipe.scored
        if other != task and (gains := laboratory.gains(title, other, seeds))
    }
    return Trial(
        remedy,
        verdict(estimate(laboratory.gains(title, task, seeds)), GAINED),
        loss=estimate([after for _, after in pairs]),
        improvement=estimate([after - before for before, after in pairs]),
        skill=estimate([laboratory.scale.skill(task, after) for _, after in pairs]),
        others=others,
    )


def _changes_model(change: Change) -> bool:
    return change.alternative.aspect in ("network", "encoding", "alone")


def proven(
    laboratory: Laboratory, changes: Sequence[Change], trials: Sequence[Trial], task: str, opposed: bool
) -> list[Finding]:
    """Return the causes that trials have proven, the costliest first.

    Where no seed was left to prove anything, what promises as much as an error costs is a likely cause. A
    change of several aspects is a cause only where none of its parts is; and where equal weights help as
    much as being alone, the weights are.

    Args:
        laboratory: has made the trials.
        changes: of the recipe, by trial.
        trials: what came of them.
        task: that they are for.
        opposed: whether gradients of the task have been seen to oppose another's.
    """
    helping = [
        (change, each)
        for change, each in zip(changes, trials, strict=True)
        if each.verdict == "helps" or _likely(laboratory, each, task)
    ]
    helping.sort(key=lambda pair: -_gain(pair[1]))
    aspects = {change.alternative.aspect for change, _ in helping}
    findings = []
    for change, each in helping:
        aspect = change.alternative.aspect
        if aspect == "together" and aspects - {"together", "alone"}:
            continue
        if aspect == "alone" and "weights" in aspects:
            continue
        code = Code.CONFLICT if aspect == "alone" and opposed else CAUSES[aspect]
        findings.append(_finding(laboratory, code, each, task))
    return findings


def _likely(laboratory: Laboratory, one: Trial, task: str) -> bool:
    """Say whether the one seed that there was shows a large gain."""
    if one.improvement is None or one.improvement.n > 1:
        return False
    return laboratory.scale.part(task, one.improvement.mean) >= COSTLY


def _gain(one: Trial) -> float:
    return 0.0 if one.improvement is None else one.improvement.mean


def _finding(laboratory: Laboratory, code: Code, proof: Trial, task: str) -> Finding:
    assert proof.loss is not None
    assert proof.improvement is not None
    gain = laboratory.scale.part(task, proof.improvement.mean)
    before = proof.loss.mean - proof.improvement.mean
    skill = laboratory.scale.skill(task, before)
    bad = (gain >= COSTLY or skill < LEARNED) and code is not Code.BUDGET_TOO_SMALL
    severity: Severity = "error" if bad else "warning"
    confidence: Confidence = "measured" if proof.verdict == "helps" else "likely"
    text = (
        f"with {proof.remedy.title}, {task}'s final policy returns {shown(proof.loss.mean)} in place of "
        f"{shown(before)}"
    )
    interval = proof.improvement.interval
    bounds = "" if interval is None else f"[{shown(interval.low)}, {shown(interval.high)}] over seeds"
    evidence = (
        Evidence("gain in return", proof.improvement.mean, "", bounds),
        Evidence("gain in skill", 100 * gain, "% of the way from random play to the reference"),
    )
    return Finding(code, task, severity, confidence, text, evidence, cure=dict(proof.remedy.changes))


def unexplained(laboratory: Laboratory, task: str, titles: Iterable[str]) -> list[Finding]:
    """Return what there is to say of a task that nothing tried has helped."""
    as_is = laboratory.skill_as_is(task)
    tried = [title for title in titles if laboratory.gains(title, task, laboratory.seeds[:1])]
    if as_is is None or as_is >= LEARNED or not tried:
        return []
    best = max(
        skill
        for title in tried
        if (skill := laboratory.skill(laboratory.tried[title][laboratory.seeds[0]], task)) is not None
    )
    evidence = (
        Evidence("skill as is", 100 * as_is, "%", f"below {percent(LEARNED)}"),
        Evidence("best of what was tried", 100 * best, "%", f"of {len(tried)} changes, one seed each"),
    )
    if as_is <= BELOW_RANDOM:
        text = f"{task}'s final policy is worse than random play, and no other setting mends it"
        return [Finding(Code.WORSE_THAN_RANDOM, task, "error", "measured", text, evidence)]
    if best >= LEARNED:
        return []
    text = (
        f"{task} is not learned with usual settings either: look at its observations, actions and rewards, "
        "or train longer"
    )
    return [Finding(Code.UNLEARNABLE, task, "error", "measured", text, evidence)]
