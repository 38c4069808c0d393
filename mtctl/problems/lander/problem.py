"""The multi-task lander: one DQN agent on several LunarLander tasks, played in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from mtctl.problems.contract import (
    Frame,
    ParameterCount,
    Record,
    SeedList,
    TaskEvaluation,
    TaskSignals,
)
from mtctl.problems.lander import environments, schedules
from mtctl.problems.lander.agents import DQNAgent, EpisodeTarget, TaskSettings
from mtctl.problems.lander.dqn import DQN, ReplayGradients
from mtctl.problems.lander.environments import Observation
from mtctl.problems.lander.evaluation import evaluate, show
from mtctl.problems.lander.recipe import LanderProblem
from mtctl.problems.lander.replay import Replay
from mtctl.problems.lander.rewards import RewardFactors
from mtctl.problems.lander.support import SupportWatch
from mtctl.problems.lander.tasks import ACTIONS, FIGURES, OBSERVATIONS, SCORE

FINAL_EPISODES: Final = 100
"""Episodes of each task in a final score: gymnasium's number for calling LunarLander solved."""


@dataclass(slots=True)
class _Episode:
    """The episode that is being played.

    Args:
        task: its index.
        observation: the latest.
        exploring: per step, the random action to take instead of the greedy one, or −1.
        epsilon: the exploration rate behind `exploring`: of each step, or one of all.
        pending: (observation, action, reward) of steps whose n-step return is not complete.
        rewards: of every step, where their scale follows returns.
    """

    task: int
    observation: Observation
    exploring: list[int]
    epsilon: list[float]
    pending: deque[tuple[Observation, int, float]] = field(default_factory=deque)
    steps: int = 0
    total: float = 0.0
    rewards: list[float] = field(default_factory=list)


