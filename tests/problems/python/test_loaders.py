"""Loaders without an end: an epoch of so many batches, or an error that says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mtctl.errors import MtctlError
from mtctl.problems.python import loaders
from mtctl.problems.python.problem import OwnModel
from tests.problems.python.test_facts import problem, recipe
from tests.problems.python.test_problem import Trained


def test_an_endless_stream_is_trained_in_epochs_of_so_many_steps() -> None:
    trained = Trained(recipe("endless", steps=12).revised({"training.epochs": 6, "training.lr_factor": 10.0}))
    assert trained.problem.updates_per_epoch == 12
    before = trained.problem.evaluate(None, "held_out")["b"].measures["loss"]
    trained.train()
    assert trained.problem.budget()["updates"] == 72
    assert trained.problem.evaluate(None, "held_out")["b"].measures["loss"] < 0.8 * before


def test_its_epochs_differ_and_come_again() -> None:
    def batches(found: OwnModel) -> list[torch.Tensor]:
        epoch = []
        for _ in range(3):
            found.advance()
            epoch.append(found.batch.batch[0])
        return epoch

    found, again = problem("endless", steps=3), problem("endless", steps=3)
    first, second = batches(found), batches(found)
    assert not torch.equal(first[0], second[0])
    assert all(map(torch.equal, first, batches(again)))


def test_loaders_that_end_may_have_shorter_epochs() -> None:
    trained = Trained(recipe("endless", short=True, steps=2)).train()
    assert trained.problem.budget()["updates"] == 4


@pytest.mark.parametrize("where", ["train", "validation", "held_out"])
def test_loaders_without_an_end_are_refused(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "MOST_BATCHES", 40)
    with pytest.raises(MtctlError) as caught:
        problem("endless", where=[where])
    text = (
        r"models.py:\d+ build: `"
        + where
        + r"` \(Endless\) tells no length, and had no end after 41 batches in \d s"
    )
    assert caught.match(text)
    remedy = (
        "mtctl.Training(steps_per_epoch=1_000)" if where == "train" else f"{where}=list(itertools.islice("
    )
    assert remedy in str(caught.value.hint)


def test_a_search_takes_no_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 100_000, 100))
    monkeypatch.setattr("mtctl.problems.python.loaders.time.monotonic", lambda: float(next(seconds)))
    with pytest.raises(MtctlError, match="had no end after 4 batches in 400 s"):
        problem("endless")


def test_few_rows_of_a_task_that_an_endless_stream_never_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "MOST_BATCHES", 40)
    with pytest.raises(MtctlError, match=r"`train` .* had no end after 41 batches"):
        OwnModel(recipe("endless", labelled=False, steps=10).revised({"problem.limit": 4}), 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"steps": 0}, "`steps_per_epoch` must be a whole number from 1, but it is 0"),
        ({"steps": 2.5}, "`steps_per_epoch` must be a whole number from 1, but it is 2.5"),
        ({"where": ["validation"], "steps": 4}, "`steps_per_epoch` is 4, but `train` has 3 batches"),
        ({"short": True, "steps": 5}, "`train` ended after 3 batches, but steps_per_epoch is 5"),
    ],
)
def test_steps_that_there_are_not(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(MtctlError, match=text):
        problem("endless", **arguments)
