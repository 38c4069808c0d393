"""Several processes that train together; each writes what it came to as FOLDER/RANK.json.

python -m tests.library.ranks_program exact|refusals PROCESSES FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import mtctl
from mtctl.balancing.registry import KINDS
from tests.library.models import drawn, inputs

TASKS: Final = ("red", "green", "blue")
ROWS: Final = 18
STEPS: Final = 5
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "manual": {"weights": {"red": 2.0, "green": 0.5, "blue": 1.0}},
    "gradnorm": {"initial_window": 1, "lr": 0.1},
    "stch": {"initial_window": 2},
    "dwa": {"window": 2},
    "adaptive_scaling": {"warmup_steps": 2},
}
LAYERED: Final = ("gradnorm", "encodec", "pcgrad", "db_mtl")

Wrap = Callable[["Net"], nn.Module]
Options = Callable[["Net"], dict[str, Any]]


class Outcome(NamedTuple):
    """What training came to.

    Args:
        parameters: at the end.
        figures: of all steps' reports, by name.
        unused: whether a parameter that no loss reaches was left alone.
    """

    parameters: list[Tensor]
    figures: dict[str, list[float]]
    unused: bool


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh())
        self.heads = nn.ModuleDict({task: nn.Linear(8, 2) for task in TASKS})
        self.unused = nn.Parameter(torch.ones(3))
        drawn(self)

    def forward(self, values: Tensor) -> dict[str, Tensor]:
        features = self.trunk(values)
        return {task: head(features) for task, head in self.heads.items()}


def losses(run: Callable[[Tensor], dict[str, Tensor]], values: Tensor, has: Mapping[str, Tensor]) -> Any:
    """Return each task's mean loss over the rows that have it, and how many these are; None without any."""
    outputs = run(values)
    found = {
        task: (outputs[task][has[task]] - 1 - place).square().mean() if has[task].any() else None
        for place, task in enumerate(TASKS)
    }
    return found, {task: int(has[task].sum()) for task in TASKS}


def owners(processes: int) -> Tensor:
    """Return which process has each row: the first one has most."""
    return (torch.arange(ROWS) - 4).clamp(min=0) % processes


def labelled(step: int, owner: Tensor, *, complete: bool) -> dict[str, Tensor]:
    """Return by task which rows have it: unevenly, and in some steps no row of some process."""
    chance = torch.rand(len(TASKS), ROWS, generator=torch.Generator().manual_seed(step))
    has = dict(zip(TASKS, chance > 0.3, strict=True))
    if complete:
        return {task: rows | (torch.arange(ROWS) % 6 > 2) for task, rows in has.items()}
    if step == 1:
        has["green"] = has["green"] & (owner == owner.max())  # one process alone has green
    if step == 2:
        has["green"] = torch.zeros(ROWS, dtype=torch.bool)  # nobody has
    if step == 3:
        has = {task: rows & (owner != 0) for task, rows in has.items()}  # process 0 has nothing at all
    if step == 4:
        has["red"] &= owner == 0  # and these two never meet
        has["blue"] &= owner != 0
    return has


def trained(
    balancer: mtctl.Balancer,
    net: Net,
    part: Callable[[int], tuple[Tensor, dict[str, Tensor]]],
    *,
    run: nn.Module,
    ranks: mtctl.Ranks | None = None,
    **options: Any,
) -> list[mtctl.Report]:
    moments: dict[Tensor, Tensor] = {}
    reports = []
    for step in range(STEPS):
        values, has = part(step)
        net.zero_grad()
        made, rows = losses(run, values, has)
        counted = {} if ranks is None else {"ranks": ranks, "rows": rows}
        reports.append(mtctl.balance(made, balancer=balancer, **counted, **options))
        sgd(net, moments)
        if balancer.follows:
            with torch.no_grad():
                balancer.follow(losses(net, values, has)[0])
    return reports


@torch.no_grad()
def sgd(net: Net, moments: dict[Tensor, Tensor]) -> None:
    """Make a step with momentum and decay, which tell a gradient of 0 from none; torch's own loads slowly."""
    for one in net.parameters():
        if one.grad is not None:
            moments[one] = 0.5 * moments.get(one, torch.zeros(())) + one.grad + 0.1 * one
            one.sub_(0.02 * moments[one])


def outcome(kind: Any, *, joined: bool, complete: bool, wrap: Wrap | None, options: Options) -> Outcome:
    """Return what training comes to: in one process on whole batches, or in several on their parts."""
    processes = int(sys.argv[2])
    rank = distributed.get_rank() if joined else 0

    def part(step: int) -> tuple[Tensor, dict[str, Tensor]]:
        values, owner = inputs(ROWS, 5, seed=step), owners(processes)
        has = labelled(step, owner, complete=complete)
        mine = owner == rank if joined else torch.ones(ROWS, dtype=torch.bool)
        return values[mine], {task: rows[mine] for task, rows in has.items()}

    net = Net()
    run = wrap(net) if wrap and joined else net
    settings = SETTINGS.get(kind, {}) if isinstance(kind, str) else {}
    reports = trained(
        mtctl.Balancer(kind, tasks=TASKS, **settings),
        net,
        part,
        run=run,
        ranks=mtctl.Ranks(run) if joined else None,
        **options(net),
    )
    return Outcome(
        [one.detach().clone() for one in net.parameters()],
        {
            name: [value for report in reports for value in (getattr(report, name) or {}).values()]
            for name in ("losses", "weights", "own_weights", "norms", "own_norms")
        },
        net.unused.grad is None,
    )