class Lander:
    """Episode i plays task i mod T; every environment step is stored and followed by an update.

    Args:
        problem: the recipe's problem.
        agent: the recipe's agent.
        seed: the run's seed; initial values, exploration, replay and episodes draw from separate streams of
            it.
        averaging: what a running average of the weights takes from each update, if that is what evaluations
            play; None: they play the weights that learn.
    """

    unit = "episode"
    item = "episode"
    score = SCORE
    figures = FIGURES
    device = torch.device("cpu")
    code: Mapping[str, str] | None = None

    def __init__(
        self, problem: LanderProblem, agent: DQNAgent, seed: int, *, averaging: float | None = None
    ) -> None:
        self.tasks: tuple[str, ...] = problem.tasks
        self.scored: tuple[str, ...] = problem.tasks
        self.units = problem.episodes
        self.definition: Mapping[str, Any] = environments.definition(self.tasks)
        self.done = 0
        self._agent = agent
        self._seed = seed
        streams = np.random.SeedSequence(seed).generate_state(3, np.uint64)
        initial, self._exploration, self._sampling = (
            torch.Generator().manual_seed(int(word >> np.uint64(1))) for word in streams
        )
        self.dqn = DQN(agent, self.tasks, initial, averaging)
        self.replay = self._build_replay()
        self._rewards = RewardFactors(agent.reward_scale, len(self.tasks), agent.gamma)
        self._environments = [environments.make(task) for task in self.tasks]
        self._environment_steps = 0
        self._steps_by_task = [0] * len(self.tasks)
        self._rows_learned = [0] * len(self.tasks)
        self._support = None if agent.categorical is None else SupportWatch(self.tasks, agent.categorical)
        self._playing: _Episode | None = None
        self._marked: dict[str, Any] = {}
        self._input = torch.zeros(OBSERVATIONS)
        self._input_row = self._input.numpy()

    def _build_replay(self) -> Replay:
        wanted = self._agent.replay
        rings = len(self.tasks) if wanted.kind == "per_task" else 1
        own = [self._settings(task).learning_starts for task in range(rings)]
        starts = tuple(start or wanted.learning_starts for start in own)
        return Replay(
            len(self.tasks),
            rings,
            wanted.capacity,
            starts,
            self._sampling,
            wanted.priority,
            mirrored=wanted.mirrored,
        )

    def _settings(self, task: int) -> TaskSettings:
        return self._agent.per_task.get(self.tasks[task], TaskSettings())

    def parameter_count(self) -> ParameterCount:
        """Count what the optimizer moves; independent networks share none of it, nor do embeddings."""
        network = self.dqn.online
        return ParameterCount(network.count, network.parameters.numel() if network.copies == 1 else 0)

    def budget(self) -> dict[str, int]:
        groups = (
            len(self.tasks)
            if self._agent.replay.kind == "per_task" and self._agent.learn == "all_tasks"
            else 1
        )
        return {
            "environment_steps": self._environment_steps,
            "updates": self.dqn.updates,
            "samples_per_update": groups * self._agent.batch_size,
        }

    def advance(self) -> Record | None:
        """Play one step ε-greedily and store it; return the episode's record if it ended."""
        episode = self._playing or self._begin()
        action = episode.exploring[episode.steps]
        if action < 0:
            self._input_row[:] = episode.observation
            action = self.dqn.online.act(self._input, episode.task)
        observation, reward, terminated, truncated = self._environments[episode.task].step(action)
        episode.pending.append((episode.observation, action, reward))
        episode.observation = observation
        episode.steps += 1
        episode.total += reward
        if self._rewards.follows_returns:
            episode.rewards.append(reward)
        self._environment_steps += 1
        self._steps_by_task[episode.task] += 1
        self._store(episode, terminated, ended=terminated or truncated)
        return self._end(episode, terminated, reward) if terminated or truncated else None

    def _begin(self) -> _Episode:
        task = self.done % len(self.tasks)
        own_episodes = self.done // len(self.tasks)
        self._refresh_target(task, own_episodes)
        environment = self._environments[task]
        observation = environment.reset(
            environments.training_seed(self._seed, self.tasks[task], own_episodes)
        )
        limit = environment.time_limit
        epsilon = self._epsilon(task, own_episodes, limit)
        random = torch.randint(ACTIONS, (limit,), generator=self._exploration)
        draws = torch.rand(limit, generator=self._exploration)
        greedy = draws >= (epsilon[0] if len(epsilon) == 1 else torch.tensor(epsilon))
        self._playing = _Episode(task, observation, random.masked_fill_(greedy, -1).tolist(), epsilon)
        return self._playing

    def _refresh_target(self, task: int, own_episodes: int) -> None:
        target = self._agent.target
        if not isinstance(target, EpisodeTarget):
            return
        if self._agent.network == "independent":
            # Each network follows its own task's episodes, so that one task's setting never touches
            # another's.
            every = self._settings(task).target_every or target.every
            if own_episodes and own_episodes % every == 0:
                self.dqn.refresh_target(task)
        elif self.done and self.done % target.every == 0:
            self.dqn.refresh_target()

    def _epsilon(self, task: int, own_episodes: int, limit: int) -> list[float]:
        """Return ε of an episode, or of each of its steps where steps are counted."""
        exploration = self._agent.exploration
        if exploration.counts.endswith("steps"):
            own = exploration.counts == "own_steps"
            before = self._steps_by_task[task] if own else self._environment_steps
            return [schedules.epsilon(exploration, before + step) for step in range(limit)]
        episodes = self.done if exploration.counts == "all_episodes" else own_episodes
        return [schedules.epsilon(exploration, episodes, self._settings(task).epsilon_decay)]

    def _store(self, episode: _Episode, terminated: bool, *, ended: bool) -> None:
        """Move steps with a complete n-step return into replay; at the end of an episode, all of them."""
        gamma, pending = self._agent.gamma, episode.pending
        while pending and (ended or len(pending) >= self._agent.n_step):
            discounted, power = 0.0, 1.0
            for _, _, reward in pending:
                discounted += power * reward
                power *= gamma
            observation, action, _ = pending.popleft()
            bootstrap = 0.0 if terminated else power
            self.replay.add(episode.task, observation, action, discounted, episode.observation, bootstrap)

    def _end(self, episode: _Episode, terminated: bool, last_reward: float) -> Record:
        self._playing = None
        if self._rewards.follows_returns:
            self._rewards.see(episode.task, episode.rewards)
        self.done += 1
        played = {
            "return": episode.total,
            "steps": episode.steps,
            "outcome": environments.outcome(terminated, last_reward),
        }
        return {
            "kind": "unit",
            "unit": self.done,
            "tasks": {self.tasks[episode.task]: played},
            "extra": {"epsilon": episode.epsilon[min(episode.steps, len(episode.epsilon)) - 1]},
            "environment_steps": self._environment_steps,
        }

    def gradients(self) -> ReplayGradients | None:
        """Sample and differentiate every `update_every` steps, once replay holds enough to start with."""
        if self._environment_steps % self._agent.update_every:
            return None
        task = self._learning_task()
        if not (self.replay.ready(task) and self._rewards.ready(task)):
            return None
        batch = self.replay.sample(self._agent.batch_size, task, self._beta())
        for index, rows in enumerate(batch.counts):
            self._rows_learned[index] += rows
        gradients = self.dqn.gradients(batch, self._rewards.factors)
        if self._support is not None and self.dqn.clipped is not None:
            self._support.see(self.dqn.clipped, batch.counts)
        self.replay.learned(batch, gradients.errors)
        return gradients

    def _beta(self) -> float:
        priority = self._agent.replay.priority
        if priority is None:
            return 1.0
        return schedules.beta(
            priority, episodes=self.done, all_episodes=self.units, steps=self._environment_steps
        )

    def _learning_task(self) -> int | None:
        """Return the only task that this step trains, or None for all of them."""
        if self._agent.learn == "all_tasks":
            return None
        return self._playing.task if self._playing else (self.done - 1) % len(self.tasks)

    def update(self) -> None:
        self.dqn.update(
            schedules.rate(
                self._agent.lr_schedule,
                episodes=self.done,
                all_episodes=self.units,
                steps=self._environment_steps,
            )
        )

    def revisit(self) -> Tensor:
        return self.dqn.revisit()

    def inspect(self) -> TaskSignals:
        """Return `replay_rows`, each task's transitions in replay, and `update_share`, its share of the rows
        of the updates since the last call; with distributions over returns also `clipped_targets`, the share
        of its targets since then that lay beyond the support; and what the network that is evaluated says of
        itself.
        """
        learned, self._rows_learned = self._rows_learned, [0] * len(self.tasks)
        everything = sum(learned)
        shares = [rows / everything if everything else None for rows in learned]
        clipped = {} if self._support is None else {"clipped_targets": self._support.shares()}
        return {
            **clipped,
            "replay_rows": dict(zip(self.tasks, map(float, self.replay.rows_by_task()), strict=True)),
            "update_share": dict(zip(self.tasks, shares, strict=True)),
            **{
                name: dict(zip(self.tasks, figures.tolist(), strict=True))
                for name, figures in self.dqn.played.signals().items()
            },
        }

    def notices(self) -> list[str]:
        return [] if self._support is None else self._support.notices()

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        """Play greedily (ε = 0) in environments of its own."""
        episodes = FINAL_EPISODES if items is None else items
        network = self.dqn.played.for_evaluation()
        return {
            task: evaluate(network, self.tasks.index(task), task, episodes, seeds)
            for task in tasks or self.tasks
        }

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        """Play in a window, or hand over each frame."""
        show(self.dqn.played.for_evaluation(), self.tasks.index(task), task, episodes, frame)

    def policy_state(self) -> dict[str, Any]:
        return self.dqn.played.state_dict()

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self.dqn.played.load_state_dict(state)

    def state_dict(self, *, replay: bool = True) -> dict[str, Any]:
        """Return everything that decides the future; complete at the end of an episode only.

        Args:
            replay: whether its transitions are wanted, by far the most of it.
        """
        if self._playing is not None:
            raise RuntimeError("an episode is being played; its environment's state cannot be saved")
        return {
            "dqn": self.dqn.state_dict(),
            "replay": self.replay.state_dict() if replay else None,
            "exploration": self._exploration.get_state(),
            "sampling": self._sampling.get_state(),
            "done": self.done,
            "environment_steps": self._environment_steps,
            "steps_by_task": list(self._steps_by_task),
            "largest_returns": self._rewards.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.dqn.load_state_dict(state["dqn"])
        if state["replay"] is not None:
            self.replay.load_state_dict(state["replay"])
        self._exploration.set_state(state["exploration"])
        self._sampling.set_state(state["sampling"])
        self.done = state["done"]
        self._environment_steps = state["environment_steps"]
        # Runs of before these were kept do not depend on them.
        self._steps_by_task = list(state.get("steps_by_task", self._steps_by_task))
        self._rewards.load_state_dict(state.get("largest_returns", ()))
        self._playing = None

    def mark(self) -> None:
        self._marked = self.state_dict(replay=False)
        self.replay.mark()

    def rewind(self) -> None:
        self.load_state_dict(self._marked)
        self.replay.rewind()
        self._rows_learned = [0] * len(self.tasks)
        if self._support is not None:
            self._support.forget()
