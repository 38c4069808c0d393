"""What of a diagnosis is still to come, as far as it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

OUT_OF_TIME: Final = "the time limit of --budget was reached"
"""Why something was not done, of which nothing but the time kept."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that follow the one under way.

    Args:
        steps: how many, at least: each is told of by one line when it begins.
        seconds: that they will take, roughly.
        complete: whether nothing else follows.
    """

    steps: int
    seconds: float
    complete: bool


Announce = Callable[[Plan], None]
"""Gets what is to come, each time that more is known."""


def unannounced(plan: Plan) -> None:
    """Take no notice."""
    del plan
