"""What `mtctl diagnose --dry-run` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from mtctl.diagnosis.experiments.outline import Outline
from mtctl.screens.figures import duration
from mtctl.screens.prose import Sentence, heading


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
