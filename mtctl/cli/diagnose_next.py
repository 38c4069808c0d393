"""The commands that a diagnosis suggests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.api.targets import Kind
from mtctl.text import command_line

if TYPE_CHECKING:
    from mtctl.diagnosis.report import Diagnosis

_FIXED: Final = "fixed.yaml"
_MORE_SEEDS: Final = 2
"""Seeds to add where those that there were prove nothing."""


def apply_command(diagnosis: Diagnosis, written: Path | None, kept: Path | None, typed: Sequence[str]) -> str:
    """Return the command that writes the best remedy as a recipe, or trains it; "" where none is proven.

    Args:
        diagnosis: what was found.
        written: the recipe with the remedy, if it is written.
        kept: the file of the diagnosis; None if it could not be kept.
        typed: the command that was typed.
    """
    if diagnosis.winner is None:
        return ""
    if written is not None:
        return command_line(["mtctl", "train", str(written)])
    if kept is not None:
        return command_line(["mtctl", "diagnose", "--from", str(kept), "--write-recipe", _FIXED])
    return command_line([*typed, "--write-recipe", _FIXED])


def after_training(
    diagnosis: Diagnosis, target: str, kept: Path | None, typed: Sequence[str], *, full: bool
) -> list[str]:
    """Return the next commands: learn what the first cause is, prove more, see all that was measured."""
    from mtctl.screens.task_verdicts import is_healthy

    commands = explanations(diagnosis)
    if "--no-verify" in typed and diagnosis.stuck:
        commands.append(command_line(word for word in typed if word != "--no-verify"))
    elif _undecided(diagnosis) and (diagnosis.subject.played is not None or _is_limited(typed)):
        commands.append(command_line(_with_more_time(typed, diagnosis)))
    elif diagnosis.winner is None and any(trial.verdict == "unclear" for trial in diagnosis.trials):
        commands.append(command_line(_with_more_seeds(typed, diagnosis.subject.seeds)))
    elif not commands and is_healthy(diagnosis):
        commands.append(command_line(["mtctl", "train", target]))
    if kept is not None and not full:
        commands.append(command_line(["mtctl", "diagnose", "--from", str(kept), "-v"]))
    return commands


def after_reading(kind: Kind, target: str, diagnosis: Diagnosis) -> list[str]:
    """Return the next commands: learn what the first cause is, train what was only read."""
    from mtctl.problems.kinds import LOOP

    recipe = command_line(["mtctl", "diagnose", f"{target}/recipe.yaml"])
    trainable = kind is Kind.RUN and diagnosis.subject.problem != LOOP
    return [*explanations(diagnosis), *([recipe] if trainable else [])]


def explanations(diagnosis: Diagnosis) -> list[str]:
    """Return the command that explains the first cause."""
    from mtctl.screens.task_verdicts import task_verdicts

    causes = [cause for verdict in task_verdicts(diagnosis) for cause in verdict.causes]
    return [f"mtctl diagnose --explain {cause.code}" for cause in causes[:1]]


def _undecided(diagnosis: Diagnosis) -> bool:
    return any(
        check.outcome == "not_run" and check.name.startswith(("experiments", "causes of ", "remedy: "))
        for check in diagnosis.checks
    )


def _is_limited(typed: Sequence[str]) -> bool:
    return any(word.partition("=")[0] == "--budget" for word in typed)


def _with_more_time(typed: Sequence[str], diagnosis: Diagnosis) -> list[str]:
    """Return the command without its limit of time; with twice that for what is played."""
    minutes = -(-2 * diagnosis.seconds // 60)
    longer = [] if diagnosis.subject.played is None else ["--budget", f"{minutes:.0f}m"]
    return [*_without(typed, "--budget"), *longer]


def _with_more_seeds(typed: Sequence[str], seeds: Sequence[int]) -> list[str]:
    last = min(seeds) + len(seeds) - 1 + _MORE_SEEDS
    return [*_without(typed, "--seeds"), "--seeds", f"{min(seeds)}..{last}"]


def _without(typed: Sequence[str], flag: str) -> list[str]:
    """Return the words of a command without a flag and its value."""
    words = list(typed)
    for place, word in enumerate(words):
        if word == flag or word.startswith(f"{flag}="):
            del words[place : place + (2 if word == flag else 1)]
            break
    return words
