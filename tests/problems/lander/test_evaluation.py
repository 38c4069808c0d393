from __future__ import annotations

from typing import Any

import pytest
import torch

from mtctl.problems.contract import Problem
from mtctl.problems.lander import tasks
from mtctl.problems.lander.problem import Lander
from tests.problems.lander.landers import SMALL, TASKS, independent, lander, learn

AGENTS = [{"task_encoding": "embedding"}, independent()]


def trained(**agent: Any) -> Lander:
    """Return a lander at the end of an episode, in the midst of learning."""
    problem = lander(hidden=SMALL, replay={"learning_starts": 16}, **agent)
    while problem.done < 4:
        learn(problem)
    assert problem.dqn.updates
    return problem


def equal(a: Any, b: Any) -> bool:
    match a:
        case torch.Tensor():
            return torch.equal(a, b)
        case dict():
            return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
        case list() | tuple():
            return len(a) == len(b) and all(map(equal, a, b))
        case _:
            return bool(a == b)


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_evaluation_is_repeatable_and_touches_nothing(agent: dict[str, Any]) -> None:
    problem = trained(**agent)
    before = problem.state_dict()
    first = problem.evaluate(3, "held_out")
    assert problem.evaluate(3, "held_out") == first
    assert equal(problem.state_dict(), before)
    assert tuple(first) == TASKS
    for scored in first.values():
        assert scored.steps is not None
        assert scored.outcomes is not None
        assert len(scored.scores) == len(scored.steps) == len(scored.outcomes) == 3
        assert set(scored.outcomes) <= set(problem.score.outcomes)


def test_evaluation_between_steps_does_not_change_training() -> None:
    watched, alone = trained(task_encoding="onehot"), trained(task_encoding="onehot")
    for step in range(120):
        if step % 40 == 7:
            watched.evaluate(1, "monitor")
        learn(watched)
        learn(alone)
    assert equal(watched.dqn.state_dict(), alone.dqn.state_dict())


def test_an_episode_depends_on_its_seed_alone() -> None:
    problem = trained()
    long = problem.evaluate(4, "held_out")
    assert problem.evaluate(2, "held_out")["windy"].scores == long["windy"].scores[:2]
    assert problem.evaluate(4, "held_out", ("heavy",)) == {"heavy": long["heavy"]}
    assert problem.evaluate(4, "monitor")["standard"].scores != long["standard"].scores


def test_a_policy_is_all_that_evaluation_needs() -> None:
    problem, fresh = (
        trained(task_encoding="embedding"),
        lander(hidden=SMALL, task_encoding="embedding", seed=9),
    )
    assert fresh.evaluate(2, "held_out") != problem.evaluate(2, "held_out")
    fresh.load_policy_state(problem.policy_state())
    assert fresh.evaluate(2, "held_out") == problem.evaluate(2, "held_out")


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_an_averaged_policy_is_the_running_average_of_the_weights(agent: dict[str, Any]) -> None:
    problem, plain = trained(averaging=0.1, **agent), trained(**agent)
    assert equal(problem.dqn.online.state_dict(), plain.dqn.online.state_dict())
    assert not equal(problem.policy_state(), plain.policy_state())
    assert problem.evaluate(2, "held_out") != plain.evaluate(2, "held_out")

    fresh = lander(hidden=SMALL, replay={"learning_starts": 16}, averaging=0.1, **agent)
    expected, updates = fresh.policy_state(), 0
    while fresh.done < 4:
        if learn(fresh) is not None:
            updates += 1
            for name, value in fresh.dqn.online.state_dict().items():
                expected[name].lerp_(value, 0.1)
    assert updates > 20
    assert equal(fresh.policy_state(), expected)
    assert equal(fresh.policy_state(), problem.policy_state())


def test_an_averaged_policy_is_all_that_its_evaluation_needs() -> None:
    problem, other = trained(averaging=0.1), lander(hidden=SMALL, averaging=0.1, seed=9)
    other.load_policy_state(problem.policy_state())
    assert other.evaluate(2, "held_out") == problem.evaluate(2, "held_out")
    seen = lander(hidden=SMALL, seed=9)
    seen.load_policy_state(problem.policy_state())
    assert seen.evaluate(2, "held_out") == problem.evaluate(2, "held_out")


