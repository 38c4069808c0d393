"""A model of one's own, trained, scored and compared by its file; worker processes read its data."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.end_to_end.command import mtctl

DATA = """
import torch
from torch.utils.data import Dataset

class Scenes(Dataset):
    def __init__(self, rows):
        draw = torch.Generator().manual_seed(1)
        self.x = torch.randn(rows, 3, generator=draw)
        self.depth = self.x @ torch.randn(3, 1, generator=draw)
        self.normals = torch.tanh(self.x @ torch.randn(3, 2, generator=draw))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return {"image": self.x[row], "depth": self.depth[row], "normals": self.normals[row]}
"""
NETS = """
import mtctl, torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from scenes import Scenes

print("hello from the file")

def build(seed, start_method="fork"):
    trunk, depth, normals = nn.Linear(3, 16), nn.Linear(16, 1), nn.Linear(16, 2)

    def forward(batch):
        hidden = F.dropout(torch.relu(trunk(batch["image"])), 0.1, trunk.training)
        return {"depth": depth(hidden), "normals": normals(hidden)}

    return mtctl.Training(
        model=nn.ModuleDict({"trunk": trunk, "depth_head": depth, "normals_head": normals}),
        forward=forward,
        tasks={"depth": mtctl.Task(F.l1_loss), "normals": mtctl.Task(F.mse_loss)},
        train=DataLoader(
            Scenes(64), batch_size=16, shuffle=True, num_workers=1, multiprocessing_context=start_method
        ),
        validation=DataLoader(Scenes(32), batch_size=16),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
    )
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with a file of one's own and what it imports; commands run in another."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "scenes.py").write_text(DATA)
    (tmp_path / "own" / "nets.py").write_text(NETS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for module in ("nets", "scenes"):
        sys.modules.pop(module, None)


def metrics(run: Path) -> list[object]:
    """Return a run's records without their times."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [{key: value for key, value in record.items() if "second" not in key} for record in records]


def train(here: Command, *words: str) -> None:
    """Train in this process."""
    result = here("train", "own/nets.py:build", *words, "-q")
    assert result.code == 0, result


def test_from_a_file_to_a_verdict(folder: Path, here: Command) -> None:
    function = "own/nets.py:build"
    trained = mtctl("train", function, "--seeds", "2", "-o", "training.epochs=1", "--json", cwd=folder)
    runs = json.loads(trained.out)["runs"]  # what the file prints is not in it
    assert [run["status"] for run in runs] == ["completed"] * 2
    assert trained.err.count(f"running {function}\n") == 1
    train(here, "--balancer", "famo", "-o", "training.epochs=1")
    assert "skill %" in here("eval", "results/nets/seed1").out
    assert "nets_famo" in here("compare", "results").out


def test_workers_that_start_afresh_train_alike(folder: Path, here: Command) -> None:
    for method in ("fork", "spawn"):
        words = ["-o", f"problem.arguments.start_method={method}", "-o", "training.epochs=1"]
        train(here, *words, "-o", f"name={method}")
    forked, spawned = (metrics(folder / "results" / method / "seed0") for method in ("fork", "spawn"))
    assert forked
    assert forked == spawned


def test_a_run_goes_on_as_if_it_had_never_stopped(folder: Path, here: Command) -> None:
    train(here, "-o", "training.epochs=4", "-o", "name=whole")
    train(here, "-o", "training.epochs=2", "-o", "name=parts")
    words = ["-o", "training.epochs=4", "-o", "name=parts", "-q", "--resume"]
    mtctl("train", "own/nets.py:build", *words, cwd=folder)
    whole, parts = (metrics(folder / "results" / name / "seed0") for name in ("whole", "parts"))
    assert whole == parts


def test_files_that_are_edited_while_a_command_trains(folder: Path) -> None:
    nets, seeds = folder / "own" / "nets.py", ("--seeds", "3", "--jobs", "1", "-o", "training.epochs=1")
    edit = """
def edited(seed):
    if seed == 1 and not os.path.exists("edited"):  # while the second of three runs is under way
        open("edited", "w").close()
        with open(scenes.__file__, "a") as file:
            file.write("# edited")
    return build(seed)
"""
    nets.write_text(NETS + "import os, scenes\n" + edit)
    before = (folder / "own" / "scenes.py").read_text()
    found = mtctl("train", "own/nets.py:edited", *seeds, "-o", "name=runs", cwd=folder, code=1)
    assert "runs/seed2" in found.err and "scenes.py has changed" in found.err
    assert "since this command started" in found.err and "start the command again" in found.err
    states = [
        json.loads((folder / "results/runs" / f"seed{seed}" / "run.json").read_text()) for seed in (0, 1)
    ]
    assert [state["status"] for state in states] == ["completed"] * 2
    assert not (folder / "results/runs/seed2/run.json").exists()
    # With that version restored, the rest is trained, and the others stay.
    (folder / "own" / "scenes.py").write_text(before)
    trained = mtctl(
        "train", "own/nets.py:edited", *seeds, "-o", "name=runs", "--resume", "--json", cwd=folder
    )
    assert [run["status"] for run in json.loads(trained.out)["runs"]] == ["completed"] * 3


def test_a_run_that_goes_on_with_changed_code_says_so(folder: Path) -> None:
    nets = folder / "own" / "nets.py"
    mtctl("train", "own/nets.py:build", "-o", "training.epochs=1", "-q", cwd=folder)
    nets.write_text(NETS + "\n# mended\n")
    found = mtctl("train", "own/nets.py:build", "-o", "training.epochs=2", "--resume", cwd=folder)
    assert "results/nets/seed0 goes on with a changed nets.py: its SHA-256 is" in found.out + found.err
