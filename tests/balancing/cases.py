"""Gradients, signals and methods that several test files share."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mtctl.balancing import every
from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.aligned_mtl import AlignedMTL
from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.chain import Chain
from mtctl.balancing.config import ConFIG
from mtctl.balancing.contract import Array, Method, Random, Signals, Space, State, observe
from mtctl.balancing.db_mtl import LongestNorm
from mtctl.balancing.draws import Draws
from mtctl.balancing.dwa import DWA
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.fairgrad import FairGrad
from mtctl.balancing.famo import FAMO
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.gradvac import GradVac
from mtctl.balancing.imtl_g import IMTLG
from mtctl.balancing.imtl_l import IMTLL
from mtctl.balancing.log_loss import LogLoss
from mtctl.balancing.nash_mtl import NashMTL
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.registry import KINDS
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.stch import STCH
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.balancing.upgrad import UPGrad

GOLDEN = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
SCALES = (1e-15, 1e-6, 1.0, 1e6, 1e15)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seeded(seed: int | Sequence[int] = 0) -> Draws:
    """Draws of a run, or of a stack of runs with these seeds."""
    return Draws(generator(seed) if isinstance(seed, int) else [generator(one) for one in seed])


def names(tasks: int) -> tuple[str, ...]:
    return tuple(f"task {place}" for place in range(tasks))


def by_task(values: Sequence[float]) -> dict[str, Any]:
    """Settings of tasks in the order of `names`."""
    return dict(zip(names(len(values)), values, strict=True))


def gradnorm_from(initial_losses: Sequence[float], **settings: Any) -> GradNorm:
    """GradNorm whose L(0) is known."""
    return GradNorm(initial_loss="theoretical", theoretical_losses=by_task(initial_losses), **settings)


def drawn(tasks: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(tasks, width))


def signals(jacobian: Array, losses: ArrayLike | None = None, active: ArrayLike | None = None) -> Signals:
    """Signals of gradients [..., T, P]; losses 1 and all tasks active unless given."""
    gramian = jacobian @ np.swapaxes(jacobian, -1, -2)
    tasks = jacobian.shape[:-1]
    return observe(
        np.broadcast_to(np.asarray(1.0 if losses is None else losses), tasks).astype(np.float64),
        np.broadcast_to(np.asarray(True if active is None else active), tasks).copy(),
        np.sqrt(np.diagonal(gramian, axis1=-2, axis2=-1)),
        gramian,
        names(tasks[-1]),
    )


def step(losses: object, active: object = True) -> Signals:
    """Return the signals of a step of which nothing but losses is known."""
    values = np.asarray(losses, dtype=np.float64)
    return observe(values, np.broadcast_to(np.asarray(active), values.shape).copy())


def any_order(tasks: int, seed: int) -> NDArray[np.intp]:
    """Return in which order each task meets the others [T, T]."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(tasks) for _ in range(tasks)])


def spread_out(tasks: int, width: int, spread: float, seed: int = 0) -> Array:
    """Gradients whose lengths differ by a factor of up to `spread`."""
    lengths = spread ** np.random.default_rng(seed).uniform(-0.5, 0.5, size=(tasks, 1))
    return drawn(tasks, width, seed) * lengths


def _structured() -> dict[str, Array]:
    free = drawn(3, 5, seed=1)
    zero, duplicate, opposite, aligned = free.copy(), free.copy(), free.copy(), np.abs(free)
    zero[1] = 0.0
    duplicate[2] = duplicate[0]
    opposite[2] = -2 * opposite[0]
    return {
        "free": free,
        "orthogonal": np.eye(3),
        "aligned": aligned,
        "zero row": zero,
        "all zero": np.zeros((3, 5)),
        "duplicate row": duplicate,
        "opposite rows": opposite,
        "low rank": drawn(3, 1, seed=2) * np.ones((1, 5)),
        "balanced": np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]),
        "wide lengths": free * np.array([[1e-7], [1.0], [1e7]]),
    }


