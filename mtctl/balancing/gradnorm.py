"""GradNorm: weights that make the tasks learn at the same rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mtctl.balancing import _adam
from mtctl.balancing.contract import Balancer, SignalError, Signals, Space, State


def rate_gradient(
    weights: Tensor, norms: Tensor | None, losses: Tensor, initial: Tensor, alpha: float, balanced: Tensor
) -> Tensor:
    """Return ∂/∂wᵢ Σⱼ |Gⱼ − tⱼ| = sign(Gᵢ − tᵢ)·‖∇Lᵢ‖, [..., T]; 0 outside of `balanced`.

    Args:
        weights: [..., T] w.
        norms: [..., T] ‖∇Lᵢ‖, unweighted.
        losses: [..., T] L.
        initial: [..., T] L(0), positive where `balanced`.
        alpha: α.
        balanced: [..., T] bool, the tasks that take part, in the means too.
    """
    assert norms is not None
    count = balanced.sum(-1, keepdim=True).clamp(min=1)
    progress = (losses / initial).where(balanced, 0.0)
    mean_progress = progress.sum(-1, keepdim=True) / count
    # All losses 0: nobody lags.
    rates = (progress / mean_progress).where(mean_progress > 0, 1.0)
    weighted = (weights * norms).where(balanced, 0.0)
    targets = weighted.sum(-1, keepdim=True) / count * rates**alpha
    return ((weighted - targets).sign() * norms).where(balanced, 0.0)


def _refuse_negative(losses: Tensor) -> None:
    if losses.min() < 0:
        task = int((losses < 0).reshape(-1, losses.shape[-1]).any(0).nonzero()[0].item())
        raise SignalError(task, "its loss is negative, so GradNorm's ratio L/L(0) has no meaning")


@dataclass(frozen=True)
class GradNorm(Balancer):
    """Weights that bring each task's gradient norm to a target set by how far the task lags behind.

        Gᵢ = wᵢ·‖∇Lᵢ‖,   rᵢ = (Lᵢ/Lᵢ(0)) / mean(L/L(0)),   tᵢ = mean(G)·rᵢ^α
        minimise Σᵢ |Gᵢ − tᵢ| over s with t held constant;   w = φ + (1 − φ)·T·softmax(s)

    The mean weight is 1, and no weight is below φ or negative. The network's step uses w(t); the same gradients
    then move s, so a step costs one forward and one backward pass. Inactive tasks are left out of T and all means.

    Args:
        alpha: strength of the pull towards tasks that lag; 1.5 as in the paper. 0 equalises all norms.
        lr: Adam's learning rate of the log-weights s; 0.01.
        window: updates of each task that L(0) averages; weights stay where they are until every task at hand has
            them. 200, because one minibatch with one crash in it can fix the weights for a whole run; 1 is the
            paper's first batch.
        initial_losses: [T] L(0) known beforehand; nothing is then averaged.
        floor: φ, the smallest weight; 0.05, so that no task is switched off.
        space: where norms are taken; the last shared layer as in the paper.

    Raises:
        ValueError: the number of initial losses is not the number of tasks.
        SignalError: a loss is negative, so that its ratio to L(0) has no meaning.

    Source: Chen et al., GradNorm, 2018 (arXiv 1711.02257).
    """

    alpha: float = 1.5
    lr: float = 0.01
    window: int = 200
    initial_losses: tuple[float, ...] | None = None
    floor: float = 0.05
    space: Space = "last_shared"

    needs = frozenset({"norms"})

    def init(self, tasks: int) -> State:
        given = self.initial_losses
        if given is not None and len(given) != tasks:
            raise ValueError(f"initial_losses: expected one for each of {tasks} tasks, found {len(given)}")
        zeros = torch.zeros(tasks, dtype=torch.float64)
        return {
            "log_weights": zeros,
            "initial_losses": zeros if given is None else torch.tensor(given, dtype=torch.float64),
            "missing": torch.full((tasks,), self.window if given is None else 0, dtype=torch.float64),
            **_adam.init(tasks),
        }

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Tensor, State]:
        _refuse_negative(signals.losses)
        active, s, initial, missing = (
            signals.active,
            state["log_weights"],
            state["initial_losses"],
            state["missing"],
        )
        shares = s.masked_fill(~active, -torch.inf).softmax(-1).where(active, 0.0)
        spread = (1 - self.floor) * active.sum(-1, keepdim=True)
        weights = self.floor * active + spread * shares

        # A task whose first losses were all 0 has no rate of its own: it keeps its log-weight, the others balance.
        ready = (missing == 0) | ~active
        moving = active & (initial > 0) & ready.all(-1, keepdim=True)
        slope = rate_gradient(weights, signals.norms, signals.losses, initial, self.alpha, moving)
        gradient = spread * shares * (slope - (shares * slope).sum(-1, keepdim=True))
        s, adam = _adam.move(s, gradient, state, self.lr, moving)

        recording = active & (missing > 0)
        seen = self.window - missing + 1
        initial = (initial + (signals.losses - initial) / seen).where(recording, initial)
        return weights, {
            "log_weights": s,
            "initial_losses": initial,
            "missing": missing - recording.double(),
            **adam,
        }
