"""The loop, on a problem that knows nothing of landers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.engine.fit import Balancing, Diverged, fit
from mtctl.engine.signals import SignalLog
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.contract import Problem, Record
from tests.engine.regression import BATCHES, Regression

METHODS: dict[str, tuple[Method, ...]] = {
    "equal": (Equal(),),
    "manual": (Manual(weights={"wave": 2.0, "line": 0.5}),),
    "uncertainty": (Uncertainty(),),
    "gradnorm": (GradNorm(initial_window=5),),
    "pcgrad": (PCGrad(),),
    "cagrad": (CAGrad(),),
    "chain": (GradNorm(initial_window=5), PCGrad()),
}


class Recorder:
    """Keeps what it sees, and optionally does something."""

    def __init__(self, act: Callable[[Record], None] = lambda record: None) -> None:
        self.records: list[Record] = []
        self._act = act

    def unit_ended(self, record: Record) -> None:
        self.records.append(copy.deepcopy(record))
        self._act(record)


def balancing(problem: Problem, methods: tuple[Method, ...], seed: int = 0) -> Balancing:
    return Balancing(Chain(methods), problem.tasks, seed)


def train(problem: Regression, name: str = "equal", **options: Any) -> list[Record]:
    recorder = Recorder()
    log = SignalLog(problem.tasks, shared=True)
    fit(problem, balancing(problem, METHODS[name]), log, [recorder], **options)
    return recorder.records


def errors(problem: Regression) -> list[float]:
    return [scored.scores[0] for scored in problem.evaluate(None, "held_out").values()]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_both_tasks(name: str) -> None:
    problem = Regression(units=25, lr=3e-2)
    untrained = errors(problem)
    records = train(problem, name)
    assert min(untrained) > 1
    assert max(errors(problem)) < 0.1
    assert records[0]["updates"] == BATCHES - 1
    assert records[-1]["updates"] == problem.updates == 25 * BATCHES - 1
    first, last = (record["signals"]["loss"] for record in (records[0], records[-1]))
    assert all(last[task] < 0.2 * first[task] for task in problem.tasks)


def test_records_tell_the_updates_of_their_unit() -> None:
    records = train(Regression(units=3))
    assert [record["unit"] for record in records] == [1, 2, 3]
    assert [record["signals"]["updates"] for record in records] == [BATCHES - 1, BATCHES, BATCHES]


def test_a_task_that_is_absent_now_and_then_is_learned_too() -> None:
    problem = Regression(units=30, lr=3e-2, absent="line")
    records = train(problem, "gradnorm")
    assert max(errors(problem)) < 0.15
    weights = records[-1]["signals"]["weight"]
    assert all(value is not None and math.isfinite(value) for value in weights.values())


def test_gradients_are_measured_in_every_kth_update_whatever_the_unit() -> None:
    problem = Regression(units=4)
    recorder = Recorder()
    log = SignalLog(problem.tasks, shared=True, every=4, inspect=problem.inspect)
    fit(problem, balancing(problem, METHODS["equal"]), log, [recorder])
    # 39 updates, counted through: 0, 4, 8 | 12, 16 | 20, 24, 28 | 32, 36.
    assert [record["signals"]["measured"] for record in recorder.records] == [3, 2, 3, 2]
    assert all(record["signals"]["head_norm"]["wave"] > 0 for record in recorder.records)


def test_how_often_gradients_are_measured_changes_nothing_else() -> None:
    found = []
    for every in (1, 5, 1000):
        problem, recorder = Regression(units=3), Recorder()
        log = SignalLog(problem.tasks, shared=True, every=every)
        fit(problem, balancing(problem, METHODS["gradnorm"]), log, [recorder])
        found.append((state_of(problem), [record["signals"]["loss"] for record in recorder.records]))
    for state, losses in found[1:]:
        assert all(map(torch.equal, state, found[0][0]))
        assert losses == found[0][1]


def test_stop_is_asked_at_the_ends_of_units() -> None:
    problem = Regression(units=10)
    asked = []

    def stop() -> bool:
        asked.append(problem.done)
        return problem.done == 4

    assert len(train(problem, stop=stop)) == 4
    assert asked == [1, 2, 3, 4]
    assert problem.done == 4
    # The same problem goes on from there; once done, it is left alone.
    assert len(train(problem)) == 6
    assert train(problem) == []


def state_of(problem: Regression) -> list[Tensor]:
    return list(problem.policy_state()["trunk"].values())


@pytest.mark.parametrize("name", ["gradnorm", "pcgrad"])
def test_restored_run_goes_on_bit_for_bit(name: str) -> None:
    whole, part, rest = Regression(units=8), Regression(units=4), Regression(units=8, seed=5)
    log = SignalLog(whole.tasks, shared=True)
    expected, found = Recorder(), Recorder()
    fit(whole, balancing(whole, METHODS[name]), log, [expected])

    first, second = balancing(part, METHODS[name]), balancing(rest, METHODS[name], seed=9)
    fit(part, first, log, [found])
    rest.load_state_dict(part.state_dict())
    second.load_state_dict(first.state_dict())
    fit(rest, second, log, [found])
    assert found.records == expected.records
    assert all(map(torch.equal, state_of(rest), state_of(whole)))


def test_observers_see_each_record_in_order() -> None:
    problem = Regression(units=2)
    order: list[str] = []
    first, second = (Recorder(lambda _, name=name: order.append(name)) for name in "ab")  # type: ignore[misc]
    fit(problem, balancing(problem, METHODS["equal"]), SignalLog(problem.tasks, shared=True), [first, second])
    assert order == ["a", "b", "a", "b"]
    assert first.records == second.records


class UpdateCounter(Recorder):
    """Notes how many updates there were each time that it is shown one."""

    def __init__(self, problem: Regression) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []
        self._problem = problem

    def update_ended(self) -> None:
        self.seen.append((self._problem.updates, len(self.records)))


def test_an_observer_sees_every_update_before_the_record_of_its_unit() -> None:
    problem = Regression(units=2)
    counter, recorder = UpdateCounter(problem), Recorder()
    log = SignalLog(problem.tasks, shared=True)
    fit(problem, balancing(problem, METHODS["equal"]), log, [recorder, counter])
    assert [updates for updates, _ in counter.seen] == list(range(1, 20))
    assert [records for _, records in counter.seen] == [0] * 9 + [1] * 10


class Diverging(Regression):
    """Gets a loss or a gradient that is not finite at one batch."""

    def __init__(self, spoil: str, value: float, batch: int = 12) -> None:
        super().__init__()
        self._spoil, self._value, self._batch = spoil, value, batch

    def _losses(self, inputs: Tensor) -> dict[str, Tensor]:
        losses = super()._losses(inputs)
        if self._batches == self._batch:
            # √0 has an infinite slope: the loss itself stays finite.
            factor = torch.tensor(self._value) if self._spoil == "loss" else (0 * losses["line"]).sqrt()
            losses["line"] = losses["line"] * factor if self._spoil == "loss" else losses["line"] + factor
        return losses


@pytest.mark.parametrize(("spoil", "value"), [("loss", math.nan), ("loss", math.inf), ("gradient", 0.0)])
@pytest.mark.parametrize("name", METHODS)
def test_divergence_names_task_unit_and_step_and_applies_nothing(name: str, spoil: str, value: float) -> None:
    problem = Diverging(spoil, value)
    with pytest.raises(Diverged) as caught:
        train(problem, name)
    assert caught.value.task == "line"
    assert caught.value.code == ExitCode.FAILED
    assert "task `line`" in caught.value.message
    assert "epoch 2, step 12" in caught.value.message
    assert problem.updates == 10
    assert all(tensor.isfinite().all() for tensor in state_of(problem))


@pytest.mark.parametrize(("batch", "place"), [(20, "epoch 2, step 20"), (21, "epoch 3, step 21")])
def test_divergence_in_the_last_step_of_a_unit_belongs_to_that_unit(batch: int, place: str) -> None:
    with pytest.raises(MtctlError, match=place):
        train(Diverging("loss", math.nan, batch))


def test_regression_is_a_problem() -> None:
    problem: Problem = Regression()
    assert problem.parameter_count().shared == 64


def test_a_method_that_cannot_work_with_a_loss_names_its_task_and_the_place() -> None:
    problem = Diverging("loss", -1.0)
    with pytest.raises(MtctlError, match="epoch 2, step 12: task `line`: its loss is negative") as caught:
        train(problem, "gradnorm")
    assert caught.value.code == ExitCode.FAILED
    assert problem.updates == 10