def test_evaluation_is_greedy_under_the_tasks_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lander reaches the ground within twelve steps."""
    problem = lander(hidden=SMALL)
    monkeypatch.setitem(
        tasks.TASKS,
        "windy",
        tasks.TaskDefinition(time_limit=12),
    )
    scored = problem.evaluate(2, "held_out", ("windy",))["windy"]
    assert scored.steps == (12, 12)
    assert scored.outcomes == ("timed_out", "timed_out")


def test_frames_are_pictures_of_every_step() -> None:
    pytest.importorskip("pygame", reason="frames are drawn by the extra `video`")
    problem = lander(hidden=SMALL)
    frames: list[Any] = []
    problem.show("heavy", 1, frames.append)
    played = problem.evaluate(1, "held_out", ("heavy",))["heavy"].steps
    assert played is not None
    # Engine particles are part of a rendered world's physics, so its course may differ by a little.
    assert len(frames) == pytest.approx(played[0], rel=0.5)
    assert all(frame.shape == (400, 600, 3) for frame in frames)


def test_state_in_the_midst_of_an_episode_is_refused() -> None:
    problem = lander(hidden=SMALL)
    problem.advance()
    with pytest.raises(RuntimeError, match="episode is being played"):
        problem.state_dict()


@pytest.mark.parametrize(
    "agent",
    [
        {"task_encoding": "embedding", "double": True, "target": {"kind": "soft"}},
        {"replay": {"kind": "mixed", "learning_starts": 16}, "n_step": 3},
        independent(learn="active_task", target={"kind": "episodes", "every": 1}),
        {"task_encoding": "embedding", "averaging": 0.1},
        {"layer_norm": True, "dueling": True, "double": True},
        {"replay": {"learning_starts": 16, "capacity": 240, "priority": {"environment_steps": 500}}},
        {"replay": {"kind": "mixed", "learning_starts": 16, "capacity": 150, "priority": {}}, "n_step": 3},
        independent(layer_norm=True, dueling=True, learn="active_task"),
        {"lr": 1e-2, "lr_schedule": {"kind": "cosine", "environment_steps": 900}},
        {"exploration": {"counts": "own_steps", "length": 300, "shape": "linear"}},
        {"reward_scale": {"kind": "running_return"}, "replay": {"kind": "mixed", "learning_starts": 16}},
        {"architecture": {"kind": "residual"}, "hidden": (8,), "categorical": {"atoms": 5}, "double": True},
    ],
    ids=str,
)
def test_restored_problem_goes_on_bit_for_bit(agent: dict[str, Any]) -> None:
    settings = {"hidden": SMALL, "replay": {"learning_starts": 16}, **agent}
    original, restored = lander(**settings), lander(**settings)
    while original.done < 4:
        learn(original)
    restored.load_state_dict(original.state_dict())
    while original.done < 8:
        learn(original)
        learn(restored)
    assert original.dqn.updates > 100
    assert equal(restored.state_dict(), original.state_dict())


def test_lander_is_a_problem() -> None:
    problem: Problem = lander()
    assert (problem.unit, problem.units, problem.done) == ("episode", 3000, 0)
    assert (problem.item, problem.score.success) == ("episode", 200.0)


@pytest.mark.parametrize("replay", ["per_task", "mixed"])
def test_each_tasks_part_in_replay_and_updates(replay: str) -> None:
    problem = lander(hidden=SMALL, replay={"kind": replay, "learning_starts": 16}, batch_size=8)
    steps = dict.fromkeys(TASKS, 0)
    nothing = {"replay_rows": dict.fromkeys(TASKS, 0.0), "update_share": dict.fromkeys(TASKS)}
    assert problem.inspect() == nothing
    while problem.done < 3:
        task = TASKS[problem.done % 3]
        learn(problem)
        steps[task] += 1
    found = problem.inspect()
    assert found["replay_rows"] == steps
    shares = [share for share in found["update_share"].values() if share is not None]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1)
    assert (shares == [pytest.approx(1 / 3)] * 3) == (replay == "per_task")
    assert problem.inspect() == {**found, "update_share": nothing["update_share"]}


def test_a_final_score_takes_a_hundred_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "heavy", tasks.TaskDefinition(time_limit=3))
    (scored,) = lander(hidden=SMALL).evaluate(None, "held_out", ("heavy",)).values()
    assert len(scored.scores) == 100
