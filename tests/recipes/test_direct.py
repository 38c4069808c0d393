from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.errors import MtctlError
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.recipes.commented import commented
from mtctl.recipes.direct import is_function, recipe_file
from mtctl.recipes.loading import dump, load
from tests.recipes.samples import MINIMAL, Write

FAILING = "raise SystemExit('run')\n"
"""Whoever runs this file is told."""


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "depth_nets.py").write_text(FAILING)


def direct(reference: str, *overrides: str) -> PythonRecipe:
    recipe = load(reference, overrides)
    assert isinstance(recipe, PythonRecipe)
    return recipe


def test_a_function_stands_for_a_recipe_and_is_not_run() -> None:
    recipe = direct("depth_nets.py:build")
    assert recipe.name == "depth_nets"
    assert recipe.problem.build == f"{Path.cwd()}/depth_nets.py:build"
    assert recipe.known_as == "depth_nets.py:build"
    assert [method.kind for method in recipe.chain] == ["equal"]
    assert recipe.problem.tasks == ()


@pytest.mark.parametrize(
    ("file", "function", "name"),
    [
        ("depth_nets.py", "small", "depth_nets_small"),
        ("a b ü.py", "build", "a_b"),
        ("_x.py", "build", "x"),
        ("ü.py", "build", "build"),
        (f"{'n' * 150}.py", "build", "n" * 100),
    ],
)
def test_its_name_is_that_of_the_file_and_of_an_unusual_function(file: str, function: str, name: str) -> None:
    Path(file).write_text("")
    assert direct(f"{file}:{function}").name == name
    assert direct(f"{Path.cwd()}/{file}:{function}").name == name


def test_a_module_is_known_by_its_name() -> None:
    recipe = direct("package.deep:build")
    assert (recipe.name, recipe.problem.build, recipe.file) == ("deep", "package.deep:build", None)


def test_overrides_hold() -> None:
    recipe = direct("depth_nets.py:build", "training.epochs=3", "name=mine", "balancer.kind=famo")
    assert (recipe.units, recipe.name, recipe.chain[0].kind) == (3, "mine", "famo")
    Path("other.py").write_text("")
    moved = direct("depth_nets.py:build", "problem.build=other.py:build")
    assert moved.known_as == "other.py:build"
    assert load(write_text("copy.yaml", dump(moved))) == moved


def write_text(name: str, text: str) -> Path:
    Path(name).write_text(text)
    return Path(name)


def test_mistakes_are_shown_where_they_are() -> None:
    with pytest.raises(MtctlError) as caught:
        load("depth_nets.py:build", ["trainin.epochs=3", "balancer.kind=manual", "training.epochs=0"])
    assert caught.value.message.splitlines() == [
        "depth_nets.py:build is not a valid recipe (3 problems)",
        "  --> depth_nets.py:build  missing key `weights` in `balancer`",
        "     │ balancer:",
        "     │ ^^^^^^^^",
        "  --> -o  unknown key `trainin`",
        "     │ -o trainin.epochs=3",
        "     │    ^^^^^^^ did you mean `training`?",
        "  --> -o  `epochs: 0` must be at least 1",
        "     │ -o training.epochs=0",
        "     │                    ^",
    ]


@pytest.mark.parametrize(
    ("reference", "text", "hint"),
    [
        ("depth_net.py:build", "there is no file depth_net.py", "did you mean `depth_nets.py`?"),
        ("depth_nets.py", "names a file, but no function in it", "such as depth_nets.py:build"),
        ("mine.yaml:build", "there is no recipe `mine.yaml:build`", ""),
        ("depth_nets.py:a-b", "there is no recipe", ""),
    ],
)
def test_what_stands_for_no_recipe(reference: str, text: str, hint: str) -> None:
    with pytest.raises(MtctlError) as caught:
        load(reference)
    assert text in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_file_that_is_called_like_a_function_wins(write: Write) -> None:
    path = write("depth_nets.py:build", MINIMAL)
    assert not is_function(str(path))
    assert load(path).name == "mine"
    assert recipe_file(str(path)) == path


def test_a_function_has_no_recipe_file() -> None:
    with pytest.raises(MtctlError) as caught:
        recipe_file("depth_nets.py:build")
    assert caught.value.hint == "write one: mtctl recipes init depth_nets.py:build"


def test_a_commented_recipe_loads_as_the_recipe_and_explains_its_keys() -> None:
    recipe = direct("depth_nets.py:build", "problem.arguments={width: 3}", "balancer.kind=gradnorm")
    text = commented(recipe, ["Mine.", ""])
    assert text.startswith("# Mine.\n#\n\n")
    assert load(write_text("mine.yaml", text)) == recipe
    lines = text.splitlines()
    assert 'build: "depth_nets.py:build"' in text  # as its user wrote it
    assert "known_as" not in text
    assert lines[lines.index("  lr_factor: 1.0") - 1].startswith("  # Factor on all learning rates")
    assert "  # Arguments of the function besides `seed`, by name." in lines
    assert max(map(len, lines)) <= 100
