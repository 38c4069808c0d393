"""PPO on hybrid actions: exact probabilities, exact resume, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mtctl.balancing.chain import Chain
from mtctl.balancing.fixed import Equal
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.signals import SignalLog
from mtctl.errors import MtctlError
from mtctl.problems.contract import Record
from mtctl.problems.hybrid.problem import Hybrid
from mtctl.problems.hybrid.recipe import HybridRecipe

SMALL: dict[str, Any] = {"hidden": [16], "steps": 8, "minibatch": 32, "epochs": 2}


def recipe(agent: dict[str, Any] | None = None, **problem: Any) -> HybridRecipe:
    return HybridRecipe.model_validate(
        {
            "name": "test",
            "problem": {"kind": "hybrid", "copies": 16, "environment_steps": 1280, **problem},
            "agent": {**SMALL, **(agent or {})},
            "balancer": {"kind": "equal"},
        }
    )


def hybrid(agent: dict[str, Any] | None = None, *, seed: int = 0, **problem: Any) -> Hybrid:
    told = recipe(agent, **problem)
    return Hybrid(told.problem, told.agent, seed)


class Recorder:
    def __init__(self) -> None:
        self.records: list[Record] = []

    def unit_ended(self, record: Record) -> None:
        self.records.append(record)


def train(problem: Hybrid, units: int | None = None) -> list[Record]:
    recorder = Recorder()
    stop = (lambda: problem.done >= units) if units else (lambda: False)
    balancing = Balancing(Chain((Equal(),)), problem.tasks, 0)
    fit(problem, balancing, SignalLog(problem.tasks, shared=True), [recorder], stop)
    return recorder.records


AGENTS: dict[str, dict[str, Any]] = {
    "gaussian": {},
    "beta": {"continuous": "beta"},
    "joint": {"ratio": "joint"},
    "unnormalised": {"normalise_observations": False, "normalise_rewards": False},
}


@pytest.mark.parametrize("environment", ["moving", "sliding", "topology"])
@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_every_ratio_is_one_before_the_first_update(agent: dict[str, Any], environment: str) -> None:
    problem = hybrid(agent, environment=environment)
    for _ in range(3):  # also after the statistics of observations have moved
        assert problem.advance() is None
        assert problem.gradients() is not None
        assert max(float(head.off) for head in problem._seen[0].values()) < 2e-6
        while problem.advance() is None:
            problem.gradients()


def test_the_published_defect_has_other_ratios_from_the_start() -> None:
    problem = hybrid({"old_log_probability": "published_defect"})
    problem.advance()
    problem.gradients()
    assert float(problem._seen[0]["continuous"].off) > 0.1
    assert float(problem._seen[0]["discrete"].off) < 1e-6


def test_the_budget_is_whole_rollouts() -> None:
    problem = hybrid()
    records = train(problem)
    assert len(records) == problem.units == 10
    budget = problem.budget()
    assert budget["environment_steps"] == 1280
    assert budget["updates"] == 10 * 2 * (128 // 32)
    assert records[-1]["environment_steps"] == 1280
    assert set(records[-1]["tasks"]) >= {"discrete", "continuous"}


@pytest.mark.parametrize("environment", ["moving", "topology"])
def test_a_resumed_run_goes_on_to_the_last_bit(environment: str) -> None:
    whole, half, other = (hybrid(environment=environment) for _ in range(3))
    expected = train(whole)
    train(half, units=4)
    other.load_state_dict(half.state_dict())
    found = train(other)
    assert [record["tasks"] for record in found] == [record["tasks"] for record in expected[4:]]
    for left, right in zip(whole.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(left, right)


def test_going_back_to_a_mark_leaves_nothing_behind() -> None:
    problem, other = hybrid(), hybrid()
    train(problem, units=2)
    train(other, units=2)
    problem.mark()
    train(problem, units=4)
    problem.rewind()
    assert [each["tasks"] for each in train(problem)] == [each["tasks"] for each in train(other)]


def test_an_evaluation_changes_nothing_and_depends_on_its_list_alone() -> None:
    problem, other = hybrid(), hybrid()
    first = problem.evaluate(4, "held_out")
    assert problem.evaluate(4, "held_out") == first
    assert problem.evaluate(4, "monitor") != first
    assert [each["tasks"] for each in train(problem)] == [each["tasks"] for each in train(other)]
    told = recipe()
    greedy = Hybrid(told.problem, told.agent, 0, "greedy")
    few, more = (greedy.evaluate(episodes, "held_out")["moving"].scores for episodes in (4, 6))
    assert more[:4] == pytest.approx(few)
    assert few != first["moving"].scores


def test_epochs_end_early_once_the_policy_has_moved_far_enough() -> None:
    far = {"lr": 3e-2, "epochs": 10}
    free, bound = hybrid(far), hybrid({**far, "target_kl": 0.01})
    train(free)
    train(bound)
    assert bound.budget()["updates"] < 0.6 * free.budget()["updates"]
    assert bound.budget()["environment_steps"] == free.budget()["environment_steps"]


def test_parameters_that_no_action_has_used_are_recorded() -> None:
    trap: dict[str, Any] = {"environment": "benchmarks.policy_trap:Trap-v0", "options": {"locked": 1}}
    problem, other, all_used = hybrid(**trap), hybrid(**trap), hybrid()
    records = train(problem, units=2)
    assert [each["tasks"]["continuous"]["never used"] for each in records] == ["action.amount[1]"] * 2
    other.load_state_dict(problem.state_dict())
    assert train(other)[0]["tasks"]["continuous"]["never used"] == "action.amount[1]"
    assert "never used" not in train(all_used)[0]["tasks"]["continuous"]
    crowded = train(hybrid(environment="topology"), units=1)[0]["tasks"]["continuous"]["never used"]
    assert crowded.startswith("action.spawn[")
    assert " and " in crowded


def test_heads_that_the_actions_do_not_have_are_refused() -> None:
    with pytest.raises(MtctlError, match="the actions of moving are discrete and continuous"):
        hybrid(tasks=["discrete"])


def test_it_learns_to_reach_the_target() -> None:
    """Returns of a random policy are about -1.3; a start of learning is a mean above -0.4."""
    settings = {"hidden": [64, 64], "steps": 64, "minibatch": 512, "epochs": 6, "lr": 3e-3}
    problem = hybrid(settings, copies=32, environment_steps=200_000)
    before = problem.evaluate(50, "held_out")["moving"].scores
    train(problem)
    after = problem.evaluate(50, "held_out")["moving"].scores
    assert sum(after) / 50 > sum(before) / 50 + 0.8


def test_an_environment_that_draws_is_shown_picture_by_picture() -> None:
    problem = hybrid(environment="lander_hybrid", copies=4, environment_steps=256)
    frames: list[Any] = []
    problem.show("lander_hybrid", 1, lambda frame: frames.append(frame.copy()))
    assert len(frames) > 40
    assert frames[0].shape == (400, 600, 3)
    assert any((frame != frames[0]).any() for frame in frames)


def test_an_environment_without_pictures_says_so() -> None:
    with pytest.raises(MtctlError, match="moving cannot be shown: it draws no pictures"):
        hybrid().show("moving", 1, lambda frame: None)
