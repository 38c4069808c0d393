from __future__ import annotations

import csv
import io
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner, Result

from mtctl.analysis.comparison import compare as run_comparison
from mtctl.cli.compare import compare
from mtctl.errors import MtctlError
from mtctl.problems.lander.published import STUDY
from mtctl.screens.compare import comparison_tables, mismatch_table, remarks
from mtctl.screens.compare_training import published_table
from mtctl.screens.latex import latex
from mtctl.screens.tables import Column, StackedTable
from mtctl.screens.verdict import verdict_sentences
from tests.history.runs_factory import (
    TASKS,
    WINDOWS_TASKS,
    scores,
    write_run,
    write_training,
    write_windows_run,
)
from tests.screens.snapshots import WIDTHS, assert_screen, render

app = Typer()
app.command()(compare)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results root as it is after a while: several seeds, one seed, long names, losses, unfinished runs."""
    monkeypatch.chdir(tmp_path)
    root, rng = Path("results"), random.Random(0)
    averages = {
        "shared_aware": 202.9,
        "gradnorm_blind": 240.3,
        "gradnorm_pcgrad_blind": 204.1,
        "pcgrad_aware": -635.1,
        "a-recipe-with.a_name_that_is_much_longer_than_any_column": 146.0,
    }
    for name, average in averages.items():
        for seed in range(5):
            task = {name: average + rng.gauss(0, 8) for name in TASKS}
            returns = {name: scores(mean, (name,))[name] for name, mean in task.items()}
            run = write_run(root, name, seed, returns=returns)
            if name != "pcgrad_aware":
                write_training(run, [average + 30 * seed - 180 + 60 * part for part in range(4)])
    spent = {
        "units": 4500,
        "done": 4500,
        "environment_steps": 1_720_000,
        "updates": 1_719_000,
        "samples_per_update": 64,
    }
    write_run(
        root,
        "independent",
        returns=scores(174.0),
        budget=spent,
        parameters={"total": 107148, "shared": 0},
        seconds={"total": 5025.2, "training": 5000.0, "evaluation": 25.2},
    )
    write_run(root, "cagrad_blind", status="interrupted", budget={"done": 312})
    write_run(root, "equal_blind", evaluation=None)
    return root


@pytest.mark.parametrize("width", WIDTHS)
def test_screen(results: Path, width: int) -> None:
    found = run_comparison([results])
    parts = [render(table, width=width) for table in comparison_tables(found)]
    sentences = "".join(f"{remark.plain}\n" for remark in remarks(found))
    verdicts = render(*verdict_sentences(found), width=width)
    assert_screen(f"compare_{width}", "\n".join([verdicts, *parts]) + "\n" + sentences)


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_one_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("results"), "shared_blind", returns=scores(187.7))
    write_run(Path("results"), "pcgrad_aware", returns=scores(-35.1))
    parts = [render(table, width=width) for table in comparison_tables(run_comparison([Path("results")]))]
    assert_screen(f"compare_one_seed_{width}", "\n".join(parts))


@pytest.fixture
def windows_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results root with runs of the windows problem."""
    monkeypatch.chdir(tmp_path)
    root, rng = Path("results"), random.Random(0)
    for name, average in {"windows_documented": 12.5, "windows_gradnorm": 31.1}.items():
        for seed in range(3):
            means = {task: average + rng.gauss(0, 4) for task in WINDOWS_TASKS}
            returns = {task: scores(mean, (task,))[task] for task, mean in means.items()}
            run = write_windows_run(root, name, seed, returns=returns)
            write_training(run, [average * part / 4 for part in range(1, 5)], every=5, steps=6)
    return root


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_windows(windows_results: Path, width: int) -> None:
    parts = [render(table, width=width) for table in comparison_tables(run_comparison([windows_results]))]
    assert_screen(f"compare_windows_{width}", "\n".join(parts))


