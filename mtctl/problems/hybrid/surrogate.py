"""PPO's losses of a minibatch, a head at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from mtctl.problems.hybrid.agents import CONTINUOUS, DISCRETE, OPTIONS, PPOAgent
from mtctl.problems.hybrid.distributions import Categories, Judged, Numbers, limited
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


class OutputLoss(NamedTuple):
    """A loss of a minibatch, as a function of the outputs of one head or of the values.

    Args:
        value: ().
        slopes: [M, outputs] ∂ loss / ∂ outputs.
    """

    value: Tensor
    slopes: Tensor


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """One head's loss of a minibatch, and what is recorded of it.

    Args:
        loss: with its slopes.
        kl: () an estimate of KL(old, new): mean of (r − 1) − ln r (Schulman, 2020).
        clipped: () share of rows whose ratio is beyond the clip.
        entropy: () mean, in nats.
        off: () the largest |r − 1|.
    """

    loss: OutputLoss
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
    worth = rows.advantages
    if agent.normalise_advantages and len(worth) > 1:
        worth = (worth - worth.mean()) / (worth.std() + _LEAST)
    if OPTIONS in rows.masks:
        outputs = {**outputs, DISCRETE: limited(outputs[DISCRETE], rows.masks[OPTIONS])}
    judged = {
        name: head.judge(outputs[name], rows.kept[name], rows.masks.get(name))
        for name, head in heads.by_name.items()
    }
    changes = {name: each.log_probability - rows.log_probabilities[name] for name, each in judged.items()}
    if agent.ratio == "joint":
        changes = dict.fromkeys(changes, torch.stack([*changes.values()]).sum(0))
    return {
        name: _loss(
            changes[name],
            worth,
            each,
            _shares(rows.masks.get(name), worth),
            agent.clip,
            getattr(agent.entropy, name),
        )
        for name, each in judged.items()
    }


def _shares(mask: Tensor | None, worth: Tensor) -> Tensor:
    """Return [M] each row's part in a mean: rows that use no part of the head have none."""
    if mask is None:
        return torch.full_like(worth, 1.0 / len(worth))
    counted = mask.any(1)
    return counted / counted.sum().clamp(min=1)


def _loss(
    change: Tensor, worth: Tensor, judged: Judged, shares: Tensor, clip: float, coefficient: float
) -> HeadLoss:
    """Return a head's loss.

        ∂L/∂ ln r = −r·A where the minimum is r·A, and 0 where the clip has ended it

    Args:
        change: [M] ln r.
        worth: [M] advantages.
        judged: what outputs say of the rows' actions.
        shares: [M] each row's part in the mean.
        clip: ε.
        coefficient: of the entropy.
    """
    ratio = change.exp()
    free, held = ratio * worth, ratio.clamp(1.0 - clip, 1.0 + clip) * worth
    away = (ratio - 1.0).abs()
    parts = torch.stack(
        [torch.minimum(free, held), judged.entropy, ratio - 1.0 - change, (away > clip).float()]
    )
    mean, entropy, kl, clipped = (parts @ shares).unbind()
    by_row = shares.unsqueeze(1)
    slopes = -coefficient * by_row * judged.entropy_slopes
    slopes -= free.masked_fill(free > held, 0.0).unsqueeze(1) * by_row * judged.slopes
    loss = OutputLoss(-mean - coefficient * entropy, slopes)
    return HeadLoss(loss, kl, clipped, entropy, (away * (shares > 0)).max())


def value_loss(values: Tensor, rows: Minibatch, clip: float | None, coefficient: float) -> OutputLoss:
    """Return the value's loss, times its coefficient.

    Args:
        values: [M] as they are now.
        rows: the minibatch.
        clip: ε_V; None: unclipped.
        coefficient: of this loss.
    """
    errors = values - rows.returns
    squares, slopes = errors.square(), errors
    if clip is not None:
        moved = values - rows.values
        near = (rows.values + moved.clamp(-clip, clip) - rows.returns).square()
        ended = (moved.abs() > clip) & (near > squares)
        squares, slopes = torch.maximum(squares, near), errors.masked_fill(ended, 0.0)
    return OutputLoss(0.5 * coefficient * squares.mean(), (coefficient / len(values) * slopes).unsqueeze(1))
