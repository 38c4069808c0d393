"""The recipe: everything that decides a run except its seed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mtctl.recipes.agents import Agent
from mtctl.recipes.balancers import Balancer, Equal, GradNorm, Manual
from mtctl.recipes.base import NonNegativeInt, Part, PositiveInt
from mtctl.recipes.problems import Problem


class Evaluation(Part):
    """Greedy evaluation during and after training, each task under its own time limit."""

    every: NonNegativeInt = 50
    """Training episodes between evaluations; 0: none during training."""
    episodes: PositiveInt = 5
    """Episodes of each task at each of them, on fixed seeds of their own."""
    final_episodes: PositiveInt = 20
    """Episodes of each task at the end of training, on the first of the held-out seeds. `mtctl eval` plays more."""


class Checkpoints(Part):
    """What is kept besides `last.pt` (to resume) and `best.pt`."""

    every: PositiveInt = 100
    """Training episodes between checkpoints."""


class Recipe(Part):
    """A training recipe. With a seed it decides a run completely."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """The results folder: letters, digits, `.`, `_` and `-`."""
    problem: Problem
    agent: Agent
    balancer: Balancer
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()

    @property
    def chain(self) -> tuple[object, ...]:
        """The balancing methods in order: a chain of one where a single method is given."""
        return self.balancer if isinstance(self.balancer, tuple) else (self.balancer,)

    @model_validator(mode="after")
    def _names_are_tasks(self) -> Self:
        tasks = set(self.problem.tasks)
        named = {"agent.per_task": self.agent.per_task.keys()}
        for method in self.chain:
            if isinstance(method, Manual):
                named["balancer.weights"] = method.weights.keys()
                if missing := sorted(tasks - method.weights.keys()):
                    raise ValueError(f"balancer.weights: no weight for {', '.join(missing)}")
            if isinstance(method, GradNorm) and method.theoretical_losses is not None:
                named["balancer.theoretical_losses"] = method.theoretical_losses.keys()
                if missing := sorted(tasks - method.theoretical_losses.keys()):
                    raise ValueError(f"balancer.theoretical_losses: no loss for {', '.join(missing)}")
        for place, names in named.items():
            if unknown := sorted(names - tasks):
                raise ValueError(f"{place}: {', '.join(unknown)} is no task of this recipe ({', '.join(self.problem.tasks)})")
        return self

    @model_validator(mode="after")
    def _independent_networks_share_nothing(self) -> Self:
        if self.agent.network == "independent" and not all(isinstance(m, Equal | Manual) for m in self.chain):
            raise ValueError("balancer: independent networks share no parameters to balance; use `kind: equal`")
        return self
