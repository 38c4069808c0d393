"""What a method's per-task gradients cost in memory, beside the Jacobian that they are.

    python -m benchmarks.memory [--tasks 10] [--width 2048] [--kinds equal,pcgrad,…]

One fresh process for each figure: the peak of its resident memory in one step (forward pass and
`mtctl.balance`), above that of the same step with `loss.backward()`, in units of the T·P·4 bytes of all
tasks' gradients on the P shared parameters. The network: four shared layers of that width and a linear head
for each task, on a batch of 16, so that gradients are what takes memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from typing import Final

import torch
from torch import Tensor, nn

import mtctl

LAYERS: Final = 4
ROWS: Final = 16
PLAIN: Final = "plain"
DEFAULT: Final = "equal,equal+measure,gradnorm,pcgrad,mgda"


def step(kind: str, tasks: int, width: int) -> int:
    """Return the bytes that one step's peak stands above what was resident before it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trunk = nn.Sequential(*(part for _ in range(LAYERS) for part in (nn.Linear(width, width), nn.ReLU())))
    heads = [nn.Linear(width, 1) for _ in range(tasks)]
    inputs = torch.randn(ROWS, width)
    name, _, measure = kind.partition("+")
    # What is loaded and allocated once is there before: a step of a small model.
    small = nn.Linear(2, 2)
    _make(
        kind, {f"task{place}": small(torch.ones(3, 2)).square().mean() for place in range(2)}, name, measure
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    features = trunk(inputs)
    losses = {f"task{place}": (head(features) - place).square().mean() for place, head in enumerate(heads)}
    _make(kind, losses, name, measure)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * (1 if sys.platform == "darwin" else 1024)


def _make(kind: str, losses: dict[str, Tensor], name: str, measure: str) -> None:
    if kind == PLAIN:
        torch.stack(list(losses.values())).sum().backward()
    else:
        mtctl.balance(losses, balancer=mtctl.Balancer(name), measure=bool(measure))


def measured(kind: str, tasks: int, width: int) -> int:
    """Return what `step` finds in a process of its own."""
    code = f"from benchmarks.memory import step; print(step({kind!r}, {tasks}, {width}))"
    # glibc would keep what was freed, the more the longer it runs; so it hands large blocks back at once.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment)
    return int(done.stdout)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print a line for each method."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--tasks", type=int, default=10, help="how many")
    parser.add_argument("--width", type=int, default=2048, help="of the shared layers")
    parser.add_argument(
        "--kinds", default=DEFAULT, help="methods, separated by commas; +measure measures too"
    )
    options = parser.parse_args(arguments)
    parameters = LAYERS * (options.width**2 + options.width)
    jacobian = options.tasks * parameters * 4
    plain = measured(PLAIN, options.tasks, options.width)
    print(
        f"{options.tasks} tasks, {parameters:,} shared parameters: a Jacobian of {jacobian / 2**20:,.0f} MB"
    )
    print(f"plain step: {plain / 2**20:,.0f} MB")
    for kind in options.kinds.split(","):
        found = measured(kind, options.tasks, options.width)
        print(f"{kind:<16} {found / 2**20:>7,.0f} MB  {(found - plain) / jacobian:>6.2f} Jacobians above it")


if __name__ == "__main__":
    main()
