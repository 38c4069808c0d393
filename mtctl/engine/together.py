"""Runs that are trained together: one program, in which every run keeps its own records and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import torch

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.draws import Draws
from mtctl.balancing.gradients.stacked import StackedGradients
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.engine.fit import Balancing, Observer, Wait
from mtctl.engine.interrupt import Stop
from mtctl.engine.result import Note, RunError, RunResult
from mtctl.engine.run import course
from mtctl.engine.spec import RunSpec
from mtctl.errors import MtctlError
from mtctl.faults import mistake
from mtctl.problems.code import pinned
from mtctl.problems.contract import Problem
from mtctl.problems.kinds import kind_of
from mtctl.problems.recipe import Recipe
from mtctl.problems.sizes import require_memory
from mtctl.problems.stack import Stack


def execute_together(
    specs: Sequence[RunSpec],
    *,
    observers: Callable[[RunSpec], Sequence[Observer]] = lambda _: (),
    stop: Stop | None = None,
    say: Callable[[RunSpec, Note], None] = lambda _spec, _note: None,
    ended: Callable[[int, RunResult], None] = lambda _place, _result: None,
) -> list[RunResult]:
    """Train runs as `execute` does, in lockstep and as one program; return what came of each.

    They are of one shape (see `mtctl.engine.shapes`). One that fails or diverges leaves; the others go on.

    Args:
        specs: what to train, and where.
        observers: returns who sees the records of a run.
        stop: counts the user's requests to stop; all runs stop after the same step.
        say: told what the user should know of a run.
        ended: told what came of a run, by its place in `specs`, as soon as that is known.

    Raises:
        KeyboardInterrupt: the user has asked for the third time; every run has noted that it was interrupted.
    """
    stack_of = kind_of(specs[0].recipe).stack
    assert stack_of is not None
    stack, rounds = stack_of(), _Rounds(stop or Stop())
    with pinned(specs[0].code):
        runs = [_Run(spec, stack, observers(spec), rounds, say) for spec in specs]
        told: set[int] = set()
        try:
            while going := [run for run in runs if run.result is None]:
                rounds.look()
                for run in going:
                    run.advance()
                for place, run in enumerate(runs):
                    if run.result is not None and place not in told:
                        told.add(place)
                        ended(place, run.result)
                _work(stack, [run for run in going if run.result is None])
        finally:
            for run in runs:
                run.interrupt()
    return [run.result or RunResult("interrupted") for run in runs]


class _Rounds(Stop):
    """Requests to stop as all runs see them between two steps, so that all stop after the same one."""

    def __init__(self, real: Stop) -> None:
        super().__init__()
        self._real = real

    def look(self) -> None:
        """Take over what has been asked meanwhile."""
        self.requests = self._real.requests

    @contextmanager
    def leaving(self, requests: int) -> Iterator[None]:
        with self._real.leaving(requests):
            yield


class _Balancing(Balancing):
    """One run's methods; what they decide is worked out for all runs at once."""

    def __init__(self, chain: Chain, tasks: tuple[str, ...], seed: int) -> None:
        super().__init__(chain, tasks, seed)
        self.alike = repr(chain.methods)
        self.decision: Decision | None = None

    def balance(self, gradients: TaskGradients) -> Decision:
        # What could not be decided is tried again for this run alone, which says what is wrong.
        return super().balance(gradients) if self.decision is None else self.decision


