from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

import mtctl
from tests.monitoring.loops import Loop


def said(loop: Loop, epochs: int = 4, *, balanced: bool = False) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(epochs):
            loop.epoch(balanced=balanced)
    assert all(each.category is mtctl.MonitorWarning for each in found)
    assert all(each.filename.endswith("loops.py") for each in found)  # the user's line, not the monitor's
    return [str(each.message) for each in found]


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_that_the_optimizer_was_not_given(tmp_path: Path, balanced: bool) -> None:
    loop = Loop(tmp_path / "run", "left_out")
    (message,) = said(loop, balanced=balanced)
    assert "the optimizer was not given 2 parameters (1×24, 1) of blue" in message
    (finding,) = loop.monitor.diagnose().findings[:1]
    assert (finding.code, finding.task, finding.confidence) == ("not-in-optimizer", "blue", "certain")


def test_names_are_those_of_the_model(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "one")
    optimizer = torch.optim.SGD(loop.red.parameters(), lr=0.1)
    loop.monitor.close()
    loop.monitor = mtctl.Monitor(tmp_path / "two", optimizer=optimizer, model=loop.model)
    messages = said(loop)
    assert any(
        "(trunk.0.weight, trunk.0.bias, trunk.2.weight and 1 more) that tasks share" in each
        for each in messages
    )
    assert any("(blue.weight, blue.bias) of blue" in each for each in messages)


def test_a_loss_without_a_graph(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", "no_graph")
    messages = said(loop)
    assert len(messages) == 1
    assert "blue's loss depends on no parameter that requires a gradient" in messages[0]
    found = loop.monitor.diagnose().findings
    assert ("detached-task", "blue") in [(each.code, each.task) for each in found]


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", "nan")
    messages = said(loop)
    assert any("blue's loss is nan in step 21" in each for each in messages)
    loop.monitor.close()
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["status"] == "failed"
    assert told["error"] == {
        "kind": "diverged",
        "message": "diverged in step 21: task `blue` has loss nan",
        "task": "blue",
        "found": "loss nan",
        "place": "step 21",
    }


def test_a_loss_that_recovers_does_not_fail_the_run(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", "nan")
    loop.epochs = 2
    losses = loop.losses()
    with pytest.warns(mtctl.MonitorWarning, match="blue's loss is nan in step 1"):
        loop.monitor.record(losses)
    loop.fault = ""
    said(loop)
    loop.monitor.close()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "completed"


def test_a_loss_that_balance_refuses_is_recorded_all_the_same(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", "nan")
    loop.epochs = 2
    losses = loop.losses()
    with pytest.warns(mtctl.MonitorWarning, match="nan"), pytest.raises(mtctl.BalanceError):
        mtctl.balance(losses, balancer=mtctl.Balancer("gradnorm"), monitor=loop.monitor)
    loop.monitor.close()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["error"]["task"] == "blue"


def test_a_head_without_a_gradient(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run")
    with pytest.warns(mtctl.MonitorWarning, match="blue's head had no gradient in 3 measured steps"):
        for _ in range(3):
            losses = loop.losses()
            loop.monitor.record({"red": losses["red"], "blue": losses["blue"].clamp(max=-1.0)})


def test_heads_that_are_named_show_where_a_loss_is_cut_off(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "one", "detached")
    loop.monitor.close()
    heads = {"red": loop.red.parameters(), "blue": loop.blue.parameters()}
    loop.monitor = mtctl.Monitor(tmp_path / "two", optimizer=loop.optimizer, heads=heads)
    messages = said(loop)
    assert any(
        "blue's loss reaches its head, and nothing of what other tasks' losses reach" in each
        for each in messages
    )
    (finding,) = loop.monitor.diagnose().findings
    assert (finding.code, finding.task) == ("detached-task", "blue")


def test_without_names_it_is_said_that_nothing_is_shared_and_no_more(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", "detached")
    (message,) = said(loop)
    assert "they share nothing" in message
    assert not loop.monitor.diagnose().findings


def test_of_three_tasks_the_one_that_reaches_no_trunk_is_found(tmp_path: Path) -> None:
    trunk, heads = torch.nn.Linear(4, 8), [torch.nn.Linear(8, 1) for _ in range(3)]
    parameters = [*trunk.parameters(), *(one for head in heads for one in head.parameters())]
    monitor = mtctl.Monitor(tmp_path / "run", optimizer=torch.optim.SGD(parameters, lr=0.1))
    for _ in range(6):
        features = trunk(torch.ones(5, 4)).relu()
        read = {"a": features, "b": features, "c": features.detach()}
        losses = {
            task: (head(one) - 1).square().mean()
            for (task, one), head in zip(read.items(), heads, strict=True)
        }
        monitor.record(losses)
    assert ("detached-task", "c") in [(each.code, each.task) for each in monitor.diagnose().findings]
