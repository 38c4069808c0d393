"""The benchmark runs end to end, and takes the matrix products of an update for what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.networks import AGENTS, Products, learner
from tests.problems.lander.landers import TASKS

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "networks.json"
    command = [sys.executable, "-m", "benchmarks.networks", "--quick", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["torch_threads"] == 1
    assert [one["what"] for one in written["comparisons"]] == list(AGENTS)
    for one in written["comparisons"]:
        assert one["what"] in ran.stdout
        assert 0 < one["quartiles"][0] <= one["ratio"] <= one["quartiles"][1]
        assert (one["met"] is None) == (one["bar"] is None)


def test_the_products_are_those_of_three_forward_passes_and_a_backward_pass() -> None:
    source = learner({"hidden": (32, 16)})
    with Products() as noted:
        source.dqn.gradients(source.replay.sample(64))
    multiplications = sum(left.numel() * right[-1] for left, right in noted.shapes)
    layers = 8 * 32 + 32 * 16 + 16 * 4
    # Passes for the targets, for Double DQN and for the loss; gradients of weights; those of hidden layers.
    assert multiplications == 64 * len(TASKS) * (3 * layers + layers + layers - 8 * 32)