@pytest.mark.parametrize("option", ["--json", "--csv", "--markdown", "--latex"])
def test_windows_in_every_format(windows_results: Path, option: str) -> None:
    result = invoke(windows_results, option)
    assert result.exit_code == 0
    assert "windows_gradnorm" in result.stdout.replace("\\_", "_")
    assert "landed" not in result.stdout
    assert "environment steps" not in result.stdout


def test_windows_and_landers_do_not_mix(windows_results: Path) -> None:
    write_run(windows_results, "gradnorm_blind")
    result = invoke(windows_results)
    assert isinstance(result.exception, MtctlError)
    assert "they differ in problem, tasks" in result.exception.message
    assert "results/windows_gradnorm" in result.stderr


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        write_run(Path("results"), "gradnorm_blind", seed)
        write_run(
            Path("results"), "published_gradnorm_blind", seed, tasks=("standard", "windy_hull_noise", "heavy")
        )
    found = run_comparison([Path("results")], allow_mismatch=True)
    assert_screen(f"compare_mismatch_{width}", render(mismatch_table(found.mismatches), width=width))


def test_tables_go_to_stdout_and_remarks_to_stderr(results: Path) -> None:
    result = invoke(results)
    assert result.exit_code == 0
    assert "gradnorm_blind" in result.stdout
    assert "difference to shared_aware paired by seed" in result.stdout
    assert "warning: unequal budgets: environment steps go from" in result.stderr
    assert "left out: results/equal_blind/seed0 has not been evaluated" in result.stderr
    assert "(`mtctl train results/cagrad_blind/seed0/recipe.yaml --seed 0 --resume`)" in result.stderr
    assert "warning" not in result.stdout


def test_the_verdict_comes_first_and_the_next_step_last(results: Path) -> None:
    result = invoke(results)
    lines = result.stdout.splitlines()
    assert lines[0] == "✔ better than shared_aware: gradnorm_blind by 38.8 return (5 seeds, p < 0.001)"
    assert lines[1] == "✘ worse than shared_aware:"
    assert lines[2].startswith("  a-recipe-with.a_name_that_is_much_longer_than_any_column by 58.4 return")
    head = result.stdout[: result.stdout.index("Scores by task")]
    assert "? undecided against shared_aware: gradnorm_pcgrad_blind +1.6 return (5 seeds," in head
    assert "? no verdict against shared_aware: independent -25.9 return (1 seed)" in head
    row = next(line for line in head.splitlines() if line.startswith("gradnorm_pcgrad_blind"))
    assert row.split()[-1] == "undecided"  # the name, whole, and the verdict: on one line of 80 columns
    assert result.stderr.splitlines()[-1].startswith("next: `mtctl train results/cagrad_blind/seed0/")


def test_two_seeds_get_no_figures_that_mean_nothing(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, "shared_aware", seed, returns=scores(-200.0 - 30 * seed))
        write_run(tmp_path, "gradnorm_blind", seed, returns=scores(-210.0 + 50 * seed))
    result = invoke(tmp_path)
    for left_out in ("Δm %", "P(better)", "bootstrap 95 %"):
        assert left_out not in result.stdout
    assert result.stderr.count("are left out below 3 seeds, where they mean nothing") == 1
    assert "Δm is left out: it divides" not in result.stderr
    entry = json.loads(invoke(tmp_path, "--json").stdout)["methods"][0]
    assert entry["aggregates"]["iqm"]["low"] is entry["relative_change_percent"] is None


