"""Whether the returns that occur fit between `low` and `high` of `agent.categorical`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from mtctl.problems.lander.agents import Categorical

LARGE_SHARE: Final = 0.05
"""Clipped targets of a task above which a run says so. About one step in a hundred ends an episode: a support
that fits leaves out rare extremes at most, and one target in twenty bends the values of ordinary steps."""
WINDOW: Final = 100_000
"""Targets of a task that a share is of: some 1,600 updates of 64 rows, so that the first values, which are
noise, are a small part."""


class SupportWatch:
    """Counts the targets that were clipped, for the record and for a notice.

    Args:
        tasks: names.
        settings: the recipe's.
    """

    def __init__(self, tasks: tuple[str, ...], settings: Categorical) -> None:
        self._tasks = tasks
        self._settings = settings
        self._seen = [[0.0, 0] for _ in tasks]
        self._window = [[0.0, 0] for _ in tasks]
        self._large: dict[str, float] = {}
        self._said = False

    def see(self, clipped: Tensor, counts: Sequence[int]) -> None:
        """Count a batch.

        Args:
            clipped: [N] which part of each row's target was, grouped by task.
            counts: rows of each task.
        """
        for task, rows in enumerate(clipped.split(list(counts))):
            found = float(rows.sum())
            for tally in (self._seen[task], self._window[task]):
                tally[0] += found
                tally[1] += len(rows)
            self._judge(task)

    def _judge(self, task: int) -> None:
        clipped, rows = self._window[task]
        if rows >= WINDOW:
            self._window[task] = [0.0, 0]
            if clipped > LARGE_SHARE * rows:
                self._large[self._tasks[task]] = clipped / rows

    def shares(self) -> dict[str, float | None]:
        """Return each task's share of clipped targets since the last call; None without any target."""
        seen = self._seen
        self.forget()
        return {
            task: clipped / rows if rows else None
            for task, (clipped, rows) in zip(self._tasks, seen, strict=True)
        }

    def notices(self) -> list[str]:
        """Return, once, a sentence that names large shares and what helps."""
        if self._said or not self._large:
            return []
        self._said = True
        shares = ", ".join(f"{share:.0%} of `{task}`" for task, share in self._large.items())
        low, high = self._settings.low, self._settings.high
        return [
            f"clips targets that lie outside {low:g} to {high:g} ({shares}): widen `agent.categorical.low` "
            f"and `high`, or make rewards smaller with `agent.reward_scale`"
        ]

    def forget(self) -> None:
        """Forget what `shares` has not told yet."""
        self._seen = [[0.0, 0] for _ in self._tasks]
