"""The three splits, where they come from, and faults planted in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.stock_windows import main as write_stock_windows
from mtctl.errors import MtctlError
from mtctl.problems.windows.data import Dataset, Splits, definition, input_size, load
from mtctl.problems.windows.losses import MISSING, start_of
from mtctl.problems.windows.windows import LENGTH
from tests.problems.windows.small import DATA, TASKS, described, small

SIZES = (20, 12, 16)


def loaded(*faults: dict[str, Any], seed: int = 0, **settings: Any) -> Splits:
    return load(described(TASKS, *faults, **settings), seed)


def parts(splits: Splits) -> tuple[Dataset, Dataset, Dataset]:
    return splits.training, splits.validation, splits.held_out


def same(one: Dataset, other: Dataset) -> bool:
    tensors = [(one.inputs, other.inputs), (one.start, other.start), (one.end, other.end)]
    tensors += [(one.targets[task], other.targets[task]) for task in TASKS]
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in tensors)


class TestGenerated:
    def test_shapes(self) -> None:
        for part, size in zip(parts(loaded()), SIZES, strict=True):
            assert len(part) == size
            assert part.inputs.shape == (size, LENGTH, 12)
            shapes = {task: tuple(target.shape) for task, target in part.targets.items()}
            assert shapes == {
                "type": (size,), "ptr": (size, 2), "binary": (size, LENGTH), "countdown": (size, LENGTH)
            }  # fmt: skip
            assert part.targets["type"].dtype == torch.int64
            assert {target.dtype for task, target in part.targets.items() if task != "type"} == {
                torch.float32
            }

    def test_only_training_windows_follow_the_runs_seed(self) -> None:
        one, again, other = loaded(), loaded(), loaded(seed=1)
        assert all(map(same, parts(one), parts(again)))
        assert [same(a, b) for a, b in zip(parts(one), parts(other), strict=True)] == [False, True, True]

    def test_held_out_windows_follow_the_datas_seed(self) -> None:
        one, other = loaded(), loaded(data={**DATA, "seed": 1})
        assert [same(a, b) for a, b in zip(parts(one), parts(other), strict=True)] == [True, False, False]

    def test_no_window_is_in_two_splits(self) -> None:
        inputs = torch.cat([part.inputs for part in parts(loaded())]).flatten(1)
        assert len(inputs.unique(dim=0)) == sum(SIZES)

    def test_the_position_is_a_thirteenth_feature(self) -> None:
        found, plain = loaded(position=True).training.inputs, loaded().training.inputs
        assert torch.equal(found[..., :12], plain)
        torch.testing.assert_close(found[0, :, 12], torch.linspace(0, 1, LENGTH))
        assert (input_size(described(position=True)), input_size(described())) == (13, 12)

    def test_a_limit_takes_the_first_training_windows(self) -> None:
        one, all_of_them = loaded(limit=5), loaded()
        assert [len(part) for part in parts(one)] == [5, *SIZES[1:]]
        assert torch.equal(one.training.inputs, all_of_them.training.inputs[:5])


class TestDefinition:
    def test_names_what_scores_are_measured_on(self) -> None:
        assert definition(described()) == {
            "data": {"kind": "synthetic", "held_out": 16, "difficulty": 0.3, "seed": 0},
            "tasks": list(TASKS),
        }

    @pytest.mark.parametrize(
        ("changed", "comparable"),
        [
            ({"windows": 40}, True),
            ({"validation": 40}, True),
            ({"held_out": 40}, False),
            ({"difficulty": 0.5}, False),
            ({"seed": 1}, False),
        ],
    )
    def test_runs_are_comparable_if_they_are_scored_on_the_same(
        self, changed: dict[str, Any], comparable: bool
    ) -> None:
        assert (definition(described(data={**DATA, **changed})) == definition(described())) is comparable

    def test_a_file_is_known_by_its_content(self, stocks: Path, tmp_path: Path) -> None:
        moved = tmp_path / stocks.name
        moved.write_bytes(stocks.read_bytes())
        one, other = (
            definition(described(data={"kind": "file", "path": str(path)})) for path in (stocks, moved)
        )
        assert one == other
        moved.write_bytes(stocks.read_bytes().replace(b"consolidation", b"retracement", 1))
        assert definition(described(data={"kind": "file", "path": str(moved)})) != one


@pytest.fixture(scope="module")
def stocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bokeh_sampledata")
    path = tmp_path_factory.mktemp("stocks") / "stocks.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["stock_windows.py", str(path)])
        write_stock_windows()
    return path


class TestFile:
    def test_is_split_by_its_own_seed_whatever_the_runs(self, stocks: Path) -> None:
        data = {"kind": "file", "path": str(stocks)}
        one, other, third = loaded(data=data), loaded(data=data, seed=1), loaded(data={**data, "seed": 1})
        assert [len(part) for part in parts(one)] == [180, 42, 54]
        assert all(map(same, parts(one), parts(other)))
        assert not same(one.held_out, third.held_out)

    def test_a_changed_file_is_read_again(self, stocks: Path, tmp_path: Path) -> None:
        path = tmp_path / "changing.csv"
        path.write_bytes(stocks.read_bytes())
        before = loaded(data={"kind": "file", "path": str(path)})
        path.write_bytes(b"".join(stocks.read_bytes().splitlines(keepends=True)[:-30]))
        after = loaded(data={"kind": "file", "path": str(path)})
        assert sum(map(len, parts(after))) == sum(map(len, parts(before))) - 30

    def test_it_trains(self, stocks: Path) -> None:
        problem = small(data={"kind": "file", "path": str(stocks)})
        assert len(problem.evaluate(None, "held_out")["ptr"].scores) == 54

    def test_a_missing_one_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MtctlError, match=r"there is no file .*gone\.csv"):
            small(data={"kind": "file", "path": str(tmp_path / "gone.csv")})


class TestFaults:
    @pytest.mark.parametrize("task", TASKS)
    def test_shuffled_targets_are_dealt_to_other_windows(self, task: str) -> None:
        for part, clean in zip(
            parts(loaded({"kind": "shuffled_targets", "task": task})), parts(loaded()), strict=True
        ):
            found, expected = (one.targets[task].flatten(1 - (task == "type")) for one in (part, clean))
            assert not torch.equal(found, expected)
            assert sorted(found.tolist()) == sorted(expected.tolist())
            untouched = replace(part, targets={**part.targets, task: clean.targets[task]})
            assert same(untouched, clean)

    def test_shuffled_inputs_are_dealt_to_other_windows(self) -> None:
        part, clean = loaded({"kind": "shuffled_inputs"}).training, loaded().training
        assert sorted(part.inputs.flatten(1).tolist()) == sorted(clean.inputs.flatten(1).tolist())
        assert not torch.equal(part.inputs, clean.inputs)
        assert same(replace(part, inputs=clean.inputs), clean)

    @pytest.mark.parametrize("task", TASKS)
    def test_constant_targets_are_the_same_for_every_window_of_every_split(self, task: str) -> None:
        splits = loaded({"kind": "constant_targets", "task": task})
        first = loaded().training.targets[task][:1]
        per_bar = task in {"binary", "countdown"}
        for part in parts(splits):
            found = part.targets[task]
            expected = first[:, :1].expand_as(found) if per_bar else first.expand_as(found)
            assert torch.equal(found, expected)

    @pytest.mark.parametrize("task", TASKS)
    def test_missing_targets_are_missing_in_some_windows(self, task: str) -> None:
        part = loaded(
            {"kind": "missing_targets", "task": task, "fraction": 0.3}, data={**DATA, "windows": 400}
        ).training
        found = part.targets[task]
        missing = found == MISSING if task == "type" else found.isnan().flatten(1).all(1)
        assert 80 < missing.sum() < 160
        assert (task == "type") or not found[~missing].isnan().any()

    def test_one_target_is_missing_at_least(self) -> None:
        for part in parts(loaded({"kind": "missing_targets", "task": "ptr", "fraction": 1e-9})):
            assert part.targets["ptr"].isnan().all(1).sum() == 1

    @settings(max_examples=10, deadline=None)
    @given(factor=st.floats(1e-3, 1e3), task=st.sampled_from(["ptr", "countdown"]))
    def test_scaled_targets_are_in_another_unit(self, factor: float, task: str) -> None:
        found = loaded({"kind": "scaled_targets", "task": task, "factor": factor}).training.targets[task]
        torch.testing.assert_close(found, loaded().training.targets[task] * factor)

    def test_where_the_expansion_truly_is_stays_known(self) -> None:
        part = loaded({"kind": "shuffled_targets", "task": "countdown"}).training
        assert part.start.tolist() == loaded().training.start.tolist()
        assert start_of(part.targets["countdown"]).tolist() != part.start.tolist()

    def test_the_size_of_one_split_does_not_change_the_others(self) -> None:
        fault = {"kind": "shuffled_targets", "task": "ptr"}
        one, other = loaded(fault), loaded(fault, data={**DATA, "windows": 30})
        assert same(one.held_out, other.held_out)

    def test_faults_of_training_leave_the_data_alone(self) -> None:
        faults = [{"kind": "detached", "task": "ptr"}, {"kind": "frozen_trunk"}]
        assert all(map(same, parts(loaded(*faults)), parts(loaded())))
