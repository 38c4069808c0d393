"""The three splits, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from examples.stock_windows import main as write_stock_windows
from mtctl.errors import MtctlError
from mtctl.problems.windows.data import Splits, definition, input_size, load
from mtctl.problems.windows.windows import LENGTH
from tests.problems.windows.small import DATA, TASKS, described, parts, same, small

SIZES = (20, 12, 16)


def loaded(seed: int = 0, **settings: Any) -> Splits:
    return load(described(**settings), seed)


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

    def test_targets_can_be_those_of_the_next_window(self) -> None:
        clean, shifted = loaded(), loaded(target_shift={"type": 1, "ptr": 0})
        for one, other in zip(parts(clean), parts(shifted), strict=True):
            assert torch.equal(other.targets["type"], one.targets["type"].roll(-1))
            assert torch.equal(other.targets["ptr"], one.targets["ptr"])
            assert torch.equal(other.inputs, one.inputs)
        before = definition(described())
        assert before != definition(described(target_shift={"type": 1}))
        assert before == definition(described(target_shift={"type": 0}))

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
