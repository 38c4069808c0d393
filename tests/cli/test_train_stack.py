"""`mtctl train --stack`: runs of one shape as one program; what cannot be one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.recipes.loading import dump
from tests.cli.conftest import Command
from tests.engine.runs import WINDOWS, metrics, run_json, train
from tests.engine.test_together import assert_close

SEEDS = ("--seeds", "0..2", "--stack", "-q")


@pytest.fixture
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    path = tmp_path / "small.yaml"
    path.write_text(dump(WINDOWS))
    return path


def variant(windows: Path, name: str, **changes: object) -> Path:
    path = windows.with_name(f"{name}.yaml")
    path.write_text(dump(WINDOWS.revised({"name": name, **changes})))
    return path


def test_seeds_and_variants_are_one_program(mtctl: Command, windows: Path, tmp_path: Path) -> None:
    """Each run's directory is read by other verbs as if it had been trained alone."""
    fast = variant(windows, "fast", **{"training.lr": 0.003, "balancer.alpha": 0.5})
    result = mtctl("train", windows, fast, *SEEDS)
    assert result.code == 0
    assert result.err.splitlines()[0] == "6 runs of small_windows, fast as one program"
    assert "✔ 6 runs done" in result.err
    for name in ("small_windows", "fast"):
        for seed in range(3):
            assert run_json(Path("results") / name / f"seed{seed}")["status"] == "completed"
    train(tmp_path / "alone", WINDOWS, seed=2)
    assert_close(metrics(tmp_path / "alone"), metrics(Path("results/small_windows/seed2")))
    for verb in (("compare", "results"), ("eval", "results/fast/seed1"), ("report", "results")):
        assert mtctl(*verb).code == 0
    longer = mtctl("train", windows, *SEEDS, "--resume", "-o", "training.epochs=4")
    assert longer.code == 0
    assert run_json(Path("results/small_windows/seed1"))["budget"]["done"] == 4
    one = mtctl("train", windows, "--seed", "1", "--resume", "-o", "training.epochs=5", "-q")
    assert one.code == 0


def test_recipes_of_other_shapes_are_programs_of_their_own(mtctl: Command, windows: Path) -> None:
    """And it is said what keeps them apart."""
    wide = variant(windows, "wide", **{"model.hidden": 7, "training.epochs": 1})
    other = variant(windows, "other", **{"balancer": {"kind": "equal"}, "training.epochs": 1})
    result = mtctl("train", windows, wide, other, "--seeds", "2", "--stack", "-q", "-o", "training.epochs=1")
    assert result.code == 0
    assert result.err.splitlines()[:3] == [
        "2 runs of small_windows as one program",
        "2 runs of wide as one program, after the one before it: `model` differs",
        "2 runs of other as one program, after the one before it: the balancing methods differ",
    ]


def test_one_that_diverges_does_not_stop_the_others(mtctl: Command, windows: Path) -> None:
    wild = variant(windows, "wild", **{"training.lr": 1e38})
    result = mtctl("train", windows, wild, "--seed", "0", "--stack", "-q")
    assert result.code == 1
    assert "1 of 2 runs failed: wild/seed0" in result.err
    assert "diverged in epoch" in result.err
    assert run_json(Path("results/small_windows/seed0"))["status"] == "completed"


@pytest.mark.parametrize(
    ("recipe", "why"),
    [("equal_blind", "does not train the lander"), ("hybrid_fixed", "does not train hybrid actions")],
)
def test_what_cannot_be_stacked_is_refused_by_name(mtctl: Command, recipe: str, why: str) -> None:
    result = mtctl("train", recipe, *SEEDS)
    assert result.code == 2
    assert f"error: {recipe}: --stack {why}" in result.err
    assert "without --stack" in result.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (("--jobs", "2"), "--jobs"),
        (("--launcher", "slurm"), "--launcher"),
        (("--seeds", "until-decided"), "until-decided"),
    ],
)
def test_it_is_one_process_of_this_machine(
    mtctl: Command, windows: Path, options: tuple[str, ...], flag: str
) -> None:
    result = mtctl("train", windows, "--stack", *options)
    assert result.code == 2
    assert f"--stack trains in one process of this machine: leave out {flag}" in result.err


def test_a_missing_device_is_named(mtctl: Command, windows: Path) -> None:
    """Before anything is started, by exit code 2, with several runs as with one."""
    for options in (SEEDS, ("--seeds", "2"), ("--seed", "0")):
        result = mtctl("train", windows, *options, "-o", "training.device=cuda")
        assert result.code == 2
        assert "error: training.device: cuda, but this machine has none" in result.err
        assert "hint: -o training.device=auto" in result.err
    assert not Path("results").exists()