def _decide(alike: Mapping[int, _Balancing], whole: StackedGradients) -> None:
    """Decide the weights of runs that have the same methods.

    Args:
        alike: by row.
        whole: what they are shown.
    """
    rows, balancings = list(alike), list(alike.values())
    before = [one._rng.get_state() for one in balancings]
    states = [one._state for one in balancings]
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    draws = Draws([one._rng for one in balancings])
    try:
        decision, after = balancings[0]._chain.balance(whole.of(rows), stacked, draws)
    except (MtctlError, ValueError, ArithmeticError, np.linalg.LinAlgError):
        # One run's signals spoil the answer for all: each is asked by itself.
        for row, one, state in zip(rows, balancings, before, strict=True):
            one._rng.set_state(state)
            one.decision = None
            with suppress(MtctlError, ValueError, ArithmeticError, np.linalg.LinAlgError):
                one.decision = one.balance(whole.run(row))
            if one.decision is None:
                one._rng.set_state(state)
        return
    for row, one in enumerate(balancings):
        following = tuple(None if seen is None else seen[row] for seen in decision.following)
        one.decision = Decision(decision.shared[row], decision.own[row], following)
        one._state = {name: value[row].clone() for name, value in after.items()}


class _Run:
    """One of the runs.

    Args:
        spec: what to train.
        stack: that it is part of.
        observers: see its records.
        rounds: the requests to stop.
        say: told what the user should know.
    """

    def __init__(
        self,
        spec: RunSpec,
        stack: Stack,
        observers: Sequence[Observer],
        rounds: _Rounds,
        say: Callable[[RunSpec, Note], None],
    ) -> None:
        self._stack = stack
        self.spec = spec
        self.result: RunResult | None = None
        self.wait = Wait.GRADIENTS
        self.place = -1
        self.balancing: _Balancing
        self._course = course(
            spec,
            observers=observers,
            stop=rounds,
            say=lambda note: say(spec, note),
            build=self._build,
            balances=self._balances,
        )

    def _build(self, recipe: Recipe, seed: int) -> Problem:
        require_memory(recipe)
        self.place, problem = self._stack.add(recipe, seed)
        return problem

    def _balances(self, chain: Chain, tasks: tuple[str, ...], seed: int) -> Balancing:
        self.balancing = _Balancing(chain, tasks, seed)
        return self.balancing

    def advance(self) -> None:
        """Go on to where the run waits for the others, or to its end."""
        self._going(self._course.__next__)

    def fail(self, error: Exception) -> None:
        """Let the run end by what has happened while it waited."""
        self._going(lambda: self._course.throw(error))

    def interrupt(self) -> None:
        """Let the run note that it was interrupted, if it has not ended."""
        if self.result is None:
            with suppress(KeyboardInterrupt):
                self._going(lambda: self._course.throw(KeyboardInterrupt()))

    def _going(self, step: Callable[[], Wait]) -> None:
        try:
            self.wait = step()
        except StopIteration as end:
            self.result = end.value
        except Exception as error:  # noqa: BLE001 - a mistake in mtctl ends one run, and not the others
            hint = mistake(error, self.spec.command).hint
            self.result = RunResult("failed", error=replace(RunError.of(error), hint=hint))


def _work(stack: Stack, runs: Sequence[_Run]) -> None:
    """Do for all runs at once what they wait for."""
    if not runs:
        return
    (wait,) = {run.wait for run in runs}
    try:
        if wait is Wait.GRADIENTS:
            stack.differentiate([run.place for run in runs])
        elif wait is Wait.WEIGHTS:
            _combine(stack, runs)
        else:
            stack.update([run.place for run in runs])
    except Exception as error:  # noqa: BLE001 - each run notes it, and says what it means
        for run in runs:
            run.fail(error)


def _combine(stack: Stack, runs: Sequence[_Run]) -> None:
    """Decide the weights of all runs, and combine their gradients with them."""
    rows = {row: run.balancing for run in runs if (row := stack.row(run.place)) is not None}
    whole = stack.gradients
    if whole is None or not rows:
        return
    for settings in dict.fromkeys(one.alike for one in rows.values()):
        _decide({row: one for row, one in rows.items() if one.alike == settings}, whole)
    weights = torch.zeros(2, *whole.losses.shape, dtype=torch.float64)
    for row, one in rows.items():
        if one.decision is not None:
            weights[0, row], weights[1, row] = one.decision.shared, one.decision.own
    whole.combine(weights[0], weights[1])
