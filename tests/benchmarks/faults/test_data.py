"""Every planted fault of the data does what it says, in each of the three splits, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faults.data import spoiled
from mtctl.problems.windows.data import Splits, load
from mtctl.problems.windows.losses import MISSING, start_of
from tests.benchmarks.faults.small import faulty
from tests.problems.windows.small import DATA, TASKS, parts, same


def loaded(*faults: dict[str, Any], seed: int = 0, **settings: Any) -> Splits:
    problem = faulty(*faults, **settings)
    return spoiled(load(problem, seed), problem.faults, seed)


@pytest.mark.parametrize("task", TASKS)
def test_shuffled_targets_are_dealt_to_other_windows(task: str) -> None:
    for part, clean in zip(
        parts(loaded({"kind": "shuffled_targets", "task": task})), parts(loaded()), strict=True
    ):
        found, expected = (one.targets[task].flatten(1 - (task == "type")) for one in (part, clean))
        assert not torch.equal(found, expected)
        assert sorted(found.tolist()) == sorted(expected.tolist())
        untouched = replace(part, targets={**part.targets, task: clean.targets[task]})
        assert same(untouched, clean)


def test_shuffled_inputs_are_dealt_to_other_windows() -> None:
    part, clean = loaded({"kind": "shuffled_inputs"}).training, loaded().training
    assert sorted(part.inputs.flatten(1).tolist()) == sorted(clean.inputs.flatten(1).tolist())
    assert not torch.equal(part.inputs, clean.inputs)
    assert same(replace(part, inputs=clean.inputs), clean)


@pytest.mark.parametrize("task", TASKS)
def test_constant_targets_are_the_same_for_every_window_of_every_split(task: str) -> None:
    splits = loaded({"kind": "constant_targets", "task": task})
    first = loaded().training.targets[task][:1]
    per_bar = task in {"binary", "countdown"}
    for part in parts(splits):
        found = part.targets[task]
        expected = first[:, :1].expand_as(found) if per_bar else first.expand_as(found)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("task", TASKS)
def test_missing_targets_are_missing_in_some_windows(task: str) -> None:
    part = loaded(
        {"kind": "missing_targets", "task": task, "fraction": 0.3}, data={**DATA, "windows": 400}
    ).training
    found = part.targets[task]
    missing = found == MISSING if task == "type" else found.isnan().flatten(1).all(1)
    assert 80 < missing.sum() < 160
    assert (task == "type") or not found[~missing].isnan().any()


def test_one_target_is_missing_at_least() -> None:
    for part in parts(loaded({"kind": "missing_targets", "task": "ptr", "fraction": 1e-9})):
        assert part.targets["ptr"].isnan().all(1).sum() == 1


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-3, 1e3), task=st.sampled_from(["ptr", "countdown"]))
def test_scaled_targets_are_in_another_unit(factor: float, task: str) -> None:
    found = loaded({"kind": "scaled_targets", "task": task, "factor": factor}).training.targets[task]
    torch.testing.assert_close(found, loaded().training.targets[task] * factor)


def test_where_the_expansion_truly_is_stays_known() -> None:
    part = loaded({"kind": "shuffled_targets", "task": "countdown"}).training
    assert part.start.tolist() == loaded().training.start.tolist()
    assert start_of(part.targets["countdown"]).tolist() != part.start.tolist()


def test_the_size_of_one_split_does_not_change_the_others() -> None:
    fault = {"kind": "shuffled_targets", "task": "ptr"}
    one, other = loaded(fault), loaded(fault, data={**DATA, "windows": 30})
    assert same(one.held_out, other.held_out)


def test_faults_of_training_leave_the_data_alone() -> None:
    faults = [{"kind": "detached", "task": "ptr"}, {"kind": "frozen_trunk"}]
    assert all(map(same, parts(loaded(*faults)), parts(loaded())))
