"""One of several processes that train together: runs every scenario and prints what each came to, as JSON.

python -m tests.library.ranks_program RANK PROCESSES STORE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
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
        self.register_parameter("unused", nn.Parameter(torch.ones(3)))
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
    """Make a step with momentum and decay, which tell a gradient of 0 from none (`torch.optim` loads slowly)."""
    for one in net.parameters():
        if one.grad is not None:
            moments[one] = 0.5 * moments.get(one, torch.zeros(())) + one.grad + 0.1 * one
            one -= 0.02 * moments[one]


def outcome(kind: Any, *, joined: bool, complete: bool, wrap: Wrap | None, options: Options) -> Outcome:
    """Return what training comes to: in one process on whole batches, or in several on their parts."""
    rank, processes = int(sys.argv[1]), int(sys.argv[2])

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


#: By name: what `outcome` is asked for.
SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    **{kind: {"kind": kind} for kind in KINDS},
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


def outcomes(*, joined: bool) -> dict[str, Outcome]:
    usual = {"complete": False, "wrap": None, "options": nothing}
    found = {}
    for name, asked in SCENARIOS.items():
        import time; t=time.process_time()
        found[name] = outcome(joined=joined, **(usual | asked))
        print(joined, name, time.process_time()-t, file=sys.stderr, flush=True)
    return found


def main() -> None:
    rank, processes, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    expected = outcomes(joined=False) if rank == 0 else {}
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    found = outcomes(joined=True)
    sums = {name: sum(float(one.double().sum()) for one in found[name].parameters) for name in found}
    compared = {name: differences(found[name], expected[name]) for name in expected}
    print(json.dumps({"sums": sums, "compared": compared}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
