"""`mtctl.compare`: what the verb does, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Final

from mtctl.analysis import comparison
from mtctl.analysis.matching import Budget
from mtctl.api.failures import explained
from mtctl.api.results import EvaluatedRun, MethodComparison
from mtctl.engine import layout
from mtctl.errors import MtctlError

RunPath = EvaluatedRun | str | PathLike[str]
_CHECKPOINTS: Final = (layout.LAST, layout.BEST)


def compare(
    *paths: RunPath | Iterable[RunPath],
    baseline: str | None = None,
    match: str | None = None,
    include_partial: bool = False,
    allow_mismatch: bool = False,
    threshold: float | None = None,
    bootstrap_seed: int = comparison.SEED,
    checkpoint: str = layout.LAST,
) -> MethodComparison:
    """Compare trained methods, as `mtctl compare` does.

    >>> print(mtctl.compare("results/mine", "results/mine_famo"))           # doctest: +SKIP

    Args:
        *paths: run directories, folders of them, or what `mtctl.train` returned.
        baseline: the method that the others are compared with.
        match: compare at the largest budget that every run reached, in "steps", "updates" or "time".
        include_partial: include runs that are not completed, as they are now.
        allow_mismatch: compare runs that measure different things, on the tasks that they have in common.
        threshold: measure the time to reach this score.
        bootstrap_seed: of the bootstrap intervals.
        checkpoint: compare final policies, "last", or "best" checkpoints that were evaluated.

    Raises:
        MtctlError: the runs cannot be compared.
    """
    with explained():
        if threshold is not None and not isfinite(threshold):
            raise MtctlError(f"threshold={threshold}: expected a finite number, such as 200")
        if checkpoint not in _CHECKPOINTS:
            raise MtctlError(f"checkpoint={checkpoint!r}: expected one of {', '.join(_CHECKPOINTS)}")
        if match is not None and checkpoint != layout.LAST:
            raise MtctlError(
                f"match= compares evaluations during training, but checkpoint={checkpoint!r} held-out ones",
                hint="leave out one of them",
            )
        found = comparison.compare(
            list(_directories(paths)),
            baseline,
            allow_mismatch=allow_mismatch,
            include_partial=include_partial,
            match=None if match is None else _budget(match),
            threshold=threshold,
            seed=bootstrap_seed,
            checkpoint=checkpoint,
        )
        return MethodComparison(found)


def _directories(paths: Iterable[RunPath | Iterable[RunPath]]) -> Iterator[Path]:
    for path in paths:
        if isinstance(path, EvaluatedRun):
            yield path.path
        elif isinstance(path, str | PathLike):
            yield Path(path)
        else:
            yield from _directories(path)


def _budget(match: str) -> Budget:
    try:
        return Budget(match)
    except ValueError as error:
        choices = ", ".join(budget.value for budget in Budget)
        raise MtctlError(f"match={match!r}: expected one of {choices}") from error
