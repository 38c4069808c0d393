"""PPO's losses of a minibatch, a head at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from mtctl.problems.hybrid.agents import CONTINUOUS, DISCRETE, PPOAgent
from mtctl.problems.hybrid.distributions import Categories, Numbers
from mtctl.problems.hybrid.rollout import Minibatch

_LEAST: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Heads:
    """What the outputs of the policy's heads mean, by head; a space may lack one of them.

    Args:
        discrete: the choices.
        continuous: the parameters.
    """

    discrete: Categories | None
    continuous: Numbers | None

    @property
    def outputs(self) -> dict[str, int]:
        """The size of each head."""
        return {name: head.outputs for name, head in self.by_name.items()}

    @property
    def by_name(self) -> dict[str, Categories | Numbers]:
        """The heads that there are."""
        named = {DISCRETE: self.discrete, CONTINUOUS: self.continuous}
        return {name: head for name, head in named.items() if head is not None}


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """One head's loss of a minibatch, and what is recorded of it.

    Args:
        loss: () differentiable.
        kl: () an estimate of KL(old, new): mean of (r − 1) − ln r (Schulman, 2020).
        clipped: () share of rows whose ratio is beyond the clip.
        entropy: () mean, in nats.
        off: () the largest |r − 1|.
    """

    loss: Tensor
    kl: Tensor
    clipped: Tensor
    entropy: Tensor
    off: Tensor


def head_losses(
    heads: Heads, outputs: Mapping[str, Tensor], rows: Minibatch, agent: PPOAgent
) -> dict[str, HeadLoss]:
    """Return each head's loss.

    Args:
        heads: what outputs mean.
        outputs: of the network for the rows.
        rows: the minibatch.
        agent: the recipe's.
    """
    changes, entropies, counted = {}, {}, {}
    for name, head in heads.by_name.items():
        mask = rows.masks.get(name)
        new = head.log_probability(outputs[name], rows.kept[name], mask)
        changes[name] = new - rows.log_probabilities[name]
        entropies[name] = head.entropy(outputs[name], mask)
        counted[name] = None if mask is None else mask.any(1)
    worth = rows.advantages
    if agent.normalise_advantages and len(worth) > 1:
        worth = (worth - worth.mean()) / (worth.std() + _LEAST)
    found = {}
    for name, change in changes.items():
        others = [other.detach() for key, other in changes.items() if key != name]
        joint = agent.ratio == "joint" and others
        change_of_ratio = change + torch.stack(others).sum(0) if joint else change
        coefficient = getattr(agent.entropy, name)
        found[name] = _loss(change_of_ratio, worth, entropies[name], counted[name], agent.clip, coefficient)
    return found


def _loss(
    change: Tensor, worth: Tensor, entropy: Tensor, counted: Tensor | None, clip: float, coefficient: float
) -> HeadLoss:
    """Return a head's loss.

    Args:
        change: [M] ln r.
        worth: [M] advantages.
        entropy: [M].
        counted: [M] bool, the rows that it is a mean over; None: all.
        clip: ε.
        coefficient: of the entropy.
    """
    ratio = change.exp()
    surrogate = torch.minimum(ratio * worth, ratio.clamp(1.0 - clip, 1.0 + clip) * worth)
    away = (ratio.detach() - 1.0).abs()
    parts = surrogate, entropy, (ratio - 1.0 - change).detach(), (away > clip).float()
    mean, undecided, kl, clipped = (_mean(part, counted) for part in parts)
    largest = away.max() if counted is None else (away * counted).max()
    return HeadLoss(-mean - coefficient * undecided, kl, clipped, undecided.detach(), largest)


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.mean()
    return (values * counted).sum() / counted.sum().clamp(min=1)


def value_loss(values: Tensor, rows: Minibatch, clip: float | None) -> Tensor:
    """Return the value's loss ().

    Args:
        values: [M] as they are now.
        rows: the minibatch.
        clip: ε_V; None: unclipped.
    """
    errors = (values - rows.returns).square()
    if clip is not None:
        near = rows.values + (values - rows.values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - rows.returns).square())
    return 0.5 * errors.mean()
