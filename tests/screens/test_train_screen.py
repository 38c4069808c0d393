"""The screens of training, with a clock that stands where it is put."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mtctl.following.progress import Plan, Progress
from mtctl.problems.windows.parts import Training
from mtctl.recipes.loading import load
from mtctl.screens.figures import duration, number
from mtctl.screens.train import line, run_screen, runs_screen, sparkline
from tests.engine.runs import WINDOWS
from tests.screens.snapshots import WIDTHS, assert_screen, render

COUNTED = {"updates": 1, "measured": 1, "conflict_rate": None}
EVALUATED = {"kind": "evaluation", "unit": 1, "updates": 1}


def record(episode: int, tasks: tuple[str, ...], value: float | None = None) -> dict[str, Any]:
    value = -400.0 + 0.7 * episode + 40 * math.sin(episode) if value is None else value
    figures = {"return": value, "steps": 100, "outcome": "crashed"}
    return {
        "kind": "unit",
        "unit": episode,
        "tasks": {tasks[(episode - 1) % len(tasks)]: figures},
        "extra": {"epsilon": 0.995**episode},
        "environment_steps": 100 * episode,
        "updates": 100 * episode,
        "signals": {
            **COUNTED,
            "weight": {task: 0.5 + place for place, task in enumerate(tasks)},
            "gradient_share": {task: 1 / len(tasks) for task in tasks},
        },
    }


def progress(recipe: str, episodes: int, seconds: float, seed: int = 0) -> Progress:
    now = [0.0]
    found = Progress(Plan.of_recipe(load(recipe), seed), clock=lambda: now[0])
    for episode in range(1, episodes + 1):
        found.unit_ended(record(episode, tuple(found.tasks)))
    if episodes:
        found.unit_ended({**EVALUATED, "average": -12.3, "tasks": {}})
    now[0] = seconds
    return found


def windows_progress(epochs: int, seconds: float, name: str = "windows_documented") -> Progress:
    now = [0.0]
    training = Training(epochs=20)
    recipe = WINDOWS.model_copy(update={"name": name, "training": training})
    found = Progress(Plan.of_recipe(recipe, 0), clock=lambda: now[0])
    losses = {"type": 1.08, "ptr": 0.0161, "binary": 0.686, "countdown": 15.69}
    for epoch in range(1, epochs + 1):
        now[0] = seconds * epoch / epochs
        record = {
            "kind": "unit",
            "unit": epoch,
            "tasks": {task: {"loss": loss * 0.9**epoch} for task, loss in losses.items()},
            "updates": 6 * epoch,
            "signals": {
                **COUNTED,
                "weight": dict.fromkeys(losses, 1.0),
                "gradient_share": dict(zip(losses, (0.55, 0.05, 0.4, None), strict=True)),
            },
        }
        found.unit_ended(record)
        means = dict(zip(losses, (12.5, -116.1, 48.25, 1.2), strict=True))
        nothing: dict[str, Any] = dict.fromkeys(("sd", "success_rate", "outcomes", "steps"))
        tasks = {task: {"mean": mean, "items": 1, "measures": {}, **nothing} for task, mean in means.items()}
        found.unit_ended({**EVALUATED, "average": -13.5, "tasks": tasks})
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "epochs"), [("first_moment", 0), ("under_way", 7)])
def test_one_windows_run(name: str, epochs: int, width: int) -> None:
    text = render(run_screen(windows_progress(epochs, 14.0), "equal"), width=width)
    assert_screen(f"train_windows_{name}_{width}", text)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_several_windows_runs(width: int) -> None:
    runs = [(windows_progress(7, 14.0), "running"), (windows_progress(0, 0.0), "waiting")]
    assert_screen(f"train_windows_runs_{width}", render(runs_screen(runs), width=width))


def test_runs_of_two_problems_share_a_screen() -> None:
    runs = [
        (windows_progress(7, 14.0), "running"),
        (progress("gradnorm_blind", 700, 300.0, seed=1), "running"),
    ]
    assert_screen("train_runs_of_two_problems", render(runs_screen(runs), width=120))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "recipe", "episodes", "seconds"),
    [
        ("first_moment", "gradnorm_blind", 0, 0.0),
        ("under_way", "gradnorm_blind", 912, 91.2),
        ("long_names_hours_left", "published/gradnorm_aware", 300, 7200.0),
    ],
)
def test_one_run(name: str, recipe: str, episodes: int, seconds: float, width: int) -> None:
    text = render(run_screen(progress(recipe, episodes, seconds), "GradNorm α=1.5"), width=width)
    assert_screen(f"train_{name}_{width}", text)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_several_runs(width: int) -> None:
    runs = [
        (progress("gradnorm_blind", 1500, 300.0), "done"),
        (progress("gradnorm_blind", 700, 300.0, seed=1), "running"),
        (progress("published/independent", 4499, 90_000.0, seed=2), "running"),
        (progress("pcgrad_blind", 3, 1.0, seed=12), "failed"),
        (progress("pcgrad_blind", 0, 0.0, seed=13), "waiting"),
    ]
    text = render(runs_screen(runs), width=width)
    assert_screen(f"train_runs_{width}", text)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= width


figures = st.floats(-99_999, 99_999).map(lambda value: value + 0.0)  # a mean of −0.0 is 0.0


@settings(max_examples=60)
@given(
    width=st.sampled_from(WIDTHS),
    name=st.text(alphabet="abcdefgh_-.", min_size=1, max_size=100).map("r{}".format),
    value=figures,
    weight=st.floats(0, 999),
    units=st.integers(1, 100_000),
    seconds=st.floats(0.01, 300_000),
)
def test_no_figure_is_cut(
    width: int, name: str, value: float, weight: float, units: int, seconds: float
) -> None:
    tasks = "[standard, windy_hull_noise, heavy]"
    recipe = load(
        "gradnorm_blind", [f"name={name}", f"problem.tasks={tasks}", f"problem.episodes_per_task={units}"]
    )
    now = [0.0]
    found = Progress(Plan.of_recipe(recipe, 1234), clock=lambda: now[0])
    for episode in (1, 2, 3):
        ended = record(episode, tuple(found.tasks), value)
        ended["signals"]["weight"] = dict.fromkeys(found.tasks, weight)
        found.unit_ended(ended)
    found.unit_ended({**EVALUATED, "average": value, "tasks": {}})
    now[0] = seconds
    one = render(run_screen(found, "GradNorm α=1.5 → PCGrad"), width=width)
    several = render(runs_screen([(found, "running"), (found, "waiting")]), width=width)
    for text in (one, several):
        assert "…" not in text
        assert max(map(cell_len, text.splitlines())) <= width
        assert number(value) in text
        assert f"3/{3 * units}" in text
    assert number(weight, 2) in one
    assert duration(found.seconds_left) in one
    assert duration(found.seconds_left) in several


def test_line_holds_what_the_screen_holds() -> None:
    assert_screen("train_line", line(progress("gradnorm_blind", 912, 91.2)) + "\n")
    assert "–" in line(progress("gradnorm_blind", 0, 0.0))


def test_line_of_a_windows_run() -> None:
    assert_screen("train_windows_line", line(windows_progress(7, 14.0)) + "\n")


def test_the_loss_scale_and_skipped_steps_stand_beside_the_score() -> None:
    found = windows_progress(7, 14.0)
    found.unit_ended(
        {
            "kind": "unit",
            "unit": 8,
            "tasks": {},
            "extra": {"loss_scale": 16384.0, "skipped_steps": 2},
            "updates": 46,
            "signals": None,
        }
    )
    assert "skill % -13.5  loss scale 16,384  skipped 2  " in line(found)


def test_a_low_pace_has_a_decimal() -> None:
    assert "3.0 updates/s" in line(windows_progress(7, 14.0))
    assert "0.3 updates/s" in line(windows_progress(7, 140.0))


def test_sparkline_goes_from_the_lowest_to_the_highest_mean() -> None:
    assert sparkline([]) == ""
    assert sparkline([3.0]) == "▁"
    assert sparkline([1.0, 1.0, 1.0]) == "▁▁▁"
    rising = sparkline([float(value) for value in range(240)])
    assert len(rising) == 12
    assert (rising[0], rising[-1]) == ("▁", "█")
    assert list(rising) == sorted(rising)


def test_the_device_is_told() -> None:
    plan = windows_progress(1, 1.0)
    assert "cuda:0" in render(run_screen(plan, "equal", "cuda:0"), width=120).splitlines()[0]
    assert "thread" not in render(run_screen(plan, "equal", "cuda:0"), width=120)