def differences(found: Outcome, expected: Outcome) -> dict[str, Any]:
    pairs = zip(found.parameters, expected.parameters, strict=True)
    first = zip(found.parameters, Net().parameters(), strict=True)
    with torch.no_grad():
        return {
            "parameters": max(float((one - other).abs().max()) for one, other in pairs),
            "moved": max(float((one - other).abs().max()) for one, other in first),
            "unused": found.unused and expected.unused,
            **{
                name: max(map(_apart, found.figures[name], expected.figures[name]), default=0.0)
                for name in expected.figures
            },
        }


def _apart(one: float, other: float) -> float:
    return 0.0 if one != one and other != other else abs(one - other) / (1e-2 + abs(other))


def shared(net: Net) -> dict[str, Any]:
    return {"shared": list(net.trunk.parameters())}


def nothing(net: Net) -> dict[str, Any]:
    return {}


METHODS: Final[dict[str, dict[str, Any]]] = {kind: {"kind": kind} for kind in KINDS}
"""By name: what `outcome` is asked for."""

WAYS: Final[dict[str, dict[str, Any]]] = {
    **{
        f"{kind} on features": {"kind": {"kind": kind, "layer": "features"}, "complete": True}
        for kind in LAYERED
    },
    **{f"{kind} on the last layer": {"kind": {"kind": kind, "layer": "last_shared"}} for kind in LAYERED},
    "a chain": {"kind": [{"kind": "gradnorm", "initial_window": 1}, {"kind": "pcgrad"}]},
    "pcgrad, shared given": {"kind": "pcgrad", "options": shared},
    "pcgrad, measured": {"kind": "pcgrad", "options": lambda net: {"measure": True}},
    "equal, measured": {"kind": "equal", "options": lambda net: {"measure": True}},
    "pcgrad, DDP": {"kind": "pcgrad", "wrap": DistributedDataParallel},
    "uncertainty, DDP": {"kind": "uncertainty", "wrap": DistributedDataParallel},
    "pcgrad, DDP that looks for unused parameters": {
        "kind": "pcgrad",
        "wrap": lambda net: DistributedDataParallel(net, find_unused_parameters=True),
        "options": shared,
    },
}


def exact(rank: int) -> dict[str, Any]:
    """Return by how much training in several processes differs from training in one, told by process 0."""
    usual = {"complete": False, "wrap": None, "options": nothing}
    scenarios = METHODS | (WAYS if distributed.get_world_size() == 2 else {})
    found = {name: outcome(joined=True, **(usual | asked)) for name, asked in scenarios.items()}
    sums = {name: sum(float(one.double().sum()) for one in found[name].parameters) for name in found}
    if rank:
        return {"sums": sums}
    distributed.destroy_process_group()
    expected = {name: outcome(joined=False, **(usual | asked)) for name, asked in scenarios.items()}
    return {"sums": sums, "compared": {name: differences(found[name], expected[name]) for name in found}}


