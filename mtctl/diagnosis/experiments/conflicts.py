"""Whether tasks pull the trunk in opposite directions, beyond what the noise of single batches explains.

One batch's cosine between two tasks is mostly noise. So the gradients of several batches are taken at one
point of the training: between two tasks the cosine is averaged over batches, with its interval, and a task's
cosine with itself across batches says how much of a gradient is signal at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from mtctl.diagnosis.report import Check
from mtctl.diagnosis.thresholds import (
    COMPARED_BATCHES,
    PULLED_APART,
)
from mtctl.problems.supervised.problem import Supervised
from mtctl.statistics import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Angles:
    """Cosines of gradients on the shared parameters.

    Args:
        between: of two tasks on the same batch, over batches.
        within: of each task with itself on different batches: 1 without noise, 0 if there is nothing else.
    """

    between: Mapping[tuple[str, str], Estimate]
    within: Mapping[str, float]

    def conflicts(self) -> dict[tuple[str, str], Estimate]:
        """Return pairs whose cosine is below PULLED_APART on average, and below 0 with its whole interval."""
        return {
            pair: found
            for pair, found in self.between.items()
            if found.mean < PULLED_APART and found.interval is not None and found.interval.high < 0
        }


def measure(problem: Supervised[Any], seed: int) -> Angles:
    """Take the gradients of several batches without dropout; the problem stays as it is.

    Args:
        problem: at some point of its training.
        seed: of the batches.
    """
    rng = torch.Generator().manual_seed(seed)
    rows = torch.stack([_unit(problem.sampled_gradients(rng)) for _ in range(COMPARED_BATCHES)])  # [K, T, P]
    tasks = problem.tasks
    between = {}
    for i, j in combinations(range(len(tasks)), 2):
        cosines = (rows[:, i] * rows[:, j]).sum(-1)
        between[tasks[i], tasks[j]] = estimate(cosines.tolist())
    within = {}
    for place, task in enumerate(tasks):
        angles = rows[:, place] @ rows[:, place].T
        pairs = [float(angles[a, b]) for a, b in combinations(range(COMPARED_BATCHES), 2)]
        within[task] = fmean(pairs)
    return Angles(between, within)


def _unit(rows: Tensor) -> Tensor:
    """Return rows of length 1; 0 for tasks without a gradient."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths.clamp(min=torch.finfo(rows.dtype).tiny)


def check(angles: Angles) -> Check:
    """Return what the angles say, in a line."""
    name = "no two tasks pull apart beyond their noise"
    found = angles.conflicts()
    if not found:
        lowest = min(angles.between.items(), key=lambda item: item[1].mean, default=None)
        detail = "" if lowest is None else f"lowest: {_line(*lowest)}"
        return Check(name, "passed", detail)
    return Check(name, "found", "; ".join(_line(pair, cosine) for pair, cosine in found.items()))


def _line(pair: tuple[str, str], cosine: Estimate) -> str:
    half = cosine.half_width or 0.0
    return f"{pair[0]} | {pair[1]} {cosine.mean:+.2f} ± {half:.2f}"
