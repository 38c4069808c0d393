"""Options that an environment forbids are never chosen, and have no part in probabilities and entropy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.hybrid.distributions import Categories, limited
from mtctl.problems.hybrid.options import MaskError, allowed_options
from tests.problems.hybrid.test_problem import hybrid, train

SPACE = spaces.Dict(
    {
        "go": spaces.Discrete(3, start=5),
        "on": spaces.MultiBinary(3),
        "rest": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.Box(0, 1, (2,))]),
    }
)
MASK = {
    "go": np.array([1, 0, 1], np.int8),
    "on": np.array([0, 1, 2], np.int8),
    "rest": ((np.array([0, 1], np.int8), np.array([1, 1, 0], np.int8)), None),
}


class Fussy(gymnasium.Env[Any, Any]):
    """Forbids an option of each choice by turns, and sometimes everything."""

    def __init__(self, fault: str = "") -> None:
        self.observation_space = spaces.Box(0, 1, (2,))
        self.action_space = spaces.Dict(
            {"go": spaces.Discrete(3), "on": spaces.MultiBinary(1), "much": spaces.Box(0, 1, (1,))}
        )
        self.fault, self.steps = fault, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        info = self.info()
        return self.seen(), {} if self.fault == "late" else info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.fault != "late":
            assert self.mask["go"][action["go"]]
            assert self.mask["on"][0] == 2 or action["on"][0] == self.mask["on"][0]
        self.steps += 1
        return self.seen(), float(action["go"]), self.steps == 10, False, self.info()

    def seen(self) -> Any:
        return self.np_random.random(2, np.float32)

    def info(self) -> dict[str, Any]:
        flags = np.arange(3) != self.np_random.integers(3)
        if self.fault == "all" and self.steps == 2:
            flags[:] = False
        self.mask = {"go": flags.astype(np.int8), "on": self.np_random.integers(0, 3, 1, np.int8)}
        return {"action_mask": self.mask}


def make(**options: Any) -> Fussy:
    return Fussy(**options)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register("tests/Fussy-v0", entry_point=make)
    yield
    del gymnasium.registry["tests/Fussy-v0"]


def test_a_mask_allows_what_the_space_would_sample() -> None:
    flags = allowed_options(SPACE, MASK)
    assert flags.tolist() == [1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1, 1]
    SPACE.seed(0)
    for _ in range(20):
        drawn = SPACE.sample(MASK)
        choices = [drawn["go"] - 5, *drawn["rest"][0], *drawn["on"]]
        starts = np.cumsum([0, 3, 2, 3, 2, 2])
        assert all(flags[start + choice] for start, choice in zip(starts, choices, strict=True))
    assert allowed_options(SPACE, None).all()
    assert allowed_options(SPACE, {"on": None}).all()
    assert allowed_options(spaces.Box(0, 1), None).tolist() == []


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"go": np.zeros(3)}, "every option of action.go is forbidden"),
        ({"rest": ((None, np.zeros(3)), None)}, r"every option of action.rest\[0\]\[1\] is forbidden"),
        ({"go": np.ones(2)}, r"the mask of action.go has shape \(2,\): expected \(3,\)"),
        ({"on": np.ones(2)}, r"the mask of action.on has shape \(2,\): expected \(3,\)"),
        ({"rest": (None,)}, "the mask of action.rest has 1 parts: expected 2"),
        ({"gone": None}, "there is no action.gone"),
        (np.ones(3), "the mask of action is no dictionary"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(mask: Any, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        allowed_options(SPACE, mask)


def test_options_that_are_not_allowed_have_no_probability() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 5, generator=generator)
    allowed = torch.tensor([True, False, True, False, True]).expand(200, 5)
    head, masked = Categories([3, 2]), limited(logits, allowed)
    drawn = head.sample(masked, generator)
    assert set(drawn[:, 0].tolist()) == {0, 2}
    assert set(drawn[:, 1].tolist()) == {1}
    assert set(head.mode(masked)[:, 0].tolist()) == {0, 2}
    judged = head.judge(masked, drawn)
    two = Categories([2])
    among = two.judge(logits[:, [0, 2]], drawn[:, :1] // 2)
    torch.testing.assert_close(judged.log_probability, among.log_probability)
    torch.testing.assert_close(judged.entropy, among.entropy)
    torch.testing.assert_close(judged.slopes[:, [0, 2]], among.slopes)
    assert not judged.slopes[:, [1, 3, 4]].any()
    assert not judged.entropy_slopes[:, [1, 3, 4]].any()


def test_a_policy_plays_and_learns_with_exact_ratios_where_options_are_forbidden() -> None:
    problem = hybrid(environment="tests/Fussy-v0")
    while problem.done < 3:
        assert problem.advance() is None
        assert problem.gradients() is not None
        assert max(float(head.off) for head in problem._seen[0].values()) < 2e-6
        problem.update()
        while problem.advance() is None:
            problem.gradients()
            problem.update()
    assert len(problem.evaluate(8, "held_out")["tests/Fussy-v0"].scores) == 8


def test_a_resumed_run_goes_on_with_the_options_that_were_allowed() -> None:
    whole, half, other = (hybrid(environment="tests/Fussy-v0") for _ in range(3))
    expected = train(whole)
    train(half, units=4)
    other.load_state_dict(half.state_dict())
    assert [each["tasks"] for each in train(other)] == [each["tasks"] for each in expected[4:]]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "all",
            r'copy 0, step 2 of its episode 0: info\["action_mask"\]: every option of action.go is for',
        ),
        ("late", r'copy 0, step 1 of its episode 0: info\["action_mask"\]: it is given by step, and was not'),
    ],
)
def test_a_mask_that_leaves_nothing_is_named_with_copy_and_step(fault: str, message: str) -> None:
    problem = hybrid(environment="tests/Fussy-v0", options={"fault": fault})
    with pytest.raises(MtctlError, match=message) as found:
        train(problem)
    assert found.value.code is ExitCode.USAGE
