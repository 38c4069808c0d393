"""`mtctl train --seeds until-decided`, without any training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mtctl.cli import train_until
from mtctl.engine.spec import RunSpec
from tests.cli.conftest import Command
from tests.history.runs_factory import scores, write_run

TWO = ("train", "equal_blind", "gradnorm_blind", "--seeds")
Means = dict[str, Callable[[int], float]]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> tuple[Means, list[list[str]]]:
    """Return mean scores by recipe and seed, to be filled in, and the groups that are trained."""
    means: Means = {}
    seen: list[list[str]] = []

    def train_many(
        specs: Sequence[RunSpec], root: Path, jobs: int | None, cluster: object, **options: Any
    ) -> int:
        assert (jobs, cluster) == (3, None)
        assert options == {"quiet": True, "as_json": False, "last": False}
        seen.append([spec.label for spec in specs])
        if not means:
            return 130
        for spec in specs:
            found = scores(means[spec.recipe.name](spec.seed))
            write_run(root, spec.recipe.name, spec.seed, returns=found)
        return 0

    monkeypatch.setattr(train_until, "train_many", train_many)
    return means, seen


Groups = tuple[Means, list[list[str]]]


def test_seeds_are_added_until_a_difference_is_certain(mtctl: Command, groups: Groups) -> None:
    means, seen = groups
    means |= {"equal_blind": lambda seed: 100.0 + seed, "gradnorm_blind": lambda seed: 200.0 - seed}
    result = mtctl(*TWO, "until-decided", "-j", 3, "-q", "--json")
    assert result.code == 0
    assert seen == [[f"{name}/seed{seed}" for name in ("equal_blind", "gradnorm_blind") for seed in range(5)]]
    assert result.err.splitlines() == [
        "after 5 seeds each: gradnorm_blind is better than equal_blind",
        "✔ decided after 5 seeds (chance of a false difference at most 5 %, over all looks and pairs)",
        "next: `mtctl compare results/equal_blind results/gradnorm_blind`",
    ]
    assert len(json.loads(result.out)["runs"]) == 10


def test_who_is_decided_gets_no_more_seeds(mtctl: Command, groups: Groups) -> None:
    means, seen = groups
    means |= {
        "equal_blind": lambda seed: 100.0 + seed % 5,
        "gradnorm_blind": lambda seed: 100.0 + (3 * seed) % 5,
        "pcgrad_blind": lambda seed: -100.0 + seed,
    }
    result = mtctl("train", *means, "--seeds", "until-decided:10", "-j", 3, "-q")
    assert result.code == 0
    assert [len(group) for group in seen] == [15, 10]
    assert {label.split("/")[0] for label in seen[1]} == {"equal_blind", "gradnorm_blind"}
    lines = result.err.splitlines()
    assert "after 5 seeds each: undecided between equal_blind and gradnorm_blind; 5 more seeds" in lines
    assert lines[-2].startswith(
        "stopped at 10 seeds, with no difference proven between equal_blind and gradnorm_blind (chance"
    )


def test_a_group_that_is_stopped_decides_nothing(mtctl: Command, groups: Groups) -> None:
    result = mtctl(*TWO, "until-decided", "-j", 3, "-q")
    assert (result.code, result.err) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*TWO, "until-decided:7"), "--seeds until-decided:7: seeds are added by 5"),
        ((*TWO, "until-decided:5"), "MAX is a multiple of it from 10 on"),
        ((*TWO, "until-decided:-5"), "--seeds until-decided:-5: seeds are added by 5"),
        ((*TWO, "until-decided:many"), "--seeds until-decided:many: seeds are added by 5"),
        (("train", "equal_blind", "--seeds", "until-decided"), "compares recipes of one problem"),
        (("train", "equal_blind", "windows_fixed", "--seeds", "until-decided"), "recipes of one problem"),
        ((*TWO, "until-decided", "--launcher", "slurm"), "waits for results, and --launcher slurm returns"),
        ((*TWO, "until-decided", "--seed", "1"), "--seed and --seeds exclude each other"),
    ],
)
def test_what_cannot_be_decided(mtctl: Command, arguments: Sequence[str], says: str) -> None:
    result = mtctl(*arguments)
    assert result.code == 2
    assert says in result.err
    assert not Path("results").exists()


def test_seeds_that_are_there_already(mtctl: Command, groups: Groups, tmp_path: Path) -> None:
    """They are found out before the first group is trained."""
    write_run(tmp_path / "results", "equal_blind", 27)
    result = mtctl(*TWO, "until-decided", "-j", 3, "-q")
    assert result.code == 2
    assert "results/equal_blind/seed27: already holds a run" in result.err
    assert groups[1] == []