def test_the_next_step_trains_seeds_that_would_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, mean in (("shared_aware", 180.0), ("gradnorm_blind", 200.0)):
        write_run(Path("results"), name, 0, returns=scores(mean))
    recipes = "results/shared_aware/seed0/recipe.yaml results/gradnorm_blind/seed0/recipe.yaml"
    assert invoke("results").stderr.endswith(f"next: `mtctl train {recipes} --seeds 1..2`\n")
    shutil.rmtree("results/gradnorm_blind")
    assert invoke("results").stderr.endswith("next: `mtctl diagnose results/shared_aware/seed0`\n")
    shutil.copytree("results", "elsewhere")
    for seed in range(4):
        for name, mean in (("shared_aware", 180.0), ("gradnorm_blind", 200.0)):
            write_run(Path("decided"), name, seed, returns=scores(mean + seed))
    assert invoke("decided").stderr.endswith("next: `mtctl report decided`\n")
    assert "next:" not in invoke("decided", "--csv").stderr


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--plot-format", "svg"], "--plot-format has no effect without --plot"),
        (["--reference", "published", "--csv"], "--reference has no effect with --csv"),
        (["--threshold", "100"], "--threshold has no effect"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, options: list[str], hint: str) -> None:
    write_run(tmp_path, "shared_aware")
    result = invoke(tmp_path, *options)
    assert isinstance(result.exception, MtctlError)
    assert hint in result.exception.message
    assert result.exception.code == 2


def test_json_is_one_document(results: Path) -> None:
    document = json.loads(invoke(results, "--json").stdout)
    assert (document["schema"], document["baseline"], document["tasks"]) == (3, "shared_aware", list(TASKS))
    best = document["methods"][0]
    assert (best["label"], best["seeds"], best["verdict"]) == ("gradnorm_blind", [0, 1, 2, 3, 4], "better")
    assert best["average"]["low"] < best["average"]["mean"] < best["average"]["high"]
    assert best["tasks"]["windy"]["n"] == 5
    assert best["tasks"]["windy"]["items"] == 20
    assert sum(best["average"]["outcomes"].values()) == best["average"]["items"] == 60
    assert (document["item"], document["items"]) == ("episode", 4)
    assert best["difference"]["common_seeds"] == 5
    assert best["runs"][4] == "results/gradnorm_blind/seed4"
    assert {entry["path"] for entry in document["left_out"]} == {
        "results/cagrad_blind/seed0",
        "results/equal_blind/seed0",
    }
    assert any("unequal budgets" in warning for warning in document["warnings"])


