"""What holds for every balancing method."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from mtctl.balancing import every
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import AdaptiveMethod, Array, Method, NonFiniteSignal, Signals, Space
from mtctl.balancing.uncertainty import Uncertainty
from tests.balancing import cases
from tests.balancing.cases import (
    METHODS,
    SCALES,
    SIGNED,
    STRUCTURED,
    assert_goes_on,
    drawn,
    names,
    places,
    seeded,
    signals,
    steps,
)

Factory = Callable[[Sequence[int]], Method]

every_method = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())
#: Those whose weights follow from what they see: the others' depend on the order in which they draw.
determined = pytest.mark.parametrize(
    "make",
    [METHODS[name] for name in METHODS if name != "rlw"],
    ids=[name for name in METHODS if name != "rlw"],
)
gradient_only = pytest.mark.parametrize(
    "name", [name for name in METHODS if "gramian" in METHODS[name](range(3)).needs]
)
#: What multiplying all gradients by a number does to the update: it is multiplied by that number to this
#: power. 1 for all the others, whose weights do not change.
POWERS = {"nash_mtl": 0.0, "nash_mtl, shortened": 0.0, "fairgrad": 0.0, "fairgrad, worst case": -1 / 3}


def training(jacobians: Sequence[Array], active: ArrayLike | None = None) -> list[Signals]:
    """Steps whose losses differ between tasks and fall."""
    return [
        signals(jacobian, np.arange(1.0, jacobian.shape[-2] + 1) ** 2 / (1 + step), active)
        for step, jacobian in enumerate(jacobians)
    ]


def reordered(step: Signals, tasks: list[int]) -> Signals:
    """The signals of some tasks, in their order."""
    return Signals(
        step.losses[tasks], step.active[tasks], step.norms[tasks], step.gramian[np.ix_(tasks, tasks)]
    )


@every_method
@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_weights_are_finite_and_negative_only_where_that_is_the_method(
    make: Factory, jacobian: Array
) -> None:
    method = make(range(3))
    for scale in SCALES:
        weights, state = steps(method, training([jacobian * scale] * 5))
        for now in weights:
            assert now.shape == (3,)
            assert now.dtype == np.float64
            assert np.isfinite(now).all(), scale
            assert (now >= 0).all() or isinstance(method, SIGNED), scale
        assert all(np.isfinite(value).all() for value in state.values()), scale


@every_method
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_losses_and_gradients_of_any_size_that_come_and_go(make: Factory, data: st.DataObject) -> None:
    size = st.just(0.0) | st.floats(1e-15, 1e15)
    seen = []
    for seed in range(5):
        losses, lengths = (data.draw(st.tuples(size, size, size)) for _ in range(2))
        active = data.draw(st.tuples(*[st.booleans()] * 3))
        seen.append(signals(drawn(3, 5, seed) * np.array(lengths)[:, None], losses, active))
    method = make(range(3))
    weights, state = steps(method, seen)
    for now, shown in zip(weights, seen, strict=True):
        assert np.isfinite(now).all()
        assert (now >= 0).all() or isinstance(method, SIGNED)
        assert (now[~shown.active] == 0).all()
    assert all(np.isfinite(value).all() for value in state.values())


@every_method
def test_a_state_that_is_saved_goes_on_exactly_where_it_was(make: Factory) -> None:
    assert_goes_on(Chain((make(range(3)),)))


@every_method
@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_nothing_that_comes_in_is_changed(make: Factory, jacobian: Array) -> None:
    method, seen = make(range(3)), training([jacobian] * 4)
    _, state = steps(method, seen[:3])
    before = copy.deepcopy((seen[3], state))
    method.weigh(seen[3], state, seeded())
    for name in ("losses", "active", "norms", "gramian"):
        assert np.array_equal(getattr(seen[3], name), getattr(before[0], name))
    assert state.keys() == before[1].keys()
    for name, value in state.items():
        assert np.array_equal(value, before[1][name])


@every_method
def test_equal_inputs_give_equal_outputs(make: Factory) -> None:
    seen = training([drawn(4, 6, seed) for seed in range(5)])
    first, state = steps(make(range(4)), seen, seed=7)
    again, same = steps(make(range(4)), seen, seed=7)
    assert np.array_equal(first, again)
    assert all(np.array_equal(value, same[name]) for name, value in state.items())


@every_method
def test_global_randomness_is_neither_used_nor_moved(make: Factory) -> None:
    seen = training([drawn(4, 6, seed) for seed in range(3)])
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = steps(make(range(4)), seen)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert np.array_equal(steps(make(range(4)), seen)[0], first)


@determined
@pytest.mark.parametrize("absent", range(3))
def test_an_inactive_task_leaves_the_problem_without_it(make: Factory, absent: int) -> None:
    present = [task for task in range(3) if task != absent]
    active = [task != absent for task in range(3)]
    jacobians = [drawn(3, 4, seed) for seed in range(6)]
    whole, state = steps(make(range(3)), training(jacobians, active))
    fewer = [reordered(step, present) for step in training(jacobians)]
    rest, smaller = steps(make(present), fewer)
    for with_absent, without in zip(whole, rest, strict=True):
        assert with_absent[absent] == 0
        np.testing.assert_allclose(with_absent[present], without, rtol=1e-12, atol=1e-14)
    for name, value in state.items():
        own = places(present, 3, value.size)
        np.testing.assert_allclose(value[own], smaller[name], rtol=1e-12)
        first = every.init(make(range(3)), names(3))[name]
        assert np.array_equal(np.delete(value, own), np.delete(first, own)), (
            f"{name} of an inactive task moved"
        )


@every_method
def test_a_step_without_any_active_task_changes_nothing(make: Factory) -> None:
    _, state = steps(make(range(3)), training([drawn(3, 4)] * 4))
    nothing = signals(drawn(3, 4), active=[False] * 3)
    (weights,), after = steps(make(range(3)), [nothing], state=state)
    assert weights.tolist() == [0.0] * 3
    assert all(np.array_equal(value, after[name]) for name, value in state.items())


@every_method
def test_a_zero_row_does_not_freeze_the_others(make: Factory) -> None:
    jacobian = STRUCTURED["zero row"]
    for weights in steps(make(range(3)), training([jacobian] * 5))[0]:
        assert np.linalg.norm(weights @ jacobian) > 0.1 * np.linalg.norm(jacobian[[0, 2]].mean(0))


@determined
def test_duplicates_get_what_one_of_them_gets(make: Factory) -> None:
    method, jacobian = make((0, 1, 0)), STRUCTURED["duplicate row"]
    seen = [signals(jacobian, [4.0 / (1 + step), 2.0, 4.0 / (1 + step)]) for step in range(6)]
    for weights in steps(method, seen)[0]:
        # Where gradients decide, any split between duplicates is a solution.
        if method.scope == "loss":
            assert weights[0] == weights[2]
        assert weights[0] + weights[2] > 0


@every_method
def test_a_batch_is_its_members_one_by_one(make: Factory) -> None:
    batches = [np.stack([drawn(3, 4, 10 * step + member) for member in range(5)]) for step in range(4)]
    batches[2][1, 2] = 0.0
    active = np.ones((5, 3), dtype=bool)
    active[3, 1] = False
    method = make(range(3))
    together, state = steps(method, training(batches, active), rng=seeded(range(5)))
    for member in range(5):
        alone, own = steps(
            method, training([batch[member] for batch in batches], active[member]), rng=seeded(member)
        )
        assert np.array_equal([weights[member] for weights in together], alone)
        for name, value in state.items():
            assert np.array_equal(np.broadcast_to(value, (5, value.shape[-1]))[member], own[name])


class Stack:
    """The task gradients of several runs, side by side."""

    def __init__(self, runs: Sequence[cases.GivenGradients]) -> None:
        self.runs, self.tasks = runs, runs[0].tasks
        self.losses, self.active, self.importance = (
            torch.stack([getattr(run, name) for run in runs]) for name in ("losses", "active", "importance")
        )

    def norms(self, space: Space) -> torch.Tensor:
        return torch.stack([run.norms(space) for run in self.runs])

    def gramian(self, space: Space) -> torch.Tensor:
        return torch.stack([run.gramian(space) for run in self.runs])


def shown(run: int, step: int, tasks: int) -> cases.GivenGradients:
    """Tasks come and go, a gradient is 0 or another's copy now and then, each run in its own way."""
    rng = np.random.default_rng([run, step])
    jacobian = rng.normal(size=(tasks, 6)) * 10 ** rng.uniform(-3, 3, size=(tasks, 1))
    if rng.random() < 0.2:
        jacobian[1] = 0.0
    elif rng.random() < 0.2:
        jacobian[0] = jacobian[-1]
    return cases.given(
        jacobian, rng.uniform(0.1, 9, tasks).tolist(), (rng.random(tasks) < 0.8).tolist(), [0.5] * tasks
    )


