"""What `mtctl.Monitor` costs a loop of one's own: steps of about 10 ms with it, and without.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.loop_monitor [--json PATH] [--quick]

One process, one torch thread, and its processor time, which other work on the machine changes little. Both
sides train three tasks on one trunk of four layers of 512 units, with Adam and `loss.backward()`, from the
same weights and through the same batch, in every block and in changing order; the ratio is the median over
blocks of that block's ratio, with its quartiles.

    with        monitor.record(losses) in every step, and an epoch of 200 steps: gradients are measured in
                every 200th step, the default
    without     neither
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.learner import Comparison
from benchmarks.monitor import Size, measured
from benchmarks.sides import Side
from mtctl.measuring.timing import interleave
from mtctl.monitoring.monitor import EVERY, Monitor

BAR: Final = 1.03
WIDTH: Final = 512
ROWS: Final = 64
TASKS: Final = ("red", "green", "blue")
FULL: Final = Size(blocks=12, updates=EVERY)
QUICK: Final = Size(blocks=2, updates=4)


def steps(directory: Path | None) -> Side:
    """Return a side that trains.

    Args:
        directory: of the monitor's run; None: no monitor.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [layer for _ in range(4) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
        trunk, heads = nn.Sequential(*layers), nn.ModuleDict({task: nn.Linear(WIDTH, 1) for task in TASKS})
        inputs, targets = torch.randn(ROWS, WIDTH), torch.randn(len(TASKS), ROWS, 1)
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads.parameters()], lr=1e-4)
    monitor = None if directory is None else Monitor(directory, optimizer=optimizer)

    def run(updates: int) -> None:
        for step in range(updates):
            features = trunk(inputs)
            losses: dict[str, Tensor] = {
                task: (head(features) - target).square().mean()
                for (task, head), target in zip(heads.items(), targets, strict=True)
            }
            optimizer.zero_grad()
            if monitor is not None:
                monitor.record(losses)
            torch.stack([*losses.values()]).sum().backward()
            optimizer.step()
            if monitor is not None and (step + 1) % EVERY == 0:
                monitor.epoch()

    return run


def compare(size: Size) -> Comparison:
    """Time both sides."""
    with tempfile.TemporaryDirectory() as folder:
        sides = {"with": steps(Path(folder) / "run"), "without": steps(None)}
        timings = interleave(
            sides, blocks=size.blocks, calls=size.updates, warm_up=size.updates, clock=time.process_time
        )
    what = f"step with mtctl.Monitor, gradients every {EVERY} steps ÷ without"
    return Comparison(
        what, timings.of("with"), timings.of("without"), timings.ratio("with", "without"), BAR, "at most"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure what the monitor costs."""
    measured("python -m benchmarks.loop_monitor", __doc__ or "", (FULL, QUICK), compare, arguments)


if __name__ == "__main__":
    main()
