from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mtctl.analysis.comparison import Comparison, compare
from mtctl.analysis.methods import ComparedMethod
from mtctl.analysis.mismatch import MismatchError
from mtctl.engine.directory import RunDirectory
from mtctl.errors import MtctlError
from mtctl.statistics import estimate
from tests.history.runs_factory import TASKS, WINDOWS_TASKS, definition, scores, write_run, write_windows_run


def write_method(root: Path, name: str, averages: dict[int, float], **changes: Any) -> None:
    for seed, average in averages.items():
        write_run(root, name, seed, returns=scores(average), **changes)


def methods(found: Comparison) -> dict[str, ComparedMethod]:
    return {method.label: method for method in found.methods}


def test_methods_are_means_over_seeds_and_sorted(tmp_path: Path) -> None:
    write_method(tmp_path, "shared_aware", {0: 190.0, 1: 200.0, 2: 210.0})
    write_method(tmp_path, "pcgrad_blind", {0: 140.0, 1: 160.0})
    write_method(tmp_path, "gradnorm_blind", {0: 220.0})
    found = compare([tmp_path])
    assert (found.baseline, found.tasks, found.items) == ("shared_aware", TASKS, 4)
    assert [method.label for method in found.methods] == ["gradnorm_blind", "shared_aware", "pcgrad_blind"]
    shared = methods(found)["shared_aware"]
    assert (shared.seeds, shared.average) == ((0, 1, 2), estimate([190.0, 200.0, 210.0]))
    assert shared.tasks["windy"].score == estimate([190.0, 200.0, 210.0])
    assert methods(found)["gradnorm_blind"].average.interval is None
    assert not found.warnings
    assert found.notes[-1] == (
        "no interval over seeds or for one more run, with one seed each (2 are needed): gradnorm_blind"
    )


def test_tasks_are_kept_apart(tmp_path: Path) -> None:
    write_run(tmp_path, returns={"standard": (1.0, 3.0), "windy": (200.0, 400.0), "heavy": (-50.0, -40.0)})
    (only,) = compare([tmp_path]).methods
    assert {task: found.score.mean for task, found in only.tasks.items()} == {
        "standard": 2.0,
        "windy": 300.0,
        "heavy": -45.0,
    }
    assert only.average.mean == pytest.approx((2.0 + 300.0 - 45.0) / 3)
    assert only.tasks["windy"].outcomes.success_rate == 1.0
    assert only.outcomes.success_rate == pytest.approx(2 / 6)
    assert only.outcomes.ends == {"landed": 2, "crashed": 2, "timed_out": 2}
    assert (only.difference, only.verdict) == (None, "baseline")


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({0: 230.0, 1: 242.0, 2: 251.0}, "better"),
        ({0: 150.0, 1: 158.0, 2: 170.0}, "worse"),
        ({0: 150.0, 1: 230.0, 2: 210.0}, "not distinguishable with 3 seeds, about 874 would be needed"),
        ({1: 230.0}, "one seed: no verdict"),
        ({7: 230.0, 8: 231.0}, "no common seed: no verdict"),
    ],
)
def test_verdicts_come_from_differences_paired_by_seed(
    tmp_path: Path, other: dict[int, float], verdict: str
) -> None:
    base = {0: 190.0, 1: 200.0, 2: 210.0}
    write_method(tmp_path, "shared_aware", base)
    write_method(tmp_path, "gradnorm_blind", other)
    method = methods(compare([tmp_path]))["gradnorm_blind"]
    assert method.verdict == verdict
    assert method.difference is not None
    common = [seed for seed in other if seed in base]
    assert method.difference.common_seeds == len(common)
    if common:
        paired = estimate([other[seed] - base[seed] for seed in common])
        assert method.difference.mean == pytest.approx(paired.mean)
        assert (method.difference.interval is None) == (len(common) == 1)
        if paired.interval and method.difference.interval:
            assert method.difference.interval.low == pytest.approx(paired.interval.low)
    else:
        assert method.difference.mean == pytest.approx(30.5)
        assert method.difference.interval is None


def test_pairing_sees_what_means_hide(tmp_path: Path) -> None:
    """Seeds differ by hundreds, and the method beats the baseline by 5 on every one of them."""
    write_method(tmp_path, "shared_aware", {0: -100.0, 1: 50.0, 2: 200.0})
    write_method(tmp_path, "gradnorm_blind", {0: -95.0, 1: 55.1, 2: 204.9})
    assert methods(compare([tmp_path]))["gradnorm_blind"].verdict == "better"


