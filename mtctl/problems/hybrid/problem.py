"""Hybrid actions: one policy, whose discrete and continuous heads are the tasks, learned by PPO."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from mtctl.errors import MtctlError
from mtctl.problems.contract import (
    Frame,
    ParameterCount,
    Record,
    SeedList,
    TaskEvaluation,
    TaskSignals,
)
from mtctl.problems.hybrid.agents import CONTINUOUS, PPOAgent
from mtctl.problems.hybrid.environments.making import copies_for
from mtctl.problems.hybrid.gradients import HeadGradients
from mtctl.problems.hybrid.normalisation import RewardScale, RunningMoments
from mtctl.problems.hybrid.playing import (
    Player,
    drawing_for,
    evaluation_seeds,
    heads_of,
    layout_of,
    open_copies,
    play_episodes,
    show_episodes,
)
from mtctl.problems.hybrid.policy import HybridPolicy
from mtctl.problems.hybrid.recipe import Actions, HybridProblem
from mtctl.problems.hybrid.rollout import Minibatch, Step, followed, gathered, minibatches, moved
from mtctl.problems.hybrid.score import FIGURES, SCORE
from mtctl.problems.hybrid.surrogate import HeadLoss, head_losses, value_loss

FINAL_EPISODES: Final = 1000
"""Episodes of a final score: starts differ so much that the mean of 100 is off by 0.05."""
_CPU: Final = torch.device("cpu")
_SHOWN: Final = 3
"""Names of parameters in a record."""


class Hybrid:
    """An iteration plays a rollout with every copy and learns from it for some epochs.

    Args:
        problem: the recipe's problem.
        agent: the recipe's agent.
        seed: the run's seed; initial values, actions, order of rows and episodes draw from separate streams
            of it.
        actions: of the episodes that score it: drawn by chance, or greedy.
        device: where it learns; it plays on the CPU, with a copy of the policy where these differ.
    """

    unit = "iteration"
    item = "episode"
    figures = FIGURES
    code: Mapping[str, str] | None = None

    def __init__(
        self,
        problem: HybridProblem,
        agent: PPOAgent,
        seed: int,
        actions: Actions = "drawn",
        device: torch.device = _CPU,
    ) -> None:
        self.device = device
        self._problem, self._agent, self._actions = problem, agent, actions
        words = np.random.SeedSequence(seed).generate_state(3 + problem.copies, np.uint64)
        initial, self._drawing, self._order = (
            torch.Generator().manual_seed(int(word >> np.uint64(1))) for word in words[:3]
        )
        self._copies = open_copies(problem, problem.copies)
        self._copies.reset(words[3:])
        layout = layout_of(problem, self._copies)
        self._heads = heads_of(layout, agent, device)
        self.tasks: tuple[str, ...] = problem.tasks
        _require_heads(problem, tuple(self._heads.outputs))
        self.scored: tuple[str, ...] = (problem.environment,)
        self.score = replace(SCORE, success=self._copies.solved, outcomes=self._copies.outcomes)
        played = {"options": dict(problem.options), "discounted": False, "actions": actions}
        self.definition: Mapping[str, Any] = {"tasks": {problem.environment: played}}
        size = self._copies.observation_space.shape[0]
        self.policy = HybridPolicy(size, self._heads.outputs, agent.hidden, agent.activation, initial)
        self._moments = RunningMoments(size) if agent.normalise_observations else None
        self._rewards = RewardScale(problem.copies, agent.gamma) if agent.normalise_rewards else None
        self._playing = self.policy if device.type == "cpu" else copy.deepcopy(self.policy)
        self.policy.to(device)
        heads = self._heads if device.type == "cpu" else heads_of(layout, agent)
        self._player = Player(self._playing, heads, layout, self._moments)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), lr=agent.lr, eps=1e-5, fused=True)
        rollout = problem.copies * agent.steps
        self.units, self.done = problem.environment_steps // rollout, 0
        self._environment_steps = self._updates = 0
        self._ahead: Iterator[Minibatch] | None = None
        self._rows: Minibatch | None = None
        self._batch: Minibatch | None = None
        self._epochs_left = 0
        self._seen: list[dict[str, HeadLoss]] = []
        self._played: list[tuple[float, int, bool]] = []
        self._parameters = layout.continuous_elements
        self._used = torch.zeros(len(self._parameters), dtype=torch.bool)
        self._marked: dict[str, Any] = {}

    def parameter_count(self) -> ParameterCount:
        total = sum(parameter.numel() for parameter in self.policy.parameters())
        return ParameterCount(total, sum(one.numel() for one in self.policy.trunk.parameters()))

    def budget(self) -> dict[str, int]:
        return {
            "environment_steps": self._environment_steps,
            "updates": self._updates,
            "samples_per_update": self._agent.minibatch,
        }

    # ----- playing

    def advance(self) -> Record | None:
        """Bring up the next minibatch, after playing where a rollout begins; return the record at its end."""
        if self._rows is None:
            self._rows = self._play()
            self._epochs_left = self._agent.epochs
            self._seen = []
        self._batch = self._next()
        return None if self._batch is not None else self._end()

    def _next(self) -> Minibatch | None:
        """Return the next minibatch; None at the end of the iteration."""
        assert self._rows is not None
        while True:
            if self._ahead is None:
                if not self._epochs_left or self._too_far():
                    return None
                self._epochs_left -= 1
                self._ahead = minibatches(self._rows, self._agent.minibatch, self._order)
            if (batch := next(self._ahead, None)) is not None:
                return batch
            self._ahead = None

    def _too_far(self) -> bool:
        """Say whether the policy has moved as far from the one that played as it may."""
        if self._agent.target_kl is None or not self._seen:
            return False
        per_epoch = -(-len(self._seen) // (self._agent.epochs - self._epochs_left))
        latest = self._seen[-per_epoch:]
        return sum(float(head.kl) for each in latest for head in each.values()) > (
            self._agent.target_kl * len(latest)
        )

    def _play(self) -> Minibatch:
        """Play a rollout."""
        self._played = []
        self._play_as_learned()
        steps = self._scaled([self._step() for _ in range(self._agent.steps)])
        last = self._player.values(self._player.seen(self._copies.observations))
        rows = gathered(followed(steps, last), self._agent.gamma, self._agent.gae_lambda)
        self._used |= rows.masks[CONTINUOUS].any(0) if CONTINUOUS in rows.masks else True
        return moved(rows, self.device)

    def _play_as_learned(self) -> None:
        """Let the policy that plays be the one that learns."""
        if self._playing is not self.policy:
            self._playing.load_state_dict(self.policy.state_dict())

    def _step(self) -> Step:
        copies, player = self._copies, self._player
        if self._moments is not None:
            self._moments.see(torch.from_numpy(copies.observations))
        seen = player.seen(copies.observations)
        drawn = player.draw(seen, copies, self._drawing)
        copies.step(drawn.environment)
        self._environment_steps += copies.copies
        ended = torch.from_numpy(copies.ended.copy())
        rewards = torch.from_numpy(copies.rewards).float()
        following = torch.zeros(copies.copies)
        if len(cut_off := np.flatnonzero(copies.truncated)):
            following[cut_off] = player.values(player.seen(copies.final_observations[cut_off]))
        for place in np.flatnonzero(copies.ended):
            succeeded = bool(copies.success[place])
            self._played.append((float(copies.returns[place]), int(copies.lengths[place]), succeeded))
        kept = drawn.kept if self._agent.old_log_probability == "exact" else _squashed_again(drawn.kept)
        return Step(seen, kept, drawn.masks, drawn.log_probabilities, drawn.values, rewards, following, ended)

    def _scaled(self, steps: list[Step]) -> list[Step]:
        """Return steps with rewards in the unit that values are learned in."""
        if self._rewards is None:
            return steps
        rewards = torch.stack([step.rewards for step in steps])
        scaled = self._rewards.scaled(rewards, torch.stack([step.ended for step in steps]))
        return [step._replace(rewards=row) for step, row in zip(steps, scaled, strict=True)]

    def _end(self) -> Record:
        assert self._rows is not None
        rows, self._rows = self._rows, None
        self.done += 1
        heads: dict[str, dict[str, Any]] = {name: self._head_figures(name) for name in self.tasks}
        if unused := [name for name, used in zip(self._parameters, self._used, strict=True) if not used]:
            heads[CONTINUOUS]["never used"] = _listed(unused)
        return {
            "kind": "unit",
            "unit": self.done,
            "tasks": heads | self._played_figures(),
            "extra": {
                "kl": sum(figures["kl"] for figures in heads.values()),
                "explained variance": _explained(rows),
            },
            "environment_steps": self._environment_steps,
        }

    def _head_figures(self, name: str) -> dict[str, float]:
        """Return what is recorded of a head: means over the iteration's updates."""
        seen = [each[name] for each in self._seen]
        return {
            "loss": _mean([each.loss.value for each in seen]),
            "entropy": _mean([each.entropy for each in seen]),
            "kl": _mean([each.kl for each in seen]),
            "clipped": _mean([each.clipped for each in seen]),
            "ratio off at start": float(seen[0].off),
        }

    def _played_figures(self) -> dict[str, dict[str, float]]:
        """Return what is recorded of the environment: means over the episodes that ended, if any did."""
        if not self._played:
            return {}
        returns, lengths, succeeded = zip(*self._played, strict=True)
        played = {
            "return": float(np.mean(returns)),
            "steps": float(np.mean(lengths)),
            "episodes": float(len(returns)),
            "success": float(np.mean(succeeded)),
        }
        return {self._problem.environment: played}

    # ----- learning

    def gradients(self) -> HeadGradients | None:
        """Return the heads' losses and gradients on the minibatch; None at the end of an iteration."""
        if self._batch is None:
            return None
        agent, batch = self._agent, self._batch
        made = self.policy.learn(batch.observations)
        found = head_losses(self._heads, made.outputs, batch, agent)
        self._seen.append(found)
        critic = value_loss(made.values, batch, agent.value_clip, agent.value_coefficient)
        return HeadGradients(self.policy, made, {name: found[name].loss for name in self.tasks}, critic)

    def update(self) -> None:
        agent = self._agent
        if agent.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), agent.gradient_clip)
        left = 1.0 - self.done / self.units
        self._optimizer.param_groups[0]["lr"] = agent.lr * (agent.lr_final + (1.0 - agent.lr_final) * left)
        self._optimizer.step()
        self._updates += 1

    @torch.no_grad()
    def revisit(self) -> Tensor:
        if self._batch is None:
            raise RuntimeError("there has been no batch yet")
        outputs, _ = self.policy(self._batch.observations)
        found = head_losses(self._heads, outputs, self._batch, self._agent)
        return torch.stack([found[name].loss.value for name in self.tasks]).cpu().double()

    def inspect(self) -> TaskSignals:
        """Return nothing: what is known of the heads stands in the records of iterations."""
        return {}

    # ----- evaluation and state

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        """Play in copies of its own."""
        self._play_as_learned()
        episodes = FINAL_EPISODES if items is None else items
        copies = open_copies(self._problem, copies_for(self._problem.environment, episodes))
        try:
            played = evaluation_seeds(seeds, episodes)
            found = play_episodes(self._player, copies, played, drawing_for(self._actions))
        finally:
            copies.close()
        return dict.fromkeys(tasks or self.scored, found)

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        """Play in a window, or hand over each frame."""
        self._play_as_learned()
        show_episodes(self._player, self._problem, episodes, drawing_for(self._actions), frame)

    def policy_state(self) -> dict[str, Any]:
        moments = {} if self._moments is None else {"observations": self._moments.state_dict()}
        return {"policy": copy.deepcopy(self.policy.state_dict()), **moments}

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        if self._moments is not None:
            self._moments.load_state_dict(state["observations"])

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the future; complete at the end of an iteration only."""
        if self._rows is not None:
            raise RuntimeError("an iteration is under way; its rollout is not saved")
        copies = {name: torch.from_numpy(_signed(array)) for name, array in self._copies.state_dict().items()}
        return {
            **self.policy_state(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()["state"]),
            "rewards": None if self._rewards is None else self._rewards.state_dict(),
            "copies": copies,
            "drawing": self._drawing.get_state(),
            "order": self._order.get_state(),
            "used": self._used.clone(),
            "done": self.done,
            "updates": self._updates,
            "environment_steps": self._environment_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.load_policy_state(state)
        self._optimizer.load_state_dict(
            {**self._optimizer.state_dict(), "state": copy.deepcopy(state["optimizer"])}
        )
        if self._rewards is not None:
            self._rewards.load_state_dict(state["rewards"])
        kept = self._copies.state_dict()
        self._copies.load_state_dict(
            {name: state["copies"][name].numpy().view(array.dtype) for name, array in kept.items()}
        )
        self._drawing.set_state(state["drawing"])
        self._order.set_state(state["order"])
        self._used = state["used"].clone()
        self.done, self._updates = state["done"], state["updates"]
        self._environment_steps = state["environment_steps"]
        self._rows = self._batch = self._ahead = None

    def mark(self) -> None:
        self._marked = self.state_dict()

    def rewind(self) -> None:
        self.load_state_dict(self._marked)


def _require_heads(problem: HybridProblem, found: tuple[str, ...]) -> None:
    if set(problem.tasks) != set(found):
        raise MtctlError(
            f"problem.tasks: the actions of {problem.environment} are {' and '.join(found)}",
            hint=f"write `tasks: [{', '.join(found)}]`",
        )


def _squashed_again(kept: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.tanh() if values.is_floating_point() else values for name, values in kept.items()}


def _signed(array: np.ndarray) -> np.ndarray:
    """Return an array as torch can keep it: of unsigned words, the same bits as signed ones."""
    return array.view(np.int64) if array.dtype == np.uint64 else array


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())


def _explained(rows: Minibatch) -> float:
    """Return the explained variance of the values: 1 − Var(R − V)/Var(R), 0 where returns do not vary."""
    spread = float(rows.returns.var())
    return 0.0 if spread == 0 else 1.0 - float((rows.returns - rows.values).var()) / spread
