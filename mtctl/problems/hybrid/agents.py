"""Who learns: `agent:` in a recipe with hybrid actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from mtctl.part import Fraction, Misfit, NonNegativeFloat, Part, PositiveFloat, PositiveInt

DISCRETE: Final = "discrete"
CONTINUOUS: Final = "continuous"
OPTIONS: Final = "options"
"""In the masks of a rollout: which options of the discrete choices were allowed."""


class Entropy(Part):
    """How much each head is paid for staying undecided: its loss is lowered by this times its entropy."""

    discrete: NonNegativeFloat = 0.01
    """Of the discrete choices; 0.01 is PPO's usual one."""
    continuous: NonNegativeFloat = 0.0
    """Of the continuous parameters."""


class PPOAgent(Part):
    """Proximal policy optimisation (Schulman et al., 2017, arXiv 1707.06347) for hybrid actions.

        r_i = π_i(a|o) / π_i,old(a|o)         of each head i: discrete choices, continuous parameters
        L_i = −mean min(r_i·A, clip(r_i, 1 − ε, 1 + ε)·A) − cᵢ·H_i
        L_V = ½ mean max((V − R)², (V_old + clip(V − V_old, ±ε_V) − R)²)

    Both heads learn from one advantage A (Fan et al., 2019, arXiv 1903.01344). L_discrete and L_continuous
    are the tasks that the recipe's balancer weighs; `value_coefficient`·L_V is optimised beside them, and no
    balancer sees it. A row in which a choice uses no parameter is no row of L_continuous.
    """

    kind: Literal["ppo"] = "ppo"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1, strict=False)] = (64, 64)
    """Units of the layers that the heads and the value share."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Between layers; tanh as in PPO's source."""
    continuous: Literal["squashed_gaussian", "beta"] = "squashed_gaussian"
    """Distribution of continuous parameters: a Gaussian through tanh, or a Beta distribution."""
    lr: PositiveFloat = 3e-4
    """Adam's learning rate."""
    lr_final: Fraction = 0.0
    """What is left of `lr` at the end of the run, as a fraction: it falls linearly. 1: constant, as
    documented."""
    gamma: Fraction = 0.99
    """Discount factor per environment step."""
    gae_lambda: Fraction = 0.95
    """λ of generalised advantage estimation (Schulman et al., 2016)."""
    steps: PositiveInt = 64
    """Environment steps of each copy in a rollout."""
    epochs: PositiveInt = 4
    """How often each row of a rollout is learned from."""
    minibatch: PositiveInt = 64
    """Rows of an update."""
    clip: PositiveFloat = 0.2
    """ε: how far a ratio may move before its gradient ends."""
    value_clip: PositiveFloat | None = 0.2
    """ε_V, in units of scaled return; null: values are not clipped."""
    value_coefficient: NonNegativeFloat = 0.5
    """Of the value's loss."""
    entropy: Entropy = Entropy()
    ratio: Literal["per_head", "joint"] = "per_head"
    """Whose ratio is clipped: each head's own, or the product of both, as for one action of two parts."""
    target_kl: PositiveFloat | None = None
    """The epochs of a rollout end early once KL(old, new) of the whole action is above it; null: never."""
    gradient_clip: PositiveFloat | None = 0.5
    """Largest Euclidean norm of the combined gradient; null: no clipping."""
    normalise_advantages: bool = True
    """Bring the advantages of a minibatch to mean 0 and standard deviation 1."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and standard deviation 1 over all that were seen."""
    normalise_rewards: bool = True
    """Divide rewards by the standard deviation of the running discounted return."""
    old_log_probability: Literal["exact", "published_defect"] = "exact"
    """What a new probability of a continuous action is compared with. `exact`: that of the very number that
    was drawn, so that every ratio is 1 before the first update. `published_defect`: the number that is kept
    has been squashed, while the old probability is of the one before; ratios are off from the start. It is
    there to show what this does."""

    @property
    def depends_on_budget(self) -> bool:
        """Whether the rate falls over the whole run: one with more steps is another from the start."""
        return self.lr_final < 1

    def misfits(self) -> Iterator[Misfit]:
        if self.old_log_probability == "published_defect" and self.continuous == "beta":
            text = "`published_defect` squashes a Gaussian: it needs `continuous: squashed_gaussian`"
            yield Misfit(("old_log_probability",), text)