@every_method
@pytest.mark.parametrize("tasks", [2, 3, 17])
@pytest.mark.parametrize("k", [1, 3])
def test_a_stack_of_runs_is_its_runs_alone_bit_for_bit(make: Factory, tasks: int, k: int) -> None:
    method = make(range(tasks))
    if isinstance(method, AdaptiveMethod) and method.every == 1:
        method = method.model_copy(update={"every": k})
    chain, runs = Chain((Uncertainty(lr=0.1), method)), range(4)
    state, rng = chain.init(names(tasks), (len(runs),)), seeded(runs)
    alone = [(chain.init(names(tasks)), seeded(run)) for run in runs]
    for step in range(9):
        gradients = Stack([shown(run, step, tasks) for run in runs])
        decision, state = chain.balance(gradients, state, rng)
        if decision.wants_outcome:
            state = chain.follow(gradients, gradients.losses / 2, decision, state)
        for run, single in enumerate(gradients.runs):
            own, stream = alone[run]
            expected, own = chain.balance(single, own, stream)
            if expected.wants_outcome:
                own = chain.follow(single, single.losses / 2, expected, own)
            alone[run] = own, stream
            assert torch.equal(decision.shared[run], expected.shared)
            assert torch.equal(decision.own[run], expected.own)
            assert state.keys() == own.keys()
            assert all(torch.equal(value[run], own[name]) for name, value in state.items())


