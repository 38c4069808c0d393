"""Distributions over returns: what a Q-network's outputs mean with `agent.categorical`, see `Categorical`."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from mtctl.problems.lander.agents import Categorical
from mtctl.problems.lander.values import Lesson, Targets

_ROUNDING: Final = 1e-5
"""Half-widths of the support by which a return may lie beyond it for rounding alone."""


class CategoricalValues:
    """K outputs per action: logits of a distribution over K returns.

    Args:
        settings: the recipe's.
        alpha: of advantage learning.
    """

    def __init__(self, settings: Categorical, alpha: float) -> None:
        self.width = settings.atoms
        self._settings, self._alpha = settings, alpha
        half = (settings.high - settings.low) / 2
        self._reach = settings.low + half, half * (1 + _ROUNDING)
        self._atoms = torch.linspace(settings.low, settings.high, settings.atoms)

    def greedy(self, outputs: Tensor) -> int:
        values: list[float] = self._by_action(outputs).softmax(-1).mv(self._atoms).tolist()
        return values.index(max(values))

    def expected(self, outputs: Tensor) -> Tensor:
        probabilities: Tensor = self._by_action(outputs).softmax(-1)
        return probabilities @ self._atoms

    def targets(
        self, rewards: Tensor, bootstraps: Tensor, following: Tensor, best: Tensor, gaps: Tensor | None
    ) -> Targets:
        settings = self._settings
        distribution: Tensor = self._chosen(following, best).softmax(1)
        shifts = rewards if gaps is None else rewards.sub(gaps, alpha=self._alpha)
        if settings.projection == "hl_gauss":
            means = torch.addcmul(shifts, bootstraps, distribution.mv(self._atoms))
            return Targets(gaussian(means, self._atoms, settings.sigma), self._outside(means))
        moved = torch.addcmul(shifts.unsqueeze(1), bootstraps.unsqueeze(1), self._atoms)
        clipped = distribution.mul(self._outside(moved)).sum(1)
        project = projected if settings.projection == "c51" else projected_as_published
        return Targets(project(distribution, moved, self._atoms), clipped)

    def lesson(self, outputs: Tensor, actions: Tensor, targets: Tensor) -> Lesson:
        logs = self._chosen(outputs, actions).log_softmax(1)
        losses = logs.mul(targets).sum(1).neg_()
        entropies = torch.special.entr(targets).sum(1)
        # Σm is 1 but for the published defect.
        slopes = logs.exp_().mul_(targets.sum(1, keepdim=True)).sub_(targets)
        return Lesson(losses, losses - entropies, slopes)

    def _outside(self, numbers: Tensor) -> Tensor:
        """Return 1 where numbers lie beyond the atoms, else 0."""
        middle, half = self._reach
        return (numbers - middle).abs_().gt_(half)

    def _by_action(self, outputs: Tensor) -> Tensor:
        """Return outputs […, actions · K] as […, actions, K]."""
        return outputs.reshape(*outputs.shape[:-1], -1, self.width)

    def _chosen(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Return the outputs [N, K] of one action each."""
        return self._by_action(outputs).gather(1, actions.unsqueeze(2).expand(-1, -1, self.width)).squeeze(1)


def projected(distribution: Tensor, moved: Tensor, atoms: Tensor) -> Tensor:
    """Bring probability that lies anywhere onto atoms, by shares that keep its mean between them.

        b = (clip(z', low, high) − low)/Δ,   l = ⌊b⌋:   m_l += p · (l + 1 − b),   m_(l+1) += p · (b − l)

    with l at most K − 2, so that what falls on an atom, the highest too, is that atom's: Σm = Σp.

    Args:
        distribution: p [N, K].
        moved: z' [N, K] where it lies.
        atoms: [K] equally spaced, from low to high.

    Source: Bellemare et al., 2017 (arXiv 1707.06887).
    """
    places = _places(moved, atoms)
    # What is not finite has to reach the loss, and no index.
    below = places.long().clamp_(0, len(atoms) - 2)
    upper = places.sub_(below).mul_(distribution)
    found = torch.zeros_like(distribution).scatter_add_(1, below, distribution - upper)
    return found.scatter_add_(1, below.add_(1), upper)


def projected_as_published(distribution: Tensor, moved: Tensor, atoms: Tensor) -> Tensor:
    """As `projected`, without what falls exactly on an atom: the lander study's defect.

        l = ⌊b⌋,   u = ⌈b⌉:   m_l += p · (u − b),   m_u += p · (b − l)

    Where b is whole, l = u and both shares are 0.

    Args:
        distribution: p [N, K].
        moved: z' [N, K].
        atoms: [K].
    """
    places = _places(moved, atoms)
    below, above = places.floor(), places.ceil()
    found = torch.zeros_like(distribution)
    for place, share in ((below, above - places), (above, places - below)):
        found.scatter_add_(1, place.long().clamp_(0, len(atoms) - 1), share * distribution)
    return found


def _places(moved: Tensor, atoms: Tensor) -> Tensor:
    """Return where numbers lie, in distances between atoms from the lowest, clipped: fresh memory."""
    last = len(atoms) - 1
    low, high = float(atoms[0]), float(atoms[-1])
    return (moved - low).mul_(last / (high - low)).clamp_(0, last)


def gaussian(means: Tensor, atoms: Tensor, sigma: float) -> Tensor:
    """Return normal distributions [N, K] around numbers: each atom has what lies nearest to it.

        m_j ∝ Φ((z_j + Δ/2 − y)/σΔ) − Φ((z_j − Δ/2 − y)/σΔ),   y clipped to the atoms

    Args:
        means: y [N].
        atoms: z [K], Δ apart.
        sigma: σ, in distances between atoms.

    Source: HL-Gauss of Imani & White, 2018, as in Farebrother et al., 2024 (arXiv 2403.03950).
    """
    places = _places(means, atoms)
    borders = torch.arange(len(atoms) + 1, dtype=atoms.dtype).sub_(0.5)
    below = torch.erf((borders - places.unsqueeze(1)).mul_(1 / (sigma * math.sqrt(2.0))))
    return below.diff(dim=1).div_(below[:, -1:] - below[:, :1])
