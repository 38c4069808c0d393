"""The whole product learns a real task in about a minute; `-m "not learning"` leaves it out."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from tests.end_to_end.command import mtctl
from tests.engine.runs import metrics

# A DQN that learns quickly: four-step returns, an update in every step, a short exploration.
QUICK = (
    "problem.tasks=[standard]",
    "problem.episodes_per_task=60",
    "agent.hidden=[64,64]",
    "agent.lr_schedule={kind: constant}",
    "agent.gamma=0.98",
    "agent.n_step=4",
    "agent.update_every=1",
    "agent.target.tau=0.005",
    "agent.exploration={counts: all_episodes, decay: 0.95, length: null}",
    "evaluation.every=0",
    "evaluation.final_episodes=20",
)


@pytest.mark.learning
def test_the_standard_task_is_learned(tmp_path: Path) -> None:
    """The means of the first 20 episodes were −323 to −168 for seeds 0 to 5, of the last 20 −69 to 73.

    Processors differ in the last digits, and so in what is met on the way: seed 0 came to −30 on another.
    """
    arguments = [word for override in QUICK for word in ("-o", override)]
    mtctl("train", "equal_blind", *arguments, "--quiet", cwd=tmp_path)
    run = tmp_path / "results" / "equal_blind" / "seed0"
    returns = [each["return"] for record in metrics(run) for each in record["tasks"].values()]
    assert len(returns) == 60
    first, last = fmean(returns[:20]), fmean(returns[-20:])
    assert first < -50
    assert last > max(first + 80, -100)
    final = json.loads((run / "eval.json").read_text())["tasks"]["standard"]["scores"]
    assert fmean(final) > -100
