"""The environments' rules once more, one copy at a time, in plain Python and other formulas."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

_WORD = 2**64


def bits(*words: int) -> int:
    state = 0
    for word in words:
        state = (state + 0x9E3779B97F4A7C15 * (word + 1)) % _WORD
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % _WORD
        state = (state ^ state >> 27) * 0x94D049BB133111EB % _WORD
        state ^= state >> 31
    return state


def uniform(*words: int) -> float:
    return (bits(*words) >> 11) / 2**53


class Field:
    """Moving, or Sliding: positions and velocities are complex numbers, velocities are kept in polar form."""

    def __init__(self, sliding: bool, seed: int, episode: int) -> None:
        draws = [uniform(seed, episode, number) for number in range(5)]
        self.sliding = sliding
        self.target = complex(-0.9 + 1.8 * draws[0], -0.9 + 1.8 * draws[1])
        self.place = complex(-1 + 2 * draws[2], -1 + 2 * draws[3])
        self.heading = 2 * math.pi * draws[4]
        self.speed, self.course = 0.0, self.heading
        self.steps = 0

    def distance(self) -> float:
        return abs(self.place - self.target)

    def step(self, choice: int, acceleration: float, turn: float) -> tuple[float, str | None]:
        self.steps += 1
        before = self.distance()
        if choice == 0:
            push = 0.5 * min(max(acceleration, 0.0), 1.0)
            if self.sliding:
                velocity = cmath.rect(self.speed, self.course) + cmath.rect(push, self.heading)
                self.speed, self.course = cmath.polar(velocity)
            else:
                self.speed += push
        elif choice == 1:
            self.heading += math.pi / 2 * min(max(turn, -1.0), 1.0)
        else:
            self.speed = 0.0 if self.speed < 0.1 else self.speed - 0.1
        if not self.sliding or self.speed == 0:
            self.course = self.heading
        self.place += 0.005 * cmath.rect(self.speed, self.course)
        gained = before - self.distance() - 0.001
        if self.distance() < 0.1 and self.speed == 0:
            return gained + 1, "reached_target"
        if max(abs(self.place.real), abs(self.place.imag)) > 1:
            return -1.0, "left_field"
        return (-1.0, "timed_out") if self.steps > 200 else (gained, None)

    def observation(self) -> list[float]:
        heading, course = cmath.rect(1, self.heading), cmath.rect(1, self.course)
        seen = [self.place.real, self.place.imag, self.speed, heading.real, heading.imag]
        seen += [self.target.real, self.target.imag, self.distance(), float(self.distance() < 0.1)]
        seen.append(self.steps / 200)
        return [*seen, course.real, course.imag] if self.sliding else seen


class Node:
    def __init__(self, worth: float, demand: list[float]) -> None:
        self.age, self.worth, self.demand = 0, worth, demand


class Tree:
    """Topology: slots hold a node or nothing."""

    def __init__(self, nodes: int, steps: int, seed: int, episode: int) -> None:
        self.limit, self.seed, self.episode, self.steps = steps, seed, episode, 0
        self.slots: list[Node | None] = [None] * nodes
        self.slots[0] = Node(1.0, self._demand(0))

    def _demand(self, slot: int) -> list[float]:
        return [uniform(self.seed, self.episode, self.steps, 4 * slot + number) for number in range(4)]

    def step(self, choices: Sequence[int], parameters: Sequence[Sequence[float]]) -> tuple[float, str | None]:
        self.steps += 1
        for slot, choice in enumerate(choices):
            if choice == 2:
                self.slots[slot] = None
        parents = list(enumerate(self.slots))
        for slot, parent in parents:
            if parent is None or parent.age >= 8 or choices[slot] != 1 or None not in self.slots:
                continue
            direction, *others = parameters[slot]
            edge = [(direction + 1) / 2, *others]
            error = sum(abs(a - b) for a, b in zip(edge, parent.demand, strict=True)) / 4
            child = self.slots.index(None)
            self.slots[child] = Node(max(-1.0, 1 - 4 * error), self._demand(child))
        for _, node in parents:
            if node is not None:
                node.age += 1
                node.worth = -1.0 if node.age >= 8 else node.worth
        reward = sum(node.worth for node in self.slots if node) / len(self.slots)
        if not any(self.slots):
            return reward, "died_out"
        if self.steps < self.limit:
            return reward, None
        return reward, "thriving" if reward >= 0.8 else "stunted"

    def observation(self) -> list[float]:
        seen: list[float] = []
        for node in self.slots:
            seen += [1, max(8 - node.age, 0) / 8, node.worth, *node.demand] if node else [0] * 7
        return [*seen, self.steps / self.limit]
