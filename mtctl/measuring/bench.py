"""What a balancing method costs: time per update over equal weighting, and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method, SignalError
from mtctl.balancing.fixed import Equal
from mtctl.balancing.gradients.scaled import Overflow
from mtctl.engine.fit import Balancing
from mtctl.errors import ExitCode, MtctlError
from mtctl.measuring.memory import peak_memory
from mtctl.measuring.reference import SEED, ReferenceNetwork
from mtctl.measuring.timing import Spread, interleave
from mtctl.problems.contract import HalfPrecision
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.recipe import Recipe

EQUAL: Final = "equal"
_SECONDS: Final = 0.03
"""How long a method is timed at a time: long beside the clock's steps, short beside moods of the machine."""
_MOST_CALLS: Final = 200

Update = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """One method's cost.

    Args:
        kind: the method.
        ratio: processor time of an update over that with equal weights, over blocks.
        milliseconds: processor time of an update, median.
        peak_mb: most memory that tensors made in an update take at a time, in MB (1e6 bytes).
    """

    kind: str
    ratio: Spread
    milliseconds: float
    peak_mb: float


def on_reference(methods: Mapping[str, Method], tasks: int, blocks: int) -> list[Cost]:
    """Return the costs of methods on the reference network; that of equal weights comes first.

    Args:
        methods: by the name they are shown under.
        tasks: T.
        blocks: how often each is timed; they take turns.
    """
    return _measure({name: _reference_update(method, tasks) for name, method in _all(methods)}, blocks)


def on_recipe(methods: Mapping[str, Method], recipe: Recipe, blocks: int) -> list[Cost]:
    """Return the costs of methods in place of a recipe's own, collecting of data included.

    Args:
        methods: by the name they are shown under.
        recipe: resolved; its problem is built for each of them.
        blocks: how often each is timed; they take turns.

    Raises:
        MtctlError: a method cannot work with the recipe's losses.
    """
    return _measure({name: _recipe_update(method, recipe) for name, method in _all(methods)}, blocks)


def _all(methods: Mapping[str, Method]) -> Sequence[tuple[str, Method]]:
    return [(EQUAL, Equal()), *((name, one) for name, one in methods.items() if name != EQUAL)]


def _reference_update(method: Method, tasks: int) -> Update:
    network = ReferenceNetwork(tasks)
    balancing = Balancing(Chain((method,)), network.tasks, SEED)

    def update() -> None:
        gradients = network.gradients()
        decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        network.optimizer.step()
        balancing.follow(gradients, decision, network.revisit)

    return update


def _recipe_update(method: Method, recipe: Recipe) -> Update:
    problem = build_problem(recipe, SEED)
    balancing = Balancing(Chain((method,)), problem.tasks, SEED)

    def update() -> None:
        gradients = None
        while gradients is None:
            problem.advance()
            gradients = problem.gradients()
        try:
            decision = balancing.balance(gradients)
            gradients.combine(decision.shared, decision.own)
        except Overflow as error:
            if not (isinstance(problem, HalfPrecision) and problem.skip()):
                raise MtctlError(f"{method.kind}: {error}", hint="-o training.precision=bf16") from error
            update()  # with another batch and a smaller scale
            return
        except SignalError as error:
            raise MtctlError(
                f"{method.kind}: task `{gradients.tasks[error.task]}`: {error.problem}",
                hint="--methods names the methods to measure",
                code=ExitCode.FAILED,
            ) from error
        problem.update()
        balancing.follow(gradients, decision, problem.revisit)

    return update


def _measure(updates: Mapping[str, Update], blocks: int) -> list[Cost]:
    peaks, longest = {}, 0.0
    for name, update in updates.items():
        update()
        peaks[name] = peak_memory(update)
        start = time.process_time()
        update()
        longest = max(longest, time.process_time() - start)
    calls = max(1, min(_MOST_CALLS, round(_SECONDS / max(longest, 1e-6))))
    # Backwards: equal weights, the measure of all, then come after a method on losses, if there is one, and
    # not after one that has just given a large Jacobian back to the system.
    sides = {name: _repeated(update) for name, update in reversed(list(updates.items()))}
    timings = interleave(sides, blocks=blocks, calls=calls, warm_up=1, settle=1, clock=time.process_time)
    return [
        Cost(name, timings.ratio(name, EQUAL), timings.of(name).median * 1e3, peaks[name]) for name in updates
    ]


def _repeated(update: Update) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            update()

    return run
