"""Whatever a checkpoint holds, it is loaded whole, or refused with its path and what is wrong."""

from __future__ import annotations

import copy
import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.engine.evaluate import restore
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.recipe import Recipe
from tests.engine.runs import WINDOWS, StopAfter, recipe, train, tree

Keys = tuple[str | int, ...]
RECIPES: dict[str, Recipe] = {
    "lander": recipe("gradnorm_blind"),
    "independent": recipe("independent"),
    "windows": WINDOWS,
}
CONTENTS: tuple[Any, ...] = (
    None,
    -1,
    10**30,
    1.5,
    float("nan"),
    True,
    "x",
    [],
    {},
    [1, 2],
    {"a": 1},
    torch.zeros(3),
    b"x",
)
MUTATIONS = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a run of each kind that was interrupted after its second unit; nobody may change it."""
    root = tmp_path_factory.mktemp("runs")
    for name, of in RECIPES.items():
        train(root / name, of, stop=StopAfter(2))
    return {name: root / name for name in RECIPES}


def loaded(run: Path) -> Any:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)


def changed(content: Any, keys: Keys, value: Any) -> Any:
    """Return the content with another value at a place; `del` drops it."""
    content = copy.deepcopy(content)
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value == "del":
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value(inner[keys[-1]]) if callable(value) else value
    return content


def attempts(run: Path, of: Recipe, folder: Path, content: Any) -> list[MtctlError | None]:
    """Return how loading to evaluate and how resuming is refused; a refusal must change no file."""
    refusals: list[MtctlError | None] = []
    place = folder / "run"
    shutil.copytree(run, place)
    path = place / "checkpoints" / "last.pt"
    torch.save(content, path)
    before = tree(place)
    for attempt in (
        lambda: restore(place),
        lambda: train(place, of, resume=True, stop=StopAfter(1)),
    ):
        try:
            attempt()
        except MtctlError as error:
            if "diverged" not in error.message:
                assert error.message.startswith(str(path))
                assert error.code is ExitCode.USAGE
                assert error.hint
                assert tree(place) == before
            refusals.append(error)
        else:
            refusals.append(None)
    shutil.rmtree(place)
    return refusals


PROBLEM = ("training", "problem")
DQN = (*PROBLEM, "dqn")
REPLAY = (*PROBLEM, "replay")
ADAM = (*PROBLEM, "optimizer", "state", 0)
STATE = ("training", "balancing", "state")


def nan(value: Tensor) -> Tensor:
    return torch.full_like(value, torch.nan)


def row(column: int, number: float) -> Any:
    def change(rows: Tensor) -> Tensor:
        rows[0, column] = number
        return rows

    return change


@pytest.mark.parametrize(
    ("kind", "keys", "value", "says"),
    [
        ("lander", ("policy", "parameters"), Tensor.double, "policy.parameters is float64"),
        ("lander", ("policy", "parameters"), lambda _: torch.zeros(1), "policy.parameters is float32 [1]"),
        ("lander", ("policy", "parameters"), nan, "policy.parameters is not finite"),
        ("lander", ("policy", "parameters"), "del", "policy does not fit this run: 'parameters' is missing"),
        ("lander", ("policy", "extra"), torch.zeros(1), "policy.extra does not exist in this run"),
        ("windows", ("policy", "projection.bias"), Tensor.half, "policy.projection.bias is float16"),
        ("windows", ("policy", "projection.bias"), "del", "Missing key"),
        ("windows", ("policy", "lstm.bias_ih_l0"), nan, "policy.lstm.bias_ih_l0 is not finite"),
        ("lander", ("seed",), -1, "seed is -1, expected a whole number from 0"),
        ("lander", ("seed",), 2**70, "seed is 1180591620717411303424, expected"),
        ("lander", ("done",), True, "done is True, expected a whole number from 0"),
        ("lander", ("policy",), [torch.zeros(3)], "policy is a list of 1, expected a mapping"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(
    runs: dict[str, Path], tmp_path: Path, kind: str, keys: Keys, value: Any, says: str
) -> None:
    content = changed(loaded(runs[kind]), keys, value)
    error, _ = attempts(runs[kind], RECIPES[kind], tmp_path, content)
    assert error is not None
    assert says in error.message


@pytest.mark.parametrize(
    ("kind", "keys", "value", "says"),
    [
        ("lander", (*DQN, "online", "parameters"), lambda _: torch.zeros(1), "is float32 [1], and this run"),
        ("lander", (*DQN, "online", "parameters"), nan, "dqn.online.parameters is not a number"),
        ("lander", (*DQN, "target", "parameters"), Tensor.double, "is float64"),
        ("lander", (*DQN, "optimizer", "first"), [], "training.problem does not fit this run"),
        ("lander", (*DQN, "optimizer", "second", 0), lambda value: value - 1, "second moments are negative"),
        ("lander", (*DQN, "updates"), -3, "training.problem has -3 updates"),
        ("lander", (*DQN, "updates"), "3", "training.problem has '3' updates"),
        ("lander", (*PROBLEM, "environment_steps"), 10**50, "training.problem has a huge number"),
        ("lander", (*PROBLEM, "done"), -2, "training.problem is after episode -2, done is 2"),
        (
            "lander",
            (*PROBLEM, "sampling"),
            lambda value: value[:-1],
            "but found the input RNG state size to be 5055",
        ),
        ("lander", (*PROBLEM, "exploration"), Tensor.float, "must be a torch.ByteTensor"),
        ("lander", (*REPLAY, "heads", 0), -1, "ring 0 goes on at -1"),
        ("lander", (*REPLAY, "heads", 0), 10**9, "ring 0 goes on at 1000000000"),
        ("lander", (*REPLAY, "heads"), [0], "3 rings with 1 heads, not 3"),
        ("lander", (*REPLAY, "rings", 1), lambda rows: rows[:, :3], "ring 1 of ["),
        ("lander", (*REPLAY, "rings", 1), lambda _: torch.zeros(40_000, 20), "ring 1 of [40000, 20], not ["),
        ("lander", (*REPLAY, "rings", 0), row(16, 4.0), "ring 0 holds rows that are no transitions"),
        ("lander", (*REPLAY, "rings", 0), row(16, 0.5), "ring 0 holds rows that are no transitions"),
        ("lander", (*REPLAY, "rings", 0), row(19, 2.0), "ring 0 holds rows that are no transitions"),
        ("lander", (*REPLAY, "rings", 0), row(17, torch.inf), "ring 0 holds rows that are no transitions"),
        (
            "lander",
            (*STATE, "0.missing"),
            lambda _: torch.zeros(2),
            "0.missing is float32 [2], not float64 [3]",
        ),
        ("lander", (*STATE, "0.log_weights"), "del", "0.log_weights is missing, not float64 [3]"),
        ("lander", (*STATE, "1.average"), torch.zeros(3), "1.average is float32 [3], not known"),
        ("lander", ("training", "best"), "best", "training.best is 'best', expected a number or nothing"),
        ("lander", ("training", "seconds", "training"), -1.0, "training.seconds is a mapping"),
        ("lander", ("training", "metrics_bytes"), "del", "training.metrics_bytes is missing"),
        ("windows", (*ADAM, "exp_avg"), "del", "the optimizer noted step, exp_avg_sq of parameter 0"),
        ("windows", (*ADAM, "exp_avg"), lambda _: torch.zeros(3), "exp_avg of parameter 0 has the shape [3]"),
        ("windows", (*ADAM, "exp_avg_sq"), lambda value: value - 1, "exp_avg_sq of parameter 0 is negative"),
        ("windows", (*ADAM, "step"), lambda _: torch.tensor(-1.0), "step of parameter 0 is negative"),
        ("windows", (*PROBLEM, "optimizer", "state", 99), {}, "the optimizer noted nothing of parameter 99"),
        ("windows", (*PROBLEM, "optimizer", "param_groups", 0, "lr"), 1e9, "0.lr is 1000000000.0"),
        ("windows", (*PROBLEM, "network", "projection.bias"), Tensor.half, "projection.bias is float16"),
    ],
)
def test_what_is_wrong_with_the_training_is_said(
    runs: dict[str, Path], tmp_path: Path, kind: str, keys: Keys, value: Any, says: str
) -> None:
    content = changed(loaded(runs[kind]), keys, value)
    evaluated, resumed = attempts(runs[kind], RECIPES[kind], tmp_path, content)
    assert evaluated is None, "the policy is whole"
    assert resumed is not None
    assert says in resumed.message


def places(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    if keys:
        yield keys
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*keys, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*keys, index))


def reshaped(value: Tensor, rng: random.Random) -> Any:
    others = (
        value.flatten()[:-1],
        value.unsqueeze(0),
        value.double() if value.is_floating_point() else value.float(),
        value.new_zeros(()),
        value.new_zeros(1).expand(10_000_000),
        value.tolist(),
        torch.zeros(0),
        torch.full((3,), torch.nan),
    )
    return rng.choice(others)


def mutated(content: Any, rng: random.Random) -> Any:
    """Return the content with one to three values dropped, replaced, reshaped or put elsewhere."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = list(places(content))
        keys, other = rng.choice(found), rng.choice(found)
        inner = content
        for key in other:
            inner = inner[key]
        moved = copy.deepcopy(inner)
        replacement: Any = rng.choice(("del", moved, *CONTENTS))
        if isinstance(moved, Tensor) and rng.random() < 0.6:
            keys, replacement = other, reshaped(moved, rng)
        if isinstance(replacement, str) and replacement == "del":
            content = changed(content, keys, "del")
        else:
            content = changed(content, keys, lambda _, value=replacement: value)
    return content


@pytest.mark.parametrize("kind", RECIPES)
def test_any_content_is_loaded_or_refused(runs: dict[str, Path], tmp_path: Path, kind: str) -> None:
    refused = 0
    for number in range(MUTATIONS):
        rng = random.Random(f"{kind} {number}")
        content = mutated(loaded(runs[kind]), rng)
        try:
            torch.save(content, io.BytesIO())
        except (RuntimeError, ValueError, OverflowError):
            continue
        refused += any(attempts(runs[kind], RECIPES[kind], tmp_path, content))
    assert refused > MUTATIONS / 3


def test_what_was_saved_is_taken_as_it_is(runs: dict[str, Path], tmp_path: Path) -> None:
    for kind, run in runs.items():
        assert list(attempts(run, RECIPES[kind], tmp_path, loaded(run))) == [None, None]


def test_settings_that_another_torch_adds_to_its_optimizers_do_not_matter(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    content = changed(
        loaded(runs["windows"]), (*PROBLEM, "optimizer", "param_groups", 0, "decoupled_weight_decay"), "del"
    )
    assert list(attempts(runs["windows"], WINDOWS, tmp_path, content)) == [None, None]
