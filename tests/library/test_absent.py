"""Tasks that a step has no data of, from the first step on: every method, chains too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mtctl
from mtctl.balancing.registry import KINDS
from tests.library.models import Heads, by_hand, drawn, gradients, inputs, mlp

TASKS = ("red", "green", "blue")
SETTINGS: dict[str, dict[str, Any]] = {
    "manual": {"weights": {"red": 2.0, "green": 1.0, "blue": 0.5}},
    "gradnorm": {"initial_window": 2, "lr": 0.1},
    "stch": {"initial_window": 2},
    "dwa": {"window": 2},
    "adaptive_scaling": {"warmup_steps": 2},
}
CHAINS: dict[str, Any] = {
    "running_mean + pcgrad": ["running_mean", "pcgrad"],
    "gradnorm + nash_mtl": [{"kind": "gradnorm", "initial_window": 2}, "nash_mtl"],
    "every 2 of encodec + famo": [{"kind": "encodec", "every": 2}, "famo"],
}
ALL = {**{kind: {"kind": kind, **SETTINGS.get(kind, {})} for kind in KINDS}, **CHAINS}
every_method = pytest.mark.parametrize("spec", ALL.values(), ids=ALL.keys())
asks_gradients = pytest.mark.parametrize(
    "kind", ["gradnorm", "encodec", "adaptive_scaling", "db_mtl", "pcgrad", "gradvac", "cagrad", "nash_mtl"]
)


def step(
    model: Heads, balancer: mtctl.Balancer, present: Sequence[str], seed: int = 0, **options: Any
) -> mtctl.Report:
    """Balance one step without the others' losses, compare `.grad` with the sum by hand, and move."""
    data, parameters = inputs(16, 5, seed=seed), list(model.parameters())
    model.zero_grad()
    losses = {task: model.losses(data)[task] for task in present}
    report = mtctl.balance(losses, balancer=balancer, **options)
    again = {task: model.losses(data)[task] for task in present}
    want = by_hand(again, report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)
    assert set(report.weights) == set(present)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad / max(1.0, float(parameter.grad.norm())))
        if balancer.follows:
            balancer.follow(model.losses(data))
    return report


def ids(parameters: Iterable[Tensor]) -> set[int]:
    return set(map(id, parameters))


def memory(balancer: mtctl.Balancer, tasks: Sequence[str]) -> list[Tensor]:
    """What a balancer remembers of some tasks."""
    places = [TASKS.index(task) for task in tasks]
    kept = []
    for value in balancer.state_dict()["state"].values():
        by_task = value if value.numel() == len(TASKS) else value.reshape(len(TASKS), -1)
        kept.append(by_task[places].clone())
    return kept


@every_method
@pytest.mark.parametrize("alone", [False, True], ids=["two at first", "one at first"])
def test_a_task_that_is_missing_at_first(spec: Any, alone: bool) -> None:
    model, balancer = mlp(TASKS), mtctl.Balancer(spec, tasks=TASKS)
    first = memory(balancer, ["blue"])
    for seed in range(3):
        step(model, balancer, ["green"] if alone else ["green", "red"], seed)
        if "gradvac" not in balancer.name:  # its memory is of pairs
            assert all(map(torch.equal, memory(balancer, ["blue"]), first))
    for seed in range(3, 8):
        report = step(model, balancer, TASKS, seed)
        assert all(abs(weight) < 1e6 for weight in report.weights.values())
    assert all(value.isfinite().all() for value in balancer.state_dict()["state"].values())
    assert any(weight != 0 for weight in report.weights.values())


@every_method
def test_tasks_are_known_by_name_and_not_by_place(spec: Any) -> None:
    one, other = (mtctl.Balancer(spec, tasks=TASKS) for _ in range(2))
    models = mlp(TASKS), mlp(TASKS)
    for seed, present in enumerate((["blue", "red"], ["blue"], ["green", "blue", "red"], ["red", "green"])):
        reports = [
            step(models[0], one, present, seed),
            step(models[1], other, sorted(present, key=TASKS.index), seed),
        ]
        assert reports[0].weights == pytest.approx(dict(reports[1].weights), rel=1e-4)
    torch.testing.assert_close(list(models[0].parameters()), list(models[1].parameters()))


@every_method
def test_one_task_in_each_step(spec: Any) -> None:
    """What is shared shows in no step, but over the steps."""
    model, balancer = mlp(TASKS), mtctl.Balancer(spec, tasks=TASKS)
    for seed in range(9):
        report = step(model, balancer, [TASKS[seed % 3]], seed, measure=True)
        assert report.space == (None if seed == 0 else "all_shared")
        assert ids(report.parameters) == (ids(model.shared) if seed else set())


@asks_gradients
def test_before_anything_is_known_to_be_shared_a_task_counts_as_it_is(kind: str) -> None:
    balancer = mtctl.Balancer(ALL[kind], tasks=TASKS)
    before = balancer.state_dict()["state"]
    report = step(mlp(TASKS), balancer, ["red"], measure=True)
    if kind != "db_mtl":  # whose first half looks at losses alone
        assert report.weights == report.own_weights == {"red": 1.0}
    assert (report.norms, report.space) == (None, None)
    assert "no shared parameter is known yet" in str(report)
    assert all(map(torch.equal, balancer.state_dict()["state"].values(), before.values()))


@asks_gradients
def test_what_is_given_as_shared_is_known_from_the_first_step(kind: str) -> None:
    model, balancer = mlp(TASKS), mtctl.Balancer(ALL[kind], tasks=TASKS)
    report = step(model, balancer, ["red"], shared=model.shared, last_shared=model.shared[2:])
    assert report.norms is not None
    assert report.norms["red"] > 0


