"""Remedies as lines of Python."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from mtctl.diagnosis.report import TaskState
from mtctl.screens.remedy_code import code_lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"training.head_lr": {"depth": 20.0}}, '    {"params": depth_head.parameters(), "lr": 20 * lr},'),
        (
            {"balancer": {"kind": "pcgrad"}},
            'balancer = mtctl.Balancer("pcgrad")  # once, beside the optimizer',
        ),
        (
            {"balancer": {"kind": "gradnorm", "alpha": 0.5}},
            'balancer = mtctl.Balancer("gradnorm", alpha=0.5)  # once, beside the optimizer',
        ),
        ({"balancer": {"kind": "equal"}}, "sum(losses.values()).backward()  # no weights, no balancing"),
        (
            {"training.standardise": ["depth"]},
            "depth_target = (depth_target - mean) / std  # mean and std of its training targets",
        ),
        (
            {"training.gradient_clip": 1.0},
            "torch.nn.utils.clip_grad_norm_(model.parameters(), 1)  "
            "# after backward(), before optimizer.step()",
        ),
        (
            {"training.lr_factor": 5.0},
            "lr = 5 * lr  # multiply every learning rate of your optimizer by 5",
        ),
        (
            {"training.weight_decay": 0.0},
            "optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0)",
        ),
        ({"training.adam": 5e-3}, "optimizer = torch.optim.Adam(model.parameters(), lr=0.005)"),
        ({"training.loss_factor": {"depth": 105}}, 'losses["depth"] = 105 * losses["depth"]'),
        ({"training.dropout": False}, "        module.p = 0.0"),
        (
            {"problem.target_shift": {"depth": 1}},
            "depth_target = depth_target.roll(-1, 0)  # of all rows, before a shuffle",
        ),
        (
            {"training.head_decay": {"depth": 0.0}},
            '    {"params": depth_head.parameters(), "lr": lr, "weight_decay": 0},',
        ),
    ],
)
def test_lines(changes: dict[str, Any], line: str) -> None:
    lines = code_lines(changes)
    assert line in lines
    ast.parse("\n".join(lines))


@pytest.mark.parametrize(
    "changes",
    [
        {"training.lr_factor": 1.0},
        {"training.gradient_clip": None},
        {"training.adam": None},
        {"training.dropout": True},
        {"training.weight_decay": None},
        {"problem.limit": 16},
        {"problem.target_shift": {"depth": 0}},
    ],
)
def test_what_changes_nothing_in_a_loop_has_no_line(changes: dict[str, Any]) -> None:
    assert code_lines(changes) == []


def test_several_methods_are_one_balancer() -> None:
    lines = code_lines({"balancer": [{"kind": "gradnorm"}, {"kind": "pcgrad"}]})
    assert lines[0].startswith("balancer = mtctl.Balancer([{'kind': 'gradnorm'}, {'kind': 'pcgrad'}])")


def test_every_line_of_several_changes_is_there() -> None:
    lines = code_lines({"training.standardise": ["a", "b"], "balancer": {"kind": "equal"}})
    assert [line.partition(" ")[0] for line in lines if "_target" in line] == ["a_target", "b_target"]
    ast.parse("\n".join(lines))


def test_standardised_targets_are_told_by_their_numbers_and_classes_apart() -> None:
    states = [
        TaskState("depth", "flat", 1.0, 1.0, 0.0, classes=False, unit=(200_000.0, 64_000.0)),
        TaskState("kind", "flat", 1.0, 1.0, 0.0, classes=True),
    ]
    lines = code_lines({"training.standardise": ["depth", "kind"]}, states)
    assert lines == [
        "depth_target = (depth_target - 200000) / 64000",
        "depth_answer = 200000 + 64000 * depth_output  # where you use what it says",
        "# kind: begin with its head's bias at the logarithms of the classes' shares",
    ]
    ast.parse("\n".join(lines))
