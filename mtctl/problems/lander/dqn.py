"""Deep Q-learning on batches whose rows each belong to one task.

For a row (o, a, R, o', β) with β = γⁿ, or 0 after a terminal step, R times its task's factor (rewards.py):

    target  y = R + β · max_a' Q⁻(o', a')                     (Mnih et al., 2015)
            y = R + β · Q⁻(o', argmax_a' Q(o', a'))           (double: van Hasselt et al., 2016)
            y − α · (max_b Q⁻(o, b) − Q⁻(o, a))               (advantage learning: Bellemare et al., 2016)
    loss    Lᵢ = mean over task i's rows of (Q(o, a) − y)²    or Huber
    sum     Σ Lᵢ with replay per task;  Σ aᵢ·Lᵢ, aᵢ = task i's share of the rows, with mixed replay: the mean
            over the batch

Per-task gradients come from the network: by one closed-form backward pass (network.py), or by autograd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.errors import MtctlError
from mtctl.problems.lander.adam import Adam
from mtctl.problems.lander.agents import DQNAgent, SoftTarget, StepTarget
from mtctl.problems.lander.flat import FlatNetwork
from mtctl.problems.lander.networks import NETWORKS
from mtctl.problems.lander.replay import Batch


class ReplayGradients:
    """The step's task gradients (see `TaskGradients`), held as a Jacobian.

    Args:
        tasks: names.
        losses: [T] float64 mean losses.
        counts: rows of each task; a task without rows is inactive.
        jacobian: [T, P].
        code_gradients: [T, d] of learned embeddings, each its own task's alone.
        network: whose leaves get the combined gradient.
        errors: [N] the rows' temporal-difference errors Q(o, a) − y.
        importance: [T] float64 1 with per-task replay; in a mixed batch each task's share of the rows, so
            that equal weights give the mean over the batch.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Tensor,
        counts: tuple[int, ...],
        jacobian: Tensor,
        code_gradients: Tensor | None,
        network: FlatNetwork,
        importance: Tensor,
        errors: Tensor,
    ) -> None:
        self.tasks = tasks
        self.losses = losses
        self.active = _active(counts)
        self.importance = importance
        self.errors = errors
        self._counts = counts
        self._jacobian = jacobian
        self._code_gradients = code_gradients
        self._network = network
        self._gramians: dict[Space, Tensor] = {}

    @torch.inference_mode()
    def norms(self, space: Space) -> Tensor:
        """Return ‖∇Lᵢ‖ on the last hidden layer's weights, or on all parameters the tasks share."""
        if space == "all_shared":
            return self.gramian(space).diagonal().sqrt()
        layer = self._jacobian[:, self._layer(space)]
        norms: Tensor = torch.linalg.vector_norm(layer, dim=1)
        return norms.double()

    @torch.inference_mode()
    def gramian(self, space: Space) -> Tensor:
        """Return gᵢ·gⱼ; with independent networks, which share nothing, the diagonal alone."""
        if space not in self._gramians:
            self._gramians[space] = self._inner_products(self._jacobian[:, self._layer(space)])
        return self._gramians[space]

    def _layer(self, space: Space) -> slice:
        if space == "features":
            raise MtctlError(
                "`layer: features` needs rows that all tasks share, but here every task has its own rows",
                hint="use `layer: last_shared` or `layer: all_shared`, which cost no extra pass here",
            )
        return slice(None) if space == "all_shared" else self._network.last_shared()

    def _inner_products(self, rows: Tensor) -> Tensor:
        products = torch.mm(rows, rows.t()).double()
        return products.diagonal().diag() if self._network.copies > 1 else products

    @torch.inference_mode()
    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write the weighted gradient into the leaves' `.grad`; leaves of absent tasks get none."""
        weights = (shared * self.importance).float()
        if self._network.copies > 1:
            self.gramian("all_shared")  # before the rows are weighted in place
            for task, leaf in enumerate(self._network.leaves()):
                leaf.grad = self._jacobian[task].mul_(weights[task]) if self._counts[task] else None
            return
        leaf, *codes = self._network.leaves()
        leaf.grad = torch.mv(self._jacobian.t(), weights, out=self._network.gradient)
        if codes and self._code_gradients is not None:
            codes[0].grad = self._code_gradients * (own * self.importance).float().unsqueeze(1)

    def own_norms(self) -> Tensor:
        """Return NaN: apart from a learned embedding, a Q-network has no parameters of one task alone."""
        return torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)

    def finite(self) -> bool:
        """Say whether every task's gradient is finite."""
        return all(map(math.isfinite, self.gramian("all_shared").diagonal().tolist()))


