"""A recipe with hybrid actions: one policy whose discrete choices and continuous parameters are the tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from mtctl.balancing.registry import MethodOrChain
from mtctl.part import LATER, Misfit, NonNegativeInt, Part, PositiveInt
from mtctl.problems.amounts import Amount
from mtctl.problems.device import DeviceName
from mtctl.problems.hybrid.agents import PPOAgent
from mtctl.problems.recipe import Checkpoints, Evaluation, Monitor, ProblemPart, Recipe

_STEP_BYTES: Final = 400
"""Of one step of one copy in a rollout, at least: an observation, an action, log-probabilities and worths."""

HybridTasks = Annotated[tuple[Literal["discrete", "continuous"], ...], Field(min_length=1, strict=False)]
Option = bool | int | float | str
Actions = Literal["drawn", "greedy"]


class HybridProblem(ProblemPart):
    """An environment whose actions have discrete and continuous parts, played by several copies at once."""

    kind: Literal["hybrid"]
    environment: Annotated[str, Field(min_length=1, max_length=200)] = "moving"
    """`moving`, `sliding`, `topology` or `lander_hybrid`; or an id of gymnasium's, `Id-v0` or `package:Id-v0`
    for one that importing the package registers."""
    options: dict[str, Option] = Field(default_factory=dict)
    """Keyword arguments of the environment."""
    uses: dict[str, dict[str, Annotated[tuple[str, ...], Field(strict=False)]]] | None = None
    """Which continuous parameters each option of a choice uses: {choice: {option: [parameter, …]}}. A
    parameter that an action does not use has no part in its probability. null: what the environment's
    attribute `uses` says, or that all are always used."""
    copies: PositiveInt = 64
    """Copies of the environment that are stepped together."""
    environment_steps: PositiveInt = 1_000_000
    """Length of the run in steps of all copies; a last rollout that is not full is left out."""
    tasks: HybridTasks = ("discrete", "continuous")
    """The heads of the policy, whose losses are balanced; an environment may have one of them only."""

    @property
    def known_uses(self) -> Mapping[str, Mapping[int, tuple[str, ...]]] | None:
        """What `uses` says, options as numbers."""
        if self.uses is None:
            return None
        return {
            choice: {int(option): names for option, names in of.items()} for choice, of in self.uses.items()
        }

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        for choice, named in (self.uses or {}).items():
            for option in named:
                if not option.removeprefix("-").isdecimal():
                    text = f"`{option}` is not an option's number: write {{0: [parameter], 1: []}}"
                    yield Misfit(("uses", choice, option), text)


class HybridTraining(Part):
    """Where a policy learns."""

    device: DeviceName = "cpu"
    """Where it learns from what it has played; auto: a GPU where there is one. Environments, and the policy
    that plays in them, stay on the CPU. The CPU unless you say otherwise: there a run can be repeated bit for
    bit."""


class HybridEvaluation(Evaluation):
    """Episodes that score the policy, during and after training."""

    actions: Actions = "drawn"
    """`drawn`: as in training. `greedy`: the likeliest choice and the middle of each parameter, which is
    another policy than the one that PPO has trained: it can go in circles that chance would leave."""
    every: NonNegativeInt = 10
    """Training iterations between evaluations; 0: none during training."""
    episodes: PositiveInt = 20
    """Episodes at each of them, on fixed seeds of their own."""
    final_episodes: PositiveInt = 1000
    """Episodes at the end of training, on the first held-out seeds: starts differ so much that the mean of
    100 is off by 0.05."""


class HybridRecipe(Recipe):
    """Hybrid actions: one PPO agent on one environment, whose heads are the tasks."""

    budget_key: ClassVar[str] = "problem.environment_steps"

    problem: HybridProblem
    agent: PPOAgent = PPOAgent()
    training: Annotated[HybridTraining, LATER] = HybridTraining()
    balancer: MethodOrChain
    """How the heads are balanced: one method, or a list of several that are applied in turn."""
    evaluation: HybridEvaluation = HybridEvaluation()
    checkpoints: Checkpoints = Checkpoints(every=10)
    monitor: Monitor = Monitor(every=10)

    @property
    def rollout(self) -> int:
        """Environment steps of all copies in an iteration."""
        return self.problem.copies * self.agent.steps

    @property
    def units(self) -> int:
        return self.problem.environment_steps // self.rollout

    def lasting(self, units: int) -> Self:
        if units == self.units:
            return self
        problem = self.problem.model_copy(update={"environment_steps": units * self.rollout})
        return self.model_copy(update={"problem": problem})

    @property
    def scored(self) -> tuple[str, ...]:
        return (self.problem.environment,)

    @property
    def evaluated(self) -> tuple[int | None, int | None]:
        return self.evaluation.episodes, self.evaluation.final_episodes

    @property
    def device(self) -> str:
        return self.training.device

    def on(self, device: str) -> Self:
        return self.revised({"training.device": device})

    @property
    def traits(self) -> dict[str, str | int]:
        return {"environment": self.problem.environment, "rows_per_update": self.agent.minibatch}

    def memory(self) -> Iterator[Amount]:
        rows = self.rollout
        yield Amount("problem.copies", f"rollouts of {rows:,} steps", rows * _STEP_BYTES)

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if not self.units:
            text = f"one rollout of all copies takes {self.rollout:,} steps (`copies` times `agent.steps`)"
            yield Misfit(("problem", "environment_steps"), text)
        if self.agent.minibatch > self.rollout:
            text = f"a rollout has {self.rollout:,} rows only (`problem.copies` times `steps`)"
            yield Misfit(("agent", "minibatch"), text)
