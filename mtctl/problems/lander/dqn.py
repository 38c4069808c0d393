"""Deep Q-learning on batches whose rows each belong to one task.

For a row (o, a, R, o', β) with β = γⁿ, or 0 after a terminal step, R times its task's factor (rewards.py):

    target  y = R + β · max_a' Q⁻(o', a')                     (Mnih et al., 2015)
            y = R + β · Q⁻(o', argmax_a' Q(o', a'))           (double: van Hasselt et al., 2016)
            y − α · (max_b Q⁻(o, b) − Q⁻(o, a))               (advantage learning: Bellemare et al., 2016)
    loss    Lᵢ = mean over task i's rows of (Q(o, a) − y)²    or Huber
    sum     Σ Lᵢ with replay per task;  Σ aᵢ·Lᵢ, aᵢ = task i's share of the rows, with mixed replay: the mean
            over the batch

Per-task gradients come from the network: by one closed-form backward pass (networks/closed_form.py), or by
autograd (networks/grouped.py). Where actions have more than one output each, categorical.py says what they
mean and what their loss is.
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
from mtctl.problems.lander.categorical import CategoricalValues
from mtctl.problems.lander.networks.flat import FlatNetwork, Slopes
from mtctl.problems.lander.networks.registry import builder
from mtctl.problems.lander.replay import Batch
from mtctl.problems.lander.values import Lesson, ScalarValues, Targets, Values


class ReplayGradients:
    """The step's task gradients (see `TaskGradients`), held as a Jacobian.

    Args:
        tasks: names.
        losses: [T] float64 mean losses.
        counts: rows of each task; a task without rows is inactive.
        slopes: the tasks' gradients.
        network: whose leaves get the combined gradient.
        errors: [N] the rows' temporal-difference errors Q(o, a) − y, or what stands for them.
        importance: [T] float64 1 with per-task replay; in a mixed batch each task's share of the rows, so
            that equal weights give the mean over the batch.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Tensor,
        counts: tuple[int, ...],
        slopes: Slopes,
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
        self._jacobian, self._own = slopes
        self._network = network
        self.auxiliary = network.penalty
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
        self._network.leaves()[0].grad = torch.mv(self._jacobian.t(), weights, out=self._network.gradient)
        own_weights = (own * self.importance).float().unsqueeze(1)
        for leaf, gradient in zip(self._network.own_leaves(), self._own, strict=True):
            leaf.grad = gradient * own_weights
        self._network.add_penalty()

    @torch.inference_mode()
    def own_norms(self) -> Tensor:
        """Return ‖∇Lᵢ‖ on what is task i's alone; NaN where that is nothing, or a learned embedding only."""
        if not self._network.own.shape[1]:
            return torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        norms: Tensor = torch.linalg.vector_norm(torch.cat(self._own, dim=1), dim=1)
        return norms.double()

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
        clipped: [N] which part of each of the last batch's targets was clipped: see `Targets`.
    """

    def __init__(
        self,
        agent: DQNAgent,
        tasks: tuple[str, ...],
        generator: torch.Generator,
        averaging: float | None = None,
    ) -> None:
        self._values = _values(agent)
        network = builder(agent, len(tasks), self._values, generator)
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
        self.clipped: Tensor | None = None
        self._last: tuple[Batch, Tensor] | None = None
        self._leaves = self.online.leaves()
        self._optimizer = Adam(self._leaves, self._rates(), decay=agent.weight_decay)

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
        targets, self.clipped = self._targets(batch, reward_factors)
        self._last = batch, targets
        outputs = self.online.learn(batch.observations, batch.counts)
        losses, errors, slopes = self._lesson(outputs, batch, targets)
        uneven = _Uneven.of(batch.counts)
        task_losses = _means(losses, batch.counts, uneven)
        importance = self._shares
        if uneven is None:
            slopes.div_(batch.counts[0])
        else:
            slopes.div_(uneven.divisors[uneven.place].unsqueeze(1))
            counts = uneven.counts
            if self._agent.replay.kind == "mixed":
                importance = counts.double() / counts.sum()
        delta = _spread(slopes, batch.actions, outputs.shape[1])
        found = self.online.backward(batch.observations, delta, batch.counts)
        return ReplayGradients(self._tasks, task_losses, batch.counts, found, self.online, importance, errors)

    @torch.inference_mode()
    def revisit(self) -> Tensor:
        """Return [T] the last batch's losses as the network is now, against the same targets."""
        if self._last is None:
            raise RuntimeError("there has been no batch yet")
        batch, targets = self._last
        lesson = self._lesson(self.online.forward(batch.observations, batch.counts), batch, targets)
        return _means(lesson.losses, batch.counts, _Uneven.of(batch.counts))

    def _targets(self, batch: Batch, reward_factors: Tensor | None) -> Targets:
        following, counts, values = batch.next_observations, batch.counts, self._values
        rewards = batch.rewards
        if reward_factors is not None:
            rewards = rewards * reward_factors.repeat_interleave(torch.tensor(counts))
        # A network's outputs are used before it, or one that shares its memory, makes the next.
        gaps = self._gaps(batch) if self._agent.advantage_learning else None
        rated = self.online.forward(following, counts) if self._agent.double else None
        best = None if rated is None else values.expected(rated).argmax(1, keepdim=True)
        outputs = self._target.forward(following, counts)
        if best is None:
            best = values.expected(outputs).argmax(1, keepdim=True)
        return values.targets(rewards, batch.bootstraps, outputs, best, gaps)

    def _gaps(self, batch: Batch) -> Tensor:
        """Return [N] max_b Q⁻(o, b) − Q⁻(o, a)."""
        expected = self._values.expected(self._target.forward(batch.observations, batch.counts))
        return expected.amax(1).sub_(expected.gather(1, batch.actions).squeeze(1))

    def _lesson(self, outputs: Tensor, batch: Batch, targets: Tensor) -> Lesson:
        """Return what the rows teach, each times the row's weight if it has one."""
        lesson = self._values.lesson(outputs, batch.actions, targets)
        if batch.weights is not None:
            lesson.losses.mul_(batch.weights)
            lesson.slopes.mul_(batch.weights.unsqueeze(1))
        return lesson

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


def _values(agent: DQNAgent) -> Values:
    if agent.categorical is None:
        return ScalarValues(agent.loss, agent.huber_delta, agent.advantage_learning)
    return CategoricalValues(agent.categorical, agent.advantage_learning)


def _spread(slopes: Tensor, actions: Tensor, outputs: int) -> Tensor:
    """Return [N, outputs]: slopes [N, width] at the actions taken [N, 1], 0 elsewhere."""
    rows, width = slopes.shape
    spread = torch.zeros(rows, outputs // width, width)
    spread.scatter_(1, actions.unsqueeze(2).expand(-1, -1, width), slopes.unsqueeze(1))
    return spread.flatten(1)


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
