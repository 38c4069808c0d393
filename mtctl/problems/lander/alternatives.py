"""What a diagnosis tries on a lander recipe: its settings, an aspect at a time, as is usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mtctl.balancing.fixed import Equal
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.problems.lander.tasks import SOLVED
from mtctl.problems.playing import Alternative, Aspect, Playing, Reference, otherwise

USUAL: Final[tuple[tuple[Aspect, str, Mapping[str, Any]], ...]] = (
    ("rate", "learning rate 1e-3, falling", {"agent.lr": 1e-3, "agent.lr_schedule": {"kind": "linear"}}),
    ("discount", "discount 0.99", {"agent.gamma": 0.99}),
    (
        "replay",
        "100,000 transitions, learning from 256 on",
        {"agent.replay.capacity": 100_000, "agent.replay.learning_starts": 256},
    ),
    (
        "exploration",
        "ε from 1 to 0.01",
        {"agent.exploration": {"start": 1.0, "end": 0.01, "counts": "all_episodes", "decay": 0.98}},
    ),
    ("target", "target network follows by 0.01", {"agent.target": {"kind": "soft", "tau": 0.01}}),
    (
        "reward_scale",
        "rewards × 0.01, Huber loss",
        {
            "agent.reward_scale": {"kind": "fixed", "factor": 0.01},
            "agent.loss": "huber",
            "agent.huber_delta": 1.0,
        },
    ),
    ("batches", "64 rows every 8 steps", {"agent.batch_size": 64, "agent.update_every": 8}),
    (
        "learner",
        "Double DQN, 3 steps, gradients clipped at 10",
        {"agent.double": True, "agent.n_step": 3, "agent.gradient_clip": 10.0},
    ),
    ("network", "layers of 256 and 128 units", {"agent.hidden": [256, 128]}),
)
"""Settings of the learner in recipes/base/lander.yaml; ε falls within 230 episodes, however long the run."""

_OF_ONE_TASK: Final[Mapping[Aspect, str]] = {
    "rate": "lr",
    "exploration": "epsilon_decay",
    "target": "target_every",
    "replay": "learning_starts",
}
"""Settings that single tasks of independent networks may have otherwise."""
_RANDOM: Final = {"standard": -200.6, "windy": -265.0, "heavy": -161.0, "windy_hull_noise": -182.8}
"""Mean returns of random actions, 60 episodes each."""


def alternatives(recipe: LanderRecipe, task: str) -> Iterator[Alternative]:
    """Yield what to try for a task: without the others, other weights, told otherwise, usual settings."""
    if len(recipe.problem.tasks) > 1 and recipe.agent.network == "shared":
        yield Alternative("alone", f"{task} alone", {"problem.tasks": [task]})
        if any(not isinstance(method, Equal) for method in recipe.chain):
            yield Alternative("weights", "equal weights", {"balancer": {"kind": "equal"}})
        yield _told_otherwise(recipe)
    for aspect, title, usual in USUAL:
        changes = otherwise(recipe, _fitting(recipe, aspect, usual))
        if changes:
            yield Alternative(aspect, title, changes)


def _told_otherwise(recipe: LanderRecipe) -> Alternative:
    if recipe.agent.task_encoding == "none":
        return Alternative("encoding", "told the task, one-hot", {"agent.task_encoding": "onehot"})
    return Alternative("encoding", "not told the task", {"agent.task_encoding": "none"})


def _fitting(recipe: LanderRecipe, aspect: Aspect, usual: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the usual settings of an aspect that make sense for a recipe."""
    agent, own = recipe.agent, _OF_ONE_TASK.get(aspect)
    if own is not None:
        usual = {**usual, **{f"agent.per_task.{task}.{own}": None for task in agent.per_task}}
    if aspect == "exploration":
        spent = agent.exploration.length is not None or agent.exploration == type(agent.exploration)()
        if spent and agent.exploration.end <= 0.05:
            return {}
        return {**usual, "agent.exploration": {**usual["agent.exploration"], "length": None}}
    if aspect == "reward_scale" and agent.categorical is not None:
        return {}  # atoms are in units of scaled returns
    if aspect == "network" and agent.architecture.kind != "mlp":
        return {}
    return usual


def references(recipe: LanderRecipe) -> Mapping[str, Reference]:
    """Return random play, and the return from which gymnasium calls the task solved."""
    return {task: Reference(_RANDOM[task], SOLVED) for task in recipe.problem.tasks}


PLAYING: Final = Playing(
    units=450,  # 150 of each of three tasks: where learners that land are half-way to it
    episodes=20,
    seconds=1800,
    alternatives=alternatives,
    references=references,
)
