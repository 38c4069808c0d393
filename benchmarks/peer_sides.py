"""Training steps of the reference network: plain, with mtctl's methods, with torchjd's, written literally.

Every side has a network of its own, from the same seed, which really learns.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from benchmarks.peer_literal import LITERAL
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method, Signals, observe
from mtctl.balancing.draws import Draws
from mtctl.balancing.gradients.products import Rows, gramian
from mtctl.engine.fit import Balancing
from mtctl.measuring.reference import SEED, ReferenceNetwork

if TYPE_CHECKING:
    from torchjd.aggregation import Aggregator

Side = Callable[[int], None]


def repeated(step: Callable[[], None]) -> Side:
    """Return what makes that step a number of times."""

    def run(calls: int) -> None:
        for _ in range(calls):
            step()

    return run


def plain(model: ReferenceNetwork) -> Side:
    """Return the step with the plain sum of losses: what nobody can be faster than."""

    def step() -> None:
        model.optimizer.zero_grad()
        torch.stack(list(model().losses.values())).sum().backward()
        model.optimizer.step()

    return repeated(step)


def ours(model: ReferenceNetwork, method: Method) -> Side:
    """Return the step with a method of mtctl's."""
    balancing = Balancing(Chain((method,)), model.tasks, SEED)

    def step() -> None:
        gradients = model.gradients()
        decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        model.optimizer.step()
        balancing.follow(gradients, decision, model.revisit)

    return repeated(step)


def torchjd(model: ReferenceNetwork, kind: str) -> Side:
    """Return the step with torchjd's method of that name; all gradients in one batched pass, its default."""
    from torchjd.autojac import jac_to_grad, mtl_backward  # noqa: PLC0415 - the peer is needed here only

    aggregator = torchjd_aggregator(kind, len(model.tasks))

    def step() -> None:
        made = model()
        model.optimizer.zero_grad()
        mtl_backward(
            list(made.losses.values()),
            features=made.features,
            tasks_params=model.own,
            shared_params=model.shared,
        )
        jac_to_grad(model.shared, aggregator)
        model.optimizer.step()

    return repeated(step)


def torchjd_aggregator(kind: str, tasks: int) -> Aggregator:
    """Return torchjd's aggregator of that name, with its own defaults."""
    from torchjd import aggregation  # noqa: PLC0415

    makers: dict[str, Callable[[], Any]] = {
        "pcgrad": aggregation.PCGrad,
        "upgrad": aggregation.UPGrad,
        "cagrad": lambda: aggregation.CAGrad(c=0.5),
        "aligned_mtl": aggregation.AlignedMTL,
        "mgda": aggregation.MGDA,
        "nash_mtl": lambda: aggregation.NashMTL(n_tasks=tasks),
        "imtl_g": aggregation.IMTLG,
        "dualproj": aggregation.DualProj,
        "config": aggregation.ConFIG,
        "gradvac": aggregation.GradVac,
        "fairgrad": lambda: aggregation.FairGrad(alpha=1.0),
    }
    made: Aggregator = makers[kind]()
    return made


def literal(model: ReferenceNetwork, kind: str) -> Side:
    """Return the step as a method is usually written: one backward pass per task through the whole graph."""
    aggregate, order = LITERAL[kind], random.Random(SEED)
    sizes = [parameter.numel() for parameter in model.shared]
    everything = list(model.parameters())

    def step() -> None:
        model.optimizer.zero_grad()
        rows = []
        for loss, own in zip(model().losses.values(), model.own, strict=True):
            found = torch.autograd.grad(loss, [*model.shared, *own], retain_graph=True)
            rows.append(torch.cat([gradient.flatten() for gradient in found[: len(sizes)]]))
            for parameter, gradient in zip(own, found[len(sizes) :], strict=True):
                parameter.grad = gradient
        parts = aggregate(torch.stack(rows), order).split(sizes)
        for parameter, part in zip(model.shared, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        assert all(parameter.grad is not None for parameter in everything)
        model.optimizer.step()

    return repeated(step)


SIZE: Final = 100_000
"""Numbers in a row of a Jacobian that is given."""


def given_ours(jacobian: Tensor, method: Method) -> Side:
    """Return the update from a given Jacobian [T, P] with a method of mtctl's."""
    tasks = tuple(map(str, range(len(jacobian))))
    active = torch.ones(len(tasks), dtype=torch.bool).numpy()
    losses = torch.ones(len(tasks), dtype=torch.float64).numpy()
    rng = Draws(torch.Generator().manual_seed(SEED))
    state = method.init(tasks)
    rows = [Rows(tuple(range(len(tasks))), jacobian)]

    def step() -> None:
        nonlocal state
        signals: Signals = observe(losses, active, gramian=gramian(rows, len(tasks)).numpy())
        weights, state = method.weigh(signals, state, rng)
        torch.mv(jacobian.t(), torch.from_numpy(weights).float())

    return repeated(step)


def given_torchjd(jacobian: Tensor, kind: str) -> Side:
    """Return the update from a given Jacobian with torchjd's method of that name."""
    aggregator = torchjd_aggregator(kind, len(jacobian))

    def step() -> None:
        aggregator(jacobian)

    return repeated(step)