STRUCTURED = _structured()


def weights(tasks: Sequence[int]) -> dict[str, Any]:
    return by_task([0.5 + task for task in tasks])


def _registered(kind: str) -> Callable[[Sequence[int]], Method]:
    """A method as it is without settings; what it cannot do without is given by task."""
    fields = KINDS[kind].model_fields
    required = [name for name in fields if fields[name].is_required()]
    return lambda tasks: KINDS[kind].model_validate(dict.fromkeys(required, weights(tasks)))


#: Each method as a function of the tasks it is for: settings that are given by task follow their task. All
#: that are registered, some of them with settings that show more in a few steps, and variants.
METHODS: dict[str, Callable[[Sequence[int]], Method]] = {
    kind: _registered(kind)
    for kind in KINDS
    if kind != "db_mtl"  # two in a row: `log` and "longest norm"
} | {
    "uncertainty": lambda tasks: Uncertainty(lr=0.1),
    "running_mean": lambda tasks: RunningMean(momentum=0.8, warmup_steps=2),
    "running_mean, weighted": lambda tasks: RunningMean(
        base_weights=weights(tasks),
        sizes=by_task([1 + 10 * task for task in tasks]),
        size_exponent=0.5,
    ),
    "batch_scale": lambda tasks: BatchScale(base_weights=weights(tasks)),
    "batch_scale, spread": lambda tasks: BatchScale(scale="spread"),
    "encodec": lambda tasks: Encodec(momentum=0.8),
    "encodec, weighted": lambda tasks: Encodec(base_weights=weights(tasks)),
    "dwa": lambda tasks: DWA(window=1),
    "dwa, hot": lambda tasks: DWA(window=2, temperature=0.1),
    "log, shifted": lambda tasks: LogLoss(epsilon=0.5),
    "imtl_l": lambda tasks: IMTLL(lr=0.1, limit=0.25),
    "stch, linear": lambda tasks: STCH(form="linear", mu=0.1, base_weights=weights(tasks)),
    "stch, log": lambda tasks: STCH(mu=0.1, initial_window=2),
    "famo": lambda tasks: FAMO(lr=0.1),
    "famo, bounded": lambda tasks: FAMO(
        weight_decay=0.5, ideal=by_task([-0.5 - task for task in tasks]), epsilon=1e-3
    ),
    "adaptive_scaling": lambda tasks: AdaptiveScaling(warmup_steps=2),
    "adaptive_scaling, equalise": lambda tasks: AdaptiveScaling(
        mode="equalise", min_scale=1e-20, max_scale=1e20, base_weights=weights(tasks)
    ),
    "longest norm": lambda tasks: LongestNorm(),
    "gradnorm": lambda tasks: GradNorm(lr=0.1, initial_window=2),
    "gradnorm, known": lambda tasks: gradnorm_from([1.0 + task for task in tasks], lr=0.1),
    "gradnorm, floor": lambda tasks: GradNorm(lr=0.1, initial_loss="first_batch", weight_floor=0.05),
    "pcgrad, mean": lambda tasks: PCGrad(reduction="mean"),
    "cagrad, rescaled": lambda tasks: CAGrad(rescale=True),
    "gradvac": lambda tasks: GradVac(beta=0.5),
    "nash_mtl, shortened": lambda tasks: NashMTL(max_norm=1.0),
    "fairgrad, worst case": lambda tasks: FairGrad(alpha=2.0),
    "aligned_mtl, sum": lambda tasks: AlignedMTL(reduction="sum"),
    "upgrad, sum": lambda tasks: UPGrad(reduction="sum"),
    "every 2 of gradnorm": lambda tasks: GradNorm(lr=0.1, initial_window=1, every=2),
    "every 3 of encodec": lambda tasks: Encodec(momentum=0.8, every=3),
}


#: These add gradients up so that some may count against themselves.
SIGNED = (AlignedMTL, ConFIG, IMTLG)