class Bag(nn.Module):
    """A table with sparse gradients, which two tasks read."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 2, sparse=True)
        drawn(self)


def step(
    net: nn.Module,
    changed: Mapping[str, Tensor | None],
    balancer: Any = "equal",
    *,
    ranks: mtctl.Ranks | None = None,
    **options: Any,
) -> None:
    """Balance a step of `net`, some of whose losses are changed; `None` for one takes it away."""
    outputs = net(inputs(4, 5, seed=distributed.get_rank()))
    made = {task: output.square().mean() for task, output in outputs.items()} | dict(changed)
    mtctl.balance(made, balancer=balancer, ranks=ranks or mtctl.Ranks(net), **options)


def mistakes(rank: int) -> dict[str, Callable[[], object]]:
    """Return what goes wrong, mostly in process 1 alone, by name."""
    first = rank == 0
    zero, nan = torch.zeros(()), torch.tensor(torch.nan).requires_grad_()

    def stray() -> None:
        step(Net(), {} if first else {"red": nn.Parameter(torch.ones(())).square()})

    def stray_in_a_pass() -> None:
        step(Net(), {} if first else {"red": nn.Parameter(torch.ones(())).square()}, mtctl.Balancer("pcgrad"))

    def remembers() -> None:
        net, balancer = Net(), mtctl.Balancer("running_mean")
        ranks = mtctl.Ranks(net)
        step(net, {}, balancer, ranks=ranks)
        before = balancer.state_dict()
        step(net, {}, balancer, ranks=ranks)
        if first:
            balancer.load_state_dict(before)
        step(net, {}, balancer, ranks=ranks)

    def follows() -> None:
        net, balancer = Net(), mtctl.Balancer("famo")
        step(net, {}, balancer)
        balancer.follow(dict.fromkeys(TASKS, 1.0) if first else {"red": 1.0})

    def sparse() -> None:
        bag = Bag()
        read = bag.words(torch.tensor([rank, 3])).sum()
        mtctl.balance({"red": read, "blue": read.square()}, balancer="pcgrad", ranks=mtctl.Ranks(bag))

    def frozen() -> None:
        net = Net()
        net.unused.requires_grad_(first)
        step(net, {})

    def new() -> None:
        net, balancer = Net(), mtctl.Balancer("equal", tasks=TASKS)
        ranks = mtctl.Ranks(net)
        step(net, {}, balancer, ranks=ranks)
        step(net, {} if first else {"violet": net.unused.sum()}, balancer, ranks=ranks)

    def hidden() -> None:
        step(DistributedDataParallel(Net(), find_unused_parameters=True), {}, mtctl.Balancer("pcgrad"))

    scale = torch.tensor(1.0 if first else 2.0)
    features = mtctl.Balancer("pcgrad", layer="features")
    return {
        "no graph": lambda: step(Net(), {} if first else {"red": zero}),
        "stray": stray,
        "stray in a pass": stray_in_a_pass,
        "seed": lambda: step(Net(), {}, mtctl.Balancer("rlw", seed=rank)),
        "settings": lambda: step(Net(), {}, mtctl.Balancer("gradnorm", alpha=0.5 + rank)),
        "memory": remembers,
        "numbers": lambda: mtctl.Ranks(drawn(Net(), seed=rank)),
        "shapes": lambda: mtctl.Ranks(nn.Linear(2, 3 + rank)),
        "rows": lambda: step(Net(), {}, rows=None if first else dict.fromkeys(TASKS, 1)),
        "no number": lambda: step(Net(), {}, rows=dict.fromkeys(TASKS, 1 if first else -1)),
        "unknown rows": lambda: step(Net(), {}, rows=dict.fromkeys(("violet", *TASKS), 1)),
        "sparse": sparse,
        "features": lambda: step(Net(), {} if first else {"red": None}, features),
        "static": lambda: mtctl.Ranks(DistributedDataParallel(Net(), static_graph=True)),
        "hidden": hidden,
        "frozen": frozen,
        "empty": lambda: step(Net(), dict.fromkeys(TASKS)),
        "scale": lambda: step(Net(), {}, scale=scale),
        "a new task": new,
        "follow": follows,
        "nan": lambda: step(Net(), {} if first else {"red": nan * 1}, "log"),
    }


def refusals(rank: int) -> dict[str, Any]:
    """Return what is said of each mistake, and what training is like where nothing is wrong."""
    said = {}
    for name, mistake in mistakes(rank).items():
        try:
            mistake()
        except mtctl.BalanceError as error:
            said[name] = f"{error.message} | {error.hint}"
    net = Net()
    balancer, ranks = mtctl.Balancer("pcgrad"), mtctl.Ranks(net)
    factor = torch.tensor(2.0**120)  # too large for the losses of process 1
    made = {
        task: ((1 + 1e6 * rank) * one.square().mean()) * factor for task, one in net(inputs(4, 5)).items()
    }
    overflow = mtctl.balance(made, balancer=balancer, ranks=ranks)
    spoiled = [one.grad is not None and not one.grad.isfinite().any() for one in net.trunk.parameters()]
    return {
        "said": said,
        "overflow": overflow.overflowed and all(spoiled),
        "fixed": fixed(rank),
    }


def fixed(rank: int) -> float:
    """Return by how much weights fixed beforehand, reduced by DistributedDataParallel, are off.

    It reduces them as ever after a step that it has left to `ranks`.
    """
    net, values = Net(), inputs(8, 5)
    del net.unused
    run = DistributedDataParallel(net)
    step(run, {}, mtctl.Balancer("pcgrad"))
    net.zero_grad()
    weights = {"red": 2.0, "green": 0.5, "blue": 1.0}
    made = {task: one.square().mean() for task, one in run(values[rank::2]).items()}
    mtctl.balance(made, balancer=mtctl.Balancer("manual", weights=weights))
    whole = sum(weights[task] * one.square().mean() for task, one in net(values).items())
    assert isinstance(whole, Tensor)
    expected = torch.autograd.grad(whole, list(net.parameters()))
    found = [one.grad for one in net.parameters() if one.grad is not None]
    return max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))


def process(what: str, rank: int, processes: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes
    )
    result = exact(rank) if what == "exact" else refusals(rank)
    Path(folder, f"{rank}.json").write_text(json.dumps(result), encoding="utf-8")
    if distributed.is_initialized():
        distributed.destroy_process_group()


def main() -> None:
    what, processes, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # Forked, so that torch is loaded once.
    made = get_context("fork")
    started = [
        made.Process(target=process, args=(what, rank, processes, folder)) for rank in range(processes)
    ]
    for one in started:
        one.start()
    for one in started:
        one.join()
    sys.exit(any(one.exitcode for one in started))


if __name__ == "__main__":
    main()
