from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtctl.analysis.comparison import compare
from mtctl.analysis.matching import Budget
from mtctl.errors import MtctlError
from tests.history.runs_factory import write_run, write_training, write_windows_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two methods: one gets to episode 40 with short episodes, the other to episode 30 with long ones."""
    for seed in (0, 1):
        budget = {"units": 40, "done": 40, "environment_steps": 40 * 100, "updates": 40 * 100}
        write_training(
            write_run(tmp_path, "shared_aware", seed, budget=budget),
            [10.0, 20.0, 30.0, 40.0],
            every=10,
            steps=100,
        )
        budget = {"units": 30, "done": 30, "environment_steps": 30 * 200, "updates": 30 * 200}
        write_training(write_run(tmp_path, "b", seed, budget=budget), [1.0, 2.0, 3.0], every=10, steps=200)
    return tmp_path


@pytest.mark.parametrize(
    ("by", "limit", "scores"),
    [
        (Budget.STEPS, 4000, {"shared_aware": (40.0, 40), "b": (2.0, 20)}),
        (Budget.UPDATES, 4000, {"shared_aware": (40.0, 40), "b": (2.0, 20)}),
        (Budget.TIME, 490.1, {"shared_aware": (40.0, 40), "b": (3.0, 30)}),
    ],
)
def test_runs_are_scored_at_the_largest_budget_that_all_reached(
    root: Path, by: Budget, limit: float, scores: dict[str, tuple[float, int]]
) -> None:
    found = compare([root], match=by)
    assert found.matched is not None
    assert found.matched.limit == pytest.approx(limit)
    assert {each.label: (each.average.mean, each.spending.units) for each in found.methods} == scores
    assert found.items == 5
    (note,) = (each for each in found.notes if each.startswith("matched at"))
    assert "over 5 episodes of each task, not the held-out ones" in note
    assert found.methods[0].outcomes.successes == 2 * 3 * 2
    assert found.methods[0].outcomes.ends == {"landed": 12, "crashed": 18, "timed_out": 0}


def test_matched_budgets_are_those_at_the_evaluation(root: Path) -> None:
    found = compare([root], match=Budget.UPDATES)
    assert {each.spending.updates for each in found.methods} == {4000}
    assert not any("updates go from" in warning for warning in found.warnings)
    assert any("updates go from" in warning for warning in compare([root]).warnings)


def test_a_run_whose_evaluations_come_too_late_is_named(root: Path) -> None:
    budget = {"units": 10, "done": 10, "environment_steps": 50, "updates": 50}
    write_training(write_run(root, "short", budget=budget), [5.0], every=10, steps=5)
    found = compare([root], match=Budget.STEPS, baseline="short")
    assert [method.label for method in found.methods] == ["short"]
    assert (
        found.left_out[0].reason
        == "has no evaluation within 50 environment steps, the largest budget that all runs reached"
    )


def test_runs_without_evaluations_during_training_are_named(root: Path) -> None:
    (write_run(root, "blind") / "metrics.jsonl").write_text("")
    (entry,) = compare([root], match=Budget.STEPS).left_out
    assert entry.reason == "was not evaluated during training (`evaluation.every`)"


def test_windows_have_no_environment_steps(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_training(write_windows_run(tmp_path, seed=seed), [1.0, 2.0], every=5, steps=6)
    with pytest.raises(MtctlError, match="has no environment steps") as caught:
        compare([tmp_path], match=Budget.STEPS)
    assert "--match updates" in (caught.value.hint or "")
    assert compare([tmp_path], match=Budget.UPDATES).methods[0].average.mean == 2.0
    assert compare([tmp_path], match=Budget.TIME).methods[0].outcomes.successes is None


def test_unfinished_runs_take_part_if_asked_for(root: Path) -> None:
    run = write_run(root, "partial", status="interrupted", budget={"done": 20})
    write_training(run, [7.0, 8.0], every=10, steps=100)
    assert "partial" not in {method.label for method in compare([root], match=Budget.STEPS).methods}
    found = compare([root], match=Budget.STEPS, include_partial=True)
    assert {each.label: each.average.mean for each in found.methods} == {
        "shared_aware": 20.0,
        "b": 1.0,
        "partial": 8.0,
    }
    assert f"{run} was interrupted at episode 20 of 1500, and is compared in its present state" in found.notes


def test_unfinished_runs_without_matching_need_an_evaluation_where_they_stopped(root: Path) -> None:
    write_run(root, "partial", status="interrupted", budget={"done": 20}, evaluation=None)
    (entry,) = compare([root], include_partial=True).left_out
    assert entry.reason.startswith("has not been evaluated")
    document = json.loads((root / "b" / "seed0" / "eval.json").read_text()) | {"done": 20}
    (root / "partial" / "seed0" / "eval.json").write_text(json.dumps(document))
    assert "partial" in {method.label for method in compare([root], include_partial=True).methods}
