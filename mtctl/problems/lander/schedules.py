"""What changes over a run: the learning rate, exploration, and how far priorities are made up for."""

from __future__ import annotations

import math

from mtctl.problems.lander.agents import ConstantRate, Exploration, FallingRate, Priority


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
        progress = _progress(steps, schedule.environment_steps)
    else:
        progress = _progress(episodes, schedule.episodes or all_episodes)
    left = 1 - progress if schedule.kind == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return schedule.final + (1 - schedule.final) * left


def beta(priority: Priority, *, episodes: int, all_episodes: int, steps: int) -> float:
    """Return the exponent of the factors that make up for priorities; arguments as for `rate`."""
    length = priority.environment_steps
    progress = _progress(episodes, all_episodes) if length is None else _progress(steps, length)
    return priority.beta + (1 - priority.beta) * progress


def _progress(done: int, length: int) -> float:
    return min(1.0, done / length)


def epsilon(exploration: Exploration, counted: int, decay: float | None = None) -> float:
    """Return the share of random actions.

    Args:
        exploration: the recipe's.
        counted: n, episodes or environment steps as the recipe counts them.
        decay: a task's own factor per episode; the recipe's if left out.
    """
    start, end, length = exploration.start, exploration.end, exploration.length
    if length is None:
        return max(end, start * float(decay or exploration.decay) ** counted)
    if counted >= length or start == 0:
        return end
    if exploration.shape == "linear":
        return start + (end - start) * (counted / length)
    return start * float((end / start) ** (counted / length))
