from __future__ import annotations

import random
from pathlib import Path

import pytest

from mtctl.analysis.evaluation import summarise
from mtctl.history.runs import evaluation, read_run
from mtctl.screens.evaluation import evaluation_tables
from tests.history.runs_factory import write_run, write_windows_run
from tests.screens.snapshots import WIDTHS, assert_screen, render

TITLE = "results/gradnorm_blind/seed0 · last checkpoint · held-out episodes per task"


def screen(path: Path, width: int, title: str = TITLE) -> str:
    found = evaluation(path)
    assert found is not None
    tables = evaluation_tables(summarise(found, read_run(path).score), title)
    return "\n".join(render(table, width=width) for table in tables)


@pytest.mark.parametrize("width", WIDTHS)
def test_screen(tmp_path: Path, width: int) -> None:
    rng, means = random.Random(0), {"standard": 265.7, "windy_hull_noise": -1168.8, "heavy": 26.6}
    returns = {task: [rng.gauss(mean, 90) for _ in range(100)] for task, mean in means.items()}
    assert_screen(
        f"evaluation_{width}", screen(write_run(tmp_path, tasks=tuple(means), returns=returns), width)
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_screen_of_windows(tmp_path: Path, width: int) -> None:
    """Skill, then the measures; nothing about landings, and no empty column for them."""
    rng, means = random.Random(0), {"type": 32.6, "ptr": -116.8, "binary": 26.6, "countdown": 1.2}
    returns = {task: [rng.gauss(mean, 90) for _ in range(256)] for task, mean in means.items()}
    title = "results/windows_documented/seed0 · last (epoch 20) · skill % over 256 held-out windows each"
    text = screen(write_windows_run(tmp_path, returns=returns), width, title)
    assert_screen(f"evaluation_windows_{width}", text)
    for word in ("success", "landed", "steps"):
        assert word not in text


def test_screen_of_one_episode_without_success(tmp_path: Path) -> None:
    path = write_run(tmp_path, tasks=("standard",), returns={"standard": [12.5]}, score={"success": None})
    assert_screen("evaluation_one_episode", screen(path, 120))
