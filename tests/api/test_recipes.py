"""What may stand for a recipe, and how its values are changed."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtctl
from mtctl.api.recipes import budget_override, function_reference, load_recipe
from mtctl.balancing.gradnorm import GradNorm
from mtctl.errors import MtctlError
from mtctl.recipes.loading import load
from tests.problems.python import tiny
from tests.problems.python.recipes import TINY, own

ROOT = Path(mtctl.__file__).parent.parent


@pytest.mark.parametrize(
    "given", ["windows_fixed", Path(ROOT / "recipes/windows_fixed.yaml"), load("windows_fixed")], ids=str
)
def test_a_name_a_path_and_a_recipe_are_the_same(given: Any) -> None:
    assert load_recipe(given) == load("windows_fixed")
    assert load_recipe(given, {"training.lr": 0.1}) == load("windows_fixed", ["training.lr=0.1"])


def test_a_function_is_its_file_and_its_name() -> None:
    assert function_reference(tiny.build) == f"{TINY}:build"
    assert load_recipe(tiny.build) == load(f"{TINY}:build")


@pytest.mark.parametrize(
    ("overrides", "arguments"),
    [
        ({"training.lr": 1e-5}, ["training.lr=1e-05"]),
        ({"training.lr": np.float64(0.1)}, ["training.lr=0.1"]),
        ({"name": "010"}, ["name='010'"]),
        ({"balancer": GradNorm(alpha=0.5)}, ["balancer={kind: gradnorm, alpha: 0.5}"]),
        (
            {"problem.data": {"kind": "file", "path": Path("a b.csv")}},
            ["problem.data={kind: file, path: 'a b.csv'}"],
        ),
        (["training.lr=0.1", "name=x"], ["training.lr=0.1", "name=x"]),
        ("training.lr=0.1", ["training.lr=0.1"]),
    ],
    ids=str,
)
def test_values_are_what_the_option_takes(overrides: Any, arguments: list[str]) -> None:
    def outcome(values: Any) -> Any:
        try:
            return load_recipe("windows_documented", values)
        except MtctlError as error:
            return error.message

    assert outcome(overrides) == outcome(arguments)


def test_a_recipe_takes_overrides_as_a_file_does() -> None:
    changed = load_recipe(own(), {"training.epochs": 7, "balancer": {"kind": "famo"}})
    assert (changed.units, changed.chain[0].kind) == (7, "famo")
    with pytest.raises(MtctlError, match=r"(?s)-o training.epoch=7.*did you mean `epochs`"):
        load_recipe(own(), {"training.epoch": 7})


def test_another_method_ends_the_name() -> None:
    assert load_recipe(own(), balancer="famo").name == "own_famo"
    assert load_recipe(own(), balancer="equal").name == "own"
    with pytest.raises(MtctlError, match="exclude each other"):
        load_recipe(own(), {"balancer.kind": "famo"}, "famo")


def test_a_length_is_of_all_tasks_together() -> None:
    assert budget_override(load("gradnorm_blind"), 31) == "problem.episodes_per_task=11"
    assert budget_override(own(), 5) == "training.epochs=5"


def _local() -> Callable[..., Any]:
    def build(seed: int) -> None:
        pass

    return build


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_local(), r"_local.<locals>.build` does not stand at the top"),
        (lambda seed: None, r"<lambda>` does not stand at the top"),
        (functools.partial(tiny.build, rows=3), r"not partial"),
        (7, r"not int"),
        (len, r"not builtin_function"),
    ],
)
def test_what_is_no_function_of_a_file_is_refused(function: Any, says: str) -> None:
    with pytest.raises(MtctlError, match=says) as caught:
        function_reference(function)
    assert caught.value.hint


def test_a_function_of_a_notebook_must_stand_in_a_file() -> None:
    space: dict[str, Any] = {}
    exec(compile("def build(seed): ...", "<ipython-input-1>", "exec"), space)
    with pytest.raises(MtctlError, match="`build` was defined in a notebook") as caught:
        function_reference(space["build"])
    assert "%%writefile" in (caught.value.hint or "")


def test_a_script_that_would_import_itself_for_ever_is_refused(own: Path) -> None:
    own.write_text(own.read_text() + "\nimport mtctl\nmtctl.train(build, epochs=1)\n")
    command = [sys.executable, str(own)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert "own.py calls mtctl while mtctl imports it" in done.stderr
    assert 'hint: put the call below `if __name__ == "__main__":`' in done.stderr
    assert not Path("results").exists()
