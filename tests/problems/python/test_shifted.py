"""Targets that are some rows further on in a user's data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training
from mtctl.errors import MtctlError
from mtctl.problems.python.batches import target_of
from mtctl.problems.python.shifted import has_order, shifted

ROWS = torch.arange(7.0)


def training(**changes: object) -> Training:
    data = TensorDataset(ROWS[:, None], 10 * ROWS, 100 * ROWS)
    loader = DataLoader(data, 3, shuffle=True)
    tasks = {"tens": Task(F.mse_loss), "hundreds": Task(F.mse_loss, mask=lambda batch: batch[1] > 0)}
    given = {"model": nn.Linear(1, 1), "train": loader, "validation": loader, "tasks": tasks, **changes}
    return Training(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [1, -1, 2, 8])
def test_each_row_gets_the_target_of_the_row_further_on(shift: int) -> None:
    found = shifted(training(), {"tens": shift})
    assert found.forward is not None
    seen: list[Tensor] = []
    for batch in found.train:
        rows = batch["rows"][0].squeeze(1)
        tens, hundreds = (target_of(name, found.tasks[name], 0, 2, batch) for name in ("tens", "hundreds"))
        assert torch.equal(tens, 10 * ((rows + shift) % 7))
        assert torch.equal(hundreds, 100 * rows)
        assert torch.equal(found.model(rows[:, None]), found.forward(batch))  # type: ignore[arg-type]
        seen.append(rows)
    assert torch.equal(torch.cat(seen).sort().values, ROWS)


def test_a_mask_moves_with_its_targets() -> None:
    found = shifted(training(), {"hundreds": 1})
    mask = found.tasks["hundreds"].mask
    assert callable(mask)
    for batch in found.train:
        rows = batch["rows"][0].squeeze(1)
        assert torch.equal(mask(batch), (rows + 1) % 7 > 0)


def test_batches_come_in_the_same_order() -> None:
    orders = []
    for shifts in ({}, {"tens": 1}):
        torch.manual_seed(3)
        batches = list(shifted(training(), shifts).train)
        orders.append(torch.cat([b["rows"][0] if shifts else b[0] for b in batches]))
    assert torch.equal(*orders)


def test_nothing_to_shift_leaves_the_training_as_it_is() -> None:
    given = training()
    assert shifted(given, {}) is given
    assert shifted(given, {"tens": 0, "others": 3}) is given


def test_rows_without_an_order_cannot_be_shifted() -> None:
    stream = training(train=[(ROWS[:, None], ROWS, ROWS)])
    assert has_order(training())
    assert not has_order(stream)
    with pytest.raises(MtctlError, match=r"target_shift.*`train` has no order"):
        shifted(stream, {"tens": 1})
