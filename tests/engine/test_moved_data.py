"""A run whose data is a file: it stands alone, wherever it is read from and wherever the file goes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtctl.errors import MtctlError
from mtctl.problems.recipe import Recipe
from mtctl.problems.windows import synthetic
from mtctl.problems.windows.rows import WIDE
from mtctl.problems.windows.windows import TYPES
from mtctl.recipes.loading import dump, load, recipe_hash
from tests.engine.runs import WINDOWS, assert_same_training, evaluate_run, run_json, train, tree
from tests.recipes.samples import revise


def write_windows(path: Path, seed: int = 0, count: int = 30) -> None:
    windows = synthetic.generate(count, np.random.default_rng(seed), 0.3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["window_id", *WIDE, "label", "expansion_start", "expansion_end"])
        for row in range(count):
            place = (TYPES[int(windows.label[row])], int(windows.start[row]), int(windows.end[row]))
            writer.writerow([f"w{row}", *windows.bars[row].ravel().tolist(), *place])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with data and a recipe, in which mtctl runs."""
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    write_windows(folder / "data" / "w.csv")
    monkeypatch.chdir(folder)
    return folder


def from_file(*overrides: str) -> Recipe:
    file = "problem.data={kind: file, path: data/w.csv}"
    return revise(WINDOWS, [file, "training.epochs=1", "balancer={kind: equal}", *overrides])


def test_a_run_can_be_evaluated_and_resumed_from_anywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Path("run"), from_file())
    expected = json.loads((home / "run" / "eval.json").read_text())
    monkeypatch.chdir("/")
    assert evaluate_run(home / "run") == expected
    stored = load(home / "run" / "recipe.yaml", ["training.epochs=2"])
    assert train(home / "run", stored, resume=True) == "completed"
    monkeypatch.chdir(home)
    train(Path("long"), from_file("training.epochs=2"))
    assert (home / "run" / "metrics.jsonl").read_bytes() == (home / "long" / "metrics.jsonl").read_bytes()


def test_a_recipe_is_the_same_wherever_it_is_loaded_and_its_file_lies(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What earlier versions said of the path as it is written: runs of theirs are still known by it.
    before = "b707a9d14fc92db8e3db976543041e02e8bc872bb17d920853ca5b522b66cbdf"
    assert recipe_hash(from_file()) == before
    Path("mine.yaml").write_text(dump(from_file()))
    monkeypatch.chdir(tmp_path)
    assert recipe_hash(load(home / "mine.yaml")) == before
    moved = load(home / "mine.yaml", [f"problem.data.path={home}/elsewhere.csv"])
    assert recipe_hash(moved) != before  # by itself this may be any other data


@pytest.mark.parametrize("how", ["override", "child"])
def test_other_data_does_not_keep_the_name_of_the_first(home: Path, how: str) -> None:
    Path("mine.yaml").write_text(dump(from_file()))
    if how == "child":
        Path("child.yaml").write_text("extends: mine.yaml\nproblem: {data: {path: other.csv}}\n")
        found: Any = load("child.yaml").problem
    else:
        found = load("mine.yaml", ["problem.data.path=other.csv"]).problem
    assert (found.data.path, found.data.known_as) == (str(home / "other.csv"), "other.csv")


def refused(run: Path, of: Recipe, **options: Any) -> MtctlError:
    before = tree(run)
    with pytest.raises(MtctlError) as caught:
        train(run, of, **options)
    assert tree(run) == before
    return caught.value


def test_data_that_is_gone_is_named_with_what_gives_it_anew(home: Path) -> None:
    train(Path("run"), from_file())
    (home / "data" / "w.csv").rename(home / "renamed.csv")
    with pytest.raises(MtctlError) as caught:
        evaluate_run(Path("run"))
    for error in (
        refused(Path("run"), from_file("training.epochs=2"), resume=True),
        refused(Path("run"), from_file(), force=True),
        caught.value,
    ):
        assert str(home / "data" / "w.csv") in error.message
        assert "-o problem.data.path=" in str(error.hint)


@pytest.mark.parametrize("named", ["on the recipe", "on the run's recipe"])
def test_the_same_data_elsewhere_is_the_same_data(home: Path, named: str) -> None:
    train(Path("run"), from_file())
    train(Path("long"), from_file("training.epochs=2"))
    (home / "data" / "w.csv").rename(home / "renamed.csv")
    before = json.loads(Path("run/eval.json").read_text())
    moved = "problem.data.path=renamed.csv"
    assert evaluate_run(Path("run"), overrides=[moved]) == before
    source = "run/recipe.yaml" if named == "on the run's recipe" else None
    notes: list[str] = []
    for epochs, kinds in ((1, ["moved", "idle"]), (2, ["prolonged"])):
        wanted = [moved, f"training.epochs={epochs}"]
        asked = load(source, wanted) if source else from_file(*wanted)
        assert train(Path("run"), asked, resume=True, say=lambda note: notes.append(note.kind)) == "completed"
        assert notes == kinds
        notes.clear()
        assert evaluate_run(Path("run"))["done"] == epochs
    document = run_json(Path("run"))
    del document["budget"]["earlier"]
    Path("run/run.json").write_text(json.dumps(document))
    assert_same_training(Path("run"), Path("long"))


def test_other_data_under_the_name_is_refused(home: Path) -> None:
    train(Path("run"), from_file())
    write_windows(home / "data" / "w.csv", seed=1)
    error = refused(Path("run"), from_file("training.epochs=2"), resume=True)
    assert "its data differs from its training data: sha256" in error.message
    with pytest.raises(MtctlError, match="its data differs from its training data"):
        evaluate_run(Path("run"))


def test_a_moved_results_folder_needs_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Path("results/run"), from_file())
    expected = json.loads(Path("results/run/eval.json").read_text())
    shutil.move("results", tmp_path / "archive")
    monkeypatch.chdir(tmp_path)
    assert evaluate_run(tmp_path / "archive" / "run") == expected


def test_a_place_that_no_recipe_can_hold_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.yaml").write_text(dump(from_file()).replace(f"{home}/data/w.csv", "data/w.csv"))
    folder = home / "latin\udce9"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(MtctlError, match="its name is not UTF-8"):
        load(home / "mine.yaml")
