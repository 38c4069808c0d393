"""Verbs that take `FILE.py:FUNCTION`, or a recipe that names it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtctl.api.targets import Kind, kind_of
from mtctl.errors import MtctlError
from mtctl.recipes.loading import load
from tests.cli.conftest import Command, Result

NETS = """
import mtctl, torch
from torch import nn
from torch.nn import functional as F

def build(seed, width=4):
    trunk, depth, normals = nn.Linear(3, width), nn.Linear(width, 1), nn.Linear(width, 2)
    data = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(8, 3, generator=data), torch.randn(8, 1, generator=data), torch.ones(8, 2))
        for _ in range(3)
    ]
    return mtctl.Training(
        model=nn.ModuleDict({"trunk": trunk, "depth_head": depth, "normals_head": normals}),
        forward=lambda batch: {"depth": depth(trunk(batch[0])), "normals": normals(trunk(batch[0]))},
        tasks={"depth": mtctl.Task(F.l1_loss, target=1), "normals": mtctl.Task(F.mse_loss, target=2)},
        train=batches,
        validation=batches,
    )
"""
FAILING = "raise RuntimeError('this file was run')\n"
RUNNING = "running nets.py:build\n"


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("nets", None)


@pytest.fixture
def nets(mtctl: Command) -> Path:
    """Return the file in the folder where `mtctl` runs."""
    path = Path("nets.py")
    path.write_text(NETS)
    return path


@pytest.mark.usefixtures("nets")
class TestTrain:
    def test_a_function_is_trained_and_its_file_named_once(self, mtctl: Command) -> None:
        result = mtctl("train", "nets.py:build", "-o", "training.epochs=1", "-q", "--json")
        assert result.code == 0, result
        assert result.err.count(RUNNING) == 1
        (run,) = json.loads(result.out)["runs"]
        assert (run["directory"], run["tasks"]) == ("results/nets/seed0", ["depth", "normals"])
        stored = load("results/nets/seed0/recipe.yaml")
        assert stored.problem.tasks == ("depth", "normals")

    def test_tasks_that_the_code_names_are_known_before_anything_is_trained(self, mtctl: Command) -> None:
        result = mtctl("train", "nets.py:build", "--dry-run", "-o", "problem.arguments.width=5")
        assert result.code == 0, result
        assert "tasks: [depth, normals]" in result.out
        assert result.err.startswith(RUNNING)
        assert "parameters   38 (20 shared, 0 of the balancer)" in result.err
        assert not Path("results").exists()

    @pytest.mark.parametrize(
        ("words", "name", "kind"),
        [
            (["--balancer", "gradnorm", "-o", "balancer.alpha=0.5"], "nets_gradnorm", "kind: gradnorm"),
            (["--balancer", "equal"], "nets", "kind: equal"),
            (["--balancer", "famo", "-o", "name=own"], "own", "kind: famo"),
        ],
    )
    def test_another_method_ends_the_name(
        self, mtctl: Command, words: list[str], name: str, kind: str
    ) -> None:
        result = mtctl("train", "nets.py:build", "--dry-run", *words)
        assert result.code == 0, result
        assert result.out.startswith(f"name: {name}\n")
        assert kind in result.out
        assert f"results/{name}/seed0" in result.err

    def test_a_method_takes_the_place_of_a_chain(self, mtctl: Command) -> None:
        result = mtctl("train", "gradnorm_pcgrad_blind", "--balancer", "famo", "--dry-run")
        assert result.code == 0, result
        assert "name: gradnorm_pcgrad_blind_famo\n" in result.out
        assert "balancer:\n  kind: famo\n" in result.out

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            (["--balancer", "fmao"], "no balancing method 'fmao'"),
            (["--balancer", "famo", "-o", "balancer.kind=dwa"], "exclude each other"),
        ],
    )
    def test_methods_that_are_refused(self, mtctl: Command, words: list[str], text: str) -> None:
        result = mtctl("train", "nets.py:build", "--dry-run", *words)
        assert (result.code, result.out) == (2, "")
        assert text in result.err
        assert RUNNING not in result.err

    def test_what_fails_in_the_file_is_told_with_its_place(self, mtctl: Command, nets: Path) -> None:
        nets.write_text(NETS.replace("depth(trunk(batch[0]))", "depth(trunk(batch['image']))"))
        result = mtctl("train", "nets.py:build", "-q")
        assert result.code == 2
        assert "failed: TypeError: tuple indices must be integers" in result.err
        assert "  nets.py:15 in <lambda>: forward=lambda batch:" in result.err
        assert "Traceback" not in result.err
        assert "Traceback" in mtctl("-v", "train", "nets.py:build", "-q").err


def test_whoever_only_reads_runs_nothing(mtctl: Command, nets: Path) -> None:
    assert mtctl("train", "nets.py:build", "-o", "training.epochs=1", "-q").code == 0
    assert mtctl("recipes", "init", "nets.py:build").code == 0
    nets.write_text(FAILING)
    run = "results/nets/seed0"
    for words in (
        ["recipes", "check", "nets.yaml", "nets.py:build"],
        ["recipes", "show", "nets.py:build"],
        ["recipes", "diff", "nets.py:build", "nets.yaml"],
        ["compare", "results"],
        ["report", "results", "-o", "page.html"],
        ["diagnose", run],
    ):
        result = mtctl(*words)
        assert result.code == 0, (words, result)
        assert "running" not in result.err
    for words in (["diagnose", "nets.py:build"], ["train", "nets.yaml", "--seed", "9"], ["eval", run]):
        result = mtctl(*words)
        assert result.code == 2, (words, result)
        assert RUNNING in result.err
        assert "importing nets.py failed: RuntimeError: this file was run\n  nets.py:1: raise" in result.err


class TestEval:
    @pytest.fixture
    def trained(self, mtctl: Command, nets: Path) -> Path:
        assert mtctl("train", "nets.py:build", "-o", "training.epochs=1", "-q").code == 0
        return Path("results/nets/seed0")

    def test_it_says_which_code_it_runs(self, mtctl: Command, trained: Path) -> None:
        result = mtctl("eval", trained)
        assert result.code == 0, result
        assert result.err.count(RUNNING) == 1
        assert "warning" not in result.err

    def test_it_warns_of_code_that_has_changed(self, mtctl: Command, trained: Path, nets: Path) -> None:
        before = json.loads((trained / "run.json").read_text(encoding="utf-8"))["code"]["sha256"]
        nets.write_text(f"{NETS}\nWIDTH = 3\n")
        result = mtctl("eval", trained)
        assert result.code == 0, result
        assert f"warning: {trained}: nets.py has changed since this run was trained" in result.err
        now = hashlib.sha256(nets.read_bytes()).hexdigest()
        assert f"its SHA-256 was {before[:12]}… and is {now[:12]}…" in result.err
        assert "train again with --force" in result.err

    def test_code_that_has_moved_is_named(self, mtctl: Command, trained: Path, nets: Path) -> None:
        nets.rename("moved.py")
        missing = mtctl("eval", trained)
        assert missing.code == 2
        assert "there is no file nets.py" in missing.err
        result = mtctl("eval", trained, "-o", "problem.build=moved.py:build")
        assert result.code == 0, result
        assert "running moved.py:build\n" in result.err


@pytest.mark.usefixtures("nets")
class TestInit:
    def test_a_recipe_with_the_tasks_and_what_every_key_means(self, mtctl: Command) -> None:
        result = mtctl("recipes", "init", "nets.py:build", "-o", "mine.yaml")
        assert (result.code, result.out) == (0, "")
        assert result.err.splitlines() == [
            "running nets.py:build",
            "wrote mine.yaml",
            "next: `mtctl diagnose mine.yaml` or `mtctl train mine.yaml`",
        ]
        text = Path("mine.yaml").read_text(encoding="utf-8")
        assert "#   mtctl train mine.yaml\n" in text
        assert "  tasks: [depth, normals]\n" in text
        assert load("mine.yaml").problem.tasks == ("depth", "normals")
        assert mtctl("recipes", "check", "mine.yaml").out == "mine.yaml: ok\n"

    def test_nothing_is_overwritten_unasked(self, mtctl: Command) -> None:
        Path("nets.yaml").write_text("mine")
        refused = mtctl("recipes", "init", "nets.py:build")
        assert refused.code == 2
        assert "nets.yaml exists" in refused.err
        assert "running" not in refused.err
        assert mtctl("recipes", "init", "nets.py:build", "--force").code == 0
        Path("folder").mkdir()
        assert mtctl("recipes", "init", "nets.py:build", "-o", "folder").code == 0
        assert Path("folder/nets.yaml").exists()

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("nets.py", "names a file, but no function"),
            ("gradnorm_blind", "names no function"),
            ("none.py:build", "there is no file none.py"),
        ],
    )
    def test_what_is_no_function_is_refused(self, mtctl: Command, name: str, text: str) -> None:
        result = mtctl("recipes", "init", name)
        assert result.code == 2
        assert text in result.err

    @pytest.mark.parametrize("words", [["show", "--source"], ["copy"]])
    def test_a_function_has_no_file_to_show_or_to_copy(self, mtctl: Command, words: list[str]) -> None:
        more = ["x.yaml"] if words == ["copy"] else []
        result = mtctl("recipes", *words, "nets.py:build", *more)
        assert result.code == 2
        assert "hint: write one: mtctl recipes init nets.py:build" in result.err


@pytest.mark.usefixtures("nets")
class TestDiagnose:
    def test_a_function_is_a_recipe(self) -> None:
        assert kind_of("nets.py:build") is Kind.RECIPE
        with pytest.raises(MtctlError, match="names a file, but no function in it"):
            kind_of("nets.py")

    def test_it_is_trained_for_so_many_epochs(self, mtctl: Command) -> None:
        result = mtctl("diagnose", "nets.py:build", "--epochs", "2", "--seeds", "1", "--no-verify", "--json")
        assert result.code == 0, result
        assert result.err.count(RUNNING) == 1
        assert json.loads(result.out)["subject"]["name"] == "nets"

    def test_a_task_that_the_code_does_not_name(self, mtctl: Command) -> None:
        result = mtctl("diagnose", "nets.py:build", "--task", "dept")
        assert result.code == 2
        assert "did you mean `depth`? choose from: depth, normals" in result.err


@pytest.mark.usefixtures("nets")
def test_methods_are_measured_in_the_training_of_a_function(mtctl: Command) -> None:
    result: Result = mtctl(
        "bench", "--recipe", "nets.py:build", "--methods", "equal", "--blocks", 1, "--json"
    )
    assert result.code == 0, result
    assert result.err.startswith(RUNNING)
    assert [row["on"] for row in json.loads(result.out)["measured"]] == ["nets"]
