"""What an update costs beside its matrix products, for every architecture of Q-networks.

    python -m benchmarks.networks [--json PATH] [--quick]

One update is that of `mtctl train`: sample 64 rows of each of 3 tasks, one forward pass for the targets and
one more for Double DQN, the forward and backward pass that gives every task's gradient, losses, checks, the
log, the optimizer and the target network; with equal weights. Its matrix products are those that its passes
call, recorded once and called again with inputs of the same shapes, and nothing between them.

One torch thread, denormals flushed. Both sides of a pair run in every block, in changing order; seconds are
of processor time, and a ratio is the median over blocks of that block's ratio, with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.learner import Comparison, environment
from benchmarks.sides import RANDOM, ROWS, TASKS, Side, SteppedLander
from mtctl.balancing.fixed import Equal
from mtctl.engine.processor import use_one_thread
from mtctl.measuring.timing import interleave
from mtctl.problems.lander.agents import DQNAgent

BLOCKS: Final = 30
UPDATES: Final = 20
FILLED: Final = 500
TOLD: Final[dict[str, Any]] = {"task_encoding": "embedding", "embedding_dim": 32}
CATEGORICAL: Final[dict[str, Any]] = {"categorical": {"atoms": 21}}

AGENTS: Final[Mapping[str, tuple[dict[str, Any], float | None]]] = {
    "mlp": ({"hidden": (256, 128)}, None),
    "mlp, 21 atoms": ({"hidden": (256, 128), **CATEGORICAL}, None),
    "multi_head": ({"hidden": (256, 128), "architecture": {"kind": "multi_head"}}, None),
    "soft_modular": ({"hidden": (128, 128), "architecture": {"kind": "soft_modular"}, **TOLD}, None),
    "residual": ({"hidden": (256,), "architecture": {"kind": "residual"}, **TOLD}, 2.5),
    "residual, 21 atoms": (
        {"hidden": (256,), "architecture": {"kind": "residual"}, **TOLD, **CATEGORICAL},
        2.5,
    ),
    "residual, 101 atoms": (
        {"hidden": (256,), "architecture": {"kind": "residual"}, **TOLD, "categorical": {}},
        2.5,
    ),
}
"""What is measured: the agent, in the words of a recipe, and what its ratio may be at most."""

_PRODUCTS: Final[Mapping[str, int]] = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1}
"""Operators, and the place of the first factor among their arguments."""


class Products(TorchDispatchMode):
    """Notes the shapes of matrix products while it is entered.

    Attributes:
        shapes: of both factors, in the order of the calls.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes: list[tuple[torch.Size, torch.Size]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        first = _PRODUCTS.get(func.overloadpacket.__name__)
        if first is not None:
            self.shapes.append((args[first].shape, args[first + 1].shape))
        return func(*args, **(kwargs or {}))


def learner(agent: dict[str, Any]) -> SteppedLander:
    """Return mtctl's update of an agent, from replay that a random policy has filled."""
    replay = {"kind": "per_task", "learning_starts": FILLED}
    settings = {"batch_size": ROWS, "double": True, "replay": replay, "exploration": RANDOM, **agent}
    return SteppedLander(TASKS, DQNAgent.model_validate(settings), Equal(), plays=False)


def products(source: SteppedLander) -> Side:
    """Return the bare matrix products of one update's passes."""
    with Products() as noted:
        source.dqn.gradients(source.replay.sample(ROWS))
    calls: list[tuple[Callable[..., Tensor], Tensor, Tensor, Tensor]] = []
    for left, right in noted.shapes:
        product = torch.mm if len(left) == 2 else torch.bmm
        factors = torch.randn(left), torch.randn(right)
        calls.append((product, *factors, product(*factors)))

    def run(updates: int) -> None:
        for _ in range(updates):
            for product, left, right, out in calls:
                product(left, right, out=out)

    return run


def compare(*, blocks: int, updates: int) -> list[Comparison]:
    """Time every architecture's update and its matrix products."""
    found = []
    for name, (agent, bar) in AGENTS.items():
        source = learner(agent)
        sides: dict[str, Side] = {"update": source.run, "products": torch.inference_mode()(products(source))}
        timings = interleave(sides, blocks=blocks, calls=updates, warm_up=updates, clock=time.process_time)
        both = timings.of("update"), timings.of("products")
        found.append(Comparison(name, *both, timings.ratio("update", "products"), bar, "at most"))
    return found


def table(comparisons: list[Comparison]) -> Table:
    """Return what is printed, in a form that Markdown understands."""
    view = Table(box=box.MARKDOWN)
    view.add_column("network", no_wrap=True)
    for column in ("update", "its matrix products", "ratio", "quartiles", "bar"):
        view.add_column(column, justify="right", no_wrap=True)
    for one in comparisons:
        times = (f"{side.median * 1e6:,.0f} µs" for side in (one.seconds, one.base))
        quartiles = f"{one.ratio.low:.2f}–{one.ratio.high:.2f}"
        bar = "" if one.bar is None else f"≤ {one.bar:g}×: {'met' if one.met else 'missed'}"
        view.add_row(one.what, *times, f"{one.ratio.median:.2f}×", quartiles, bar)
    return view


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument(
        "--quick", action="store_true", help="a few counts only: shows that it runs, measures nothing"
    )
    options = parser.parse_args(arguments)
    use_one_thread()
    comparisons = compare(blocks=2, updates=2) if options.quick else compare(blocks=BLOCKS, updates=UPDATES)
    Console(width=160).print(table(comparisons))
    if options.json is not None:
        written = {
            **environment(),
            "rows": ROWS * len(TASKS),
            "comparisons": [
                {
                    "what": one.what,
                    "microseconds": round(one.seconds.median * 1e6),
                    "products_microseconds": round(one.base.median * 1e6),
                    "ratio": one.ratio.median,
                    "quartiles": [one.ratio.low, one.ratio.high],
                    "bar": one.bar,
                    "met": one.met,
                }
                for one in comparisons
            ],
        }
        options.json.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
