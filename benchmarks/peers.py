"""What per-task gradients cost: mtctl beside torchjd and beside methods written literally.

    make bench                                       or, in an environment with the extra `test`:
    python -m benchmarks.peers [--tasks 4,10,40] [--fused] [--json PATH] [--quick]

One process, one torch thread, denormals flushed, for all sides alike. All sides of a comparison run in every
block, in changing order; times are the processor's, and every figure is the median over blocks of that
block's ratio, with its quartiles. Reference network: three shared layers of 256, a linear head per task, 64
inputs, 128 rows, torch.optim.Adam as it is; with --fused its faster form, beside which overhead weighs more.

    one input       all tasks read the same 128 rows. Cost of a step over the plain sum's.
    own rows        each task has 64 rows of its own.
    a Jacobian      [T, 100,000] is given: the cost of the method alone, over torchjd's.

A bar holds a ratio of mtctl's cost to torchjd's, of what both add to the plain step (overhead), or of mtctl's
cost to the plain step's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import peer_models, peer_sides
from benchmarks.peer_literal import LITERAL
from benchmarks.peer_sides import Side
from mtctl.balancing.contract import Method
from mtctl.balancing.registry import KINDS
from mtctl.engine.processor import use_one_thread
from mtctl.measuring.reference import ReferenceNetwork
from mtctl.measuring.timing import Spread, Timings, interleave

Kind = Literal["torchjd", "overhead", "plain"]
"""What mtctl's cost is held against: torchjd's, torchjd's overhead, or the plain step's."""

OWN_ROWS: Final = 64
METHODS: Final = ("pcgrad", "upgrad", "cagrad", "aligned_mtl", "mgda")
GIVEN: Final = (*METHODS, "imtl_g", "dualproj", "config", "gradvac", "fairgrad", "nash_mtl")
SLOW: Final = ("nash_mtl", "fairgrad")
"""torchjd's take seconds a step with 40 tasks."""
SLOW_FROM: Final = 20


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        blocks: timed blocks.
        seconds: how long a side's part of a block takes at least, as far as one call is shorter.
        fused: whether Adam is fused.
    """

    blocks: int
    seconds: float
    fused: bool = False


FULL: Final = Size(blocks=21, seconds=0.05)
QUICK: Final = Size(blocks=2, seconds=0.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio is held against."""

    kind: Kind
    most: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Args:
        setting: which comparison.
        tasks: T.
        method: which.
        base_ms: the plain step; of a given Jacobian, torchjd's aggregation.
        cost: side → cost over the base.
        bar: what is promised, if anything.
        held: the ratio that the bar is about.
    """

    setting: str
    tasks: int
    method: str
    base_ms: Spread
    cost: dict[str, Spread]
    bar: Bar | None
    held: Spread | None

    @property
    def met(self) -> bool | None:
        return None if self.bar is None or self.held is None else self.held.median <= self.bar.most


def method(kind: str, **settings: object) -> Method:
    """Return a method with its defaults, as a recipe would."""
    return KINDS[kind].model_validate(settings)


def one_input(tasks: int, size: Size) -> Iterator[Line]:
    """Compare training steps in which all tasks read the same rows."""

    def model() -> ReferenceNetwork:
        return ReferenceNetwork(tasks, fused=size.fused)

    sides: dict[str, Side] = {"plain": peer_sides.plain(model())}
    for kind in (*METHODS, *(("nash_mtl",) if tasks < SLOW_FROM else ())):
        sides[f"mtctl {kind}"] = peer_sides.ours(model(), method(kind))
        sides[f"torchjd {kind}"] = peer_sides.torchjd(model(), kind)
        if kind in LITERAL:
            sides[f"literal {kind}"] = peer_sides.literal(model(), kind)
    sides["mtctl gradnorm"] = peer_sides.ours(model(), method("gradnorm", initial_loss="first_batch"))
    sides["mtctl gradnorm, features"] = peer_sides.ours(
        model(), method("gradnorm", initial_loss="first_batch", layer="features")
    )
    sides["mtctl pcgrad, features"] = peer_sides.ours(model(), method("pcgrad", layer="features"))
    bars = {kind: Bar("torchjd", 1.0) for kind in METHODS} | {"nash_mtl": Bar("overhead", 0.25)}
    if tasks == 10:
        bars["gradnorm"] = Bar("plain", 1.3)
    if tasks == 40:
        bars |= {f"{kind}, features": Bar("plain", 1.5) for kind in ("gradnorm", "pcgrad")}
    yield from _lines("one input", tasks, sides, bars, size)


def own_rows(tasks: int, size: Size) -> Iterator[Line]:
    """Compare training steps in which each task has rows of its own."""

    def model() -> ReferenceNetwork:
        return ReferenceNetwork(tasks, OWN_ROWS, own_rows=True, fused=size.fused)

    sides: dict[str, Side] = {"plain": peer_sides.plain(model())}
    for kind in ("pcgrad", "upgrad"):
        sides[f"mtctl {kind}"] = peer_sides.ours(model(), method(kind))
        sides[f"torchjd {kind}"] = peer_sides.torchjd(model(), kind)
    sides["mtctl gradnorm"] = peer_sides.ours(model(), method("gradnorm", initial_loss="first_batch"))
    bars = {kind: Bar("overhead", 0.5) for kind in ("pcgrad", "upgrad")}
    yield from _lines("own rows", tasks, sides, bars, size)


def given(tasks: int, size: Size) -> Iterator[Line]:
    """Compare what methods make of a Jacobian that is there already."""
    jacobian = peer_models.jacobian(tasks, peer_sides.SIZE)
    for kind in GIVEN:
        if kind in SLOW and tasks >= SLOW_FROM:
            continue
        sides = {
            f"mtctl {kind}": peer_sides.given_ours(jacobian, method(kind)),
            f"torchjd {kind}": peer_sides.given_torchjd(jacobian, kind),
        }
        timings = _time(sides, size)
        ratio = timings.ratio(f"mtctl {kind}", f"torchjd {kind}")
        base = _milliseconds(timings.of(f"torchjd {kind}"))
        yield Line("a Jacobian", tasks, kind, base, {"mtctl": ratio}, Bar("torchjd", 1.0), ratio)


def _time(sides: dict[str, Side], size: Size) -> Timings:
    slowest = 0.0
    for side in sides.values():
        side(1)
        start = time.process_time()
        side(1)
        slowest = max(slowest, time.process_time() - start)
    calls = max(1, round(size.seconds / max(slowest, 1e-6)))
    return interleave(sides, blocks=size.blocks, calls=calls, warm_up=1, settle=1, clock=time.process_time)


def _lines(
    setting: str, tasks: int, sides: dict[str, Side], bars: dict[str, Bar], size: Size
) -> Iterator[Line]:
    timings = _time(sides, size)
    base = _milliseconds(timings.of("plain"))
    for kind in [name.removeprefix("mtctl ") for name in sides if name.startswith("mtctl ")]:
        there = [side for side in ("mtctl", "torchjd", "literal") if f"{side} {kind}" in sides]
        cost = {side: timings.ratio(f"{side} {kind}", "plain") for side in there}
        bar = bars.get(kind)
        yield Line(setting, tasks, kind, base, cost, bar, None if bar is None else _held(bar, kind, timings))


def _held(bar: Bar, kind: str, timings: Timings) -> Spread:
    ours, peer = f"mtctl {kind}", f"torchjd {kind}"
    match bar.kind:
        case "torchjd":
            return timings.ratio(ours, peer)
        case "overhead":
            return timings.overhead(ours, peer, "plain")
        case "plain":
            return timings.ratio(ours, "plain")


def _milliseconds(seconds: Spread) -> Spread:
    return Spread(seconds.median * 1e3, seconds.low * 1e3, seconds.high * 1e3)


_BAR_NAMES: Final = {"torchjd": "torchjd's cost", "overhead": "torchjd's overhead", "plain": "the plain step"}


def table(lines: Sequence[Line]) -> Table:
    """Return what is printed, in a form that Markdown understands."""
    view = Table(box=box.MARKDOWN)
    for column in ("setting", "T", "method", "base", "mtctl", "torchjd", "literal", "bar", "measured", ""):
        justify: Literal["left", "right"] = "left" if column in ("setting", "method", "bar") else "right"
        view.add_column(column, justify=justify, no_wrap=True)
    for line in lines:
        costs = [_times(line.cost.get(side)) for side in ("mtctl", "torchjd", "literal")]
        bar = "" if line.bar is None else f"≤ {line.bar.most:g}× {_BAR_NAMES[line.bar.kind]}"
        held = (
            "" if line.held is None else f"{line.held.median:.2f} ({line.held.low:.2f}–{line.held.high:.2f})"
        )
        mark = "" if line.met is None else "✔" if line.met else "✘"
        base = f"{line.base_ms.median:.2f} ms"
        view.add_row(line.setting, str(line.tasks), line.method, base, *costs, bar, held, mark)
    return view


def _times(cost: Spread | None) -> str:
    return "" if cost is None else f"{cost.median:.2f}×"


def document(size: Size, lines: Sequence[Line]) -> dict[str, object]:
    """Return the JSON document: what was measured, on what."""
    return {
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "torchjd")},
        },
        "torch_threads": torch.get_num_threads(),
        "size": asdict(size),
        "lines": [asdict(line) | {"met": line.met} for line in lines],
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--tasks", default="4,10,40", help="numbers of tasks, separated by commas")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument("--fused", action="store_true", help="Adam in one operation for all parameters")
    parser.add_argument("--quick", action="store_true", help="a few calls only: shows that it runs")
    options = parser.parse_args(arguments)
    size = replace(QUICK if options.quick else FULL, fused=options.fused)
    use_one_thread()
    lines: list[Line] = []
    for tasks in map(int, options.tasks.split(",")):
        for compare in (one_input, own_rows, given):
            print(f"{tasks} tasks: {compare.__name__.replace('_', ' ')} …", file=sys.stderr)
            lines += compare(tasks, size)
    Console(width=170).print(table(lines))
    if options.json is not None:
        text = json.dumps(document(size, lines), indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
