"""How long a DQN takes until it lands on all three tasks: mtctl's best_blind beside Stable-Baselines3.

    python -m benchmarks.time_to_land [--seeds 3] [--jobs 1] [--json PATH] [--quick]

A seed's two sides train at the same time where there are cores for it (--jobs 2), each on one core in a
process of its own. Both play `standard`, `windy` and `heavy` in turn, episode by episode, with the same time
limits, on the recipe's network, which is not told the task, and are evaluated alike: every 30 episodes, 20
greedy episodes of each task on the same monitor seeds, with the clock stopped.

    time to land    processor seconds of training (start-up left out) until the first of three evaluations in
                    a row whose average over the tasks is at least 200
    ratio           Stable-Baselines3's time over mtctl's; 0 where mtctl never landed, and a lower bound where
                    Stable-Baselines3 did not in 1,500 episodes or 900 seconds

Stable-Baselines3's DQN has the settings that RL Zoo publishes for LunarLander: learning rate 6.3e-4, batches
of 128, 50,000 transitions, a target copied every 250 steps, one update per step in blocks of 4, ε from 1 to
0.1. The Zoo's ε takes 12,000 steps for one task: here 36,000 for three. Truncated episodes bootstrap on both
sides.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks.learner import environment as machine
from benchmarks.sides import TASKS
from mtctl.balancing.chain import Chain
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.processor import use_one_thread
from mtctl.engine.signals import SignalLog
from mtctl.problems.contract import Record
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.lander import environments
from mtctl.problems.lander.environments import Observation
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.problems.lander.tasks import SOLVED
from mtctl.recipes.loading import load
from mtctl.statistics import mean_of

RECIPE: Final = "best_blind"
IN_A_ROW: Final = 3
BAR: Final = 3.0
PEER: Final = "Stable-Baselines3"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is played.

    Args:
        episodes: a side is followed for, of all tasks.
        every: episodes between evaluations.
        items: episodes of each task in an evaluation.
        exploration: steps of Stable-Baselines3's ε.
        seconds: of training after which a side is given up.
    """

    episodes: int = 1500
    every: int = 30
    items: int = 20
    exploration: int = 36_000
    seconds: float = 900.0


QUICK: Final = Size(episodes=6, every=3, items=1, exploration=100)


@dataclass(frozen=True, slots=True)
class Course:
    """A side's training of one seed: at each evaluation its time, steps and average score."""

    side: str
    seed: int
    seconds: list[float]
    steps: list[int]
    averages: list[float]

    def arrival(self) -> int | None:
        """Return the place of the first of three evaluations in a row that are high enough."""
        high = [average >= SOLVED for average in self.averages]
        starts = range(len(high) - IN_A_ROW + 1)
        return next((start for start in starts if all(high[start : start + IN_A_ROW])), None)

    @property
    def time_to_land(self) -> float:
        """Return seconds until it landed, or for which it was followed in vain."""
        place = self.arrival()
        return self.seconds[-1 if place is None else place]


class Watch:
    """A stopped clock and evaluations, the same for both sides.

    Args:
        side: its name.
        seed: its seed.
        size: how much is played.
    """

    def __init__(self, side: str, seed: int, size: Size) -> None:
        self.course = Course(side, seed, [], [], [])
        self._size = size
        self._spent = 0.0
        self._since = time.process_time()

    def episode_ended(self, episodes: int, steps: int, score: Callable[[str], float]) -> bool:
        """Evaluate if it is time to; return whether the side has landed, or was followed for long enough."""
        if episodes % self._size.every:
            return False
        self._spent += time.process_time() - self._since
        self.course.seconds.append(self._spent)
        self.course.steps.append(steps)
        self.course.averages.append(mean_of([score(task) for task in TASKS]))
        self._since = time.process_time()
        followed = episodes >= self._size.episodes or self._spent >= self._size.seconds
        return followed or self.course.arrival() is not None


def _recipe() -> LanderRecipe:
    recipe = load(RECIPE)
    assert isinstance(recipe, LanderRecipe)
    return recipe


def ours(seed: int, size: Size) -> Course:
    """Train mtctl's recipe through the engine's loop."""
    use_one_thread()
    recipe = _recipe()
    problem = build_problem(recipe, seed)
    balancing = Balancing(Chain(recipe.chain), problem.tasks, seed)
    watch = Watch("mtctl", seed, size)
    ended = False

    def score(task: str) -> float:
        return mean_of(problem.evaluate(size.items, "monitor", (task,))[task].scores)

    class Observer:
        def unit_ended(self, record: Record) -> None:
            nonlocal ended
            ended = watch.episode_ended(problem.done, problem.budget()["environment_steps"], score)

    fit(problem, balancing, SignalLog(problem.tasks, shared=True), [Observer()], stop=lambda: ended)
    return watch.course


