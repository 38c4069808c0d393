"""Which runs have comparable scores of their best checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtctl.analysis.comparison import compare
from mtctl.analysis.export import as_csv, as_document
from mtctl.analysis.matching import Budget
from mtctl.analysis.scores import LeftOut, score_runs
from tests.history.runs_factory import TASKS, evaluation_document, scores, write_run, write_training


def write_best(path: Path, mean: float, done: int = 100, **changes: Any) -> None:
    """Write the evaluation of a run's best checkpoint."""
    run = json.loads((path / "run.json").read_text())
    document = evaluation_document(run, scores(mean), checkpoint="best", done=done)
    (path / "eval-best.json").write_text(json.dumps(document | changes))


def write(root: Path, name: str, seed: int = 0, *, selected_for: float = 200.0, mean: float = 150.0) -> Path:
    """Write a run whose best checkpoint is that of episode 100."""
    path = write_run(root, name, seed, returns=scores(mean - 30))
    write_training(path, [0.0, selected_for, selected_for - 10])
    write_best(path, mean)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("results")


def left_out(root: Path) -> LeftOut:
    scored, (entry,) = score_runs([root], checkpoint="best")
    assert scored == []
    assert entry.remedy in (None, "mtctl eval results/a/seed0 --checkpoint best")
    return entry


def test_best_checkpoints_are_compared(root: Path) -> None:
    for seed, luck in enumerate((40.0, 60.0)):
        write(root, "shared_aware", seed, selected_for=150 + luck, mean=150)
        write(root, "gradnorm_blind", seed, selected_for=190 + luck, mean=180)
    found = compare([root], checkpoint="best")
    assert [method.average.mean for method in found.methods] == [180.0, 150.0]
    bias = {method.label: method.selection_bias for method in found.methods}
    assert bias["shared_aware"] is not None
    assert bias["shared_aware"].mean == 50.0
    assert bias["shared_aware"].interval is not None
    assert any("60.0 ± 127.1 (gradnorm_blind), 50.0 ± 127.1 (shared_aware)" in note for note in found.notes)
    document = as_document(found)
    assert (document["schema"], document["checkpoint"]) == (3, "best")
    assert document["methods"][1]["selection_bias"]["mean"] == 50.0
    assert "selection_bias.mean" in as_csv(found)


def test_final_policies_have_no_selection(root: Path) -> None:
    write(root, "a")
    found = compare([root])
    assert found.methods[0].average.mean == 120.0
    assert found.methods[0].selection_bias is None
    document = as_document(found)
    assert document["checkpoint"] == "last"
    assert set(document["methods"][0]["selection_bias"].values()) == {None}
    assert not any("checkpoint" in note for note in found.notes)


def test_a_best_checkpoint_that_was_not_evaluated(root: Path) -> None:
    (write(root, "a") / "eval-best.json").unlink()
    entry = left_out(root)
    assert entry.reason == "has no evaluation of its best checkpoint: it has no eval-best.json"
    assert entry.remedy is not None


def test_an_evaluation_of_an_earlier_best_checkpoint(root: Path) -> None:
    """Training went on after it, and found a better one."""
    path = write(root, "a")
    write_training(path, [0.0, 200.0, 210.0])
    entry = left_out(root)
    assert "has its best checkpoint at episode 150, but was evaluated when that was at episode 100" in (
        entry.reason
    )
    assert entry.remedy is not None


def test_a_run_that_was_not_evaluated_during_training(root: Path) -> None:
    path = write(root, "a")
    write_training(path, [])
    entry = left_out(root)
    assert "was not evaluated during training (`evaluation.every`)" in entry.reason
    assert entry.remedy is None
    (path / "metrics.jsonl").unlink()
    assert "has no metrics.jsonl" in left_out(root).reason


def test_another_definition_and_a_part_of_the_tasks(root: Path) -> None:
    path = write(root, "a")
    write_best(path, 150.0, definition_hash="another")
    assert "another definition of its tasks (eval-best.json)" in left_out(root).reason
    run = json.loads((path / "run.json").read_text())
    part = evaluation_document(run, scores(1.0, TASKS[:2]), checkpoint="best", done=100)
    (path / "eval-best.json").write_text(json.dumps(part))
    assert left_out(root).reason == "has no evaluation of its best checkpoint on heavy"


def test_records_of_other_tasks(root: Path) -> None:
    path = write(root, "a")
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "evaluation":
            del line["tasks"]["heavy"]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "has no record of an evaluation at episode 100" in left_out(root).reason


def test_matching_is_by_evaluations_during_training(root: Path) -> None:
    write(root, "a")
    with pytest.raises(ValueError, match="matched by evaluations during training"):
        compare([root], checkpoint="best", match=Budget.STEPS)
