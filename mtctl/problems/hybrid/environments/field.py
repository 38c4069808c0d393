"""What Moving and Sliding have in common: an agent that shall stop on a target in a square field.

The rules are those of the public benchmark gym-hybrid. The field is |x|, |y| ≤ 1. An episode begins with the
target's centre uniform in ±0.9, the agent uniform in ±1, its heading uniform in [0, 2π), and at rest. Each
step the agent

    0 accelerates by 0.5 · acceleration,   1 turns by π/2 · turn,   2 brakes by 0.1 (to rest below 0.1)

and then moves by 0.005 · speed: Moving along its heading, Sliding along its velocity, to which accelerating
adds a vector along the heading. With d the distance between agent and target before (d) and after (d') the
step:

    reached the target: d' < 0.1 and at rest             d − d' − 0.001 + 1    ends
    left the field, or more than 200 steps               −1                    ends
    otherwise                                            d − d' − 0.001

Observation: x, y, speed, cos and sin of the heading, target x, y, d', whether d' < 0.1, steps / 200.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from mtctl.problems.hybrid.environments.copies import RUNNING, Copies, Flags, Floats, Integers
from mtctl.problems.hybrid.environments.draws import uniform
from mtctl.problems.hybrid.uses import Uses

ACCELERATE, TURN, BRAKE = range(3)
STEPS: Final = 200
RADIUS: Final = 0.1
MOST_ACCELERATION: Final = 0.5
MOST_TURN: Final = np.pi / 2
BRAKING: Final = 0.1
TICK: Final = 0.005
PENALTY: Final = 0.001
SOLVED: Final = 1.8
"""Mean return at which DI-engine stops its trainings on this benchmark."""

USES: Final[Uses] = {"choice": {ACCELERATE: ("acceleration",), TURN: ("turn",), BRAKE: ()}}

_REACHED, _LEFT, _LATE = range(3)
_MOST_SPEED: Final = MOST_ACCELERATION * (STEPS + 1)
_FARTHEST: Final = 1.0 + TICK * _MOST_SPEED  # where a last step can lead
_DRAWS: Final = np.arange(5)  # target x, y; agent x, y, heading


class Field(Copies):
    """Copies of the field; `_steer` is what Moving and Sliding differ in.

    Args:
        copies: N.
        truncates: report the end after 200 steps as a truncation. By default it is a termination, as
            published: it costs −1 and the observation holds the clock, so it is one of the task's own rules.
            A learner that bootstraps from beyond it would learn V = −1 + γV for late states, so that V falls
            towards −1 / (1 − γ). `outcome` says `timed_out` either way, and no return depends on this.
        velocity_angle: append cos and sin of the velocity's direction to the observation.
    """

    uses = USES
    outcomes = ("reached_target", "left_field", "timed_out")
    solved = SOLVED
    _state = ("_x", "_y", "_heading", "_speed", "_cos", "_sin", "_target_x", "_target_y", "_distance")

    def __init__(self, copies: int, *, truncates: bool, velocity_angle: bool) -> None:
        farthest = float(np.hypot(_FARTHEST + 0.9, _FARTHEST + 0.9))
        high = [_FARTHEST, _FARTHEST, _MOST_SPEED, 1, 1, 0.9, 0.9, farthest, 1, 1 + 1 / STEPS]
        low = [-_FARTHEST, -_FARTHEST, 0, -1, -1, -0.9, -0.9, 0, 0, 0]
        if velocity_angle:
            high, low = [*high, 1, 1], [*low, -1, -1]
        action = spaces.Dict(
            {
                "choice": spaces.Discrete(3),
                "acceleration": spaces.Box(0, 1, (1,)),
                "turn": spaces.Box(-1, 1, (1,)),
            }
        )
        room = np.float32(1e-5)  # what is 1 in float64 may be more in float32
        box = spaces.Box(np.array(low, np.float32) - room, np.array(high, np.float32) + room)
        super().__init__(copies, box, action)
        self._truncates = truncates
        self._velocity_angle = velocity_angle
        self._x, self._y, self._heading, self._speed = np.zeros((4, copies))
        self._cos, self._sin = np.zeros((2, copies))  # of the direction in which the agent moves
        self._target_x, self._target_y, self._distance = np.zeros((3, copies))

    @abstractmethod
    def _steer(self, choice: Integers, acceleration: Floats, turn: Floats) -> None:
        """Change heading, speed and the direction of movement.

        Args:
            choice: [N].
            acceleration: speed that is added where the agents accelerate, else 0 [N].
            turn: angle by which they turn where they do, else 0 [N].
        """

    def _begin(self, rows: Integers) -> None:
        draws = uniform(self._seeds[rows, None], self._episodes[rows, None], _DRAWS)
        self._target_x[rows], self._target_y[rows] = 1.8 * draws[:, :2].T - 0.9
        self._x[rows], self._y[rows] = 2.0 * draws[:, 2:4].T - 1.0
        self._heading[rows] = 2.0 * np.pi * draws[:, 4]
        self._speed[rows] = 0.0
        self._cos[rows], self._sin[rows] = np.cos(self._heading[rows]), np.sin(self._heading[rows])
        self._distance[rows] = np.hypot(
            self._x[rows] - self._target_x[rows], self._y[rows] - self._target_y[rows]
        )
        self.observations[rows] = self._columns(rows, 0.0).T

    def _advance(self, actions: Mapping[str, Any]) -> None:
        choice = actions["choice"]
        acceleration = MOST_ACCELERATION * np.clip(
            np.asarray(actions["acceleration"], np.float64)[:, 0], 0.0, 1.0
        )
        turn = MOST_TURN * np.clip(np.asarray(actions["turn"], np.float64)[:, 0], -1.0, 1.0)
        self._steer(choice, acceleration * (choice == ACCELERATE), turn * (choice == TURN))
        self._x += TICK * self._speed * self._cos
        self._y += TICK * self._speed * self._sin
        before = self._distance.copy()
        np.hypot(self._x - self._target_x, self._y - self._target_y, out=self._distance)
        self._judge(before)
        self.final_observations[:] = self._columns(slice(None), self.lengths / STEPS).T

    def _judge(self, before: Floats) -> None:
        reached: Flags = (self._distance < RADIUS) & (self._speed == 0.0)
        left = ~reached & ((np.abs(self._x) > 1.0) | (np.abs(self._y) > 1.0))
        late = ~reached & ~left & (self.lengths > STEPS)
        np.subtract(before - self._distance, PENALTY, out=self.rewards)
        self.rewards[reached] += 1.0
        self.rewards[left | late] = -1.0
        np.logical_or(reached, left, out=self.terminated)
        (self.truncated if self._truncates else self.terminated)[late] = True
        if self._truncates:
            self.truncated[~late] = False
        self.success[:] = reached
        self.outcome[:] = RUNNING
        self.outcome[reached], self.outcome[left], self.outcome[late] = _REACHED, _LEFT, _LATE

    def _columns(self, rows: Any, clock: Any) -> Floats:
        heading, distance = self._heading[rows], self._distance[rows]
        columns = np.empty((12 if self._velocity_angle else 10, len(heading)))
        columns[0], columns[1], columns[2] = self._x[rows], self._y[rows], self._speed[rows]
        np.cos(heading, out=columns[3])
        np.sin(heading, out=columns[4])
        columns[5], columns[6] = self._target_x[rows], self._target_y[rows]
        columns[7], columns[8], columns[9] = distance, distance < RADIUS, clock
        if self._velocity_angle:
            columns[10], columns[11] = self._cos[rows], self._sin[rows]
        return columns
