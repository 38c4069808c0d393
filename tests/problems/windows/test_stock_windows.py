from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import examples.stock_windows as example
from mtctl.problems.windows.files import read_windows
from mtctl.problems.windows.splits import split
from mtctl.problems.windows.windows import LENGTH, TYPES, Floats, LabelledWindows

ROOT = Path(__file__).parents[3]


def run(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "stock_windows.py"), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LabelledWindows]:
    path = tmp_path_factory.mktemp("stocks") / "out.csv"
    done = run(path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"276 windows in {path}\n")
    return path, read_windows(path)


def test_the_windows_are_many_and_of_both_types(written: tuple[Path, LabelledWindows]) -> None:
    _, windows = written
    assert len(windows) == 276
    assert np.bincount(windows.label).tolist() == [175, 101]
    assert 45 < windows.start.mean() < 55
    assert np.median(windows.end - windows.start) == 4
    assert windows.start.min() >= 20
    assert windows.end.max() < LENGTH - 20


def test_each_stretch_is_one_base(written: tuple[Path, LabelledWindows]) -> None:
    _, windows = written
    assert windows.base.tolist() == [index // 3 for index in range(276)]
    stocks = {(base, name.partition("-")[0]) for base, name in zip(windows.base, windows.ids, strict=True)}
    assert len(stocks) == 92


def test_the_windows_can_be_split(written: tuple[Path, LabelledWindows]) -> None:
    _, windows = written
    found = split(windows.base, (0.15, 0.2), np.random.default_rng(0))
    sizes = [len(part) for part in (found.train, found.validation, found.test)]
    assert sizes == [180, 42, 54]
    for part in (found.train, found.validation, found.test):
        assert set(windows.label[part]) == {0, 1}


def test_the_file_is_always_the_same(written: tuple[Path, LabelledWindows], tmp_path: Path) -> None:
    path, _ = written
    assert run(tmp_path / "again.csv").returncode == 0
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "missing" / "out.csv")
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: {tmp_path / 'missing' / 'out.csv'} cannot be written: No such file or directory\n"
    )


def test_the_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bokeh_sampledata", None)
    monkeypatch.setattr(sys, "argv", ["stock_windows.py", str(tmp_path / "out.csv")])
    with pytest.raises(SystemExit, match="2"):
        example.main()
    assert capsys.readouterr().err.startswith("error: bokeh_sampledata is not installed: pip install")
    assert not (tmp_path / "out.csv").exists()


def quiet(steps: dict[int, float]) -> Floats:
    """Return a window whose close goes up and down by 1 in turn, and by `steps` instead where they say so."""
    change = np.where(np.arange(LENGTH) % 2, 1.0, -1.0)
    for bar, step in steps.items():
        change[bar] = step
    close = 100 + np.cumsum(change)
    return np.stack([close, close + 1, close - 1, close], axis=1)


def test_the_strongest_run_is_the_expansion() -> None:
    rise = dict.fromkeys(range(40, 45), 2.0)
    assert example.label(quiet(rise)) == example.Expansion(39, 45, "consolidation")
    fall = dict.fromkeys(range(70, 73), -9.0)
    assert example.label(quiet(rise | fall)) == example.Expansion(70, 72, "consolidation")


def test_a_move_against_the_run_makes_a_retracement() -> None:
    before = dict.fromkeys(range(30, 40, 2), -3.0)
    found = example.label(quiet(before | dict.fromkeys(range(41, 46), 9.0)))
    assert found is not None
    assert found.label == TYPES[1]


@pytest.mark.parametrize("first", [0, 10, 90, 101])
def test_a_run_too_near_the_ends_is_no_expansion(first: int) -> None:
    assert example.label(quiet(dict.fromkeys(range(first, first + 4), 3.0))) is None


def test_splits_are_taken_out_and_contradictory_days_left_out() -> None:
    stock = {
        "date": ["mon", "tue", "wed"],
        "open": [10.0, 5.0, 5.0],
        "high": [12.0, 6.0, 4.0],
        "low": [8.0, 4.0, 3.0],
        "close": [11.0, 5.0, 5.0],
        "adj_close": [5.5, 5.0, 5.0],
    }
    bars, dates = example.adjusted(stock)
    assert bars.tolist() == [[5.0, 6.0, 4.0, 5.5], [5.0, 6.0, 4.0, 5.0]]
    assert dates == ["mon", "tue"]