def test_csv_has_the_documents_values(results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(invoke(results, "--csv").stdout)))
    entries = json.loads(invoke(results, "--json").stdout)["methods"]
    assert [row["label"] for row in rows] == [entry["label"] for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        assert float(row["tasks.heavy.mean"]) == entry["tasks"]["heavy"]["mean"]
        assert row["difference.mean"] == (
            "" if entry["verdict"] == "baseline" else str(entry["difference"]["mean"])
        )
        assert row["seeds"] == " ".join(map(str, entry["seeds"]))


def test_markdown_has_a_line_for_each_method(results: Path) -> None:
    text = invoke(results, "--markdown").stdout
    assert text.count("| gradnorm_pcgrad_blind |") == 8
    assert "| method | seeds | average | difference | p | verdict |" in text
    assert "| method | standard | windy | heavy | success |" in text


def test_formats_exclude_each_other(results: Path) -> None:
    result = invoke(results, "--json", "--csv")
    assert isinstance(result.exception, MtctlError)
    assert result.exception.code == 2


def test_what_differs_is_shown_before_the_refusal(results: Path) -> None:
    write_run(results, "published_gradnorm_blind", tasks=("standard", "windy_hull_noise", "heavy"))
    result = invoke(results)
    assert isinstance(result.exception, MtctlError)
    assert "cannot be compared" in result.exception.message
    assert result.stdout == ""
    assert "gradnorm_blind: seed0" in result.stderr


@pytest.mark.parametrize("option", [[], ["--markdown"], ["--json"]])
def test_an_allowed_mismatch_is_shown_above_the_scores(results: Path, option: list[str]) -> None:
    write_run(results, "published_gradnorm_blind", tasks=("standard", "windy_hull_noise", "heavy"))
    result = invoke(results, "--allow-mismatch", *option)
    assert result.exit_code == 0
    if option == ["--json"]:
        document = json.loads(result.stdout)
        assert document["tasks"] == ["standard", "heavy"]
        assert document["mismatches"][0]["what"] == "tasks"
    else:
        assert 0 <= result.stdout.index("measure different things") < result.stdout.index("Scores")


def test_what_a_file_says_cannot_steer_the_terminal(results: Path) -> None:
    write_run(results, "broken", status="failed", error={"message": "\x1b[2J\nloss is NaN"})
    result = invoke(results)
    assert "\x1b" not in result.stderr
    assert "failed at episode 1500 of 1500: \\x1b[2J\\nloss is NaN" in result.stderr


@pytest.mark.parametrize("value", [1e100, -1e100, 1e-100])
def test_the_largest_numbers_are_shown(tmp_path: Path, value: float) -> None:
    for seed in range(3):
        write_run(tmp_path, "a", seed, returns=dict.fromkeys(TASKS, (value, -value, value * (seed + 1) / 4)))
        write_run(tmp_path, "b", seed)
    for option in ([], ["--json"], ["--csv"], ["--markdown"], ["--latex"]):
        assert invoke(tmp_path, *option).exit_code == 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_explained_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever happens to a byte: tables in every format, or one clear error; never another exception."""
    damaged = tmp_path / "a" / "seed0"
    if not damaged.exists():
        write_run(tmp_path, "a")
        write_run(tmp_path, "b")
    file = damaged / data.draw(st.sampled_from(["run.json", "eval.json"]))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    try:
        file.write_bytes(
            whole[:place] + data.draw(st.sampled_from([b"9", b"e", b"-", b"x", b""])) + whole[place + 1 :]
        )
        option = data.draw(st.sampled_from(["--json", "--csv", "--markdown", "--allow-mismatch"]))
        result = invoke(tmp_path, option)
        assert result.exit_code == 0 or isinstance(result.exception, MtctlError), result.exception
    finally:
        file.write_bytes(whole)


def test_torch_is_not_needed() -> None:
    code = "import sys, mtctl.analysis.export, mtctl.screens.compare; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )


def test_the_baseline_option(results: Path) -> None:
    document = json.loads(invoke(results, "--json", "--baseline", "gradnorm_blind").stdout)
    assert document["methods"][0]["verdict"] == "baseline"
    assert document["methods"][-1]["verdict"] == "worse"


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_published_figures(width: int) -> None:
    assert_screen(f"compare_published_{width}", render(published_table(STUDY), width=width))


def test_published_figures_stand_apart(results: Path) -> None:
    result = invoke(results, "--reference", "published")
    assert result.stdout.index("Budgets") < result.stdout.index("Published, not measured here")
    assert "published figures are those of ONE run each" in result.stderr
    document = json.loads(invoke(results, "--reference", "published", "--json").stdout)
    assert document["reference"][0]["method"] == "independent"
    assert document["reference"][0]["runs"] == 1
    assert json.loads(invoke(results, "--json").stdout)["reference"] == []


def test_there_are_no_published_windows(windows_results: Path) -> None:
    result = invoke(windows_results, "--reference", "published")
    assert isinstance(result.exception, MtctlError)


def test_matching_says_what_is_compared(results: Path) -> None:
    for folder in ("independent", "pcgrad_aware"):
        shutil.rmtree(results / folder)
    result = invoke(results, "--match", "steps")
    assert result.exit_code == 0
    assert "matched at 80,000 environment steps, which every run reached" in result.stderr
    assert "Scores by task: mean return over 5 episodes per task" in result.stdout
    document = json.loads(invoke(results, "--match", "steps", "--json").stdout)
    assert document["matched"]["by"] == "steps"
    assert document["matched"]["limit"] == 80_000


def test_the_document_tells_how_sure_it_is(results: Path) -> None:
    best = json.loads(invoke(results, "--json").stdout)["methods"][0]
    assert best["difference"]["p_value"] <= best["difference"]["p_holm"] <= 0.05
    assert best["difference"]["seeds_needed"] is None
    assert (
        best["aggregates"]["iqm"]["low"]
        < best["aggregates"]["iqm"]["value"]
        < best["aggregates"]["iqm"]["high"]
    )
    assert best["probability_of_improvement"]["value"] == 1.0
    assert best["mean_rank"] == 1.0
    assert best["relative_change_percent"] > 0
    assert best["reaching"]["average"]["reached"] == 5
    assert best["sharing"]["conflict_rate"] == pytest.approx(0.5)
    assert best["per_second"] > 0
    assert best["peak_memory_mb"] == 512.0


def test_latex_has_a_table_for_each_on_the_screen(results: Path) -> None:
    text = invoke(results, "--latex").stdout
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 8
    assert r"gradnorm\_pcgrad\_blind & 202.2 $\pm$ 14.9 &" in text
    assert r"100 \%" in text
    assert "$-$834.2 $\\pm$ 10.1 & $<$ 0.001 & worse" in text
    assert "a-recipe-with.a" in text
    assert text.count("{") == text.count("}")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30))
def test_latex_escapes_what_is_special(cell: str) -> None:
    column = Column("h", (cell,), text=True)
    text = latex(StackedTable("t", column))
    body = text[text.index("\\midrule") : text.index("\\bottomrule")]
    for special in "&%#_":
        assert body.count(special) == body.count("\\" + special) == cell.count(special)


def test_figures_are_written_where_asked(results: Path) -> None:
    result = invoke(results, "--plot", "figures/new", "--plot-format", "svg")
    assert result.exit_code == 0
    assert {file.name for file in Path("figures/new").iterdir()} >= {"learning_curves.svg", "conflicts.svg"}
    assert "wrote figures/new/learning_curves.svg" in result.stderr


def test_a_folder_that_cannot_be_written_is_named(results: Path) -> None:
    Path("file").write_text("")
    result = invoke(results, "--plot", "file/folder")
    assert isinstance(result.exception, MtctlError)
    assert "--plot" in (result.exception.hint or "")


@pytest.mark.parametrize("score", ["nan", "inf"])
def test_a_threshold_is_a_number(results: Path, score: str) -> None:
    result = invoke(results, "--threshold", score)
    assert isinstance(result.exception, MtctlError)
    assert "expected a finite number" in result.exception.message


def test_best_checkpoints(results: Path) -> None:
    refused = invoke(results, "--checkpoint", "best")
    assert isinstance(refused.exception, MtctlError)
    assert "gradnorm_blind/seed0 has no evaluation of its best checkpoint" in refused.exception.message
    assert "mtctl eval results/gradnorm_blind/seed0 --checkpoint best" in (refused.exception.hint or "")
    for folder in ("gradnorm_blind", "shared_aware"):
        for run in sorted((results / folder).iterdir()):
            document = json.loads((run / "eval.json").read_text())
            document |= {"checkpoint": "best", "done": 200}
            (run / "eval-best.json").write_text(json.dumps(document))
    result = invoke(results, "--checkpoint", "best", "--match", "steps")
    assert isinstance(result.exception, MtctlError)
    result = invoke(results, "--checkpoint", "best")
    assert result.exit_code == 0
    assert "Scores of best checkpoints by task: mean return over 4 held-out" in result.stdout
    assert "note: selection bias (score at selection minus score on fresh episodes): " in result.stderr
    assert "left out: results/pcgrad_aware/seed0 has no evaluation of its best checkpoint" in result.stderr
    methods = json.loads(invoke(results, "--checkpoint", "best", "--json").stdout)["methods"]
    assert [method["selection_bias"]["n"] for method in methods] == [5, 5]


def test_arrays_are_saved_beside_what_is_printed(results: Path) -> None:
    plain = invoke(results, "--json")
    saved = invoke(results, "--json", "--save-arrays", "scores.npz")
    assert saved.stdout == plain.stdout
    assert saved.stderr.endswith("wrote scores.npz\n")
    document = json.loads(plain.stdout)
    with np.load("scores.npz", allow_pickle=False) as file:
        assert file["methods"].tolist() == [method["label"] for method in document["methods"]]
        assert file["raw/gradnorm_blind"].shape == (5, len(TASKS))
        assert file["raw/gradnorm_blind"].mean() == pytest.approx(document["methods"][0]["average"]["mean"])


def test_a_file_that_is_there_is_overwritten_with_force_only(results: Path) -> None:
    place = Path("scores.json")
    place.write_text("mine")
    refused = invoke(results, "--save-arrays", place)
    assert isinstance(refused.exception, MtctlError)
    assert refused.exception.message == "--save-arrays scores.json: it exists"
    assert refused.stdout == ""
    assert place.read_text() == "mine"
    assert invoke(results, "--save-arrays", place, "--force").exit_code == 0
    assert json.loads(place.read_text())["tasks"] == list(TASKS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save-arrays", "scores.pkl"], "arrays are written as .npz or .json"),
        (["--save-arrays", "results"], "it is a directory"),
        (["--save-arrays", "nowhere/scores.npz"], "there is no folder nowhere"),
        (["--force"], "it needs --save-arrays FILE"),
    ],
)
def test_arrays_that_cannot_be_written_are_refused_first(
    results: Path, arguments: list[str], message: str
) -> None:
    result = invoke(results, *arguments)
    assert isinstance(result.exception, MtctlError)
    assert message in result.exception.message
    assert (result.exception.code, result.stdout) == (2, "")


def test_json_tells_of_one_more_run_profiles_and_tuning(results: Path) -> None:
    document = json.loads(invoke(results, "--json").stdout)
    best = document["methods"][0]
    tolerance, average = best["tolerance"], best["average"]
    half = (tolerance["high"] - tolerance["low"]) / 2
    assert half == pytest.approx(4.2906 * average["sd"], rel=1e-4)
    assert {key: tolerance[key] for key in ("share", "confidence", "any_shape", "seeds_for_any_shape")} == {
        "share": 0.9,
        "confidence": 0.95,
        "any_shape": False,
        "seeds_for_any_shape": 46,
    }
    assert len(document["profile_thresholds"]) == len(best["profile"]["shares"]) == 3
    assert best["profile"]["shares"][0] == 1
    assert best["tuning"] is None
    single = next(method for method in document["methods"] if method["label"] == "independent")
    assert single["tolerance"]["low"] is single["profile"]["low"] is None


def test_one_method_is_told_with_where_one_more_run_will_score(results: Path) -> None:
    text = " ".join(invoke(results / "gradnorm_blind").stdout.split())
    said = text[: text.index("Scores by task")]
    assert (
        "one more run will score 221.1 to 259.7: so do at least 90 % of runs, with 95 % confidence, " in said
    )
    assert said.endswith("if they are about normal ")
    assert "Performance profile" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_many_seeds_and_unequal_tuning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """From 20 seeds t is left out where all have as many; from 46 no shape is assumed."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    many = {"shared_aware": (46, None), "gradnorm_blind": (20, {"runs": 12, "note": "rate by hand"})}
    for name, (seeds, tuning) in many.items():
        for seed in range(seeds):
            write_run(Path("results"), name, seed, returns=scores(rng.gauss(200, 20)), tuning=tuning)
    found = run_comparison([Path("results")])
    parts = [render(table, width=width) for table in comparison_tables(found)]
    sentences = "".join(f"{remark.plain}\n" for remark in remarks(found))
    assert_screen(f"compare_many_seeds_{width}", "\n".join(parts) + "\n" + sentences)
