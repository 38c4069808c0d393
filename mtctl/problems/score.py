"""What an evaluation measures, and what the records of a training say."""

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

    def succeeds(self, value: float) -> bool:
        """Say whether a score reaches the threshold of success; False where there is none."""
        if self.success is None:
            return False
        return value >= self.success if self.higher_is_better else value <= self.success


@dataclass(frozen=True, slots=True)
class Figures:
    """What the records of units say of each task, declared so that whoever shows them knows what they are.

    Args:
        followed: the figure that a task is followed by, e.g. "return", "loss". One that is named like the
            score can be held against the score's threshold of success, and has a mean over tasks.
        window: how many of a task's latest values its running mean is over.
        ending: the figure that names how a task's part of a unit ended; None where there is none.
        extra: figures of the unit as a whole.
    """

    followed: str
    window: int = 1
    ending: str | None = None
    extra: tuple[str, ...] = ()


SKILL: Final = Score(name="skill %", higher_is_better=True, success=None)
"""By how many percent a loss is below that of the best constant: 0 is no better, 100 is perfect."""
LOSSES: Final = Figures("loss")
"""What is recorded where tasks are followed by their training losses."""
