"""What changes over a run: the learning rate."""

from __future__ import annotations

import math

from mtctl.recipes.agents import ConstantRate, FallingRate


def rate(schedule: ConstantRate | FallingRate, *, episodes: int, all_episodes: int, steps: int) -> float:
    """Return the learning rate as a fraction of the recipe's.

    Args:
        schedule: the recipe's.
        episodes: that have ended.
        all_episodes: of the whole run.
        steps: environment steps so far.
    """
    if isinstance(schedule, ConstantRate):
        return 1.0
    if schedule.environment_steps is not None:
        progress = min(1.0, steps / schedule.environment_steps)
    else:
        progress = min(1.0, episodes / (schedule.episodes or all_episodes))
    left = 1 - progress if schedule.kind == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return schedule.final + (1 - schedule.final) * left
