"""Remedies, proven: each is trained from the same seeds and budget as the recipe as is, and ranked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.experiments.course import Course, scores
from mtctl.diagnosis.experiments.laboratory import NEVER
from mtctl.diagnosis.experiments.variations import overrides
from mtctl.diagnosis.experiments.wiring import ignores_input
from mtctl.diagnosis.plan import OUT_OF_TIME
from mtctl.diagnosis.report import Check, Remedy, Trial, Verdict
from mtctl.diagnosis.thresholds import (
    FLAT,
    IGNORED,
    MOST_OF_THE_GAIN,
)
from mtctl.diagnosis.verdict import verdict
from mtctl.errors import MtctlError
from mtctl.problems.supervised.recipe import SupervisedRecipe
from mtctl.statistics import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Result:
    """One finished training.

    Args:
        scores: each task's held-out loss in original units, and its skill.
        looks: by how much each task's validation loss changes with other rows' inputs, relative.
        blind: held-out loss that answers without looking at the inputs reach, of tasks where that is less
            than the best constant's.
        failure: why there are none.
    """

    scores: Mapping[str, tuple[float, float]]
    looks: Mapping[str, float] = field(default_factory=dict)
    blind: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


def train(recipe: SupervisedRecipe, seed: int, deadline: float | None = None) -> Result:
    """Train for the recipe's budget and score on the held-out rows.

    Args:
        recipe: with the remedy.
        seed: of the run.
        deadline: of `time.monotonic`, which is the same in all processes; None: there is none.
    """

    def late() -> bool:
        return deadline is not None and time.monotonic() > deadline

    if late():
        return Result({}, failure=OUT_OF_TIME)
    try:
        course = Course(recipe, seed, measure_every=NEVER, watched=False)
        course.run(recipe.units, lambda _: late())
    except MtctlError as error:
        return Result({}, failure=error.message)
    if late() and course.problem.done < recipe.units and course.diverged is None:
        return Result({}, failure=OUT_OF_TIME)
    if course.diverged is not None:
        return Result({}, failure=course.diverged.message)
    problem = course.problem
    answers = problem.answers("monitor")
    looks = {task: ignores_input(answers, task) for task in problem.tasks}
    return Result(dict(scores(problem, "held_out")), looks, problem.blind_losses())


def train_all(
    crew: Crew, recipe: SupervisedRecipe, seeds: Sequence[int], deadline: float | None
) -> list[Result]:
    """Return the results of a recipe in the order of the seeds; see `train`."""
    return list(crew.map(train, [(recipe, seed, deadline) for seed in seeds]))


def verify(
    recipe: SupervisedRecipe,
    task: str,
    remedies: Sequence[Remedy],
    seeds: Sequence[int],
    *,
    as_is: Sequence[Result],
    crew: Crew,
    deadline: float | None,
    say: Callable[[str], None],
) -> tuple[list[Trial], list[Check]]:
    """Train remedies from the seeds; return what they did, the best first, and what was left out.

    All are trained from the first seed. Those that do not lower the task's loss there are not trained again,
    unless they are documented fixes, which get an interval whatever they do.

    Args:
        recipe: as is.
        task: the stuck one.
        remedies: to try.
        seeds: of the runs.
        as_is: the recipe as it is, trained from the same seeds.
        crew: trains.
        deadline: of `time.monotonic`, after which no remedy is begun; None: there is none.
        say: gets a line about what is being done.
    """
    found: dict[str, list[Result]] = {remedy.name: [] for remedy in remedies}

    def make(chosen: Sequence[Remedy], seeds: Sequence[int]) -> None:
        calls = [(recipe.revised(remedy.changes), seed, deadline) for remedy in chosen for seed in seeds]
        results = crew.map(train, calls)
        for remedy in chosen:
            say(f"remedy: {remedy.title}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
            found[remedy.name] += [next(results) for _ in seeds]

    make(remedies, seeds[:1])
    if others := seeds[1:]:
        make([each for each in remedies if not _hopeless(each, task, as_is[0], found[each.name][0])], others)
    trials, skipped = [], []
    for remedy in remedies:
        after = found[remedy.name]
        if any(result.failure == OUT_OF_TIME for result in after):
            skipped.append(Check(f"remedy: {remedy.title}", "not_run", OUT_OF_TIME))
        else:
            trials.append(_judge(remedy, task, as_is, after))
    return sorted(trials, key=_rank), skipped


def _hopeless(remedy: Remedy, task: str, as_is: Result, after: Result) -> bool:
    """Say whether a remedy is not worth another seed."""
    if after.failure:
        return True
    if remedy.documented or as_is.failure:
        return False
    before, now = as_is.scores[task][0], after.scores[task][0]
    return before - now < FLAT * before


def smallest_part(
    recipe: SupervisedRecipe,
    task: str,
    winner: Trial,
    seeds: Sequence[int],
    *,
    as_is: Sequence[Result],
    crew: Crew,
    deadline: float | None,
    say: Callable[[str], None],
) -> Trial | None:
    """Return the smallest part of a remedy that keeps most of its gain; None where every change is needed.

    Changes are left out one at a time; what is left out stays so if MOST_OF_THE_GAIN is kept.

    Args:
        recipe: as is.
        task: the stuck one.
        winner: the remedy that helps most.
        seeds: of the runs.
        as_is: the recipe as it is, trained from the same seeds.
        crew: trains.
        deadline: of `time.monotonic`, after which nothing more is left out; None: there is none.
        say: gets a line about what is being done.
    """
    changes, best = dict(winner.remedy.changes), None
    assert winner.improvement is not None
    for left_out, fewer in _smaller(changes):
        if deadline is not None and time.monotonic() > deadline:
            break
        say(f"remedy: {winner.remedy.title}, without {left_out}")
        revised = recipe.revised(fewer)
        after = train_all(crew, revised, seeds, deadline)
        typed = overrides(fewer)
        remedy = Remedy(f"{winner.remedy.name}_part", ", ".join(typed), typed, changes=fewer)
        if revised == recipe or any(result.failure for result in after):
            continue
        trial = _judge(remedy, task, as_is, after)
        kept = trial.improvement
        if trial.verdict == "helps" and kept and kept.mean >= MOST_OF_THE_GAIN * winner.improvement.mean:
            changes.clear()
            changes.update(fewer)
            best = trial
    return best


def _smaller(changes: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is left out next, and what is then left of changes, which shrink meanwhile.

    Whole settings first, then single tasks of those that are lists of them.
    """
    for key in list(changes):
        if len(changes) > 1 and key in changes:
            yield key, {name: value for name, value in changes.items() if name != key}
    for key, entries in list(changes.items()):
        for entry in entries if isinstance(entries, list) else ():
            rest = [other for other in changes[key] if other != entry]
            if rest:
                yield f"{key} of {entry}", {**changes, key: rest}


