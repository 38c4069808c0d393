"""Faults of labels: the same row has the same label in every epoch, in batches of all tasks or of one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.own_gallery.builder import build
from mtctl.problems.python.batches import target_of


def targets(loader: Any, training: Any, task: str) -> dict[tuple[float, ...], Tensor]:
    """Return a task's targets by the inputs of their rows."""
    names = list(training.tasks)
    found: dict[tuple[float, ...], Tensor] = {}
    for batch in loader:
        target = target_of(task, training.tasks[task], names.index(task), len(names), batch)
        if target is None:
            continue
        inputs = batch[task][0] if isinstance(batch, dict) else batch[0]
        found |= {tuple(row.flatten().tolist()): one for row, one in zip(inputs, target, strict=True)}
    return found


def labels(loader: Any, training: Any, task: str) -> Tensor:
    """Return a task's targets in the order of the data."""
    rows = loader.loaders[task].dataset if hasattr(loader, "loaders") else loader.dataset
    place = 1 if hasattr(loader, "loaders") else 1 + list(training.tasks).index(task)
    return torch.stack([rows[i][place] for i in range(len(rows))])


@pytest.mark.parametrize(
    ("model", "task", "classes"), [("examples.two_digits", "left", 10), ("examples.own_loaders", "turn", 4)]
)
def test_a_share_of_labels_is_wrong_and_stays_so(model: str, task: str, classes: int) -> None:
    plant = {"kind": "flipped", "task": task, "share": 0.35, "classes": classes}
    clean, flipped = build(0, model), build(0, model, plants=[plant])
    before, first, again = (labels(one.train, one, task) for one in (clean, flipped, flipped))
    assert torch.equal(first, again)
    assert 0.3 < float((before != first).double().mean()) < 0.4


@pytest.mark.parametrize(
    ("model", "task"), [("examples.tabular", "texture"), ("examples.own_loaders", "digit")]
)
def test_labels_off_by_rows_are_the_same_labels(model: str, task: str) -> None:
    clean = build(0, model)
    off = build(0, model, plants=[{"kind": "off_by", "task": task, "rows": 2}])
    before, after = (torch.stack([*targets(one.train, one, task).values()]) for one in (clean, off))
    assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)
    same = targets(clean.train, clean, task)
    moved = targets(off.train, off, task)
    assert sum(torch.equal(same[row], moved[row]) for row in same) < 0.5 * len(same)
