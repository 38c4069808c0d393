"""What the monitor costs: a training step of the documented windows loop with it, and without.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.monitor [--json PATH] [--quick]

One process, one torch thread, denormals flushed, as mtctl sets up a run. Both sides make the steps of
`mtctl train windows_documented`, from the same weights and through the same batches, in every block and in
changing order; the ratio is the median over blocks of that block's ratio, with its quartiles.

    with        gradients measured in every k-th update, k the default of windows recipes, and what the
                problem tells of its tasks at the end of each epoch
    without     gradients never measured, and nothing told
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.learner import Comparison, environment, table
from benchmarks.sides import Side
from mtctl.balancing.chain import Chain
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.processor import use_one_thread
from mtctl.engine.signals import SignalLog
from mtctl.measuring.timing import interleave
from mtctl.problems.windows.problem import Windows
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import load

RECIPE: Final = "windows_documented"
BAR: Final = 1.10
SEED: Final = 0
"""Of both sides."""
NEVER: Final = 10**9


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        blocks: timed blocks.
        updates: per side and block: whole epochs, and whole intervals where blocks are to be alike.
    """

    blocks: int
    updates: int


FULL: Final = Size(blocks=12, updates=96)
QUICK: Final = Size(blocks=2, updates=6)


def steps(every: int | None) -> Side:
    """Return a side that trains.

    Args:
        every: updates between two measurements of gradients; None: no monitor.
    """
    recipe = load(RECIPE)
    assert isinstance(recipe, WindowsRecipe)
    endless = recipe.training.model_copy(update={"epochs": NEVER})
    problem = Windows(recipe.problem, recipe.model, endless, SEED)
    balancing = Balancing(Chain(recipe.chain), problem.tasks, SEED)
    monitor = {"every": NEVER} if every is None else {"every": every, "inspect": problem.inspect}
    log = SignalLog(problem.tasks, shared=True, **monitor)

    def run(updates: int) -> None:
        last = problem.budget()["updates"] + updates
        fit(problem, balancing, log, (), stop=lambda: problem.budget()["updates"] >= last)

    return run


def compare(size: Size) -> Comparison:
    """Time both sides."""
    every = WindowsRecipe.model_fields["monitor"].default.every
    sides = {"with": steps(every), "without": steps(None)}
    timings = interleave(sides, blocks=size.blocks, calls=size.updates, warm_up=6)
    what = f"step with the monitor, every {every} updates ÷ without"
    return Comparison(
        what, timings.of("with"), timings.of("without"), timings.ratio("with", "without"), BAR, "at most"
    )


def measured(
    prog: str,
    about: str,
    sizes: tuple[Size, Size],
    compare: Callable[[Size], Comparison],
    arguments: list[str] | None,
) -> None:
    """Measure, print the table, and write the JSON document if asked to.

    Args:
        prog: the command.
        about: what it measures.
        sizes: how much, and how much with --quick.
        compare: measures.
        arguments: of the command line; those of this process if left out.
    """
    parser = argparse.ArgumentParser(prog=prog, description=about.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument(
        "--quick", action="store_true", help="a few counts only: shows that it runs, measures nothing"
    )
    options = parser.parse_args(arguments)
    size = sizes[1] if options.quick else sizes[0]
    use_one_thread()
    comparison = compare(size)
    Console(width=160).print(table([comparison], None))
    if options.json is not None:
        figures = [asdict(comparison) | {"met": comparison.met}]
        document = {**environment(), "size": asdict(size), "comparisons": figures}
        text = json.dumps(document, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Measure what the monitor of `mtctl train` costs."""
    measured("python -m benchmarks.monitor", __doc__ or "", (FULL, QUICK), compare, arguments)


if __name__ == "__main__":
    main()
