"""How many steps a second the environments with hybrid actions make, on one core.

    make bench                                       or
    python -m benchmarks.hybrid_environments [--quick]

Random actions, drawn beforehand, in gymnasium's structure; a step is one copy's. Figures are medians over
blocks, by processor time. `moving` alone must make 150,000 steps a second with 1,024 copies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mtctl.problems.hybrid.environments.making import make_copies
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions

BAR: Final = 150_000
"""Steps a second of `moving` with 1,024 copies."""
CASES: Final = (
    ("moving", 1024),
    ("moving", 64),
    ("sliding", 1024),
    ("topology", 1024),
    ("topology", 64),
    ("lander_hybrid", 16),
    ("mtctl/LanderHybrid-v0", 1),
    ("CartPole-v1", 16),
)
_PREPARED: Final = 50  # drawn actions, that are used in turn


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured.

    Args:
        environment: whose.
        copies: that were stepped together.
        steps: of one copy, per second.
    """

    environment: str
    copies: int
    steps: float


def actions(layout: ActionLayout, copies: int, rng: np.random.Generator) -> Any:
    """Return random actions of all copies."""
    discrete = rng.integers(0, layout.sizes, (copies, len(layout.sizes)))
    binary = rng.integers(0, 2, (copies, layout.binaries), np.int8)
    continuous = rng.uniform(layout.low, layout.high, (copies, layout.dimensions))
    return layout.assemble(FlatActions(discrete, binary, continuous))


def measure(environment: str, count: int, blocks: int, seconds: float) -> Speed:
    """Return the speed of `count` copies: the median of blocks of about so many seconds."""
    copies, rng = make_copies(environment, count), np.random.default_rng(0)
    layout = ActionLayout(copies.action_space, copies.uses)
    prepared = [actions(layout, count, rng) for _ in range(_PREPARED)]
    copies.reset(range(count))
    speeds = []
    for _ in range(blocks):
        done, began = 0, time.process_time()
        while (passed := time.process_time() - began) < seconds:
            for action in prepared:
                copies.step(action)
            done += count * len(prepared)
        speeds.append(done / passed)
    copies.close()
    return Speed(environment, count, float(np.median(speeds)))


def speeds(quick: bool) -> Iterator[Speed]:
    """Yield each case's speed; quick: shows that it runs."""
    for environment, count in CASES:
        yield measure(environment, count, blocks=1 if quick else 5, seconds=0.02 if quick else 1.0)


def table(found: Iterable[Speed]) -> Table:
    """Return what is printed."""
    shown = Table("environment", "copies", "steps/s", "µs a step", "bar", box=box.ASCII)
    for one in found:
        bar = f"{BAR:,}" if (one.environment, one.copies) == CASES[0] else ""
        shown.add_row(one.environment, str(one.copies), f"{one.steps:,.0f}", f"{1e6 / one.steps:.2f}", bar)
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hybrid_environments", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one short block each: shows that it runs")
    Console(width=100).print(table(speeds(parser.parse_args(arguments).quick)))


if __name__ == "__main__":
    main()
