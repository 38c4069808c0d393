"""The LunarLander tasks: what each changes, how an episode can end, and what it is scored by.

A task is gymnasium's LunarLander (v3 rules) with one thing changed. Rewards are gymnasium's: the difference
of a shaping potential, −0.30 per step of the main engine, −0.03 per step of a side engine; a terminal ±100
replaces the last step's reward. Reaching the time limit is a truncation: learners bootstrap from the last
observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mtctl.problems.score import Figures, Score

OBSERVATIONS: Final = 8
ACTIONS: Final = 4
SOLVED: Final = 200.0
"""Return from which gymnasium calls the standard task solved."""
OUTCOMES: Final = ("landed", "crashed", "timed_out")
"""How an episode can end; a crash may be off the field too."""
SCORE: Final = Score(name="return", higher_is_better=True, success=SOLVED, outcomes=OUTCOMES)
FIGURES: Final = Figures("return", window=50, ending="outcome", extra=("epsilon",))


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """What makes a task.

    Args:
        time_limit: environment steps until truncation.
        gravity: in m/s², set on the physics world after each reset (the constructor takes −12 < g < 0 only).
        wind_power: gymnasium's wind, a smooth force of up to this size while no leg touches the ground; 0:
            none.
        turbulence_power: the same for torque.
        hull_noise: half-width in newtons of a uniform horizontal force on the hull in every step, also on the
            ground. The body then never falls asleep, so the +100 for landing is out of reach.
    """

    time_limit: int
    gravity: float = -10.0
    wind_power: float = 0.0
    turbulence_power: float = 0.0
    hull_noise: float = 0.0


TASKS: Final[Mapping[str, TaskDefinition]] = {
    "standard": TaskDefinition(time_limit=1000),
    "windy": TaskDefinition(time_limit=400, wind_power=15.0, turbulence_power=1.5),
    "heavy": TaskDefinition(time_limit=800, gravity=-12.5),
    "windy_hull_noise": TaskDefinition(time_limit=400, hull_noise=20.0),
}
