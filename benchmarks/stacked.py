"""How long the seeds of one recipe take as one program, against one run and against one run after the other.

    python -m benchmarks.stacked [--device auto] [--seeds N] [--blocks N] [--only TEXT] [--json PATH]

Whole short runs are timed, with their records, evaluations and checkpoints. The three ways take turns in
every block, in changing order, so that a machine that is busy slows all of them; a ratio is the median over
blocks of that block's ratio. On a CPU it is of processor time, one thread, 4 seeds; on a GPU of wall-clock
time, 32 seeds, and only the first of the runs one after the other is made: the others are taken to last as
long. Goals: on a CPU at most 1 against one after the other, on a GPU at most 2 against one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from mtctl.engine.processor import use_one_thread
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from mtctl.engine.together import execute_together
from mtctl.problems.recipe import Recipe
from mtctl.recipes.builtin import find
from mtctl.recipes.loading import load

_WINDOWS: Final = ("training.epochs=1", "problem.data.validation=32", "problem.data.held_out=32")
CASES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "windows, equal": ("windows_raw", _WINDOWS),
    "windows, running mean": ("windows_documented", _WINDOWS),
    "windows, gradnorm": ("windows_raw", (*_WINDOWS, "balancer={kind: gradnorm, initial_window: 2}")),
    "windows, pcgrad": ("windows_raw", (*_WINDOWS, "balancer={kind: pcgrad}")),
}
"""What is trained: a built-in recipe, made short. Models and batches keep their size."""


@contextmanager
def runs(recipe: Recipe, seeds: range) -> Iterator[list[RunSpec]]:
    """Yield new runs, whose directories go away."""
    with tempfile.TemporaryDirectory(prefix="mtctl-stacked-") as folder:
        yield [RunSpec(recipe, seed, Path(folder) / f"seed{seed}") for seed in seeds]


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return how long some work takes."""
    began = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


def one_after_the_other(recipe: Recipe, seeds: range) -> None:
    """Train runs by themselves."""
    with runs(recipe, seeds) as specs:
        for spec in specs:
            execute(spec).required()


def together(recipe: Recipe, seeds: range) -> None:
    """Train runs as one program."""
    with runs(recipe, seeds) as specs:
        for result in execute_together(specs):
            result.required()


def measured(recipe: Recipe, seeds: int, blocks: int, *, gpu: bool) -> dict[str, Any]:
    """Return seconds of each way in each block, and the ratios."""
    clock = time.perf_counter if gpu else time.process_time
    alone = range(1) if gpu else range(seeds)
    found: dict[str, list[float]] = {"alone": [], "together": []}
    one_after_the_other(recipe, range(1))  # what is only made once
    together(recipe, range(2))
    for block in range(blocks):
        ways: list[tuple[str, Callable[[], object]]] = [
            ("alone", lambda: one_after_the_other(recipe, alone)),
            ("together", lambda: together(recipe, range(seeds))),
        ]
        for name, work in ways if block % 2 else reversed(ways):
            found[name].append(seconds(work, clock))
    one = [value / len(alone) for value in found["alone"]]
    ratios = [both / single for both, single in zip(found["together"], one, strict=True)]
    against_one = statistics.median(ratios)
    return {
        "one": statistics.median(one),
        "together": statistics.median(found["together"]),
        "against_one": against_one,
        "against_all": against_one / seeds,
        "spread": [min(ratios) / seeds, max(ratios) / seeds],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose names hold this text")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    gpu = arguments.device in ("cuda", "mps") or (arguments.device == "auto" and torch.cuda.is_available())
    seeds = arguments.seeds or (32 if gpu else 4)
    use_one_thread()
    table = Table(
        "case", "one run", f"{seeds} together", "against one", "against all", "from–to", box=box.SIMPLE
    )
    rows = {}
    for name, (recipe, overrides) in CASES.items():
        if arguments.only not in name:
            continue
        where = f"training.device={arguments.device}"
        row = measured(load(find(recipe), [*overrides, where]), seeds, arguments.blocks, gpu=gpu)
        rows[name] = row
        low, high = row["spread"]
        table.add_row(
            name,
            f"{row['one']:.2f} s",
            f"{row['together']:.2f} s",
            f"{row['against_one']:.2f}",
            f"{row['against_all']:.2f}",
            f"{low:.2f}–{high:.2f}",
        )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"seeds": seeds, "device": arguments.device, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
