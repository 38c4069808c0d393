"""What `mtctl diagnose --dry-run` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from mtctl.diagnosis.experiments.outline import Outline
from mtctl.problems.playing import Alternative
from mtctl.screens.figures import duration
from mtctl.screens.prose import Sentence, heading
from mtctl.text import in_time


def outline_screen(
    outline: Outline, name: str, length: str, seeds: Sequence[int]
) -> Iterator[RenderableType]:
    """Yield what would be trained, and how long it would take.

    Args:
        outline: what a diagnosis would do.
        name: of the recipe.
        length: of one training, in words.
        seeds: that remedies would be trained from.
    """
    yield heading(f"{name}: a diagnosis of {length} would train")
    for text in outline.experiments:
        yield Sentence(text, "–", "dim", indent=2)
    if outline.remedies:
        count = f"the recipe unchanged and {len(outline.remedies)} remedies or more"
        each = "" if len(seeds) == 1 else f", each from {len(seeds)} seeds"
        yield Sentence(
            f"for the task that moved least: {count}{each}; such as {outline.task}:", "–", "dim", 2
        )
        for remedy in outline.remedies:
            yield Sentence(remedy.title, "·", "dim", indent=4)
    low, high = outline.stuck
    yield ""
    yield Sentence(
        f"One training takes about {duration(outline.training)} here (one epoch was measured just now). The "
        f"whole takes about {duration(outline.learns)} if every task learns, {duration(low)} if one does "
        f"not, and {duration(high)} if none does."
    )


def player_outline_screen(
    name: str,
    length: str,
    seeds: Sequence[int],
    tried: Sequence[Alternative],
    task: str,
    training: tuple[float, float],
    limit: float | None,
) -> Iterator[RenderableType]:
    """Yield what would be trained to diagnose what is played.

    Args:
        name: of the recipe.
        length: of one training, in words.
        seeds: the first chooses what the others prove.
        tried: changes; none without proof.
        task: that they are for, as an example.
        training: seconds of one training, the fewest and the most.
        limit: seconds after which no training begins.
    """
    low, high = training
    takes = f"One training takes about {duration(low)} to {duration(high)} here."
    yield heading(f"{name}: a diagnosis of {length} would train")
    if not tried:
        yield Sentence(
            f"the recipe as it is, with seed {seeds[0]}, and judge its records", "–", "dim", indent=2
        )
        yield ""
        yield Sentence(takes)
        return
    first, others = seeds[0], len(seeds) - 1
    yield Sentence(
        "the recipe as it is, with two seeds; no more where every task is played well", "–", "dim", 2
    )
    yield Sentence(
        f"changes of it for the task with the least skill, with seed {first}; such as {task}:", "–", "dim", 2
    )
    for each in tried:
        yield Sentence(each.title, "·", "dim", indent=4)
    if others:
        yield Sentence(
            f"the most promising, and the recipe as it is, with the {others} other seeds",
            "–",
            "dim",
            indent=2,
        )
    yield ""
    ends = "" if limit is None else f" No training begins after {in_time(limit)} (--budget)."
    yield Sentence(f"{takes}{ends}")
