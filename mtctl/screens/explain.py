"""What `mtctl diagnose --explain` shows: what the codes of findings mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mtctl.diagnosis.explanation import Explanation
from mtctl.screens.prose import Sentence, heading
from mtctl.screens.tables import Column, StackedTable


def explanation_screen(code: Explanation) -> Iterator[RenderableType]:
    """Yield what one code means."""
    yield Text(f"{code.code}: {code.title}", style="bold")
    yield ""
    yield Sentence(code.meaning)
    yield ""
    yield heading("How it is measured and decided")
    yield Sentence(code.measured)
    yield ""
    yield heading("What would refute it")
    yield Sentence(code.refuted_by)
    yield ""
    yield heading("What helps")
    for remedy in code.remedies:
        yield Sentence(remedy, "–", "dim")


def codes_screen(codes: Sequence[Explanation]) -> Iterator[RenderableType]:
    """Yield all codes with their titles."""
    yield StackedTable(
        "Findings; `mtctl diagnose --explain CODE` explains one",
        Column("code", (each.code for each in codes), text=True),
        [Column("what it says", (each.title for each in codes), text=True)],
    )
