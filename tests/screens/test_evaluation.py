from __future__ import annotations

import random
from pathlib import Path

import pytest

from mtctl.analysis.evaluation import summarise
from mtctl.analysis.runs import evaluation, read_run
from mtctl.cli.screens.evaluation import evaluation_table
from tests.analysis.runs_factory import write_run
from tests.screens.snapshots import WIDTHS, assert_screen, render


def screen(path: Path, width: int) -> str:
    found = evaluation(path)
    assert found is not None
    title = "results/gradnorm_blind/seed0 · last checkpoint · held-out episodes per task"
    return render(evaluation_table(summarise(found, read_run(path).score), title), width=width)


@pytest.mark.parametrize("width", WIDTHS)
def test_screen(tmp_path: Path, width: int) -> None:
    rng, means = random.Random(0), {"standard": 265.7, "windy_hull_noise": -1168.8, "heavy": 26.6}
    returns = {task: [rng.gauss(mean, 90) for _ in range(100)] for task, mean in means.items()}
    assert_screen(
        f"evaluation_{width}", screen(write_run(tmp_path, tasks=tuple(means), returns=returns), width)
    )


def test_screen_of_one_episode_without_success(tmp_path: Path) -> None:
    path = write_run(tmp_path, tasks=("standard",), returns={"standard": [12.5]}, score={"success": None})
    assert_screen("evaluation_one_episode", screen(path, 120))
