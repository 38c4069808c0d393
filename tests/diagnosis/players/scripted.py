"""A crew that says what trainings come to, so that decisions are tested without any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.players.training import Order, Played, play
from mtctl.problems.recipe import Recipe

Skills = Callable[[Recipe, int], Mapping[str, float]]


class Scripted(Crew):
    """Returns policies whose mean returns are told.

    Args:
        returns: the mean return of each task, by recipe and seed.
        outcomes: how all episodes ended.
    """

    def __init__(self, returns: Skills, outcome: str = "crashed") -> None:
        super().__init__(1)
        self.orders: list[Order] = []
        self._returns, self._outcome = returns, outcome

    def map(self, train: Any, calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        assert train is play
        for (order,) in calls:
            self.orders.append(order)
            returns = self._returns(order.recipe, order.seed)
            yield Played(
                done=order.recipe.units,
                updates=1000,
                environment_steps=100_000,
                complete=True,
                returns=returns,
                outcomes=dict.fromkeys(returns, (self._outcome,) * 20),
                course={task: _course(task, value) for task, value in returns.items()},
                records=tuple(_record(unit, order.recipe) for unit in range(1, 4)) if order.records else (),
            )

    @property
    def trained(self) -> list[tuple[str, int]]:
        """What was trained: the overrides of the recipe's name apart, and from which seeds."""
        return [(order.recipe.model_dump_json(), order.seed) for order in self.orders]


def _course(task: str, value: float) -> tuple[tuple[int, float], ...]:
    del task
    return tuple((1000 * place, -300 + (value + 300) * place / 100) for place in range(1, 101))


def _record(unit: int, recipe: Recipe) -> dict[str, Any]:
    task = recipe.problem.tasks[unit % len(recipe.problem.tasks)]
    return {
        "kind": "unit",
        "unit": unit,
        "tasks": {task: {"return": -100.0, "steps": 100, "outcome": "crashed"}},
        "extra": {"epsilon": 0.01},
        "environment_steps": 100 * unit,
        "updates": 300 * unit,
        "signals": None,
    }