def test_seeds_without_a_partner_are_named(tmp_path: Path) -> None:
    write_method(tmp_path, "shared_aware", {0: 190.0, 1: 200.0, 2: 210.0})
    write_method(tmp_path, "gradnorm_blind", {0: 190.0, 1: 200.0})
    write_method(tmp_path, "pcgrad_blind", {5: 190.0, 6: 200.0})
    notes = compare([tmp_path]).notes
    assert "gradnorm_blind and shared_aware are compared on the 2 seeds that they share" in notes
    assert "pcgrad_blind and shared_aware share no seed: their difference is that of the means" in notes


def test_where_lower_is_better_order_and_verdict_turn(tmp_path: Path) -> None:
    lower = {"score": {"name": "error", "higher_is_better": False, "success": None}}
    write_method(tmp_path, "a", {0: 10.0, 1: 11.0, 2: 12.0}, **lower)
    write_method(tmp_path, "b", {0: 5.0, 1: 6.1, 2: 7.0}, **lower)
    found = compare([tmp_path])
    assert [method.label for method in found.methods] == ["b", "a"]
    assert methods(found)["b"].verdict == "better"
    assert methods(found)["b"].outcomes.success_rate is None


def test_the_baseline_can_be_chosen(tmp_path: Path) -> None:
    for name in ("pcgrad_blind", "equal_blind", "shared_aware"):
        write_method(tmp_path, name, {0: 100.0})
    assert compare([tmp_path], "equal_blind").baseline == "equal_blind"
    assert compare([tmp_path]).baseline == "shared_aware"
    assert compare([tmp_path / "pcgrad_blind", tmp_path / "equal_blind"]).baseline == "pcgrad_blind"
    with pytest.raises(MtctlError, match="--baseline equal_blnd is not among the methods") as caught:
        compare([tmp_path], "equal_blnd")
    assert caught.value.hint == (
        "did you mean equal_blind? choose from: equal_blind, pcgrad_blind, shared_aware"
    )


def test_a_baseline_without_a_usable_run_is_explained(tmp_path: Path) -> None:
    write_run(tmp_path, "shared_aware", evaluation=None)
    write_run(tmp_path, "pcgrad_blind")
    with pytest.raises(
        MtctlError, match=r"has no run that can be compared: .* has not been evaluated"
    ) as caught:
        compare([tmp_path], "shared_aware")
    assert caught.value.hint == f"mtctl eval {tmp_path}/shared_aware/seed0"


def test_recipes_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "old", recipe_hash="aaaaaaaaaa")
    write_run(tmp_path / "new", recipe_hash="bbbbbbbbbb")
    found = compare([tmp_path / "old", tmp_path / "new"])
    assert set(methods(found)) == {"gradnorm_blind@aaaaaa", "gradnorm_blind@bbbbbb"}
    assert (
        f"gradnorm_blind is the name of 2 different recipes, which are listed separately; "
        f"`mtctl recipes diff "
        f"{tmp_path}/old/gradnorm_blind/seed0/recipe.yaml {tmp_path}/new/gradnorm_blind/seed0/recipe.yaml` "
        f"shows how they differ"
    ) in found.notes
    with pytest.raises(MtctlError, match="is the name of several recipes") as caught:
        compare([tmp_path], "gradnorm_blind")
    assert "gradnorm_blind@bbbbbb" in (caught.value.hint or "")
    assert compare([tmp_path], "gradnorm_blind@bbbbbb").baseline == "gradnorm_blind@bbbbbb"


def test_a_second_copy_of_a_run_does_not_count(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a")
    shutil.copytree(first, tmp_path / "b" / "seed0")
    found = compare([tmp_path, first])
    assert found.methods[0].seeds == (0,)
    assert [(entry.run.path, entry.reason) for entry in found.left_out] == [
        (tmp_path / "b" / "seed0", f"is a second copy of {first}")
    ]


def test_only_episodes_that_all_runs_have_are_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "a", returns=dict.fromkeys(TASKS, (1.0, 2.0, 300.0)))
    write_run(tmp_path, "b", returns=dict.fromkeys(TASKS, (3.0, 4.0)))
    found = compare([tmp_path])
    assert (found.item, found.items) == ("episode", 2)
    assert methods(found)["a"].average.mean == 1.5
    assert methods(found)["a"].outcomes.items == 6
    assert methods(found)["a"].outcomes.successes == 0
    (cut,) = (note for note in found.notes if "held-out" in note)
    assert cut.startswith(
        "runs have 2 to 3 held-out episodes of each task; the first 2 are compared, which all runs share"
    )


