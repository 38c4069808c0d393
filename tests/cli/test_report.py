"""`mtctl report`: what it writes, what it refuses, and how it says so."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mtctl.diagnosis.document import document
from mtctl.recipes.loading import dump, load
from mtctl.report.page import is_report
from tests.cli.conftest import Command
from tests.diagnosis.experiments.documented import diagnosis
from tests.history.runs_factory import (
    TASKS,
    WINDOWS_TASKS,
    scores,
    write_run,
    write_training,
    write_windows_run,
)


def add(name: str, average: float, seeds: int = 3, *, course: bool = True, **changes: Any) -> None:
    """Write a method's runs, with a real recipe, below results."""
    rng = random.Random(name)
    for seed in range(seeds):
        means = {task: average + rng.gauss(0, 8) for task in TASKS}
        returns = {task: scores(mean, (task,))[task] for task, mean in means.items()}
        run = write_run(Path("results"), name, seed, returns=returns, **changes)
        (run / "recipe.yaml").write_text(dump(load(name)))
        if course:
            write_training(run, [average - 180 + 60 * part + seed for part in range(4)], every=10)


@pytest.fixture
def results(mtctl: Command) -> Path:
    """Three methods with three seeds each, in the folder that `mtctl` runs in."""
    add("shared_aware", 180)
    add("gradnorm_blind", 240)
    add("pcgrad_blind", 182)
    return Path("results")


