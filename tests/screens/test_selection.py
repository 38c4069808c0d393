from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mtctl.analysis.selection import Selection, read_selection
from mtctl.engine.launch.local import LocalProcess
from mtctl.engine.result import RunResult
from mtctl.engine.spec import EvaluationSpec
from mtctl.history.formats import Run
from mtctl.history.runs import evaluation, read_run
from mtctl.screens.evaluation import evaluating_screen
from mtctl.screens.prose import Sentence
from mtctl.screens.selection import bias_sentence, bias_table, selection_sentences, selection_table
from tests.history.runs_factory import evaluation_document, write_run, write_training, write_windows_run
from tests.screens.snapshots import WIDTHS, assert_screen, render

TASKS = ("standard", "windy_hull_noise", "heavy")


def selection(path: Path, mean: float, *, done: int = 150, last: bool = True) -> tuple[Selection, Run]:
    """Return what is known of a run whose best checkpoint scores `mean` on 100 fresh items."""
    run, rng = read_run(path), random.Random(0)
    scores = {task: [rng.gauss(mean, 90) for _ in range(100)] for task in run.tasks}
    document = evaluation_document(json.loads((path / "run.json").read_text()), scores)
    (path / "eval-best.json").write_text(json.dumps({**document, "checkpoint": "best", "done": done}))
    best = evaluation(path, "best")
    assert best is not None
    found = read_selection(run, best, evaluation(path) if last else None)
    assert isinstance(found, Selection)
    return found, run


def screen(found: Selection, run: Run, width: int) -> str:
    sentences = map(Sentence, selection_sentences(found, run))
    return render(selection_table(found, run), "", *sentences, width=width)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    returns = {task: [rng.gauss(170, 90) for _ in range(100)] for task in TASKS}
    path = write_run(Path("results"), tasks=TASKS, returns=returns)
    write_training(path, [-120.0, 88.1, 231.4, 204.0, 231.4])
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_screen(played: Path, width: int) -> None:
    assert_screen(f"selection_{width}", screen(*selection(played, 180), width))


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.chdir(tmp_path)
    found, run = selection(write_windows_run(Path("results")), 10.0, done=2, last=False)
    assert_screen(f"selection_windows_{width}", screen(found, run, width))


@pytest.mark.parametrize(
    ("mean", "says"),
    [(180, "of it was selection"), (231.4, "may be chance"), (280, "it is better than it looked by")],
)
def test_what_it_means(played: Path, mean: float, says: str) -> None:
    found, run = selection(played, mean)
    assert says in " ".join(selection_sentences(found, run))


def test_lower_is_better(tmp_path: Path) -> None:
    score = {"higher_is_better": False, "success": None}
    path = write_run(tmp_path, tasks=TASKS, score=score)
    write_training(path, [300.0, 100.0, 200.0])
    text = " ".join(selection_sentences(*selection(path, 150, done=100)))
    assert "of it was selection" in text
    assert "selected for 100.0 over 5 episodes" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_over_seeds(played: Path, width: int) -> None:
    first, _ = selection(played, 180)
    second, _ = selection(played, 195)
    alone, _ = selection(played, 210, last=False)
    methods = {"gradnorm_blind": [first, second], "shared_aware": [alone]}
    sentence = bias_sentence(methods)
    assert sentence is not None
    assert_screen(
        f"selection_seeds_{width}", render(bias_table(methods), "", Sentence(sentence), width=width)
    )
    assert bias_sentence({"gradnorm_blind": [first, second]}) is None


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_while_several_are_evaluated(width: int) -> None:
    names = [f"results/gradnorm_pcgrad_blind/seed{seed}" for seed in range(5)]
    handles = [LocalProcess(EvaluationSpec(Path(name)), Path("x")) for name in names]
    for handle in handles[:4]:
        handle.process = object()  # type: ignore[assignment]
    handles[0].result = RunResult("completed")
    assert_screen(f"evaluating_{width}", render(evaluating_screen(handles), width=width))