def places(tasks: Sequence[int], among: int, size: int) -> NDArray[np.intp]:
    """Where a method's memory [T] or [T·T] of `size` numbers has those of some of the tasks."""
    shape = (among,) if size == among else (among, among)
    return np.arange(size).reshape(shape)[np.ix_(*[tasks] * len(shape))].ravel()


def steps(
    method: Method,
    seen: Sequence[Signals],
    seed: int = 0,
    state: State | None = None,
    rng: Random | None = None,
) -> tuple[list[Array], State]:
    """Weights of consecutive steps, and the last state. A step brings its losses L to L/(1 + L)."""
    tasks = names(seen[0].active.shape[-1])
    state = every.init(method, tasks) if state is None else state
    rng, weights = rng or seeded(seed), []
    for step in (replace(step, tasks=tasks) for step in seen):
        needs = every.asks(method, step.active, state)
        now, state = every.weigh(method, step, state, rng)
        weights.append(now)
        if "outcome" in needs:
            state = every.follow(method, step, step.losses / (1 + step.losses), state)
    return weights, state


def update(method: Method, jacobian: Array) -> Array:
    """The first update direction [P] of gradients [T, P]."""
    weights, _ = method.weigh(signals(jacobian), method.init(names(len(jacobian))), seeded())
    return np.asarray(weights @ jacobian)


@dataclass
class GivenGradients:
    """Task gradients with a known Jacobian, which remember what was asked of them."""

    tasks: tuple[str, ...]
    jacobian: Tensor
    losses: Tensor
    active: Tensor
    importance: Tensor
    asked: list[str] = field(default_factory=list)

    def norms(self, space: Space) -> Tensor:
        self.asked.append(f"norms of {space}")
        return self.jacobian.square().sum(-1).sqrt()

    def gramian(self, space: Space) -> Tensor:
        self.asked.append(f"gramian of {space}")
        return self.jacobian @ self.jacobian.mT

    def own_norms(self) -> Tensor:
        raise AssertionError("weighing looks at shared parameters alone")

    def combine(self, shared: Tensor, own: Tensor) -> None:
        raise AssertionError("weighing does not combine")

    def finite(self) -> bool:
        raise AssertionError("weighing does not combine")


def given(
    jacobian: Array,
    losses: Sequence[float] | None = None,
    active: Sequence[bool] | None = None,
    importance: Sequence[float] | None = None,
) -> GivenGradients:
    tasks = len(jacobian)
    return GivenGradients(
        names(tasks),
        torch.from_numpy(jacobian),
        torch.ones(tasks, dtype=torch.float64)
        if losses is None
        else torch.tensor(losses, dtype=torch.float64),
        torch.ones(tasks, dtype=torch.bool) if active is None else torch.tensor(active),
        torch.ones(tasks, dtype=torch.float64)
        if importance is None
        else torch.tensor(importance, dtype=torch.float64),
    )


def assert_goes_on(chain: Chain) -> None:
    """A chain whose state is saved and read goes on exactly where it was."""
    batches = [given(drawn(3, 4, seed), [1.0 + seed, 2.0, 3.0]) for seed in range(8)]
    generators = generator(0), generator(99)
    rng, resumed = map(Draws, generators)
    state = chain.init(names(3))
    for gradients in batches[:4]:
        _, state = chain.balance(gradients, state, rng)
    file = io.BytesIO()
    torch.save({"state": state, "rng": generators[0].get_state()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    restored = saved["state"]
    generators[1].set_state(saved["rng"])
    for gradients in batches[4:]:
        decision, state = chain.balance(gradients, state, rng)
        again, restored = chain.balance(gradients, restored, resumed)
        assert torch.equal(again.shared, decision.shared)
        assert torch.equal(again.own, decision.own)
    assert state.keys() == restored.keys()
    assert all(torch.equal(restored[name], value) for name, value in state.items())
