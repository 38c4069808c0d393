"""Running statistics that observations and rewards are normalised by; they are part of the state of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

_LEAST: Final = 1e-8
_CLIP: Final = 10.0
"""Where normalised observations and rewards are held, in standard deviations; as Stable-Baselines3."""


class RunningMoments:
    """Mean and variance of all rows seen so far (Chan et al., 1979: batches are merged exactly).

    Args:
        size: of a row.
    """

    def __init__(self, size: int) -> None:
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.variance = torch.ones(size, dtype=torch.float64)
        self.count = 0.0

    def see(self, rows: Tensor) -> None:
        """Take in rows [N, size]."""
        rows = rows.double()
        count, mean, variance = float(len(rows)), rows.mean(0), rows.var(0, unbiased=False)
        total, difference = self.count + count, mean - self.mean
        between = difference.square() * (self.count * count / total)
        self.variance = (self.variance * self.count + variance * count + between) / total
        self.mean = self.mean + difference * (count / total)
        self.count = total

    def scaled(self, rows: Tensor, *, centred: bool = True) -> Tensor:
        """Return rows in standard deviations, float32, held within ±10."""
        sd = (self.variance + _LEAST).sqrt().float()
        rows = rows - self.mean.float() if centred else rows
        return (rows / sd).clamp(-_CLIP, _CLIP)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.clone(), "variance": self.variance.clone(), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.mean, self.variance = state["mean"].clone(), state["variance"].clone()
        self.count = float(state["count"])


class RewardScale:
    """Rewards divided by the standard deviation of a running discounted return, as Engstrom et al., 2020.

        Rₜ = γ·Rₜ₋₁ + rₜ in each copy, from 0 at the start of an episode;   r / sd(R), held within ±10

    The rewards of a rollout share one sd(R), of all returns up to its end.

    Args:
        copies: N.
        gamma: discount factor.
    """

    def __init__(self, copies: int, gamma: float) -> None:
        self._gamma = gamma
        self._returns = torch.zeros(copies)
        self._moments = RunningMoments(1)

    def scaled(self, rewards: Tensor, ended: Tensor) -> Tensor:
        """Take in a rollout's rewards [S, N], and where episodes ended with them; return scaled rewards."""
        returns = []
        for reward, last in zip(rewards, ended, strict=True):
            returns.append(self._returns * self._gamma + reward)
            self._returns = returns[-1].masked_fill(last, 0.0)
        self._moments.see(torch.cat(returns).unsqueeze(1))
        return self._moments.scaled(rewards.unsqueeze(2), centred=False).squeeze(2)

    def state_dict(self) -> dict[str, Any]:
        return {"returns": self._returns.clone(), "moments": self._moments.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._returns = state["returns"].clone()
        self._moments.load_state_dict(state["moments"])
