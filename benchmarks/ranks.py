"""What a balanced step costs in two processes that share a batch, beside one process with the whole batch.

    python -m benchmarks.ranks [--steps 100]

Gloo on this machine, one torch thread for each process. A trunk of 0.4 million parameters and four heads,
256 rows: one process passes them all, each of two passes half. Plain is `loss.backward()` on the sum of the
losses, in DistributedDataParallel where there are two. Processor time of one process for a step, forward pass
included, which other programs hardly change, and the least time that a step took, to which they only add.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import mtctl

TASKS: Final = 4
ROWS: Final = 256
INPUTS: Final = 256
WIDTH: Final = 512
WAYS: Final = ("plain", "uncertainty", "pcgrad")
WARM: Final = 5
"""Steps before the clock starts."""


class Net(nn.Module):
    """A trunk and heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 8) for _ in range(TASKS))

    def forward(self, values: Tensor) -> list[Tensor]:
        features = self.trunk(values)
        return [head(features) for head in self.heads]


def seconds(way: str, processes: int, rank: int, steps: int) -> tuple[float, float]:
    """Return the median processor time of a step, and the least time that one took."""
    torch.manual_seed(0)
    net: nn.Module = Net()
    values = torch.randn(ROWS, INPUTS)[rank::processes]
    run = DistributedDataParallel(net) if processes > 1 else net
    ranks = mtctl.Ranks(run) if processes > 1 and way != "plain" else None
    balancer = None if way == "plain" else mtctl.Balancer(way)
    taken, worked = [], []
    for _ in range(WARM + steps):
        net.zero_grad()
        start, work = time.perf_counter(), time.process_time()
        losses = {str(task): (output - task).square().mean() for task, output in enumerate(run(values))}
        if balancer is None:
            torch.stack(list(losses.values())).sum().backward()
        else:
            mtctl.balance(losses, balancer=balancer, ranks=ranks)
        taken.append(time.perf_counter() - start)
        worked.append(time.process_time() - work)
    return statistics.median(worked[WARM:]), min(taken[WARM:])


def process(processes: int, rank: int, folder: str, steps: int) -> None:
    """Measure all ways in one of several processes; the first one writes down what it took."""
    torch.set_num_threads(1)
    if processes > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes
        )
    found = {way: seconds(way, processes, rank, steps) for way in WAYS}
    if not rank:
        Path(folder, f"{processes}.json").write_text(json.dumps(found), encoding="utf-8")
    if processes > 1:
        distributed.destroy_process_group()


def measured(processes: int, folder: str, steps: int) -> Any:
    """Return the seconds of each way."""
    made: Callable[..., Any] = get_context("spawn").Process
    started = [made(target=process, args=(processes, rank, folder, steps)) for rank in range(processes)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    return json.loads(Path(folder, f"{processes}.json").read_text("utf-8"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        one, two = measured(1, folder, steps), measured(2, folder, steps)
    print(f"{'milliseconds':12} {'processor: one':>15} {'each of two':>12} {'took: one':>10} {'two':>7}")
    for way in WAYS:
        figures = [1000 * pair[kind] for kind in (0, 1) for pair in (one[way], two[way])]
        print("{:12} {:15.1f} {:12.1f} {:10.1f} {:7.1f}".format(way, *figures))


if __name__ == "__main__":
    main()
