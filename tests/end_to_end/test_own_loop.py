"""A training loop of one's own, watched by `mtctl.Monitor`, then read by the real `mtctl`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import mtctl as library
from tests.end_to_end.command import mtctl
from tests.monitoring.loops import Loop


def train(directory: Path, fault: str = "", *, seed: int = 0, epochs: int = 12) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library.MonitorWarning)
        loop = Loop(directory, fault, seed=seed, every=5, epochs=epochs)
        for _ in range(epochs):
            loop.epoch(20)
        loop.monitor.close()


@pytest.mark.parametrize(
    ("fault", "code"), [("left_out", "not-in-optimizer"), ("no_graph", "detached-task"), ("nan", "diverged")]
)
def test_a_planted_fault_is_named(tmp_path: Path, fault: str, code: str) -> None:
    train(tmp_path / "mine", fault)
    found = json.loads(mtctl("diagnose", "mine", "--json", cwd=tmp_path).out)
    assert (code, "blue") in [(each["code"], each["task"]) for each in found["findings"]]
    assert len({(each["code"], each["task"]) for each in found["findings"]}) == len(found["findings"])
    screen = mtctl("diagnose", "mine", "--fail-on", "error", cwd=tmp_path, code=1)
    assert code in screen.out
    assert "recipe.yaml" not in screen.out  # there is nothing to train


def test_a_healthy_loop_is_called_healthy(tmp_path: Path) -> None:
    train(tmp_path / "mine")
    screen = mtctl("diagnose", "mine", "--fail-on", "warning", cwd=tmp_path)
    assert screen.out.splitlines()[2] == "✔ Every task learns in 12 epochs (240 updates)."


def test_runs_are_compared_reported_and_followed(tmp_path: Path) -> None:
    for seed in (0, 1):
        train(tmp_path / "good" / f"seed{seed}", seed=seed, epochs=6)
        train(tmp_path / "worse" / f"seed{seed}", "left_out", seed=seed, epochs=3)
    document = json.loads(mtctl("compare", "good", "worse", "--json", cwd=tmp_path).out)
    assert [method["label"] for method in document["methods"]] == ["good", "worse"]
    screen = mtctl("compare", "--watch", "good", "worse", cwd=tmp_path)
    assert "mean loss" in screen.out
    mtctl("report", "good", "worse", "-o", "page.html", cwd=tmp_path)
    assert "worse" in (tmp_path / "page.html").read_text()


def test_without_validation_losses_it_is_said_how_to_have_them(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "mine")
    loop.epoch(validate=False)
    loop.monitor.close()
    refused = mtctl("compare", "mine", cwd=tmp_path, code=2)
    assert "monitor.epoch(losses)" in refused.err
    assert "mtctl eval" not in refused.err


def test_what_needs_a_model_says_that_there_is_none(tmp_path: Path) -> None:
    train(tmp_path / "mine", epochs=1)
    refused = mtctl("eval", "mine", cwd=tmp_path, code=2)
    assert "a loop of your own (mtctl.Monitor) wrote this run" in refused.err
    for verb in (["train", "mine/recipe.yaml", "--resume"], ["recipes", "check", "mine/recipe.yaml"]):
        refused = mtctl(*verb, cwd=tmp_path, code=2)
        assert "a loop of one's own wrote this, which mtctl cannot train" in refused.err
    refused = mtctl("diagnose", "mine", "--verify", cwd=tmp_path, code=2)
    assert "recipe.yaml" not in refused.err
