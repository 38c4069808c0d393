"""What an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluation measures, declared so that comparisons know what they compare.

    Args:
        name: for tables, e.g. "return".
        higher_is_better: the direction of better.
        success: the threshold that counts as success, in the score's units; None if there is none.
        outcomes: how an item can end, in the order of tables, a success first; empty where nothing is played.
    """

    name: str
    higher_is_better: bool
    success: float | None
    outcomes: tuple[str, ...] = ()


SKILL: Final = Score(name="skill %", higher_is_better=True, success=None)
"""By how many percent a loss is below that of the best constant: 0 is no better, 100 is perfect."""
