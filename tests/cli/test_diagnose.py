"""`mtctl diagnose`: targets, flags, and what is left behind. Nothing is trained here."""

from __future__ import annotations

import inspect
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mtctl.api.targets import Kind, columns_of, kind_of
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.document import document
from mtctl.diagnosis.experiments import diagnose as diagnosing
from mtctl.diagnosis.experiments.outline import Outline
from mtctl.diagnosis.explanations import EXPLANATIONS
from mtctl.diagnosis.plan import Announce, Plan
from mtctl.diagnosis.records import curves
from mtctl.diagnosis.records import run as records
from mtctl.diagnosis.report import Diagnosis
from mtctl.errors import MtctlError
from mtctl.history.runs import find_runs
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load, loads
from tests.cli.conftest import Command
from tests.diagnosis.experiments.documented import diagnosis
from tests.history.runs_factory import write_run
from tests.recipes.samples import revise


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let diagnoses be the one made by hand; return what they were asked with."""
    seen = SimpleNamespace(found=diagnosis(), recipe=None, path=None)

    def diagnose_recipe(
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        verify: bool,
        task: str | None = None,
        jobs: int = 1,
        seconds: float | None = None,
        shortened: bool = False,
        say: Callable[[str], None],
        announce: Announce,
    ) -> Diagnosis:
        say("training as is")
        announce(Plan(0, 0.0, complete=True))
        seen.__dict__.update(
            recipe=recipe,
            seeds=list(seeds),
            verify=verify,
            task=task,
            jobs=jobs,
            seconds=seconds,
            shortened=shortened,
        )
        found: Diagnosis = seen.found
        return found

    def read(path: Path | Sequence[Path], columns: Any = None) -> Diagnosis:
        seen.__dict__.update(path=path, columns=columns)
        found: Diagnosis = seen.found
        return found

    monkeypatch.setattr(diagnosing, "diagnose_recipe", diagnose_recipe)
    monkeypatch.setattr(records, "diagnose_run", read)
    monkeypatch.setattr(curves, "diagnose_metrics", read)
    return seen


def test_the_stand_ins_take_what_the_real_ones_take(
    asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = inspect.signature(diagnosing.diagnose_recipe).parameters
    monkeypatch.undo()
    assert list(inspect.signature(diagnosing.diagnose_recipe).parameters) == list(stand_in)
    assert list(inspect.signature(records.diagnose_run).parameters) == ["path"]
    assert list(inspect.signature(curves.diagnose_metrics).parameters) == ["paths", "columns"]


# ----- targets


def test_without_a_target_it_is_the_documented_problem(
    mtctl: Command, asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtctl.engine.launch.parallel.cores", lambda: 2)
    result = mtctl("diagnose")
    assert result.code == 0
    assert asked.recipe == load("windows_documented", ["training.epochs=5"])
    assert (asked.seeds, asked.verify, asked.task, asked.jobs, asked.seconds) == (
        [0, 1, 2],
        True,
        None,
        2,
        None,
    )
    assert result.out.startswith("windows_documented · windows · 5 epochs (30 updates)")
    assert result.err == (
        "remedies: 2 trainings in parallel (2 cores)\ntraining as is\n"
        "kept in results/diagnosis/windows_documented-1.json\n"
    )


def test_flags_reach_the_diagnosis(mtctl: Command, asked: SimpleNamespace) -> None:
    flags = "--epochs 7 -o training.lr=2e-3 --task ptr --seeds 4 --jobs 2 --budget 60 --no-verify -q"
    assert mtctl("diagnose", "windows_documented", *flags.split()).err == ""
    assert asked.recipe == load("windows_documented", ["training.epochs=7", "training.lr=2e-3"])
    assert (asked.seeds, asked.verify, asked.task, asked.jobs, asked.seconds) == (
        [0, 1, 2, 3],
        False,
        "ptr",
        2,
        60.0,
    )


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [
        (["-o", "training.epochs=8"], 8),
        (["-o", "training.epochs=3"], 3),
        (["-o", "training={epochs: 8}"], 8),
        (["-o", "training.epochs=8", "--epochs", "9"], 9),
    ],
)
def test_how_long_is_looked_at(
    mtctl: Command, asked: SimpleNamespace, arguments: list[str], epochs: int
) -> None:
    mtctl("diagnose", *arguments)
    assert asked.recipe.training.epochs == epochs


def test_a_recipe_that_is_shorter_is_not_lengthened(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "short.yaml").write_text("extends: windows_documented\nname: short\ntraining: {epochs: 2}\n")
    mtctl("diagnose", "short.yaml")
    assert asked.recipe.training.epochs == 2


@pytest.mark.parametrize(
    ("arguments", "each", "seconds"),
    [([], 150, 1800), (["--episodes", "31"], 11, 1800), (["--budget", "2h"], 150, 7200)],
)
def test_players_are_diagnosed_by_experiment_within_a_limit_that_is_said_first(
    mtctl: Command, asked: SimpleNamespace, arguments: list[str], each: int, seconds: float
) -> None:
    found = mtctl("diagnose", "gradnorm_blind", *arguments)
    assert found.code == 0
    assert asked.recipe.problem.episodes_per_task == each
    assert (asked.seeds, asked.verify, asked.seconds) == ([0, 1, 2, 3], True, seconds)
    assert asked.shortened
    limit = {1800: "30 minutes", 7200: "2 hours"}[int(seconds)]
    assert found.err.startswith(f"trainings of {3 * each} episodes within {limit} (--budget): ")


def test_without_proof_a_player_is_trained_once(mtctl: Command, asked: SimpleNamespace) -> None:
    assert mtctl("diagnose", "gradnorm_blind", "--no-verify").code == 0
    assert asked.recipe.problem.episodes_per_task == 20
    assert (asked.seeds, asked.verify, asked.seconds) == ([0], False, None)


@pytest.mark.parametrize("text", ["", "m", "1d", "-3", "1.5.2", "ten"])
def test_a_limit_that_is_no_time_is_refused(mtctl: Command, asked: SimpleNamespace, text: str) -> None:
    found = mtctl("diagnose", f"--budget={text}")
    assert found.code == 2
    assert "expected a time" in found.err
    assert "90 (seconds), 30m or 2h" in found.err
    assert asked.recipe is None


def test_a_run_is_read(mtctl: Command, asked: SimpleNamespace, tmp_path: Path) -> None:
    run = write_run(tmp_path / "results", "gradnorm_blind")
    result = mtctl("diagnose", run)
    assert (result.code, asked.path) == (0, run)
    assert result.out.endswith(f"  mtctl diagnose {run}/recipe.yaml\n")
    assert result.err == f"reading {run}\n"


def test_a_metrics_file_is_read(mtctl: Command, asked: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "losses.CSV").write_text("a,b\n1,2\n")
    assert mtctl("diagnose", "losses.CSV", "--tasks", "a=loss_a, b = loss_b").code == 0
    assert asked.columns == {"a": "loss_a", "b": "loss_b"}
    mtctl("diagnose", "losses.CSV")
    assert (asked.path, asked.columns) == ([Path("losses.CSV")], None)


def test_several_metrics_files_and_folders_are_read(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "logs" / "train").mkdir(parents=True)
    (tmp_path / "logs" / "train" / "events.out.tfevents.1.host").touch()
    (tmp_path / "a.json").touch()
    assert mtctl("diagnose", "logs", "a.json").code == 0
    assert asked.path == [Path("logs"), Path("a.json")]
    write_run(tmp_path / "results", "blind")
    (tmp_path / "results" / "table.csv").touch()
    for target in ("windows_documented", "results/blind/seed0"):
        result = mtctl("diagnose", "a.json", target)
        assert result.code == 2
        assert f"{target} is a r" in result.err and "diagnosed by itself" in result.err
    assert "holds 1 runs" in mtctl("diagnose", "results").err, "figures beside runs are not curves"


def test_the_help_lists_the_formats(mtctl: Command) -> None:
    text = " ".join(mtctl("diagnose", "--help").out.split())
    for name in ("CSV", "JSONL", "TensorBoard", "Lightning", "Keras", "trainer_state.json", "text logs"):
        assert name in text


def test_kinds(mtctl: Command, tmp_path: Path) -> None:
    run = write_run(tmp_path, "gradnorm_blind")
    (tmp_path / "a.yml").touch()
    (tmp_path / "b.jsonl").touch()
    kinds = {
        name: kind_of(name) for name in ("windows_documented", "published/gradnorm_blind", "a.yml", "b.jsonl")
    }
    assert list(kinds.values()) == [Kind.RECIPE, Kind.RECIPE, Kind.RECIPE, Kind.METRICS]
    assert kind_of(str(run)) is Kind.RUN


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("windows_documentd", "no recipe, run or metrics file", "did you mean `windows_documented`?"),
        ("loses.csv", "no recipe, run or metrics file", "did you mean `losses.csv`?"),
        ("results/blind/seed1", "no recipe, run or metrics file", "did you mean `results/blind/seed"),
        ("mine/windows_documented.yaml", "does not exist", "name it without folder and suffix"),
        ("results", "results holds 2 runs; one is diagnosed at a time", "such as results/blind/seed0"),
        ("empty", "empty is not a run and holds none", "name the directory of a run"),
        ("notes.md", "neither a recipe, a run nor a metrics file", "a metrics file in .csv, .tsv, .json"),
        (
            "results/blind/seed0/checkpoints/last.pt",
            "neither a recipe",
            "the run's directory: results/blind/seed0",
        ),
        ("", "expected a target", ""),
        ("x" * 300, "no recipe, run or metrics file", ""),
        ("nul\0l", "no recipe, run or metrics file", ""),
    ],
)
def test_what_cannot_be_diagnosed(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path, target: str, message: str, hint: str
) -> None:
    for seed in (0, 2):
        write_run(tmp_path / "results", "blind", seed)
    last = tmp_path / "results" / "blind" / "seed0" / "checkpoints" / "last.pt"
    last.parent.mkdir(exist_ok=True)
    last.touch()
    (tmp_path / "empty").mkdir()
    for name in ("losses.csv", "notes.md"):
        (tmp_path / name).touch()
    result = mtctl("diagnose", target)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert hint in result.err


@pytest.mark.parametrize(
    "flag",
    [
        "--epochs=3",
        "--episodes=3",
        "-o=a=b",
        "--task=a",
        "--seeds=3",
        "--jobs=2",
        "--verify",
        "--no-verify",
        "--budget=9",
        "--write-recipe=x.yaml",
        "--force",
        "--save=x.json",
        "--dry-run",
    ],
)
@pytest.mark.parametrize("kind", ["run", "metrics file"])
def test_flags_of_training_are_refused_where_nothing_is_trained(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path, flag: str, kind: str
) -> None:
    target = write_run(tmp_path, "gradnorm_blind") if kind == "run" else tmp_path / "losses.csv"
    if kind != "run":
        target.touch()
    result = mtctl("diagnose", target, flag)
    assert result.code == 2
    name, _, _ = flag.partition("=")
    assert f"error: {name} does not work with a {kind}: it is only read, and nothing is trained" in result.err
    assert (f"{target}/recipe.yaml" in result.err) == (kind == "run")
    assert asked.path is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("windows_documented --tasks a=b", "--tasks names columns of a metrics file"),
        ("windows_documented --episodes 9", "it learns from a data set, in epochs"),
        ("windows_documented --task countdwn", "--task countdwn: windows_documented has no such task"),
        (
            "windows_documented --task countdwn",
            "did you mean `countdown`? choose from: type, ptr, binary, countdown",
        ),
        ("windows_documented --seeds 3..1", "the first seed is above the last"),
        ("windows_documented --force", "--force lets --write-recipe and --save overwrite a file"),
        ("windows_documented -o training.lr=0", "is not a valid recipe"),
        ("gradnorm_blind --epochs 3", "the lander is played in episodes: use --episodes"),
        ("gradnorm_blind --task wind", "did you mean `windy`?"),
        ("hybrid_fixed --task continuous", "hybrid_fixed has no such task"),
        ("gradnorm_blind --no-verify --seeds 2", "without proof, the lander is trained once"),
    ],
)
def test_flags_that_do_not_apply_are_refused(
    mtctl: Command, asked: SimpleNamespace, arguments: str, message: str
) -> None:
    result = mtctl("diagnose", *arguments.split())
    assert result.code == 2
    assert message in result.err
    assert asked.recipe is None


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a=b,", "a=b,a=c"])
def test_columns_that_are_none(text: str) -> None:
    with pytest.raises(MtctlError, match="--tasks: "):
        columns_of(text)


def test_a_column_may_hold_an_equals_sign() -> None:
    assert columns_of("a=x=y") == {"a": "x=y"}


# ----- the winning remedy as a recipe


def test_the_remedy_that_helps_most_becomes_a_recipe(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    result = mtctl("diagnose", "--epochs", 3, "-o", "training.lr=2e-3", "--write-recipe", "fixed.yaml")
    assert result.code == 0
    assert result.err.endswith("wrote fixed.yaml\n")
    assert "\n  mtctl train fixed.yaml\n" in result.out
    original, cured = load("windows_documented", ["training.lr=2e-3"]), load("fixed.yaml")
    overrides = (*asked.found.trials[0].remedy.overrides, "name=windows_documented_standardise_raw")
    assert cured == revise(original, overrides)
    assert cured.units == original.units != asked.recipe.units
    text = (tmp_path / "fixed.yaml").read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert (
        head[0]
        == "# windows_documented with a remedy for countdown: standardised countdown head, raw losses."
    )
    measured = " ".join(line.removeprefix("# ") for line in head)
    assert "5 epochs (30 updates), 3 seeds: held-out loss 15.59 unchanged, 9.60 with the remedy;" in measured
    assert "better by 5.99 [+5.56, +6.43]." in measured
    assert "Skill 37 %; worst-hit other task, in points of skill: ptr -12 ± 6." in measured
    assert "#   mtctl train fixed.yaml" in head
    assert "#   mtctl eval results/windows_documented_standardise_raw" in head
    assert "#   mtctl compare results/windows_documented results/windows_documented_standardise_raw" in head
    assert max(map(len, head)) <= 110


def test_a_remedy_that_changes_the_model_says_so_in_the_recipe(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    asked.found = replace(asked.found, trials=asked.found.trials[1:])
    assert mtctl("diagnose", "--write-recipe", "fixed.yaml").code == 0
    assert "checkpoints of the unchanged recipe do not fit" in (tmp_path / "fixed.yaml").read_text()


def test_a_file_is_not_overwritten_unless_forced(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "fixed.yaml").write_text("mine")
    result = mtctl("diagnose", "--write-recipe", "fixed.yaml")
    assert result.code == 2
    assert "--write-recipe fixed.yaml: it exists" in result.err
    assert asked.recipe is None, "it must be said before anything is trained"
    assert (tmp_path / "fixed.yaml").read_text() == "mine"
    assert mtctl("diagnose", "--write-recipe", "fixed.yaml", "--force").code == 0
    assert load("fixed.yaml").name == "windows_documented_standardise_raw"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "it is a directory"),
        ("fixed.txt", "recipes end in .yaml"),
        ("nowhere/fixed.yaml", "there is no folder nowhere"),
    ],
)
def test_a_place_that_cannot_be_written_to(
    mtctl: Command, asked: SimpleNamespace, path: str, message: str
) -> None:
    result = mtctl("diagnose", "--write-recipe", path)
    assert (result.code, asked.recipe) == (2, None)
    assert message in result.err


def test_nothing_is_written_without_a_measurement(mtctl: Command, asked: SimpleNamespace) -> None:
    result = mtctl("diagnose", "--no-verify", "--write-recipe", "x.yaml")
    assert (result.code, asked.recipe) == (2, None)
    assert "--no-verify measures none" in result.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": diagnosis().trials[2:]}, "none of the 4 remedies tried is proven to help"),
        ({"trials": ()}, "no remedy was tried for countdown"),
        ({"trials": (), "stuck": None}, "no task is stuck"),
    ],
)
def test_where_nothing_helps_nothing_is_written(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    asked.found = replace(asked.found, **change)
    result = mtctl("diagnose", "--write-recipe", "fixed.yaml")
    assert result.code == 1
    assert f"error: fixed.yaml was not written: {message}" in result.err
    assert "countdown does not learn" in result.out, "the diagnosis is shown all the same"
    assert not (tmp_path / "fixed.yaml").exists()


# ----- diagnoses that are kept


def test_a_diagnosis_is_kept_and_shown_again(mtctl: Command, asked: SimpleNamespace, tmp_path: Path) -> None:
    first = mtctl("diagnose", "-o", "training.lr=2e-3")
    assert mtctl("diagnose", "--json").code == 0
    folder = tmp_path / "results" / "diagnosis"
    names = [f"windows_documented-{number}.json" for number in (1, 2)]
    assert sorted(file.name for file in folder.iterdir()) == names
    asked.recipe = None
    again = mtctl("diagnose", "--from", folder / names[0])
    assert (again.code, again.err, asked.recipe) == (0, "", None), "nothing is trained"
    assert (
        again.out.split("Next")[0] == first.out.replace("results/", f"{tmp_path}/results/").split("Next")[0]
    )
    document_again = json.loads(mtctl("diagnose", "--from", folder / names[0], "--json").out)
    assert document_again == json.loads((folder / names[0]).read_text())
    assert mtctl("diagnose", "--from", folder / names[0], "--fail-on", "error").code == 1


def test_the_cure_is_written_from_a_kept_diagnosis(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    command = ("diagnose", "--epochs", "3", "-o", "training.lr=2e-3")
    mtctl(*command, "--write-recipe", "direct.yaml")
    asked.recipe = None
    kept = "results/diagnosis/windows_documented-1.json"
    result = mtctl("diagnose", "--from", kept, "--write-recipe", "later.yaml")
    assert (result.code, result.err, asked.recipe) == (0, "wrote later.yaml\n", None)
    assert load("later.yaml") == load("direct.yaml")
    assert mtctl("diagnose", "--from", kept, "--write-recipe", "later.yaml").code == 2
    assert mtctl("diagnose", "--from", kept, "--write-recipe", "later.yaml", "--force").code == 0


def test_a_diagnosis_without_its_recipe_is_shown_and_writes_none(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    old = document(asked.found)
    del old["recipe"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert "countdown does not learn" in mtctl("diagnose", "--from", "old.json").out
    result = mtctl("diagnose", "--from", "old.json", "--write-recipe", "fixed.yaml")
    assert (result.code, result.out) == (2, "")
    assert "old.json holds no recipe" in result.err


def test_save_names_the_place_and_overwrites_nothing(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    assert mtctl("diagnose", "--save", "mine.json").err.endswith("kept in mine.json\n")
    assert not (tmp_path / "results").exists()
    asked.recipe = None
    result = mtctl("diagnose", "--save", "mine.json")
    assert (result.code, asked.recipe) == (2, None)
    assert "--save mine.json: it exists" in result.err
    assert mtctl("diagnose", "--save", "mine.json", "--force").code == 0


def test_a_diagnosis_that_cannot_be_kept_is_shown(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("no folder")
    result = mtctl("diagnose")
    assert result.code == 0
    assert "warning: the diagnosis was not kept" in result.err
    assert "countdown does not learn" in result.out
    assert "  mtctl diagnose --write-recipe fixed.yaml\n" in result.out


def test_a_diagnosis_that_is_stopped_leaves_nothing(
    mtctl: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def diagnose(*_: object, **__: object) -> None:
        raise MtctlError("no data")

    monkeypatch.setattr("mtctl.diagnosis.experiments.diagnose.diagnose_recipe", diagnose)
    assert mtctl("diagnose").code == 2
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "d.json", "windows_documented"], "windows_documented does not go with it"),
        (["--from", "d.json", "--epochs", "3"], "--epochs does not go with it"),
        (["--from", "missing.json"], "cannot be read"),
        (["d.json"], "d.json is a diagnosis, not loss curves"),
    ],
)
def test_from_goes_alone(
    mtctl: Command, asked: SimpleNamespace, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "d.json").write_text(json.dumps(document(asked.found)))
    result = mtctl("diagnose", *arguments)
    assert (result.code, result.out, asked.recipe) == (2, "", None)
    assert message in result.err


def test_kept_diagnoses_lie_beside_runs_without_harm(mtctl: Command, tmp_path: Path) -> None:
    (tmp_path / "results" / "diagnosis").mkdir(parents=True)
    run = write_run(tmp_path / "results", "gradnorm_blind")
    assert find_runs([tmp_path / "results" / "diagnosis", run.parent]) == [run]
    with pytest.raises(MtctlError, match="holds none"):
        find_runs([tmp_path / "results" / "diagnosis"])


# ----- what is printed


@pytest.mark.parametrize("words", [["diagnose", "-v"], ["--verbose", "diagnose"]])
def test_all_that_was_measured(mtctl: Command, asked: SimpleNamespace, words: list[str]) -> None:
    short, full = mtctl("diagnose").out, mtctl(*words).out
    for part in ("Signals of each task", "Experiments on countdown", "Fixes for countdown", "Summary"):
        assert part in full
        assert part not in short


def test_a_dry_run_of_a_player_tells_its_changes_and_its_limit(
    mtctl: Command, asked: SimpleNamespace
) -> None:
    short = ("-o", "problem.environment_steps=5000", "-o", "problem.copies=16", "-o", "agent.minibatch=64")
    out = mtctl("diagnose", "hybrid_fixed", *short, "-o", "agent.lr=1e-6", "--dry-run", "--budget", "5m").out
    assert "hybrid_fixed: a diagnosis of 4 iterations would train" in out
    assert "    · learning rate 3e-3, falling\n" in out
    assert "No training begins after 5 minutes (--budget)." in " ".join(out.split())
    told = json.loads(mtctl("diagnose", "hybrid_fixed", *short, "--dry-run", "--json").out)
    assert [each["aspect"] for each in told["changes"]] == ["weights", "batches"]
    assert told["seconds"] == 900
    assert "judge its records" in mtctl("diagnose", "hybrid_fixed", *short, "--dry-run", "--no-verify").out
    assert asked.recipe is None


def test_a_dry_run_trains_nothing_but_an_epoch(
    mtctl: Command, asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remedy = asked.found.trials[0].remedy
    plan = Outline(("the recipe as it is",), (remedy,), "countdown", 2.0, 10.0, (60.0, 130.0))
    monkeypatch.setattr("mtctl.diagnosis.experiments.outline.outline", lambda *_, **__: plan)
    out = mtctl("diagnose", "--dry-run").out
    assert "a diagnosis of 5 epochs would train\n  – the recipe as it is" in out
    assert f"each from 3 seeds; such as countdown:\n    · {remedy.title}\n" in out
    assert "One training takes about 0:02" in " ".join(out.split())
    assert "0:10 if every task learns, 1:00 if one does not, and 2:10 if none does" in " ".join(out.split())
    told = json.loads(mtctl("diagnose", "--dry-run", "--json").out)
    assert (told["training"], told["remedies"][0]["title"]) == (2.0, remedy.title)
    assert asked.recipe is None
    assert not (tmp_path / "results").exists()


def test_json_is_one_document(mtctl: Command, asked: SimpleNamespace) -> None:
    found = json.loads(mtctl("diagnose", "--json").out)
    assert loads(found["recipe"]) == load("windows_documented")
    assert found == {**document(asked.found), "recipe": found["recipe"]}


@pytest.mark.parametrize(
    ("left", "fail_on", "code"),
    [
        (("error", "warning", "info"), "error", 1),
        (("error", "warning", "info"), "warning", 1),
        (("warning", "info"), "error", 0),
        (("warning", "info"), "warning", 1),
        (("info",), "warning", 0),
    ],
)
def test_fail_on(
    mtctl: Command, asked: SimpleNamespace, left: tuple[str, ...], fail_on: str, code: int
) -> None:
    findings = tuple(each for each in asked.found.findings if each.severity in left)
    asked.found = replace(asked.found, findings=findings)
    result = mtctl("diagnose", "--fail-on", fail_on, "-q")
    assert result.code == code
    assert result.err.startswith(f"--fail-on {fail_on}: ") == (code == 1)
    assert "Symptom" in result.out


def test_the_next_command_is_one_that_can_be_typed(mtctl: Command, asked: SimpleNamespace) -> None:
    kept = "results/diagnosis/windows_documented"
    out = mtctl("diagnose", "windows_documented", "-o", "training={lr: 1e-3}").out
    assert f"\n  mtctl diagnose --from {kept}-1.json --write-recipe fixed.yaml\n" in out
    assert out.endswith(f"reach\n  mtctl diagnose --from {kept}-1.json -v\n")
    (unclear,) = (trial for trial in asked.found.trials if trial.verdict == "unclear")
    asked.found = replace(asked.found, trials=(unclear,))
    out = mtctl("diagnose", "--seeds", "3", "-q").out
    assert "\n  mtctl diagnose -q --seeds 0..4\n" in out
    assert "\n  mtctl diagnose --seeds=3\n" in mtctl("diagnose", "--budget", "9", "--seeds=3").out
    asked.found = replace(asked.found, trials=())
    assert "reach\n  mtctl diagnose\n" in mtctl("diagnose", "--no-verify").out
    asked.found = replace(asked.found, findings=(), stuck=None)
    assert "mtctl train" not in mtctl("diagnose", "windows_documented").out, "the countdown is flat"
    asked.found = replace(asked.found, states=asked.found.states[:3])
    assert "\n  mtctl train windows_documented\n" in mtctl("diagnose", "windows_documented").out


def test_progress_on_a_terminal_is_one_line_that_goes_away(
    mtctl: Command, asked: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["mtctl.cli.diagnose_progress"],
        "err",
        lambda: Console(stderr=True, force_terminal=True, highlight=False),
    )
    result = mtctl("diagnose", "windows_documented")
    assert result.code == 0
    assert "step 1 · training as is · 0:00" in result.err
    assert "\x1b[?25h\r\x1b[1A\x1b[2Kkept in " in result.err


# ----- --explain


def test_explain(mtctl: Command) -> None:
    result = mtctl("diagnose", "--explain", "reduction-bias")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"reduction-bias: {EXPLANATIONS[Code.REDUCTION_BIAS].title}\n")
    assert "What would refute it" in result.out


def test_explain_json(mtctl: Command) -> None:
    found = json.loads(mtctl("diagnose", "--explain", "list", "--json").out)
    assert [each["code"] for each in found["codes"]] == list(Code)
    (one,) = json.loads(mtctl("diagnose", "--explain", "slow", "--json").out)["codes"]
    assert one["remedies"] == list(EXPLANATIONS[Code.SLOW].remedies)


def test_explain_list(mtctl: Command) -> None:
    out = mtctl("diagnose", "--explain", "list").out
    assert all(f"\n{code} " in out for code in Code)


def test_explain_unknown(mtctl: Command) -> None:
    result = mtctl("diagnose", "--explain", "conflicts")
    assert result.code == 2
    assert "did you mean `conflict`?" in result.err


@pytest.mark.parametrize(
    "more", [["windows_documented"], ["--epochs", "3"], ["--fail-on", "error"], ["--verify"]]
)
def test_explain_goes_alone(mtctl: Command, asked: SimpleNamespace, more: list[str]) -> None:
    result = mtctl("diagnose", "--explain", "slow", *more)
    assert (result.code, asked.recipe) == (2, None)
    assert "--explain explains a finding" in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_said_and_is_no_failure(
    mtctl: Command, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def diagnose(*_: object, **__: object) -> None:
        signal.raise_signal(number)
        raise AssertionError("goes on")

    monkeypatch.setattr("mtctl.diagnosis.experiments.diagnose.diagnose_recipe", diagnose)
    result = mtctl("diagnose", "windows_documented", "--quiet")
    assert (result.code, result.out) == (130, "")
    assert result.err.startswith("stopped: there is no result")