@every_method
def test_settings_by_task_are_of_the_tasks(make: Factory) -> None:
    chain = Chain((make(range(2)),))
    if any(dict(method.per_task_values()) for method in chain.methods):
        with pytest.raises(ValueError, match="expects the tasks task 0, task 1, task 2, got task 0, task 1"):
            chain.init(names(3))
    else:
        chain.init(names(3))


@determined
@given(order=st.permutations(range(3)), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_tasks_does_not_matter(make: Factory, order: list[int], seed: int) -> None:
    # Two tasks that may conflict, and one that conflicts with neither: PCGrad's random order is irrelevant.
    jacobian = np.zeros((3, 4))
    jacobian[:2, :3], jacobian[2, 3] = drawn(2, 3, seed), 1.5
    plain = steps(make(range(3)), training([jacobian] * 4))[0]
    permuted = [reordered(step, order) for step in training([jacobian] * 4)]
    for straight, turned in zip(plain, steps(make(order), permuted)[0], strict=True):
        np.testing.assert_allclose(straight[order], turned, rtol=1e-9, atol=1e-12)


@gradient_only
@pytest.mark.parametrize("shape", [shape for shape in STRUCTURED if shape != "balanced"])
def test_the_scale_of_all_gradients_changes_lengths_alone(name: str, shape: str) -> None:
    method, jacobian = METHODS[name](range(3)), STRUCTURED[shape]
    plain, _ = method.weigh(signals(jacobian), method.init(names(3)), seeded())
    size = np.linalg.norm(jacobian, axis=1).max()
    for scale in SCALES:
        scaled, _ = method.weigh(signals(jacobian * scale), method.init(names(3)), seeded())
        scaled *= scale ** (1 - POWERS.get(name, 1.0))
        # Absolute in terms of steps: where gradients depend on each other, several weights give the same one.
        np.testing.assert_allclose(
            scaled @ jacobian, plain @ jacobian, rtol=1e-6, atol=1e-7 * size, err_msg=f"scale {scale}"
        )


NEVER_CONFLICTING = (
    "mgda",
    "upgrad",
    "upgrad, sum",
    "dualproj",
    "nash_mtl",
    "fairgrad",
    "fairgrad, worst case",
)


@pytest.mark.parametrize("name", NEVER_CONFLICTING)
@given(tasks=st.integers(1, 7), width=st.integers(1, 8), seed=st.integers(0, 1000), spread=st.floats(0, 4))
@settings(max_examples=15, deadline=None)
def test_no_task_conflicts_with_the_update(
    name: str, tasks: int, width: int, seed: int, spread: float
) -> None:
    lengths = 10.0 ** np.random.default_rng(seed).uniform(-spread, spread, size=(tasks, 1))
    jacobian = drawn(tasks, width, seed) * lengths
    weights, _ = METHODS[name](range(tasks)).weigh(signals(jacobian), {}, seeded())
    # What is left of 0 after the rounding of everything that was added up.
    blur = weights @ np.linalg.norm(jacobian, axis=1)
    assert (jacobian @ (weights @ jacobian) >= -1e-9 * blur * lengths[:, 0]).all()


@every_method
@pytest.mark.parametrize("task", range(3))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_signal_that_is_not_finite_names_its_task(make: Factory, task: int, bad: float) -> None:
    chain = Chain((make(range(3)),))
    losses, jacobian = [1.0, 2.0, 3.0], drawn(3, 4)
    losses[task] = bad
    with pytest.raises(NonFiniteSignal) as error:
        chain.balance(cases.given(jacobian, losses), chain.init(names(3)), seeded())
    assert error.value.task == task

    jacobian[task, 0] = bad
    if chain.methods[0].needs - {"outcome"}:
        with pytest.raises(NonFiniteSignal) as error:
            chain.balance(cases.given(jacobian), chain.init(names(3)), seeded())
        assert error.value.task == task


@every_method
def test_what_is_bad_about_an_inactive_task_does_not_matter(make: Factory) -> None:
    chain = Chain((make(range(3)),))
    jacobian = drawn(3, 4)
    jacobian[1] = np.nan
    decision, _ = chain.balance(
        cases.given(jacobian, [1.0, np.inf, 3.0], [True, False, True]), chain.init(names(3)), seeded()
    )
    assert torch.isfinite(decision.shared).all()
    assert decision.shared[1] == decision.own[1] == 0


@every_method
@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_any_number_of_tasks(make: Factory, tasks: int) -> None:
    method = make(range(tasks))
    weights, state = steps(method, training([drawn(tasks, 3, seed) for seed in range(4)]))
    assert np.isfinite(weights).all()
    assert all(value.shape in ((tasks,), (tasks**2,)) for value in state.values())
    assert method.parameters(tasks) in (0, tasks)