def _judge(remedy: Remedy, task: str, as_is: Sequence[Result], after: Sequence[Result]) -> Trial:
    """Compare a remedy with the recipe as is, seed by seed; it may have fewer of them."""
    failure = next((result.failure for result in after if result.failure), "")
    if failure:
        return Trial(remedy, "failed", failure=failure)
    pairs = [(before, now) for before, now in zip(as_is, after, strict=False) if not before.failure]
    gains = [before.scores[task][0] - now.scores[task][0] for before, now in pairs]
    improvement = estimate(gains) if gains else None
    before = estimate([one.scores[task][0] for one, _ in pairs]).mean if pairs else None
    judged = _verdict(improvement, before, raced=len(after) < len(as_is))
    if judged == "helps" and not all(_looks(now, task) for now in after):
        judged = "without_inputs"
    return Trial(
        remedy,
        judged,
        loss=estimate([now.scores[task][0] for now in after]),
        improvement=improvement,
        skill=estimate([now.scores[task][1] for now in after]),
        others={
            other: estimate([now.scores[other][1] - one.scores[other][1] for one, now in pairs])
            for other in after[0].scores
            if other != task and pairs
        },
        blind=after[0].blind.get(task),
    )


def _looks(result: Result, task: str) -> bool:
    """Say whether a task's loss owes anything to its inputs."""
    blind = result.blind.get(task)
    better = blind is None or result.scores[task][0] < (1 - IGNORED) * blind
    return better and result.looks[task] >= IGNORED


def _verdict(improvement: Estimate | None, before: float | None, *, raced: bool) -> Verdict:
    """Judge by the paired interval over seeds; below two seeds there is none, and no verdict.

    Args:
        improvement: of the loss.
        before: the loss as is.
        raced: whether the remedy was dropped after the first of several seeds.
    """
    if improvement is None or before is None:
        return "unclear"
    if raced and improvement.mean < 0:
        return "no_effect"
    return verdict(improvement, FLAT * before)


def _rank(trial: Trial) -> tuple[bool, float]:
    """Put what helps first, then the rest; each by the stuck task's loss."""
    return trial.verdict != "helps", float("inf") if trial.loss is None else trial.loss.mean