@pytest.mark.parametrize(
    ("changes", "reason", "remedy"),
    [
        ({"evaluation": None}, "has not been evaluated: it has no eval.json", "mtctl eval {run}"),
        (
            {"evaluation": {"definition_hash": "x"}},
            "was evaluated under another definition",
            "mtctl eval {run}",
        ),
        (
            {"evaluation": {"done": 500}},
            "was evaluated at episode 500, before its end at 1500",
            "mtctl eval {run}",
        ),
        ({"returns": scores(1.0, ("standard",))}, "was not evaluated on windy, heavy", "mtctl eval {run}"),
        (
            {"status": "running", "budget": {"done": 100}},
            "ended without an error message (killed?), its last checkpoint is at episode 100 of 1500",
            "{resume}",
        ),
        (
            {"status": "running", "budget": {"done": 0}},
            "ended without an error message (killed?), before its first checkpoint",
            "{resume}",
        ),
        (
            {"status": "interrupted", "budget": {"done": 12}},
            "was interrupted at episode 12 of 1500",
            "{resume}",
        ),
        (
            {"status": "failed", "budget": {"done": 7}, "error": {"message": "loss of windy is NaN"}},
            "failed at episode 7 of 1500: loss of windy is NaN",
            "{resume}",
        ),
    ],
)
def test_runs_that_cannot_be_used_are_named_with_what_mends_them(
    tmp_path: Path, changes: dict[str, Any], reason: str, remedy: str
) -> None:
    write_run(tmp_path, "shared_aware")
    run = write_run(tmp_path, seed=3, **changes)
    found = compare([tmp_path])
    assert list(methods(found)) == ["shared_aware"]
    (entry,) = found.left_out
    assert entry.run.path == run
    assert entry.reason.startswith(reason)
    resume = f"mtctl train {run}/recipe.yaml --seed 3 --results-dir {tmp_path} --resume"
    assert entry.remedy == remedy.format(run=run, resume=resume)


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_run_that_a_process_trains_needs_no_mending(tmp_path: Path, status: str) -> None:
    write_run(tmp_path, "shared_aware")
    place = RunDirectory(write_run(tmp_path, seed=3, status=status))
    place.acquire()
    (entry,) = compare([tmp_path]).left_out
    assert (entry.reason, entry.remedy) == (f"is being trained by process {os.getpid()}", None)
    place.release()


def test_a_run_of_another_computer_may_be_trained_there(tmp_path: Path) -> None:
    """Its lock is free here, and says that a process of another computer had it."""
    write_run(tmp_path, "shared_aware")
    run = write_run(tmp_path, seed=3, status="running")
    (run / "lock").write_text("17 elsewhere\n")
    (entry,) = compare([tmp_path]).left_out
    assert entry.reason.startswith("is still running, or was killed")
    assert entry.remedy is None


def test_a_run_that_lies_elsewhere_is_not_resumed_by_a_command_that_would_train_another(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, "shared_aware")
    write_run(tmp_path, seed=3, status="interrupted").rename(tmp_path / "moved")
    (entry,) = compare([tmp_path]).left_out
    assert entry.remedy is None


def test_nothing_left_to_compare_is_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path, evaluation=None)
    with pytest.raises(MtctlError, match="no run can be compared") as caught:
        compare([tmp_path])
    assert f"{run} has not been evaluated" in caught.value.message
    assert (caught.value.hint, caught.value.code) == (f"mtctl eval {run}", 2)


WINDY = {
    "environment": "LunarLander",
    "tasks": {"standard": {"time_limit": 1000}, "windy": {"time_limit": 500}},
}


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        (
            {"definition": {**definition(TASKS), "environment": "Lander"}},
            {"definition.environment": ["LunarLander", "Lander"]},
        ),
        ({"definition": {**definition(TASKS), "seeds": 2}}, {"definition.seeds": ["absent", "given"]}),
        ({"definition_hash": "x"}, {"definition_hash": None}),
        ({"score": {"name": "steps"}}, {"score.name": ["return", "steps"]}),
        ({"score": {"success": 100.0}}, {"score.success": ["200.0", "100.0"]}),
        ({"score": {"higher_is_better": False}}, {"score.higher_is_better": ["true", "false"]}),
        ({"evaluation": {"seeds": "mine"}}, {"evaluation.seeds": ["held_out", "mine"]}),
        (
            {"tasks": ("standard", "windy"), "definition": WINDY},
            {
                "tasks": ["heavy, standard, windy", "standard, windy"],
                "definition.tasks.windy.time_limit": ["400", "500"],
            },
        ),
    ],
)
def test_undefined_comparisons_are_refused_with_what_differs(
    tmp_path: Path, changes: dict[str, Any], differs: dict[str, list[str] | None]
) -> None:
    base = [write_run(tmp_path, "a", seed) for seed in (0, 1)]
    other = write_run(tmp_path, "b", **changes)
    with pytest.raises(MismatchError) as caught:
        compare([tmp_path])
    assert caught.value.code == 2
    assert "--allow-mismatch" in (caught.value.hint or "")
    found = {mismatch.what: mismatch.values for mismatch in caught.value.mismatches}
    assert set(found) == set(differs)
    for what, expected in differs.items():
        assert what in caught.value.message
        assert [runs for _, runs in found[what]] == [tuple(base), (other,)]
        assert expected is None or [value for value, _ in found[what]] == expected


