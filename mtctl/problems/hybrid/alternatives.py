"""What a diagnosis tries on a recipe with hybrid actions: its settings, an aspect at a time, as is usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mtctl.balancing.fixed import Equal
from mtctl.problems.hybrid.recipe import HybridRecipe
from mtctl.problems.playing import Alternative, Aspect, Playing, Reference, otherwise

USUAL: Final[tuple[tuple[Aspect, str, Mapping[str, Any]], ...]] = (
    ("ratio", "exact old probabilities", {"agent.old_log_probability": "exact"}),
    ("rate", "learning rate 3e-3, falling", {"agent.lr": 3e-3, "agent.lr_final": 0.0}),
    ("discount", "discount 0.99, λ 0.95", {"agent.gamma": 0.99, "agent.gae_lambda": 0.95}),
    (
        "exploration",
        "entropy weights 0.01 and 0",
        {"agent.entropy.discrete": 0.01, "agent.entropy.continuous": 0.0},
    ),
    ("clip", "clip 0.2", {"agent.clip": 0.2, "agent.target_kl": None, "agent.ratio": "per_head"}),
    ("batches", "4 epochs of 1,024 rows", {"agent.epochs": 4, "agent.minibatch": 1024, "agent.steps": 64}),
    (
        "reward_scale",
        "rewards, observations and advantages normalised",
        {
            "agent.normalise_rewards": True,
            "agent.normalise_observations": True,
            "agent.normalise_advantages": True,
        },
    ),
    (
        "learner",
        "value loss × 0.5, clips of values and gradients",
        {"agent.value_coefficient": 0.5, "agent.value_clip": 0.2, "agent.gradient_clip": 0.5},
    ),
    ("network", "two layers of 64 units", {"agent.hidden": [64, 64], "agent.activation": "tanh"}),
)
"""Settings of the learner in recipes/base/hybrid.yaml."""

_KNOWN: Final = {
    "moving": Reference(-1.29, 1.87),
    "sliding": Reference(-1.22, 1.86),
}
"""Random and scripted policies, by environment."""


def alternatives(recipe: HybridRecipe, task: str) -> Iterator[Alternative]:
    """Yield what to try: equal weights for both heads, usual settings."""
    del task  # the environment: there is one
    if len(recipe.problem.tasks) > 1 and any(not isinstance(method, Equal) for method in recipe.chain):
        yield Alternative("weights", "equal weights", {"balancer": {"kind": "equal"}})
    for aspect, title, usual in USUAL:
        changes = otherwise(recipe, _fitting(recipe, usual))
        if changes:
            yield Alternative(aspect, title, changes)


def _fitting(recipe: HybridRecipe, usual: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings with minibatches that a rollout has rows for."""
    if "agent.minibatch" not in usual:
        return usual
    rows = recipe.problem.copies * usual["agent.steps"]
    return {**usual, "agent.minibatch": min(usual["agent.minibatch"], rows)}


def references(recipe: HybridRecipe) -> Mapping[str, Reference]:
    """Return random play and a scripted policy, of environments that have one."""
    name = recipe.problem.environment
    return {name: _KNOWN[name]} if name in _KNOWN else {}


PLAYING: Final = Playing(
    units=60,  # half a million steps of the recipes as they are: `moving` reaches 1.8
    episodes=100,
    seconds=900,
    alternatives=alternatives,
    references=references,
)
