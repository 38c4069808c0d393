"""The cases of the gallery that are diagnosed by experiment and played: learners with something planted.

Faults are those that mutation testing plants in learners (discount, exploration, budget, rates and sizes of
updates, scales of rewards, actions that are others; arXiv 2408.15150), and those of balancing. Two bases:
`Dial-v0`, which PPO plays all but perfectly within 40,000 steps, and `moving`, in half a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtctl.diagnosis.codes import Code
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load

_DIAL: Final = (
    "problem.environment=benchmarks.player_dial:Dial-v0",
    "problem.environment_steps=40000",
    "problem.copies=16",
    "agent.steps=32",
    "agent.minibatch=128",
    "evaluation.every=0",
)
_MOVING: Final = ("problem.environment_steps=500000", "evaluation.every=0")


@dataclass(frozen=True, slots=True)
class PlayerCase:
    """One diagnosis of the gallery.

    Args:
        name: what is planted, in a few words.
        overrides: what makes it of its base.
        planted: the causes of which one must be named first; empty for a healthy recipe.
        base: what it is made of.
    """

    name: str
    overrides: tuple[str, ...] = ()
    planted: tuple[Code, ...] = ()
    base: tuple[str, ...] = _DIAL

    @property
    def recipe(self) -> Recipe:
        return load("hybrid_fixed", [*self.base, *self.overrides])

    @property
    def control(self) -> Recipe:
        return load("hybrid_fixed", self.base)


def _weights(discrete: str, continuous: str) -> tuple[str, ...]:
    return (f"balancer.weights={{discrete: {discrete}, continuous: {continuous}}}",)


_SHARES: Final = (Code.BALANCER_SETTINGS, Code.HEAD_STARVED)
_RATE: Final = (Code.LEARNING_RATE,)

CASES: Final = (
    PlayerCase("discount 0", ("agent.gamma=0",), (Code.DISCOUNT,)),
    PlayerCase("discount 0.3", ("agent.gamma=0.3",), (Code.DISCOUNT,)),
    PlayerCase("rate 1e-6", ("agent.lr=1e-6",), _RATE),
    PlayerCase("rate 1e-5", ("agent.lr=1e-5",), _RATE),
    PlayerCase("rate 1", ("agent.lr=1",), _RATE),
    PlayerCase("clip 1e-4", ("agent.clip=1e-4",), (Code.CLIP_BINDS,)),
    PlayerCase("epochs end at a KL of 1e-6", ("agent.target_kl=1e-6",), (Code.CLIP_BINDS,)),
    PlayerCase("entropy weight 10", ("agent.entropy.discrete=10",), (Code.EXPLORATION,)),
    PlayerCase(
        "entropy weights 0.5", ("agent.entropy={discrete: 0.5, continuous: 0.5}",), (Code.EXPLORATION,)
    ),
    PlayerCase("continuous at weight 1e-6", _weights("1", "1e-6"), _SHARES),
    PlayerCase("discrete at weight 1e-6", _weights("1e-6", "1"), _SHARES),
    PlayerCase("both at weight 1e-9", _weights("1e-9", "1e-9"), _SHARES),
    PlayerCase("squashed numbers", ("agent.old_log_probability=published_defect",), (Code.RATIO_NOT_ONE,)),
    PlayerCase("one epoch of whole rollouts", ("agent.epochs=1", "agent.minibatch=512"), (Code.BATCHES,)),
    PlayerCase("rollouts of one step", ("agent.steps=1", "agent.minibatch=16"), (Code.BATCHES,)),
    PlayerCase(
        "rewards × 10,000, not normalised",
        ("problem.options={scale: 10000}", "agent.normalise_rewards=false"),
        (Code.REWARD_SCALE,),
    ),
    PlayerCase("value loss × 1e6", ("agent.value_coefficient=1e6",), (Code.LEARNER_SETTINGS,)),
    PlayerCase("one hidden unit", ("agent.hidden=[1]",), (Code.CAPACITY,)),
    PlayerCase("actions are others", ("problem.options={shuffled: true}",), (Code.UNLEARNABLE,)),
    PlayerCase("a tenth of the steps", ("problem.environment_steps=4096",), (Code.BUDGET_TOO_SMALL,)),
    PlayerCase("moving, rate 1e-6", ("agent.lr=1e-6",), _RATE, _MOVING),
    PlayerCase("moving, continuous at weight 1e-6", _weights("1", "1e-6"), _SHARES, _MOVING),
    # Healthy.
    PlayerCase("as it is"),
    PlayerCase("Beta distributions", ("agent.continuous=beta",)),
    PlayerCase("joint ratio", ("agent.ratio=joint",)),
    PlayerCase("PCGrad", ("balancer={kind: pcgrad}",)),
    PlayerCase("GradNorm", ("balancer={kind: gradnorm, alpha: 0}",)),
    PlayerCase("rate 1e-3", ("agent.lr=1e-3",)),
    PlayerCase("one layer of 32", ("agent.hidden=[32]",)),
    PlayerCase("weights 0.3 and 0.7", _weights("0.3", "0.7")),
    PlayerCase("moving as it is", base=_MOVING),
)
