"""The windows family: defaults, what it refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.problems.supervised.interventions import FewRows
from mtctl.problems.windows.parts import SyntheticWindows, WindowsFile
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import dump, recipe_hash
from tests.recipes.samples import WINDOWS, Refusal, Write, windows


def recipe(write: Write, *overrides: str) -> WindowsRecipe:
    return windows(write("mine.yaml", WINDOWS), overrides)


def test_defaults_are_the_documented_loops(write: Write) -> None:
    found = recipe(write)
    assert found.problem.tasks == ("type", "ptr", "binary", "countdown")
    assert found.problem.data == SyntheticWindows(kind="synthetic", windows=168, difficulty=0.3)
    assert (found.model.hidden, found.model.projection) == (96, 64)
    assert (found.model.dropout, found.model.head_dropout, found.model.standardise) == (0.3, 0.6, ())
    assert (found.training.optimizer, found.training.lr, found.training.batch_size) == ("adamw", 1e-3, 32)
    assert (found.units, found.monitor.every, found.checkpoints.every, found.evaluation.every) == (
        20,
        32,
        5,
        1,
    )
    assert found.evaluated == (None, None)


def test_windows_may_come_from_a_file(write: Write) -> None:
    found = recipe(write, "problem.data={kind: file, path: mine.csv}").problem
    path = str(Path.cwd() / "mine.csv")
    assert found.data == WindowsFile(
        kind="file", path=path, known_as="mine.csv", validation=0.15, held_out=0.2, seed=0
    )
    assert found.training_windows is None
    # How many there are is not known before it is read, so that any batch size may fit.
    recipe(write, "problem.data={kind: file, path: mine.csv}", "training.batch_size=100000")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], 168),
        (["problem.limit=40"], 40),
        (["problem.limit=400"], 168),
        (["problem.data={kind: file, path: mine.csv}", "problem.limit=40"], 40),
    ],
)
def test_training_windows(write: Write, overrides: list[str], expected: int) -> None:
    assert recipe(write, *overrides).problem.training_windows == expected


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("problem.tasks=[ptr, ptr]", "task `ptr` is listed more than once"),
        ("problem.tasks=[]", "problem.tasks"),
        ("problem.tasks=[pointer]", "problem.tasks"),
        ("training.batch_size=169", "`batch_size` is above the number of training windows (168)"),
        ("problem.limit=31", "`batch_size` is above the number of training windows (31)"),
        ("problem.data={kind: synthetic, windows: 31}", "above the number of training windows (31)"),
        ("problem.data={kind: file, path: ''}", "`path:` has no value"),
        ("problem.data={kind: file, path: a.csv, held_out: 0.5}", "`held_out: 0.5` must be below 0.5"),
        ("model.dropout=1.0", "model.dropout"),
        ("model.countdown=vector", "model.countdown"),
        ("model.standardise=[count]", "did you mean `countdown`?"),
        ("training.optimizer=lion", "training.optimizer"),
        ("training.lr=0", "training.lr"),
        ("training.head_lr={start: 2}", "`start` has no head"),
        ("training.loss_factor={start: 2}", "`start` has no loss"),
        ("training.loss_factor={ptr: 0}", "must be above 0"),
        ("training.head_decay={start: 0}", "`start` has no head"),
        ("problem.target_shift={start: 1}", "`start` has no targets"),
        ("problem.faults=[{kind: frozen_trunk}]", "unknown key `faults`"),
        ("balancer={kind: manual, weights: {type: 1}}", "`weights` has no value for `ptr`"),
    ],
)
def test_refusals_name_the_place(refusal: Refusal, override: str, said: str) -> None:
    assert said in refusal(WINDOWS, override)


def test_few_rows_are_no_more_than_there_are(write: Write) -> None:
    data = "problem.data={kind: synthetic, windows: 40}"
    small = recipe(write, data, "training.batch_size=8")
    for count, limit in ((16, 16), (64, 40)):
        few = small.revised(small.changes(FewRows(count)))
        assert (few.problem.limit, few.training.batch_size) == (limit, limit)


def test_a_part_of_another_family_is_told(refusal: Refusal) -> None:
    assert "agent" in refusal(WINDOWS + "agent: {kind: dqn}\n")


def test_traits_tell_recipes_apart(write: Write) -> None:
    assert recipe(write, "model.hidden=8").traits == {"model": "bilstm 8", "batch": 32}


#: Of a recipe at its defaults, when runs of it were first kept: their checkpoints carry it.
FIRST_HASH = "2093c426fa461a1834b03dacbe470fbb8787164b5976e3ea1969136f3f534acd"


def test_recipes_of_earlier_versions_are_the_same(write: Write) -> None:
    """They list planted faults, of which only benchmarks had any."""
    known = recipe(write)
    kept = dump(known).replace("  limit: null\n", "  limit: null\n  faults: []\n")
    assert "faults" in kept
    assert windows(write("kept.yaml", kept)) == known
    assert recipe_hash(known) != recipe_hash(recipe(write, "problem.target_shift={ptr: 1}"))
    assert recipe_hash(known) == FIRST_HASH != recipe_hash(recipe(write, "training.loss_factor={ptr: 2.0}"))
