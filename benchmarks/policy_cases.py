"""The cases of the gallery that are played: hybrid policies with something planted, and healthy ones.

The base recipe is `hybrid_fixed` on a small budget: `moving`, 64 copies, 29 iterations of 2,048 steps, in
which returns begin to rise from −1.3. What the run has recorded is diagnosed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtctl.diagnosis.codes import Code
from mtctl.problems.hybrid.recipe import HybridRecipe
from mtctl.recipes.loading import load

_BASE: Final = (
    "problem.environment_steps=60000",
    "problem.copies=64",
    "agent.steps=32",
    "agent.minibatch=512",
    "evaluation.every=0",
    "evaluation.final_episodes=20",
)


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One run of the gallery.

    Args:
        name: what is planted, in a few words.
        overrides: what makes it of the base recipe.
        planted: the causes of which one must be named first; empty for a healthy run.
    """

    name: str
    overrides: tuple[str, ...] = ()
    planted: tuple[Code, ...] = ()

    @property
    def recipe(self) -> HybridRecipe:
        recipe = load("hybrid_fixed", [*_BASE, *self.overrides])
        assert isinstance(recipe, HybridRecipe)
        return recipe


_LANDER: Final = (
    "problem.environment=lander_hybrid",
    "problem.copies=16",
    "problem.environment_steps=12000",
    "agent.minibatch=128",
    "evaluation.final_episodes=5",
)

CASES: Final = (
    PolicyCase(
        "continuous at weight 1e-6",
        ("balancer.weights={discrete: 1.0, continuous: 0.000001}",),
        (Code.HEAD_STARVED,),
    ),
    PolicyCase(
        "discrete at weight 0.001",
        ("balancer.weights={discrete: 0.001, continuous: 1.0}", "problem.environment=sliding"),
        (Code.HEAD_STARVED,),
    ),
    PolicyCase(
        "squashed numbers beside probabilities of those before",
        ("agent.old_log_probability=published_defect",),
        (Code.RATIO_NOT_ONE,),
    ),
    PolicyCase(
        "the same on topology",
        ("agent.old_log_probability=published_defect", "problem.environment=topology"),
        (Code.RATIO_NOT_ONE,),
    ),
    PolicyCase("learning rate 0.1, 20 epochs", ("agent.lr=0.1", "agent.epochs=20"), (Code.POLICY_JUMPS,)),
    PolicyCase(
        "learning rate 0.03, minibatches of 128",
        ("agent.lr=0.03", "agent.minibatch=128"),
        (Code.POLICY_JUMPS,),
    ),
    PolicyCase("clip 0.001", ("agent.clip=0.001",), (Code.CLIP_BINDS,)),
    PolicyCase(
        "clip 0.002, joint ratio",
        ("agent.clip=0.002", "agent.ratio=joint", "problem.environment=topology"),
        (Code.CLIP_BINDS,),
    ),
    PolicyCase(
        "a reward that is taken back later",
        (
            "problem.environment=benchmarks.policy_trap:Trap-v0",
            "agent.gamma=0",
            "agent.entropy.discrete=0",
            "agent.lr=0.01",
            "agent.lr_final=1",
            "agent.epochs=6",
            "agent.clip=0.3",
        ),
        (Code.ENTROPY_COLLAPSED,),
    ),
    PolicyCase(
        "one of two amounts is locked",
        ("problem.environment=benchmarks.policy_trap:Trap-v0", "problem.options={locked: 1}"),
        (Code.UNUSED_PARAMETER,),
    ),
    PolicyCase(
        "both amounts are locked",
        ("problem.environment=benchmarks.policy_trap:Trap-v0", "problem.options={locked: 2}"),
        (Code.DEAD_HEAD, Code.UNUSED_PARAMETER),
    ),
    # Healthy.
    PolicyCase("as it is"),
    PolicyCase("Beta distributions", ("agent.continuous=beta",)),
    PolicyCase("joint ratio", ("agent.ratio=joint",)),
    PolicyCase("PCGrad on sliding", ("balancer=pcgrad", "problem.environment=sliding")),
    PolicyCase("topology", ("problem.environment=topology",)),
    PolicyCase("lander", _LANDER),
)
