"""A training loop of one's own, watched by `mtctl.Monitor`, then read by the verbs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import mtctl as library
from tests.cli.conftest import Command
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
def test_a_planted_fault_is_named(here: Command, tmp_path: Path, fault: str, code: str) -> None:
    train(tmp_path / "mine", fault)
    found = json.loads(here("diagnose", "mine", "--json").out)
    assert (code, "blue") in [(each["code"], each["task"]) for each in found["findings"]]
    assert len({(each["code"], each["task"]) for each in found["findings"]}) == len(found["findings"])
    screen = here("diagnose", "mine", "--fail-on", "error")
    assert screen.code == 1
    assert code in screen.out
    assert "recipe.yaml" not in screen.out  # there is nothing to train


def test_a_healthy_loop_is_called_healthy(here: Command, tmp_path: Path) -> None:
    train(tmp_path / "mine")
    screen = here("diagnose", "mine", "--fail-on", "warning")
    assert screen.code == 0
    assert screen.out.splitlines()[2] == "✔ Every task learns in 12 epochs (240 updates)."


def test_runs_are_compared_reported_and_followed(
    here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtctl.cli.watch.PAUSE_SECONDS", 0.0)  # nothing more is to come
    for seed in (0, 1):
        train(tmp_path / "good" / f"seed{seed}", seed=seed, epochs=6)
        train(tmp_path / "worse" / f"seed{seed}", "left_out", seed=seed, epochs=3)
    document = json.loads(here("compare", "good", "worse", "--json").out)
    assert [method["label"] for method in document["methods"]] == ["good", "worse"]
    screen = here("compare", "--watch", "good", "worse")
    assert "mean loss" in screen.out
    assert here("report", "good", "worse", "-o", "page.html").code == 0
    assert "worse" in (tmp_path / "page.html").read_text()


def test_without_validation_losses_it_is_said_how_to_have_them(here: Command, tmp_path: Path) -> None:
    loop = Loop(tmp_path / "mine")
    loop.epoch(validate=False)
    loop.monitor.close()
    refused = here("compare", "mine")
    assert refused.code == 2
    assert "monitor.epoch(losses)" in refused.err
    assert "mtctl eval" not in refused.err


def test_what_needs_a_model_says_that_there_is_none(here: Command, tmp_path: Path) -> None:
    train(tmp_path / "mine", epochs=1)
    refused = here("eval", "mine")
    assert refused.code == 2
    assert "a loop of your own (mtctl.Monitor) wrote this run" in refused.err
    for verb in (["train", "mine/recipe.yaml", "--resume"], ["recipes", "check", "mine/recipe.yaml"]):
        refused = here(*verb)
        assert refused.code == 2
        assert "a loop of one's own wrote this, which mtctl cannot train" in refused.err
    refused = here("diagnose", "mine", "--verify")
    assert refused.code == 2
    assert "recipe.yaml" not in refused.err