def test_a_mismatch_can_be_allowed_for_the_tasks_in_common(tmp_path: Path) -> None:
    write_run(tmp_path, "a", returns=scores(100.0))
    write_run(tmp_path, "b", tasks=("windy", "standard"), returns=scores(90.0, ("windy", "standard")))
    found = compare([tmp_path], allow_mismatch=True)
    assert found.tasks == ("standard", "windy")
    assert [mismatch.what for mismatch in found.mismatches] == ["tasks"]
    assert [method.average.mean for method in found.methods] == [100.0, 90.0]


def test_other_seed_lists_are_not_called_the_same(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", returns=dict.fromkeys(TASKS, (1.0, 2.0)), evaluation={"seeds": "mine"})
    assert any(
        note == "runs have 2 to 4 held-out episodes of each task; the first 2 are compared"
        for note in compare([tmp_path], allow_mismatch=True).notes
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ("windy_hull_noise",)}, "no task in common"),
        ({"score": {"higher_is_better": False}}, "no common order"),
    ],
)
def test_some_comparisons_make_no_sense_at_all(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", **changes)
    with pytest.raises(MtctlError, match=message):
        compare([tmp_path], allow_mismatch=True)


def test_windows_runs_are_compared(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        returns = scores(30.0 + seed, WINDOWS_TASKS)
        write_windows_run(tmp_path, "gradnorm_windows", seed, returns=returns)
        write_windows_run(
            tmp_path, "windows_documented", seed, returns=scores(10.0 + 2 * seed, WINDOWS_TASKS)
        )
    found = compare([tmp_path])
    assert (found.baseline, found.item, found.items, found.unit) == (
        "windows_documented",
        "window",
        4,
        "epoch",
    )
    best, plain = found.methods
    assert (best.label, best.verdict) == ("gradnorm_windows", "better")
    assert (best.outcomes.successes, best.outcomes.ends) == (None, {})
    assert (plain.spending.environment_steps, plain.spending.updates) == (None, 120)
    assert found.warnings == ()


def test_epochs_are_part_of_the_budget(tmp_path: Path) -> None:
    write_windows_run(tmp_path, "a")
    write_windows_run(tmp_path, "b", budget={"done": 40}, evaluation={"done": 40})
    assert compare([tmp_path]).warnings == (
        "unequal budgets: epochs go from 20 (a) to 40 (b), 2.0 times as many",
    )


def test_runs_of_different_problems_are_refused(tmp_path: Path) -> None:
    """What differs inside their definitions needs no saying."""
    write_run(tmp_path, "a")
    write_windows_run(tmp_path, "b")
    with pytest.raises(MismatchError, match="they differ in problem, tasks, score") as caught:
        compare([tmp_path])
    assert not any("definition" in mismatch.what for mismatch in caught.value.mismatches)
    with pytest.raises(MtctlError, match="no task in common"):
        compare([tmp_path], allow_mismatch=True)


@pytest.mark.parametrize(
    ("budget", "warning"),
    [
        ({"environment_steps": 660_000, "updates": 560_000}, None),
        (
            {"environment_steps": 1_720_000},
            "unequal budgets: environment steps go from 612,345 (a) to 1,720,000 (b), 2.8 times as many",
        ),
        (
            {"updates": 500_000},
            "unequal budgets: updates go from 500,000 (b) to 611,000 (a), 1.2 times as many",
        ),
        ({"updates": 0}, "unequal budgets: updates go from 0 (b) to 611,000 (a)"),
        (
            {"samples_per_update": 191},
            "unequal budgets: samples per update go from 191 (b) to 192 (a)",
        ),
        ({"done": 1501}, "unequal budgets: episodes go from 1,500 (a) to 1,501 (b)"),
    ],
)
def test_unequal_budgets_are_warned_of(tmp_path: Path, budget: dict[str, int], warning: str | None) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", budget=budget)
    assert list(compare([tmp_path]).warnings) == ([] if warning is None else [warning])


def test_budgets_are_means_over_seeds(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, budget={"environment_steps": 100})
    write_run(
        tmp_path,
        seed=1,
        budget={"environment_steps": 300},
        seconds={"total": 1, "training": 1, "evaluation": 0},
    )
    (method,) = compare([tmp_path]).methods
    assert method.spending.environment_steps == 200
    assert method.spending.seconds == pytest.approx((512.3 + 1) / 2)
    assert method.parameters.total == 35719
