"""Methods written step by step as their papers and first implementations read, on gradients laid out in full.

Each takes the rows of J [T, P] and returns what moves the shared parameters, d [P]. Where a paper leaves the
inner problem to a solver, this is the one that its authors use.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

CAGRAD_RADIUS: Final = 0.5
FRANK_WOLFE_STEPS: Final = 250


def pcgrad(rows: Tensor, order: random.Random) -> Tensor:
    """Project each gradient onto the normal plane of every one it conflicts with (arXiv 2001.06782)."""
    projected = rows.clone()
    for i in range(len(rows)):
        own = projected[i]
        others = [j for j in range(len(rows)) if j != i]
        order.shuffle(others)
        for j in others:
            product = torch.dot(own, rows[j])
            if product < 0:
                own -= product / rows[j].norm() ** 2 * rows[j]
    return projected.sum(0)


def mgda(rows: Tensor, order: random.Random) -> Tensor:
    """Find the shortest convex combination with Frank-Wolfe steps, as the authors do (arXiv 1810.04650)."""
    products = rows @ rows.t()
    weights = torch.full((len(rows),), 1 / len(rows))
    for _ in range(FRANK_WOLFE_STEPS):
        slopes = products @ weights
        best = int(slopes.argmin())
        own, cross, other = weights @ slopes, slopes[best], products[best, best]
        step = ((own - cross) / (own - 2 * cross + other)).clamp(0, 1)
        if step < 1e-5 or not step.isfinite():
            break
        weights = (1 - step) * weights
        weights[best] += step
    return weights @ rows


def cagrad(rows: Tensor, order: random.Random) -> Tensor:
    """Minimise over the simplex with SciPy's SLSQP, as the authors do (arXiv 2110.14048)."""
    tasks = len(rows)
    products = (rows @ rows.t()).double().numpy()
    mean = products.mean(1)
    radius = CAGRAD_RADIUS * math.sqrt(products.mean() + 1e-8)

    def objective(weights: np.ndarray) -> float:
        return float(weights @ mean + radius * math.sqrt(weights @ products @ weights + 1e-8))

    found = minimize(
        objective,
        np.full(tasks, 1 / tasks),
        bounds=((0, 1),) * tasks,
        constraints={"type": "eq", "fun": lambda weights: 1 - weights.sum()},
    )
    worst = torch.from_numpy(found.x).float() @ rows
    found_step: Tensor = rows.mean(0) + radius / (worst.norm() + 1e-8) * worst
    return found_step


def aligned_mtl(rows: Tensor, order: random.Random) -> Tensor:
    """Give all singular values of J the smallest one's size (arXiv 2305.19000)."""
    values, vectors = torch.linalg.eigh(rows @ rows.t())
    kept = values > values.max() * len(rows) * torch.finfo(values.dtype).eps
    values, vectors = values[kept], vectors[:, kept]
    balance = values[0].sqrt() * vectors @ (values.rsqrt().diag() @ vectors.t())
    weights: Tensor = balance.mean(1)
    return weights @ rows


LITERAL: Final[Mapping[str, Callable[[Tensor, random.Random], Tensor]]] = {
    "pcgrad": pcgrad,
    "mgda": mgda,
    "cagrad": cagrad,
    "aligned_mtl": aligned_mtl,
}