class DQN:
    """Online and target network, their optimizer, and the loss.

    Args:
        agent: the recipe's agent.
        tasks: names.
        generator: where initial values come from.
        averaging: what a running average of the weights takes from each update; None: there is none.

    Attributes:
        online: the network that acts and learns.
        played: the network that is evaluated: the running average, or `online`.
        updates: optimizer steps so far.
    """

    def __init__(
        self,
        agent: DQNAgent,
        tasks: tuple[str, ...],
        generator: torch.Generator,
        averaging: float | None = None,
    ) -> None:
        network = NETWORKS[agent.network](agent, len(tasks), generator)
        self._agent = agent
        self._tasks = tasks
        self.online = network()
        self._target = network()
        self._target.copy_from(self.online)
        self._averaging = averaging
        self.played = self.online if averaging is None else network()
        self.played.copy_from(self.online)
        even = 1 / len(tasks) if agent.replay.kind == "mixed" else 1.0
        self._shares = torch.full((len(tasks),), even, dtype=torch.float64)
        self.updates = 0
        self._last: tuple[Batch, Tensor] | None = None
        self._leaves = self.online.leaves()
        self._optimizer = Adam(self._leaves, self._rates())

    def _rates(self) -> list[float]:
        if self._agent.network == "shared":
            return [self._agent.lr] * len(self._leaves)
        own = [self._agent.per_task.get(task) for task in self._tasks]
        return [(settings and settings.lr) or self._agent.lr for settings in own]

    @torch.inference_mode()
    def gradients(self, batch: Batch, reward_factors: Tensor | None = None) -> ReplayGradients:
        """Return every task's loss and gradient on a batch: one forward, one backward.

        The result shares memory with the next one: use it before the next call.

        Args:
            batch: rows of replay.
            reward_factors: [T] what the tasks' rewards are multiplied with; 1 if left out.
        """
        targets, actions = self._targets(batch, reward_factors), batch.actions
        self._last = batch, targets
        values = self.online.forward(batch.observations, batch.counts)
        error = values.gather(1, actions).squeeze(1).sub_(targets)
        losses, slopes = self._loss(error, batch.weights)
        uneven = _Uneven.of(batch.counts)
        task_losses = _means(losses, batch.counts, uneven)
        importance = self._shares
        if uneven is None:
            slopes.div_(batch.counts[0])
        else:
            slopes.div_(uneven.divisors[uneven.place])
            counts = uneven.counts
            if self._agent.replay.kind == "mixed":
                importance = counts.double() / counts.sum()
        delta = torch.zeros_like(values).scatter_(1, actions, slopes.unsqueeze(1))
        jacobian, codes = self.online.backward(batch.observations, delta, batch.counts)
        return ReplayGradients(
            self._tasks, task_losses, batch.counts, jacobian, codes, self.online, importance, error
        )

    @torch.inference_mode()
    def revisit(self) -> Tensor:
        """Return [T] the last batch's losses as the network is now, against the same targets."""
        if self._last is None:
            raise RuntimeError("there has been no batch yet")
        batch, targets = self._last
        values = self.online.forward(batch.observations, batch.counts)
        losses, _ = self._loss(values.gather(1, batch.actions).squeeze(1).sub_(targets), batch.weights)
        return _means(losses, batch.counts, _Uneven.of(batch.counts))

    def _targets(self, batch: Batch, reward_factors: Tensor | None) -> Tensor:
        following, counts = batch.next_observations, batch.counts
        if self._agent.double:
            best = self.online.forward(following, counts).argmax(1, keepdim=True)
            value = self._target.forward(following, counts).gather(1, best).squeeze(1)
        else:
            value = self._target.forward(following, counts).amax(1)
        rewards = batch.rewards
        if reward_factors is not None:
            rewards = rewards * reward_factors.repeat_interleave(torch.tensor(counts))
        targets = torch.addcmul(rewards, batch.bootstraps, value)
        alpha = self._agent.advantage_learning
        if alpha:
            values = self._target.forward(batch.observations, counts)
            targets.sub_(values.amax(1).sub_(values.gather(1, batch.actions).squeeze(1)), alpha=alpha)
        return targets

    def _loss(self, error: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return each row's loss and its derivative, both times the row's weight if it has one."""
        if self._agent.loss == "mse":
            loss, slope = error.square(), error.mul(2.0)
        else:
            delta = min(self._agent.huber_delta, torch.finfo(error.dtype).max)
            slope = error.clamp(-delta, delta)
            loss = slope * (error - 0.5 * slope)
        return (loss, slope) if weights is None else (loss.mul_(weights), slope.mul_(weights))

    @torch.inference_mode()
    def update(self, rate: float = 1.0) -> None:
        """Step the optimizer with the gradients in `.grad`; move a target network that follows updates.

        Args:
            rate: what all learning rates are multiplied by in this step.
        """
        if self._agent.gradient_clip is not None:
            for group in [[leaf] for leaf in self._leaves] if self.online.copies > 1 else [self._leaves]:
                _clip([leaf.grad for leaf in group if leaf.grad is not None], self._agent.gradient_clip)
        self._optimizer.step(rate)
        self.updates += 1
        if self._averaging is not None:
            self.played.move_towards(self.online, self._averaging)
        target = self._agent.target
        if isinstance(target, SoftTarget):
            self._target.move_towards(self.online, target.tau)
        elif isinstance(target, StepTarget) and self.updates % target.every == 0:
            self._target.copy_from(self.online)

    def refresh_target(self, task: int | None = None) -> None:
        """Copy the online network into the target network: whole, or one task's own."""
        self._target.copy_from(self.online, task)

    def state_dict(self) -> dict[str, Any]:
        averaged = {} if self._averaging is None else {"averaged": self.played.state_dict()}
        return {
            **averaged,
            "online": self.online.state_dict(),
            "target": self._target.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.online.load_state_dict(state["online"])
        if self._averaging is not None:
            self.played.load_state_dict(state["averaged"])
        self._target.load_state_dict(state["target"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]


class _Uneven(NamedTuple):
    """A batch whose tasks have different numbers of rows.

    Args:
        counts: [T] rows of each task.
        divisors: [T] the same, at least 1.
        place: [rows] the task of each row.
    """

    counts: Tensor
    divisors: Tensor
    place: Tensor

    @classmethod
    def of(cls, counts: tuple[int, ...]) -> _Uneven | None:
        """Return a batch's; None if all tasks have the same number of rows."""
        if min(counts) == max(counts):
            return None
        rows = torch.tensor(counts)
        return cls(rows, rows.clamp(min=1), torch.repeat_interleave(rows))


def _means(losses: Tensor, counts: tuple[int, ...], uneven: _Uneven | None) -> Tensor:
    """Return [T] float64 means of the tasks' rows, which stand in the order of the tasks; 0 without any."""
    if uneven is None:
        means: Tensor = losses.unflatten(0, (-1, counts[0])).mean(1)
        return means.double()
    sums = torch.zeros(len(counts)).index_add_(0, uneven.place, losses)
    return sums.div_(uneven.divisors).double()


def _clip(gradients: list[Tensor], largest: float) -> None:
    """Scale gradients in place so that their common Euclidean norm is at most `largest`."""
    # torch.nn.utils.clip_grad_norm_ does the same, at many times the cost of these few operations.
    norm = math.hypot(*(float(torch.linalg.vector_norm(gradient)) for gradient in gradients))
    if norm > largest:
        for gradient in gradients:
            gradient.mul_(largest / norm)


@cache
def _active(counts: tuple[int, ...]) -> Tensor:
    """Return which tasks have rows."""
    return torch.tensor(counts, dtype=torch.bool)
