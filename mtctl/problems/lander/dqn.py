"""Deep Q-learning on batches whose rows each belong to one task.

For a row (o, a, R, o', β) with β = γⁿ, or 0 after a terminal step:

    target  y = R + β · max_a' Q⁻(o', a')                     (Mnih et al., 2015)
            y = R + β · Q⁻(o', argmax_a' Q(o', a'))           (double: van Hasselt et al., 2016)
    loss    Lᵢ = mean over task i's rows of (Q(o, a) − y)²    or Huber

Per-task gradients come from one closed-form backward pass (see network.py).
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
from mtctl.problems.lander.network import QNetwork, Workspace
from mtctl.problems.lander.replay import Batch
from mtctl.recipes.agents import DQNAgent, SoftTarget, StepTarget


class ReplayGradients:
    """The step's task gradients (see `TaskGradients`), held as a Jacobian.

    Args:
        tasks: names.
        losses: [T] float64 mean losses.
        counts: rows of each task; a task without rows is inactive.
        jacobian: [T, P].
        code_gradients: [T, d] of learned embeddings, each its own task's alone.
        network: whose leaves get the combined gradient.
        importance: [T] float32 factor of each task's mean loss in the plain objective: 1 with per-task
            replay, its share of the rows in a mixed batch, so that equal weights give the mean over the
            batch.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Tensor,
        counts: tuple[int, ...],
        jacobian: Tensor,
        code_gradients: Tensor | None,
        network: QNetwork,
        importance: Tensor,
    ) -> None:
        self.tasks = tasks
        self.losses = losses
        self.active = _active(counts)
        self._counts = counts
        self._jacobian = jacobian
        self._code_gradients = code_gradients
        self._network = network
        self._importance = importance
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
                "`layer: features`: every task has rows of its own, whose features no other task reads",
                hint="`layer: last_shared` or `layer: all_shared`, which cost no extra pass here",
            )
        return slice(None) if space == "all_shared" else self._network.last_shared()

    def _inner_products(self, rows: Tensor) -> Tensor:
        products = torch.mm(rows, rows.t()).double()
        return products.diagonal().diag() if self._network.copies > 1 else products

    @torch.inference_mode()
    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write the weighted gradient into the leaves' `.grad`; leaves of absent tasks get none."""
        weights = shared.float() * self._importance
        if self._network.copies > 1:
            self.gramian("all_shared")  # before the rows are weighted in place
            for task, leaf in enumerate(self._network.leaves()):
                leaf.grad = self._jacobian[task].mul_(weights[task]) if self._counts[task] else None
            return
        leaf, *codes = self._network.leaves()
        leaf.grad = torch.mv(self._jacobian.t(), weights, out=self._network.gradient)
        if codes and self._code_gradients is not None:
            codes[0].grad = self._code_gradients * (own.float() * self._importance).unsqueeze(1)

    def own_norms(self) -> Tensor:
        """Return NaN: apart from a learned embedding, a Q-network has no parameters of one task alone."""
        return torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)

    def finite(self) -> bool:
        """Say whether every task's gradient is finite."""
        return bool(self.gramian("all_shared").diagonal().isfinite().all())


class DQN:
    """Online and target network, their optimizer, and the loss.

    Args:
        agent: the recipe's agent.
        tasks: names.
        observations: width of an observation.
        actions: number of actions.
        generator: where initial values come from.

    Attributes:
        online: the network that acts and learns.
        updates: optimizer steps so far.
    """

    def __init__(
        self,
        agent: DQNAgent,
        tasks: tuple[str, ...],
        observations: int,
        actions: int,
        generator: torch.Generator,
    ) -> None:
        workspace = Workspace()

        def network() -> QNetwork:
            return QNetwork(
                len(tasks),
                (observations, *agent.hidden, actions),
                encoding=agent.task_encoding,
                embedding_dim=agent.embedding_dim,
                independent=agent.network == "independent",
                generator=generator,
                workspace=workspace,
            )

        self._agent = agent
        self._tasks = tasks
        self.online = network()
        self._target = network()
        self._target.copy_from(self.online)
        self._shares = torch.full((len(tasks),), 1 / len(tasks) if agent.replay.kind == "mixed" else 1.0)
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
    def gradients(self, batch: Batch) -> ReplayGradients:
        """Return every task's loss and gradient on a batch: one forward, one backward.

        The result shares memory with the next one: use it before the next call.
        """
        targets, actions = self._targets(batch), batch.actions
        self._last = batch, targets
        values = self.online.forward(batch.observations, batch.counts)
        error = values.gather(1, actions).squeeze(1).sub_(targets)
        losses, slopes = self._loss(error)
        uneven = _Uneven.of(batch.counts)
        task_losses = _means(losses, batch.counts, uneven)
        importance = self._shares
        if uneven is None:
            slopes.div_(batch.counts[0])
        else:
            slopes.div_(uneven.divisors[uneven.place])
            counts = uneven.counts
            importance = counts / counts.sum() if self._agent.replay.kind == "mixed" else self._shares
        delta = torch.zeros_like(values).scatter_(1, actions, slopes.unsqueeze(1))
        jacobian, codes = self.online.backward(batch.observations, delta, batch.counts)
        return ReplayGradients(
            self._tasks, task_losses, batch.counts, jacobian, codes, self.online, importance
        )

    @torch.inference_mode()
    def revisit(self) -> Tensor:
        """Return [T] the last batch's losses as the network is now, against the same targets."""
        if self._last is None:
            raise RuntimeError("there has been no batch yet")
        batch, targets = self._last
        values = self.online.forward(batch.observations, batch.counts)
        losses, _ = self._loss(values.gather(1, batch.actions).squeeze(1).sub_(targets))
        return _means(losses, batch.counts, _Uneven.of(batch.counts))

    def _targets(self, batch: Batch) -> Tensor:
        following, counts = batch.next_observations, batch.counts
        if self._agent.double:
            best = self.online.forward(following, counts).argmax(1, keepdim=True)
            value = self._target.forward(following, counts).gather(1, best).squeeze(1)
        else:
            value = self._target.forward(following, counts).amax(1)
        return torch.addcmul(batch.rewards, batch.bootstraps, value)

    def _loss(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's loss and its derivative."""
        if self._agent.loss == "mse":
            return error.square(), error.mul(2.0)
        delta = min(self._agent.huber_delta, torch.finfo(error.dtype).max)
        bounded = error.clamp(-delta, delta)
        return bounded * (error - 0.5 * bounded), bounded

    @torch.inference_mode()
    def update(self) -> None:
        """Step the optimizer with the gradients in `.grad`; move a target network that follows updates."""
        if self._agent.gradient_clip is not None:
            for group in [[leaf] for leaf in self._leaves] if self.online.copies > 1 else [self._leaves]:
                _clip([leaf.grad for leaf in group if leaf.grad is not None], self._agent.gradient_clip)
        self._optimizer.step()
        self.updates += 1
        target = self._agent.target
        if isinstance(target, SoftTarget):
            self._target.move_towards(self.online, target.tau)
        elif isinstance(target, StepTarget) and self.updates % target.every == 0:
            self._target.copy_from(self.online)

    def refresh_target(self, task: int | None = None) -> None:
        """Copy the online network into the target network: whole, or one task's own."""
        self._target.copy_from(self.online, task)

    def state_dict(self) -> dict[str, Any]:
        return {
            "online": self.online.state_dict(),
            "target": self._target.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.online.load_state_dict(state["online"])
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
