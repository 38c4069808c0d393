"""Gradients on graphs of any shape, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mtctl
from mtctl.balancing.gradients.graph import split
from tests.library.models import by_hand, gradients

LEAVES, LOSSES, MOST = 4, ("red", "green", "blue"), 8
Program = list[tuple[str, int, int]]


def programs() -> st.SearchStrategy[Program]:
    """Operations on two earlier values each: any wiring of four parameters."""
    return st.integers(LEAVES, MOST + LEAVES).flatmap(
        lambda count: st.tuples(
            *(
                st.tuples(st.sampled_from("+*t"), st.integers(0, place - 1), st.integers(0, place - 1))
                for place in range(LEAVES, count)
            )
        ).map(list)
    )


def run(program: Program, ends: list[int], leaves: list[Tensor]) -> dict[str, Tensor]:
    values = list(leaves)
    for operation, one, other in program:
        left, right = values[one], values[other]
        match operation:
            case "+":
                values.append(left + right)
            case "*":
                values.append(left * right)
            case _:
                values.append(torch.stack([left, right]).tanh().unbind()[1])
    return {
        task: (values[end % len(values)] - place).square().mean()
        for place, (task, end) in enumerate(zip(LOSSES, ends, strict=True))
    }


def parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(LEAVES, 3, generator=generator, dtype=torch.float64)
    return [row.clone().requires_grad_() for row in drawn]


@given(
    program=programs(),
    ends=st.tuples(*[st.integers(0, 100)] * len(LOSSES)).map(list),
    kind=st.sampled_from(["pcgrad", "encodec", "gradnorm"]),
    measure=st.booleans(),
    retain=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_wiring(program: Program, ends: list[int], kind: str, measure: bool, retain: bool) -> None:
    leaves = parameters()
    reached = [
        {
            leaf
            for leaf, gradient in zip(
                leaves, torch.autograd.grad(loss, leaves, allow_unused=True, retain_graph=True), strict=True
            )
            if gradient is not None
        }
        for loss in run(program, ends, leaves).values()
    ]
    met = [leaf for leaf in leaves if sum(leaf in among for among in reached) > 1]
    assert set(split(list(run(program, ends, leaves).values())).shared) == set(met)
    losses = run(program, ends, leaves)
    balancer = mtctl.Balancer(kind)
    if not met:
        with pytest.raises(mtctl.BalanceError, match="nothing is shared"):
            mtctl.balance(losses, balancer=balancer)
        return
    report = mtctl.balance(losses, balancer=balancer, measure=measure, retain_graph=retain)
    want = by_hand(run(program, ends, leaves), report, met, leaves)
    torch.testing.assert_close(gradients(leaves), want)
    if report.space == "all_shared":
        jacobian = torch.stack(
            [
                torch.cat(torch.autograd.grad(loss, met, retain_graph=True, materialize_grads=True))
                for loss in run(program, ends, leaves).values()
            ]
        )
        assert report.gramian is not None
        torch.testing.assert_close(report.gramian, jacobian @ jacobian.T)
