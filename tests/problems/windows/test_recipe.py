"""The windows family: defaults, what it refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.problems.windows.parts import SyntheticWindows, WindowsFile
from mtctl.problems.windows.recipe import WindowsRecipe
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
    "fault",
    [
        "{kind: shuffled_targets, task: type}",
        "{kind: constant_targets, task: binary}",
        "{kind: missing_targets, task: ptr, fraction: 0.5}",
        "{kind: scaled_targets, task: countdown, factor: 50}",
        "{kind: scaled_loss, task: countdown, factor: 105}",
        "{kind: shuffled_inputs}",
        "{kind: detached, task: type}",
        "{kind: not_in_optimizer, task: type}",
        "{kind: frozen_trunk}",
        "{kind: saturated_head, task: binary}",
        "{kind: dead_head, task: countdown}",
        "{kind: contradiction, task: ptr, by: countdown}",
        "{kind: reversed_gradient, task: ptr}",
    ],
)
def test_faults(write: Write, fault: str) -> None:
    (found,) = recipe(write, f"problem.faults=[{fault}]").problem.faults
    assert fault.startswith(f"{{kind: {found.kind}")


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
        ("problem.faults=[{kind: scaled_targets, task: type, factor: 2}]", "choose from: ptr, countdown"),
        ("problem.faults=[{kind: saturated_head, task: type}]", "choose from: binary"),
        ("problem.faults=[{kind: missing_targets, task: ptr, fraction: 0}]", "`fraction: 0` must be above 0"),
        ("problem.faults=[{kind: contradiction, task: ptr, by: ptr}]", "a task cannot contradict itself"),
        (
            "problem.faults=[{kind: contradiction, task: ptr, by: type}, "
            "{kind: contradiction, task: countdown, by: ptr}]",
            "task `ptr` is in another contradiction already",
        ),
        ("balancer={kind: manual, weights: {type: 1}}", "`weights` has no value for `ptr`"),
    ],
)
def test_refusals_name_the_place(refusal: Refusal, override: str, said: str) -> None:
    assert said in refusal(WINDOWS, override)


def test_a_part_of_another_family_is_told(refusal: Refusal) -> None:
    assert "agent" in refusal(WINDOWS + "agent: {kind: dqn}\n")


def test_traits_tell_recipes_apart(write: Write) -> None:
    assert recipe(write, "model.hidden=8").traits == {"model": "bilstm 8", "batch": 32}
