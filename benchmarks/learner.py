"""How fast mtctl learns, against its peers, and how much memory a run takes.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.learner [--json PATH] [--memory] [--quick]

One process, set up for all sides as mtctl sets up a run: one torch thread, denormals flushed. All sides
of a comparison run in every block, in changing order; a ratio is the median over blocks of that block's
ratio, with its quartiles. mtctl's sides run the loop of `mtctl train` with its checks and its log of losses,
weights, gradient norms and cosines, which the peers do not have.

    GradNorm update     mtctl: 64 rows of each of 3 tasks, network 8-256-128-4.
                        Peer: the literal formulation (literal_gradnorm.py), with the same sampling call.
    DQN training step   mtctl: act, environment, store, sample 64, update, on the standard task.
                        Peer: Stable-Baselines3's DQN, same network, loss and schedule; `learn` is timed.
    … 3 tasks, mixed    mtctl: the same, with `standard`, `windy` and `heavy` in one buffer. Peer: as above.
    PCGrad, CAGrad      mtctl's update with the method, against mtctl's update with equal weights.
    peak memory         resident memory of `mtctl train gradnorm_blind`, all of its episodes (--memory).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.sides import TASKS, Side, baselines3_steps, literal_updates, training_steps, updates
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.fixed import Equal
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.engine.processor import use_one_thread
from mtctl.measuring.timing import Spread, Timings, interleave

RECIPE: Final = "gradnorm_blind"
MEMORY_BAR_MB: Final = 700.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        blocks: timed blocks.
        updates: updates per side and block.
        steps: training steps per side and block.
        filled: transitions before learning starts; of each task where replay is per task.
        overrides: what shortens the run whose memory is measured.
    """

    blocks: int
    updates: int
    steps: int
    filled: int
    overrides: tuple[str, ...]


FULL: Final = Size(blocks=40, updates=30, steps=250, filled=1000, overrides=())
QUICK: Final = Size(
    blocks=2,
    updates=2,
    steps=4,
    filled=64,
    overrides=("problem.episodes_per_task=1", "evaluation.final_episodes=1"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table.

    Args:
        what: what is compared with what.
        seconds: mtctl's, per update or step.
        base: the other side's.
        ratio: the peer's time over mtctl's where mtctl claims to be faster; a method's time over equal
            weighting's where it claims to cost little.
        bar: what the ratio is held against; None: shown for information.
        direction: which side of the bar is good.
    """

    what: str
    seconds: Spread
    base: Spread
    ratio: Spread
    bar: float | None
    direction: Literal["at least", "at most"]

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return (
            self.ratio.median >= self.bar if self.direction == "at least" else self.ratio.median <= self.bar
        )


def compare_updates(size: Size) -> list[Comparison]:
    """Time one update of the literal GradNorm and of mtctl's methods."""
    # The same algorithm as the literal one: L(0) from the first batch, no floor.
    gradnorm = updates(GradNorm(initial_loss="first_batch", lr=0.01, weight_floor=0.0), size.filled)
    sides: dict[str, Side] = {
        "literal": literal_updates(gradnorm),
        "gradnorm": gradnorm.run,
        "equal": updates(Equal(), size.filled).run,
        "pcgrad": updates(PCGrad(), size.filled).run,
        "cagrad": updates(CAGrad(), size.filled).run,
    }
    timings = interleave(sides, blocks=size.blocks, calls=size.updates, warm_up=size.updates)
    return [
        _faster("GradNorm update ÷ literal GradNorm", timings, "gradnorm", "literal", 6.0),
        _dearer("PCGrad update ÷ equal weights", timings, "pcgrad", 1.6),
        _dearer("CAGrad update ÷ equal weights", timings, "cagrad", 1.6),
        _dearer("GradNorm update ÷ equal weights", timings, "gradnorm", None),
    ]


def compare_steps(size: Size) -> list[Comparison]:
    """Time one DQN training step of Stable-Baselines3 and of mtctl."""
    equal = Equal()
    sides: dict[str, Side] = {
        "peer": baselines3_steps(size.filled),
        "standard": training_steps(("standard",), equal, size.filled).run,
        "mixed": training_steps(TASKS, equal, size.filled).run,
    }
    timings = interleave(sides, blocks=size.blocks, calls=size.steps, warm_up=size.filled + size.steps)
    return [
        _faster("DQN training step ÷ Stable-Baselines3", timings, "standard", "peer", 3.0),
        _faster("… 3 tasks, mixed replay ÷ Stable-Baselines3, 1 task", timings, "mixed", "peer", None),
    ]


def _faster(what: str, timings: Timings, side: str, peer: str, bar: float | None) -> Comparison:
    return Comparison(what, timings.of(side), timings.of(peer), timings.ratio(peer, side), bar, "at least")


def _dearer(what: str, timings: Timings, side: str, bar: float | None) -> Comparison:
    return Comparison(
        what, timings.of(side), timings.of("equal"), timings.ratio(side, "equal"), bar, "at most"
    )


def peak_memory(overrides: tuple[str, ...]) -> float:
    """Return the largest resident memory in MB of a training process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mtctl", "train", RECIPE, "--quiet", "--results-dir", folder]
        for override in overrides:
            command += ["-o", override]
        process = subprocess.Popen(command, stdout=sys.stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Linux counts in kibibytes, macOS in bytes.
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def table(comparisons: list[Comparison], memory: float | None) -> Table:
    """Return what is printed, in a form that Markdown understands."""
    view = Table(box=box.MARKDOWN)
    view.add_column("measured", no_wrap=True)
    for column in ("mtctl", "other side", "ratio", "quartiles", "bar"):
        view.add_column(column, justify="right", no_wrap=True)
    for one in comparisons:
        quartiles = f"{one.ratio.low:.2f}–{one.ratio.high:.2f}"
        times = (f"{side.median * 1e6:,.0f} µs" for side in (one.seconds, one.base))
        view.add_row(one.what, *times, f"{one.ratio.median:.2f}×", quartiles, _verdict(one))
    if memory is not None:
        verdict = "met" if memory < MEMORY_BAR_MB else "missed"
        view.add_row(
            "peak memory of a run", f"{memory:,.0f} MB", "", "", "", f"< {MEMORY_BAR_MB:.0f} MB: {verdict}"
        )
    return view


def _verdict(one: Comparison) -> str:
    if one.bar is None:
        return ""
    return f"{'≥' if one.direction == 'at least' else '≤'} {one.bar:g}×: {'met' if one.met else 'missed'}"


def document(size: Size, comparisons: list[Comparison], memory: float | None) -> dict[str, object]:
    """Return the JSON document: what was measured, on what."""
    return {
        **environment(),
        "size": asdict(size),
        "comparisons": [asdict(one) | {"met": one.met} for one in comparisons],
        "peak_memory_mb": memory,
    }


def environment() -> dict[str, object]:
    """Return what figures depend on: machine, versions and threads."""
    packages = ("torch", "numpy", "gymnasium", "stable-baselines3")
    return {
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "torch_threads": torch.get_num_threads(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learner", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument("--memory", action="store_true", help="also measure the peak memory of a full run")
    parser.add_argument(
        "--quick", action="store_true", help="a few counts only: shows that it runs, measures nothing"
    )
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else FULL
    use_one_thread()
    comparisons = compare_updates(size) + compare_steps(size)
    memory = peak_memory(size.overrides) if options.memory else None
    Console(width=160).print(table(comparisons, memory))
    if options.json is not None:
        text = json.dumps(document(size, comparisons, memory), indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