class ThreeTasks(gymnasium.Env[Observation, np.int64]):
    """mtctl's three tasks as one environment of gymnasium's: episode i plays task i mod 3."""

    def __init__(self, seed: int) -> None:
        self._worlds = [environments.make(task) for task in TASKS]
        world = self._worlds[0].world
        self.observation_space, self.action_space = world.observation_space, world.action_space
        self._seed = seed
        self._episode = -1

    def reset(self, **given: Any) -> tuple[Observation, dict[str, Any]]:
        self._episode += 1
        own, task = divmod(self._episode, len(TASKS))
        self._world = self._worlds[task]
        return self._world.reset(environments.training_seed(self._seed, TASKS[task], own)), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        return *self._world.step(int(action)), {}


class Monitor(BaseCallback):
    """Counts episodes and shows them to a watch."""

    def __init__(self, watch: Watch, items: int) -> None:
        super().__init__()
        self._watch, self._items, self._episodes = watch, items, 0

    def _on_step(self) -> bool:
        if not self.locals["dones"][0]:
            return True
        self._episodes += 1
        return not self._watch.episode_ended(self._episodes, self.num_timesteps, self._score)

    def _score(self, task: str) -> float:
        world = environments.make(task)
        seeds = (environments.evaluation_seed("monitor", task, item) for item in range(self._items))
        scores = [self._play(world, seed) for seed in seeds]
        world.close()
        return mean_of(scores)

    def _play(self, world: environments.Environment, seed: int) -> float:
        observation, total, over = world.reset(seed), 0.0, False
        while not over:
            action, _ = self.model.predict(observation, deterministic=True)
            observation, reward, terminated, truncated = world.step(int(action))
            total += reward
            over = terminated or truncated
        return total


def theirs(seed: int, size: Size) -> Course:
    """Train Stable-Baselines3's DQN."""
    use_one_thread()
    watch = Watch(PEER, seed, size)
    endless = 10_000_000
    model = DQN(
        "MlpPolicy",
        ThreeTasks(seed),
        learning_rate=6.3e-4,
        batch_size=128,
        buffer_size=50_000,
        learning_starts=0,
        gamma=0.99,
        target_update_interval=250,
        train_freq=4,
        gradient_steps=-1,
        exploration_fraction=size.exploration / endless,
        exploration_final_eps=0.1,
        policy_kwargs={"net_arch": list(_recipe().agent.hidden)},
        device="cpu",
        seed=seed,
    )
    model.learn(endless, callback=Monitor(watch, size.items), log_interval=endless)
    return watch.course


SIDES: Final[Mapping[str, Callable[[int, Size], Course]]] = {"mtctl": ours, PEER: theirs}


def measure(seeds: int, jobs: int, size: Size) -> list[Course]:
    """Train both sides from every seed."""
    # Spawned: a forked child would share torch's state with its siblings.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = [pool.submit(side, seed, size) for seed in range(seeds) for side in SIDES.values()]
        return [each.result() for each in waiting]


def ratios(courses: list[Course]) -> list[float]:
    """Return of each seed the peer's time over mtctl's; 0 where mtctl never landed."""
    found = {(each.side, each.seed): each for each in courses}
    pairs = [(found["mtctl", seed], found[PEER, seed]) for seed in sorted({each.seed for each in courses})]
    return [0.0 if own.arrival() is None else peer.time_to_land / own.time_to_land for own, peer in pairs]


def table(courses: list[Course]) -> Table:
    """Return a line per seed, in a form that Markdown understands."""
    view = Table(box=box.MARKDOWN)
    for column in ("seed", "mtctl", PEER, "ratio"):
        view.add_column(column, justify="right", no_wrap=True)
    found = {(each.side, each.seed): each for each in courses}
    for seed, ratio in enumerate(ratios(courses)):
        own, peer = found["mtctl", seed], found[PEER, seed]
        bound = "" if peer.arrival() is not None else "≥ "
        view.add_row(str(seed), _told(own), _told(peer), f"{bound}{ratio:.1f} ×" if ratio else "–")
    return view


def _told(course: Course) -> str:
    place = course.arrival()
    if place is None:
        return f"not in {course.seconds[-1]:,.0f} s (best {max(course.averages):.0f})"
    return f"{course.seconds[place]:,.0f} s, {course.steps[place]:,} steps"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the courses if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_to_land", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each side")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the courses to PATH")
    parser.add_argument("--quick", action="store_true", help="shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size()
    courses = measure(options.seeds, options.jobs, size)
    Console(width=160).print(table(courses))
    middle = float(np.median(ratios(courses)))
    print(f"median ratio {middle:.1f}; bar {BAR:g}: {'met' if middle >= BAR else 'missed'}")
    if options.json is not None:
        document = {**machine(), "size": asdict(size), "courses": [asdict(each) for each in courses]}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