def test_a_task_alone_in_a_step_has_no_features() -> None:
    model, balancer = mlp(TASKS), mtctl.Balancer("encodec", tasks=TASKS, layer="features")
    step(model, balancer, TASKS)
    before = gradients(list(model.parameters()))
    with pytest.raises(
        mtctl.BalanceError, match=r"task `red`: .* it shares none with another task of this step"
    ) as error:
        mtctl.balance({"red": model.losses(inputs(16, 5))["red"]}, balancer=balancer)
    assert "last_shared" in str(error.value.hint)
    assert all(map(torch.equal, gradients(list(model.parameters())), before))


class Deep(nn.Module):
    """Red and green share one layer more than blue does; apart shares nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.upper, self.apart = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(5, 1)
        self.heads = nn.ModuleDict({task: nn.Linear(8, 2) for task in TASKS})
        drawn(self)

    def losses(self, seed: int = 0) -> Mapping[str, Tensor]:
        low = self.trunk(inputs(16, 5, seed=seed)).tanh()
        high = self.upper(low).tanh()
        return {
            **{task: (self.heads[task](high) - 1).square().mean() for task in ("red", "green")},
            "blue": self.heads["blue"](low).square().mean(),
            "apart": self.apart(inputs(16, 5, seed=seed)).square().mean(),
        }


def balanced(model: Deep, balancer: mtctl.Balancer, present: Sequence[str], seed: int = 0) -> mtctl.Report:
    losses = model.losses(seed)
    return mtctl.balance({task: losses[task] for task in present}, balancer=balancer)


def average(balancer: mtctl.Balancer) -> list[float]:
    found: list[float] = balancer.state_dict()["state"]["0.average"].tolist()
    return found


def test_norms_of_different_steps_are_norms_of_the_same_layer() -> None:
    model, balancer = Deep(), mtctl.Balancer("encodec", tasks=TASKS)
    before = balanced(model, balancer, ["red", "green"])
    assert ids(before.parameters) == ids(model.upper.parameters())
    whole = balanced(model, balancer, TASKS)
    assert ids(whole.parameters) == ids(model.trunk.parameters())
    assert before.norms is not None
    assert whole.norms is not None
    assert before.norms["red"] != pytest.approx(whole.norms["red"], rel=1e-3)
    assert average(balancer) == pytest.approx([whole.norms[task] for task in TASKS])
    again = balanced(model, balancer, ["red", "green"])
    assert ids(again.parameters) == ids(whole.parameters)
    assert again.norms == pytest.approx({task: whole.norms[task] for task in ("red", "green")})
    assert average(balancer) == pytest.approx([whole.norms[task] for task in TASKS])


def test_a_task_that_shares_nothing_leaves_the_choice_where_it_is() -> None:
    model, names = Deep(), (*TASKS, "apart")
    balancer = mtctl.Balancer("encodec", tasks=names)
    everything = ids(model.trunk.parameters()) | ids(model.upper.parameters())
    for present in (names, TASKS, names):
        report = balanced(model, balancer, present)
        assert ids(report.parameters) == everything
        assert "all shared parameters" in report.reason


def test_averages_begin_anew_when_more_is_found_to_be_shared() -> None:
    model, balancer = Deep(), mtctl.Balancer("adaptive_scaling", tasks=TASKS)
    first = balanced(model, balancer, ["red", "blue"])
    assert ids(first.parameters) == ids(model.trunk.parameters())
    second = balanced(model, balancer, ["red", "green"])
    assert ids(second.parameters) == ids(model.trunk.parameters()) | ids(model.upper.parameters())
    assert second.norms is not None
    assert average(balancer) == pytest.approx([second.norms["red"], second.norms["green"], 0.0])


def test_what_gradnorm_has_learned_stays_when_its_layer_changes() -> None:
    model, balancer = Deep(), mtctl.Balancer("gradnorm", tasks=TASKS, initial_window=1, lr=0.1)
    for seed in range(4):
        balanced(model, balancer, ["red", "green"], seed)
    learned = balancer.state_dict()["state"]
    report = balanced(model, balancer, TASKS, 5)
    assert report.weights["red"] / report.weights["green"] == pytest.approx(
        float((learned["0.log_weights"][0] - learned["0.log_weights"][1]).exp()), rel=0.1
    )
    kept = balancer.state_dict()["state"]["0.initial_losses"]
    assert torch.equal(kept[:2], learned["0.initial_losses"][:2])


class Whole(torch.autograd.Function):
    """A trunk and two heads in one operation, as a compiled model is one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        trunk, left, right = weights
        ctx.save_for_backward(values, *weights)
        return values @ trunk @ left, values @ trunk @ right

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor) -> tuple[Tensor | None, ...]:
        values, trunk, left, right = ctx.saved_tensors
        at_left, at_right = arriving
        features, below = values @ trunk, at_left @ left.T + at_right @ right.T
        return None, values.T @ below, features.T @ at_left, features.T @ at_right


def test_what_one_operation_hides_is_not_taken_for_shared_over_steps() -> None:
    weights = [torch.randn(*shape, requires_grad=True) for shape in ((5, 4), (4, 2), (4, 2))]
    balancer = mtctl.Balancer("encodec", tasks=("left", "right"))
    for task, place in (("left", 0), ("right", 1), ("left", 0)):
        outputs: tuple[Tensor, Tensor] = Whole.apply(inputs(16, 5), *weights)  # type: ignore[no-untyped-call]
        report = mtctl.balance({task: outputs[place].square().mean()}, balancer=balancer)
        assert report.weights == {task: 1.0}
        assert "no shared parameter is known yet" in report.reason
