"""The group-sequential test: its error, its power, and the decisions of its authors' package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from adastop.compare_agents import MultipleAgentsComparator

from mtctl.analysis.sequential import GroupSequential


def decided(
    means: Mapping[str, float], seed: int, *, size: int = 5, looks: int = 4, sd: float = 1.0
) -> tuple[GroupSequential, dict[str, list[float]]]:
    """Return a test of methods with normal scores, at its end, and the scores that it has seen."""
    rng = np.random.default_rng(seed)
    test = GroupSequential(list(means), size, looks, permutations=2000)
    seen: dict[str, list[float]] = {name: [] for name in means}
    while not test.is_over:
        scores = {name: list(rng.normal(means[name], sd, size)) for name in test.needed}
        test.look(scores)
        for name, values in scores.items():
            seen[name] += values
    return test, seen


def test_methods_that_differ_are_told_apart_at_once() -> None:
    test, seen = decided({"a": 0.0, "b": 10.0, "c": 10.0}, 1)
    assert test.decided[("a", "b")] == test.decided[("a", "c")] == "lower"
    assert test.decided[("b", "c")] == "undecided"
    assert test.open == [("b", "c")]
    assert test.needed == ["b", "c"]
    assert {name: len(scores) for name, scores in seen.items()} == {"a": 5, "b": 20, "c": 20}


def test_two_that_differ_clearly_need_one_look() -> None:
    test, seen = decided({"a": 3.0, "b": 0.0}, 0, sd=0.1)
    assert test.decided == {("a", "b"): "higher"}
    assert test.is_over
    assert len(seen["a"]) == 5


def test_the_error_of_all_looks_and_pairs_together_is_held() -> None:
    """Of 300 comparisons of three equal methods, 5 % may err: 15, and 26 is three deviations above."""
    wrong = sum(
        set(decided({"a": 0.0, "b": 0.0, "c": 0.0}, seed, looks=3)[0].decided.values()) != {"undecided"}
        for seed in range(300)
    )
    assert 1 <= wrong <= 26


def test_a_difference_of_two_deviations_is_found() -> None:
    found = [decided({"a": 0.0, "b": 2.0}, seed)[0].decided["a", "b"] for seed in range(40)]
    assert found.count("lower") >= 38


def test_the_level_is_spent_as_planned() -> None:
    """Groups of three have 20 exchanges: 2 of them are as far apart, too many for the first of four looks."""
    scores: Mapping[str, Sequence[float]] = {"a": [1.0, 1.1, 1.2], "b": [5.0, 5.1, 5.2]}
    test = GroupSequential(["a", "b"], 3, 4)
    assert test.look(scores) == []
    assert test.look(scores) == [("a", "b")]
    assert test.decided == {("a", "b"): "lower"}


def test_equal_scores_are_never_different() -> None:
    test = GroupSequential(["a", "b"], 5, 3, permutations=500)
    while not test.is_over:
        assert test.look({"a": [1.0] * 5, "b": [1.0] * 5}) == []
    assert test.open == [("a", "b")]


@pytest.mark.parametrize("means", [(0.0, 0.0, 8.0), (0.0, 4.0, 8.0), (0.0, 0.0, 0.0), (5.0, 5.0, 0.0)])
def test_the_authors_package_decides_alike(means: tuple[float, float, float]) -> None:
    """Where effects are large or absent; thresholds in between are of one side there, of both here."""
    names, size, looks = ["a", "b", "c"], 5, 3
    rng = np.random.default_rng(3)
    scores = {
        name: list(rng.normal(mean, 1.0, size * looks)) for name, mean in zip(names, means, strict=True)
    }
    theirs: Any = MultipleAgentsComparator(n=size, K=looks, B=1000, alpha=0.05, seed=0)
    ours = GroupSequential(names, size, looks, permutations=2000)
    while not theirs.is_finished:
        seen = {name: np.array(values[: (theirs.k + 1) * size]) for name, values in scores.items()}
        theirs.partial_compare(seen, verbose=False)
    for k in range(looks):
        if not ours.is_over:
            ours.look({name: values[k * size : (k + 1) * size] for name, values in scores.items()})
    words = {"higher": "larger", "lower": "smaller", "undecided": "equal"}
    assert [words[verdict] for verdict in ours.decided.values()] == list(theirs.decisions.values())