def carried(page: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def plain(page: str) -> str:
    """Return a page's text, without scripts and markup."""
    visible = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<wbr>", "", visible)).replace("\u2212", "-")


def test_a_page_is_written_and_named(mtctl: Command, results: Path) -> None:
    found = mtctl("report", results)
    assert (found.code, found.out) == (0, "")
    assert "wrote report.html" in found.err
    page = Path("report.html").read_text()
    assert is_report(Path("report.html"))
    text = plain(page)
    assert "lander: 3 methods compared" in text
    assert "It is better than shared_aware: +" in text
    assert "It is not distinguishable from shared_aware with 3 seeds" in text
    assert "mtctl report results" in text


def test_the_page_needs_nothing_else(mtctl: Command, results: Path) -> None:
    mtctl("report", results)
    page = Path("report.html").read_text()
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    for outside in (
        "http:",
        "https:",
        "//cdn",
        "src=",
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "eval(",
    ):
        assert outside not in page.replace("http://www.w3.org/2000/svg", ""), outside


def test_the_page_carries_the_document_of_compare(mtctl: Command, results: Path) -> None:
    options = ("--baseline", "gradnorm_blind", "--bootstrap-seed", "7", "--threshold", "100")
    mtctl("report", results, *options)
    compared = json.loads(mtctl("compare", results, *options, "--json").out)
    page = Path("report.html").read_text()
    assert carried(page, "comparison") == compared
    charts = carried(page, "charts")
    assert [method["baseline"] for method in charts["methods"]] == [True, False, False]
    assert len(charts["methods"][0]["evaluations"]["unit"]) == 4


def test_every_cell_of_compare_is_on_the_page(mtctl: Command, results: Path) -> None:
    mtctl("report", results)
    text = plain(Path("report.html").read_text())
    for line in mtctl("compare", results, "--markdown").out.splitlines():
        for cell in line.strip("|").split("|") if re.match(r"\| (?!---)", line) else ():
            escaped = cell.strip().replace("<", "&lt;").replace(">", "&gt;")
            assert re.sub(r" +", " ", escaped) in text.replace("\u2007", " ").replace("  ", " "), cell
    assert "…" not in text


def test_a_report_is_written_anew_and_anything_else_is_kept(mtctl: Command, results: Path) -> None:
    assert mtctl("report", results).code == 0
    before = Path("report.html").read_bytes()
    assert mtctl("report", results, "--title", "Again").code == 0
    assert Path("report.html").read_bytes() != before

    Path("notes.html").write_text("<!doctype html><p>mine")
    refused = mtctl("report", results, "-o", "notes.html")
    assert refused.code == 2
    assert "notes.html: it exists and is not a report of mtctl" in refused.err
    assert "--force" in refused.err
    assert Path("notes.html").read_text() == "<!doctype html><p>mine"
    assert mtctl("report", results, "-o", "notes.html", "--force").code == 0
    assert is_report(Path("notes.html"))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (".", "it is a directory"),
        ("missing/report.html", "there is no folder missing"),
        ("file/report.html", "there is no folder file"),
        ("x" * 300, "cannot be"),
        ("/proc/report.html", "cannot be written"),
        ("/dev/full", "no space left"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(
    mtctl: Command, results: Path, output: str, reason: str
) -> None:
    Path("file").write_text("")
    found = mtctl("report", results, "-o", output)
    assert found.code == 2
    assert reason in found.err
    assert "hint: " in found.err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused(mtctl: Command, results: Path) -> None:
    Path("closed").mkdir(mode=0o500)
    found = mtctl("report", results, "-o", "closed/report.html")
    assert found.code == 2
    assert "cannot be written" in found.err


def test_a_page_that_cannot_be_finished_leaves_the_old_one(
    mtctl: Command, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mtctl("report", results)
    before = Path("report.html").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    found = mtctl("report", results, "--title", "Again")
    assert found.code == 2
    assert "no space left" in found.err
    assert Path("report.html").read_bytes() == before
    assert [path.name for path in Path().iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["empty"], "is not a run and holds none"),
        (["results", "--baseline", "shared"], "--baseline shared is not among the methods"),
        (["results", "--threshold", "nan"], "expected a finite number"),
        (["results", "--title", " "], "--title is empty"),
        (["results", "--diagnosis", "nothing.json"], "nothing.json cannot be read"),
        (["results", "--diagnosis", "cake.json"], "cake.json is not a diagnosis"),
        (["results", "--diagnosis", "cut.json"], "cut.json is cut off"),
        (["results", "--match", "cakes"], "cakes"),
        ([], "missing argument"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    mtctl: Command, results: Path, arguments: list[str], reason: str
) -> None:
    Path("empty").mkdir()
    Path("cake.json").write_text('{"cake": 1}')
    Path("cut.json").write_text('{"schema": 1, "subject": {')
    found = mtctl("report", *arguments)
    assert found.code == 2
    assert reason in found.err
    assert "Traceback" not in found.err
    assert not Path("report.html").exists()


def test_runs_that_were_not_evaluated_make_no_page(mtctl: Command) -> None:
    write_run(Path("results"), "gradnorm_blind", evaluation=None)
    found = mtctl("report", "results")
    assert found.code == 2
    assert "no run can be compared" in found.err
    assert "mtctl eval results/gradnorm_blind/seed0" in found.err


def test_what_differs_is_refused_or_shown_above_the_verdicts(mtctl: Command, results: Path) -> None:
    write_run(results, "published_gradnorm_blind", tasks=("standard", "windy_hull_noise", "heavy"))
    refused = mtctl("report", results)
    assert refused.code == 2
    assert "--allow-mismatch" in refused.err
    assert mtctl("report", results, "--allow-mismatch").code == 0
    text = plain(Path("report.html").read_text())
    assert text.index("These runs measure different things") < text.index("It is better than")


def test_what_is_unfair_or_left_out_is_on_the_page(mtctl: Command, results: Path) -> None:
    add("independent", 175, budget={"units": 4500, "done": 4500, "environment_steps": 1_720_000})
    write_run(results, "cagrad_blind", status="interrupted", budget={"done": 312})
    found = mtctl("report", results)
    assert "warning: unequal budgets" in found.err
    text = plain(Path("report.html").read_text())
    assert "unequal budgets: environment steps go from 612,345" in text
    assert "1 run was left out" in text
    assert "results/cagrad_blind/seed0 was interrupted at episode 312 of 1500" in text
    assert "mtctl train results/cagrad_blind/seed0/recipe.yaml --seed 0 --resume" in text
    assert mtctl("report", results, "--include-partial", "-o", "all.html").code in (0, 2)


def test_recipes_are_set_against_each_other(mtctl: Command, results: Path) -> None:
    mtctl("report", results)
    text = plain(Path("report.html").read_text())
    assert "balancer.kind" in text
    (results / "pcgrad_blind" / "seed0" / "recipe.yaml").write_text("name: [")
    assert mtctl("report", results).code == 0
    assert "pcgrad_blind: its recipe cannot be read" in plain(Path("report.html").read_text())


def test_what_records_say_is_on_the_page(mtctl: Command, results: Path) -> None:
    mtctl("report", results)
    text = plain(Path("report.html").read_text())
    assert "Findings, and in how many runs" in text
    alone = json.loads(mtctl("diagnose", results / "gradnorm_blind" / "seed0", "--json").out)
    for finding in alone["findings"]:
        assert finding["code"] in text
        assert f"mtctl diagnose --explain {finding['code']}" in text


def test_stored_diagnoses_are_on_the_page(mtctl: Command, results: Path) -> None:
    Path("found.json").write_text(json.dumps(document(diagnosis())))
    assert mtctl("report", results, "--diagnosis", "found.json", "--diagnosis", "found.json").code == 0
    page = Path("report.html").read_text()
    text = plain(page)
    assert "From earlier diagnoses" in text
    assert page.count(">found.json</span>") == 1
    for each in diagnosis().findings:
        assert each.code in text
    for trial in diagnosis().trials:
        assert trial.remedy.title in text


def test_published_figures_are_shown_beside(mtctl: Command, results: Path) -> None:
    mtctl("report", results, "--reference", "published")
    page = Path("report.html").read_text()
    assert "Published, not measured here" in plain(page)
    assert "ONE run each" in plain(page)
    assert len(carried(page, "comparison")["reference"]) == 9


def test_matching_is_explained(mtctl: Command, results: Path) -> None:
    mtctl("report", results, "--match", "updates")
    text = plain(Path("report.html").read_text())
    assert "last evaluation during training within the budget that all runs reached" in text


def test_one_seed_gets_no_interval_and_no_verdict(mtctl: Command) -> None:
    add("shared_aware", 180, 1)
    add("gradnorm_blind", 240, 1)
    mtctl("report", "results")
    page = Path("report.html").read_text()
    text = plain(page)
    assert "no verdict" in text
    assert "with one seed in common, that may be chance" in text
    assert "no interval over seeds or for one more run, with one seed each" in text
    assert "whisker" not in page[page.index("<ol") : page.index("</ol>")]
    for method in carried(page, "charts")["methods"]:
        assert method["profile"]["low"] is None
        assert all(part is None or part["low"] is None for part in method["evaluations"]["parts"])


def test_one_method_alone(mtctl: Command) -> None:
    add("gradnorm_blind", 240)
    assert mtctl("report", "results").code == 0
    text = plain(Path("report.html").read_text())
    assert "lander: gradnorm_blind" in text
    assert "Verdicts</dt>" not in text
    assert "No key differs" in text


def test_runs_without_records_of_their_training(mtctl: Command, results: Path) -> None:
    for file in results.glob("*/*/metrics.jsonl"):
        file.unlink()
    assert mtctl("report", results).code == 0
    page = Path("report.html").read_text()
    assert "9 runs have no metrics.jsonl" in page
    assert 'id="diagnosis"' not in page
    for method in carried(page, "charts")["methods"]:
        assert method["evaluations"] is method["training"] is method["conflicts"] is None


def test_runs_that_were_not_evaluated_during_training(mtctl: Command) -> None:
    add("gradnorm_blind", 240, course=False)
    assert mtctl("report", "results").code == 0
    (method,) = carried(Path("report.html").read_text(), "charts")["methods"]
    assert method["evaluations"] is None
    assert method["training"]["parts"][1]["mean"] == [-123.4] * 3


def test_corrupt_records_are_named(mtctl: Command, results: Path) -> None:
    file = results / "gradnorm_blind" / "seed1" / "metrics.jsonl"
    file.write_text(file.read_text().replace('"updates":800', '"updates":"x"', 1))
    found = mtctl("report", results)
    assert found.code == 2
    assert "gradnorm_blind/seed1/metrics.jsonl" in found.err


def test_windows_have_epochs_and_losses(mtctl: Command) -> None:
    rng = random.Random(0)
    for name, average in {"windows_documented": 12.5, "windows_uncertainty": 31.1}.items():
        for seed in range(3):
            means = {task: average + rng.gauss(0, 4) for task in WINDOWS_TASKS}
            returns = {task: scores(mean, (task,))[task] for task, mean in means.items()}
            run = write_windows_run(Path("results"), name, seed, returns=returns)
            write_training(run, [average * part / 4 for part in range(1, 5)], every=5, steps=6)
    assert mtctl("report", "results").code == 0
    page = Path("report.html").read_text()
    text, charts = plain(page), carried(page, "charts")
    assert "landed" not in text
    assert "environment steps go" not in text
    assert (charts["counted"], charts["trained_on"]) == ("updates", "training loss")
    first = charts["methods"][0]
    assert first["training"]["parts"][0] is None
    assert set(first["training"]["parts"][1]["mean"]) == {1.0}
    assert first["evaluations"]["amount"] == [30, 60, 90, 120]


def test_the_same_runs_make_the_same_figures(mtctl: Command, results: Path) -> None:
    mtctl("report", results, "-o", "a.html")
    mtctl("report", results, "-o", "b.html")
    one, other = (Path(name).read_text() for name in ("a.html", "b.html"))
    for name in ("comparison", "charts"):
        assert carried(one, name) == carried(other, name)


def test_names_with_markup_are_text(mtctl: Command) -> None:
    evil = "<img src=x onerror=alert(1)></script><!--"
    shutil.rmtree("results", ignore_errors=True)
    for seed in range(2):
        run = write_run(Path("results"), "a", seed)
        found = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**found, "name": evil, "command": evil}))
    assert mtctl("report", "results", "--title", evil).code == 0
    page = Path("report.html").read_text()
    assert evil not in page
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 3
    assert carried(page, "comparison")["methods"][0]["label"] == evil


def test_tuning_and_one_more_run_are_told(mtctl: Command) -> None:
    add("shared_aware", 180)
    add("gradnorm_blind", 240, tuning={"runs": 12, "note": None})
    assert mtctl("report", "results").code == 0
    page = Path("report.html").read_text()
    text = plain(page)
    assert "tuned with 12 runs" in text
    assert "the tuning of shared_aware is undeclared" in text
    assert "One more run: at least 90 % of runs score within, with 95 % confidence" in text
    assert "whose normalised score is above τ" in text
    thresholds = carried(page, "charts")["thresholds"]
    assert (thresholds[0], thresholds[-1], len(thresholds)) == (0, 1, 101)
