"""What helps, in the verdict of a diagnosis: the best remedy with its figures, or why none is proven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rich.console import RenderableType

from mtctl.diagnosis.report import Diagnosis, Finding, Trial
from mtctl.diagnosis.thresholds import MOST_OF_THE_GAIN, percent
from mtctl.recipes.resolved import text as yaml_text
from mtctl.screens.diagnose_tables import as_is_loss, bounds, cost, decimals, figure, points, share
from mtctl.screens.figures import number
from mtctl.screens.prose import Command, Sentence
from mtctl.screens.remedy_code import code_lines
from mtctl.screens.task_verdicts import not_run
from mtctl.text import command_line, listed

INDENT: Final = 2
"""Cells by which what belongs to a task's verdict is indented."""


def remedy_lines(diagnosis: Diagnosis, apply: str) -> Iterator[RenderableType]:
    """Yield what trials of remedies showed for the stuck task."""
    for sentence in remedy_sentences(diagnosis):
        yield Sentence(sentence.text, sentence.mark, sentence.style, indent=INDENT)
    best = diagnosis.winner
    if best is None:
        return
    yield Command(_overrides_line(best.remedy.overrides))
    if apply:
        yield Command(apply)
    yield from _code(diagnosis, (diagnosis.smallest or best).remedy.changes)


def cure_lines(diagnosis: Diagnosis, causes: Iterable[Finding]) -> Iterator[RenderableType]:
    """Yield the first change that removed a cause in an experiment; no trial has proven it."""
    cause = next((cause for cause in causes if cause.cure), None)
    if cause is None:
        return
    changes = _overrides_line(f"{key}={yaml_text(value)}" for key, value in cause.cure.items())
    seeds = f", measured with seed {diagnosis.subject.seeds[0]} only" if diagnosis.subject.seeds else ""
    yield Command(f"{changes}  # cures {cause.code}{seeds}")
    yield from _code(diagnosis, cause.cure)


def _code(diagnosis: Diagnosis, changes: Mapping[str, object]) -> Iterator[RenderableType]:
    """Yield the same as lines of Python, where the model is the user's own."""
    if diagnosis.subject.problem != "python" or not (lines := code_lines(changes, diagnosis.states)):
        return
    yield Sentence("or in your own training loop:", indent=INDENT)
    yield from map(Command, lines)


def _overrides_line(overrides: Iterable[str]) -> str:
    """Return overrides as they are typed."""
    return command_line(word for override in overrides for word in ("-o", override))


def remedy_sentences(diagnosis: Diagnosis) -> Iterator[Sentence]:
    """Yield what came of the remedies: the best one with its figures, or that none is proven, and why."""
    trials, left = diagnosis.trials, list(not_run(diagnosis, "remed"))
    if not trials:
        if left:
            reason = left[0].detail.partition(";")[0]
            yield Sentence(f"No remedy was tried: {reason}.", "?", "yellow")
        return
    tried = f"{len(trials)} of {len(trials) + len(left)}" if left else f"{len(trials)}"
    if (best := diagnosis.winner) is not None:
        said = f"Best remedy, of {tried} tried: {best.remedy.title}. {_gain(diagnosis, best)}"
        yield Sentence(said, "✔", "green")
        if cost(best) is not None:
            free = (one for one in trials if one.verdict == "helps" and cost(one) is None)
            if (other := next(free, None)) is not None:
                said = f"Without such a cost: {other.remedy.title}. {_gain(diagnosis, other)}"
                yield Sentence(said, "✔", "green")
        if (part := diagnosis.smallest) is not None:
            most = percent(MOST_OF_THE_GAIN)
            said = f"Its smallest part with {most} of the gain: {part.remedy.title}. {_gain(diagnosis, part)}"
            yield Sentence(said, "✔", "green")
        return
    one = len(trials) + len(left) == 1
    said = f"{tried} remed{'y was' if one else 'ies were'} tried"
    unclear = [trial for trial in trials if trial.verdict == "unclear" and trial.improvement is not None]
    promising = max(unclear, key=_mean_gain, default=None)
    if promising is None:
        helps = "none helps" if all(map(_useless, trials)) else "none is proven to help"
        yield Sentence(f"{said}; {helps}.", "✘", "red")
        return
    seeds = promising.improvement.n if promising.improvement is not None else 0
    why = "one seed proves nothing" if seeds == 1 else f"the {seeds} seeds differ too much to tell"
    said += f"; none is proven to help: {why}."
    if _mean_gain(promising) > 0:
        best_so_far = f"{promising.remedy.title}. {_gain(diagnosis, promising)}"
        said += f" Best so far: {best_so_far} More seeds may prove it."
    yield Sentence(said, "?", "yellow")


def _useless(trial: Trial) -> bool:
    return trial.verdict in ("no_effect", "harms", "failed")


def _mean_gain(trial: Trial) -> float:
    return trial.improvement.mean if trial.improvement is not None else 0.0


def _gain(diagnosis: Diagnosis, trial: Trial) -> str:
    """Return what a remedy did, in figures: "Loss 15.59 → 9.60 (by 5.99 [+5.56, +6.43]), skill 37 %."."""
    parts, as_is = [], as_is_loss(diagnosis)
    if trial.loss is not None and trial.improvement is not None and as_is is not None:
        digits = decimals(as_is)
        spread = trial.improvement.interval
        by = (
            f", better by {number(trial.improvement.mean, digits)} {bounds(spread, digits)}" if spread else ""
        )
        parts.append(f"{figure(diagnosis)} {number(as_is, digits)} → {number(trial.loss.mean, digits)}{by}")
    if trial.skill is not None:
        parts.append(f"skill {share(trial.skill.mean)}")
    if (lost := cost(trial)) is not None:
        parts.append(f"at a cost: {lost[0]} loses {points(lost[1])} points of skill")
    others = trial.others.items()
    if winners := [task for task, change in others if change.interval and change.interval.low > 0]:
        parts.append(f"{listed(winners)} {'gains' if len(winners) == 1 else 'gain'} skill too")
    if trial.remedy.changes_model:
        parts.append("older checkpoints do not fit")
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else ""
