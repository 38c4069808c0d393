"""What is known of a user's data before any update: targets, batches, constants, and which data these are."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
from torch import Tensor

from mtctl.problems.python.batches import Rows
from mtctl.problems.python.loaders import Loaders
from mtctl.problems.python.objective import Objective, rows_of

_LOOKED_AT: Final = 3
"""Batches whose graphs show which parameters are shared."""
_SURVEYED: Final = 20_000
"""Training rows whose targets give constants, spreads and what is wrong with them."""


class Survey(NamedTuple):
    """What the first pass over the training data shows.

    Args:
        targets: of each task, [N, …] of the rows that have one.
        rows: how many rows were looked at.
        batches: of an epoch.
        samples: the first batches, and the first one of each task that they have no target of.
    """

    targets: Mapping[str, Tensor]
    rows: int
    batches: int
    samples: tuple[Rows, ...]


@dataclass(slots=True)
class Facts:
    """What builds of the same data have in common, as it becomes known.

    Args:
        survey: of the training data.
        fingerprint: of the held-out targets; "" as long as it is not known.
        constants: each task's best constant, spread, shape of an answer, and whether that is in the targets'
            unit.
    """

    survey: Survey
    fingerprint: str = ""
    constants: dict[str, tuple[Tensor | None, Tensor | None, torch.Size | None, bool]] = field(
        default_factory=dict
    )

    def fit(self, objectives: Mapping[str, Objective], outputs: Callable[[], Mapping[str, Tensor]]) -> None:
        """Give objectives their constants: those of an earlier build, or the best ones on these data.

        Args:
            objectives: by task.
            outputs: returns answers on a few rows, by task, whose shapes constants have.
        """
        if not self.constants:
            raw = outputs()
            for name, objective in objectives.items():
                if name in raw and name in self.survey.targets:
                    objective.fit(self.survey.targets[name], raw[name])
                known = objective.constant, objective.scale, objective.shape, objective.in_unit
                self.constants[name] = known
        for name, one in objectives.items():
            one.constant, one.scale, one.shape, one.in_unit = self.constants[name]


_KNOWN: OrderedDict[str, Facts] = OrderedDict()
_KEPT: Final = 4
"""Data that are remembered: as is, few rows, and as many for another seed."""


def facts_of(key: str, survey: Callable[[], Survey]) -> Facts:
    """Return what is known of data, which are passed over the first time."""
    facts = _KNOWN.pop(key, None) or Facts(survey())
    _KNOWN[key] = facts
    while len(_KNOWN) > _KEPT:
        _KNOWN.popitem(last=False)
    return facts


def surveyed(loaders: Loaders, batches: Iterable[Rows], objectives: Mapping[str, Objective]) -> Survey:
    """Pass over the training data once, for the targets and the number of batches.

    Args:
        loaders: of the training.
        batches: of an epoch, all of which are passed over only where the loaders do not know how many.
        objectives: by task.

    Raises:
        MtctlError: there is no batch, or no end of them.
    """
    targets: dict[str, list[Tensor]] = {name: [] for name in objectives}
    samples: list[Rows] = []
    rows, count, length = 0, 0, loaders.epoch_length
    for batch in batches:
        found = {name: objective.target(batch) for name, objective in objectives.items()}
        present = {name: target for name, target in found.items() if target is not None}
        if len(samples) < _LOOKED_AT or not all(targets[name] for name in present):
            samples.append(batch)
        if rows < _SURVEYED:
            for name, target in present.items():
                targets[name].append(target[: batch.first].detach())
        rows += rows_of(batch)
        count += 1
        if rows >= _SURVEYED and loaders.ends:
            break
    if not samples:
        raise loaders.empty()
    together = {name: torch.cat(parts) for name, parts in targets.items() if parts}
    return Survey(together, rows, count if length is None else max(1, length), tuple(samples))


def fingerprint(held_out: Iterable[Rows], objectives: Mapping[str, Objective]) -> str:
    """Return a digest of the held-out targets: scores of other data are not comparable."""
    digest = hashlib.sha256()
    for batch in held_out:
        for name, objective in objectives.items():
            target = objective.target(batch)
            data = b"" if target is None else target.detach().cpu().double().numpy().tobytes()
            digest.update(name.encode() + data)
    return digest.hexdigest()
