"""What a policy has played: steps of N copies, and what each was worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor


class Minibatch(NamedTuple):
    """Rows of a rollout.

    Args:
        observations: [M, d] normalised.
        kept: by head, [M, …] actions as they were drawn.
        masks: by head, [M, parts] 1 for the parts that were in use; a head whose parts always are has none.
            As `OPTIONS`, [M, options] 1 for those that were allowed, where some are not.
        log_probabilities: by head, [M] when they were drawn.
        advantages: [M].
        returns: [M] what values are fitted to.
        values: [M] as they were.
    """

    observations: Tensor
    kept: dict[str, Tensor]
    masks: dict[str, Tensor]
    log_probabilities: dict[str, Tensor]
    advantages: Tensor
    returns: Tensor
    values: Tensor


class Step(NamedTuple):
    """One step of all copies, as `Minibatch` has it, with what came of it.

    Args:
        rewards: [N], scaled once all steps of a rollout are known.
        following: [N] where an episode ended, the value of what it ended with: 0, or after a time limit that
            of the observation that the limit cut off; elsewhere that of the next step (see `followed`).
        ended: [N] bool: an episode ended with it.
    """

    observations: Tensor
    kept: dict[str, Tensor]
    masks: dict[str, Tensor]
    log_probabilities: dict[str, Tensor]
    values: Tensor
    rewards: Tensor
    following: Tensor
    ended: Tensor


def followed(steps: list[Step], last: Tensor) -> list[Step]:
    """Return steps whose `following` is the next step's value where no episode ended.

    Args:
        steps: in order.
        last: [N] value of what came after them.
    """
    values = [*(step.values for step in steps[1:]), last]
    return [
        step._replace(following=torch.where(step.ended, step.following, value))
        for step, value in zip(steps, values, strict=True)
    ]


def advantages(steps: list[Step], gamma: float, decay: float) -> Tensor:
    """Return generalised advantage estimates [S, N] (Schulman et al., 2016, arXiv 1506.02438).

        δₜ = rₜ + γ·V(oₜ₊₁) − V(oₜ),   Aₜ = δₜ + γ·λ·Aₜ₊₁, without the last term where an episode ended

    Args:
        steps: S of them.
        gamma: γ.
        decay: λ.
    """
    later, found = torch.zeros_like(steps[-1].rewards), []
    for step in reversed(steps):
        error = step.rewards + gamma * step.following - step.values
        later = error + gamma * decay * later.masked_fill(step.ended, 0.0)
        found.append(later)
    return torch.stack(found[::-1])


def gathered(steps: list[Step], gamma: float, decay: float) -> Minibatch:
    """Return all rows of a rollout [S · N], with what they were worth."""
    worth = advantages(steps, gamma, decay).flatten()

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)

    def by_head(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: joined([part[name] for part in parts]) for name in parts[0]}

    values = joined([step.values for step in steps])
    return Minibatch(
        joined([step.observations for step in steps]),
        by_head([step.kept for step in steps]),
        by_head([step.masks for step in steps]),
        by_head([step.log_probabilities for step in steps]),
        worth,
        worth + values,
        values,
    )


def minibatches(rows: Minibatch, size: int, generator: torch.Generator) -> Iterator[Minibatch]:
    """Yield all rows once, in random order, `size` at a time; a smaller rest is left out."""
    count = len(rows.advantages)
    shuffled = _each(rows, itemgetter(torch.randperm(count, generator=generator).to(rows.advantages.device)))
    for start in range(0, max(count - size, 0) + 1, size):
        yield _each(shuffled, itemgetter(slice(start, start + size)))


def moved(rows: Minibatch, device: torch.device) -> Minibatch:
    """Return rows on a device."""
    return _each(rows, lambda values: values.to(device))


def _each(rows: Minibatch, change: Callable[[Tensor], Tensor]) -> Minibatch:
    def by_head(parts: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: change(part) for name, part in parts.items()}

    return Minibatch(
        change(rows.observations),
        by_head(rows.kept),
        by_head(rows.masks),
        by_head(rows.log_probabilities),
        change(rows.advantages),
        change(rows.returns),
        change(rows.values),
    )
