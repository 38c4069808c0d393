"""What `mtctl compare` costs: 200 finished runs of 1,500 episodes each, as a user starts it.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.comparison [--json PATH] [--quick] [--keep DIR]

The runs are made up, 40 recipes with 5 seeds each, with files as `mtctl train` writes them. Each measurement
is a process of its own, so that starting Python and importing mtctl count; printed are the median over
several, and the largest memory that any of them held.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from mtctl.engine import layout
from mtctl.engine.metrics import MetricsFile

TASKS: Final = ("standard", "windy", "heavy")
PAIRS: Final = ("standard|windy", "standard|heavy", "windy|heavy")
SECONDS: Final = 3.0
"""What a comparison may take."""
MEGABYTES: Final = 500.0
"""What it may hold."""
FORMATS: Final[tuple[tuple[str, ...], ...]] = ((), ("--json",), ("--match", "updates"))
"""Arguments of the commands that are measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        recipes: how many methods.
        seeds: runs of each.
        episodes: of each run.
        repeats: processes for each format.
    """

    recipes: int
    seeds: int
    episodes: int
    repeats: int


FULL: Final = Size(recipes=40, seeds=5, episodes=1500, repeats=5)
QUICK: Final = Size(recipes=2, seeds=2, episodes=100, repeats=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took.

    Args:
        command: its words.
        seconds: wall-clock, the median over processes.
        processor_seconds: of them on a processor: what is left of the other programs' load.
        megabytes: the most memory that a process held.
    """

    command: str
    seconds: float
    processor_seconds: float
    megabytes: float

    @property
    def met(self) -> bool:
        """Say whether both bars are kept."""
        return self.seconds <= SECONDS and self.megabytes <= MEGABYTES


def make_runs(root: Path, size: Size) -> None:
    """Write the results of trainings that never were."""
    rng = np.random.default_rng(0)
    for recipe in range(size.recipes):
        for seed in range(size.seeds):
            _make_run(root / f"method_{recipe:02d}" / f"seed{seed}", f"method_{recipe:02d}", seed, size, rng)


def _make_run(folder: Path, name: str, seed: int, size: Size, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    end = rng.normal(150, 20, len(TASKS))
    metrics = MetricsFile(folder / layout.METRICS)
    steps = 0
    for record in _records(size.episodes, end, rng):
        metrics.write(record)
        steps = record["environment_steps"]
    metrics.close()
    scores = {
        task: {
            "scores": list(rng.normal(mean, 60, 100)),
            "steps": [300] * 100,
            "outcomes": ["landed"] * 100,
            "measures": {},
        }
        for task, mean in zip(TASKS, end, strict=True)
    }
    evaluation = {"checkpoint": layout.LAST, "done": size.episodes, "seeds": "held_out", "items": 100}
    _write(folder / layout.EVALUATION, {**evaluation, "definition_hash": "d" * 64, "tasks": scores})
    score = {"name": "return", "higher_is_better": True, "success": 200.0, "outcomes": ["landed", "crashed"]}
    budget = {
        "units": size.episodes,
        "done": size.episodes,
        "environment_steps": steps,
        "updates": steps - 2000,
    }
    run = {
        "status": "completed",
        "name": name,
        "seed": seed,
        "command": f"mtctl train {name}",
        "recipe_hash": name.ljust(64, "0"),
        "problem": "lander",
        "tasks": list(TASKS),
        "score": score,
        "figures": {"followed": "return", "window": 50, "ending": "outcome", "extra": ["epsilon"]},
        "definition": {"tasks": {task: {"time_limit": 400} for task in TASKS}},
        "definition_hash": "d" * 64,
        "parameters": {"total": 35719, "shared": 35716, "balancer": 3},
        "unit": "episode",
        "item": "episode",
        "budget": {**budget, "samples_per_update": 192},
        "seconds": {"total": 512.3, "training": 490.1, "evaluation": 22.2},
        "peak_memory_mb": 302.0,
        "versions": {},
    }
    _write(folder / layout.RUN, run)


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps({"schema": layout.SCHEMA, **document}), encoding="utf-8")


def _records(episodes: int, end: np.ndarray, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    steps = 0
    for episode in range(1, episodes + 1):
        steps += int(rng.integers(80, 700))
        spent = {"environment_steps": steps, "updates": max(0, steps - 2000)}
        played = {"return": rng.normal(), "steps": 300, "outcome": "landed"}
        own = {"unit": episode, "tasks": {TASKS[episode % 3]: played}, "extra": {"epsilon": 0.5}}
        signals = _signals(rng) if steps > 2000 else None
        yield {"kind": "unit", **own, **spent, "signals": signals}
        if episode % 50 == 0:
            means = rng.normal(end * episode / episodes, 30)
            tasks = {task: _task(float(mean)) for task, mean in zip(TASKS, means, strict=True)}
            average = float(means.mean())
            yield {"kind": "evaluation", "unit": episode, **spent, "tasks": tasks, "average": average}


def _task(mean: float) -> dict[str, Any]:
    outcomes = {"landed": 3, "crashed": 2}
    spread = {"mean": mean, "sd": 60.0, "success_rate": 0.6, "items": 5, "outcomes": outcomes}
    return {**spread, "steps": 300.0, "measures": {}}


def _signals(rng: np.random.Generator) -> dict[str, Any]:
    """Return what a run of the size of a real one records: about 1,300 characters."""

    def of(names: tuple[str, ...]) -> dict[str, float]:
        return dict(zip(names, rng.uniform(0, 2, len(names)).tolist(), strict=True))

    by_task = ("loss", "weight", "own_weight", "gradient_norm", "gradient_share", "own_gradient_norm")
    return {
        "updates": 300,
        "measured": 300,
        **{name: of(TASKS) for name in by_task},
        "cosine": of(PAIRS),
        "cosine_sd": of(PAIRS),
        "conflict_rate": float(rng.uniform()),
        **{name: of(TASKS) for name in ("replay_rows", "q_mean", "q_max", "target_mean")},
    }


def measure(root: Path, arguments: tuple[str, ...], repeats: int) -> Cost:
    """Run the command in processes of its own."""
    command = [sys.executable, "-m", "mtctl", "compare", str(root), *arguments]
    seconds, busy, megabytes = zip(*(_once(command) for _ in range(repeats)), strict=True)
    name = " ".join(["mtctl compare", *arguments])
    return Cost(name, statistics.median(seconds), statistics.median(busy), max(megabytes))


def _once(command: list[str]) -> tuple[float, float, float]:
    """Return seconds, those on a processor, and MB of one process."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaint)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            complaint.seek(0)
            raise SystemExit(complaint.read().decode())
    # Linux counts kilobytes, macOS bytes.
    return taken, used.ru_utime + used.ru_stime, used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main(arguments: list[str] | None = None) -> None:
    """Make the runs, measure, print the table, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the runs in DIR, or use those there")
    parser.add_argument(
        "--quick", action="store_true", help="a few runs only: shows that it runs, measures nothing"
    )
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else FULL
    root = options.keep or Path(tempfile.mkdtemp(prefix="mtctl-comparison-"))
    try:
        if not (root / "method_00").exists():
            make_runs(root, size)
        costs = [measure(root, each, size.repeats) for each in FORMATS]
    finally:
        if options.keep is None:
            shutil.rmtree(root)
    Console(width=160).print(_table(costs, size))
    if options.json is not None:
        # A process starts with its parent's memory as its peak: torch must not be in this one before.
        from benchmarks.learner import environment  # noqa: PLC0415

        bars = {"seconds": SECONDS, "megabytes": MEGABYTES}
        figures = [asdict(cost) | {"met": cost.met} for cost in costs]
        document = {**environment(), "size": asdict(size), "bars": bars, "costs": figures}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _table(costs: list[Cost], size: Size) -> Table:
    table = Table(
        title=f"{size.recipes * size.seeds} runs of {size.episodes:,} episodes", title_justify="left"
    )
    table.add_column("command")
    for header in (f"seconds (≤ {SECONDS:g})", "on a processor", f"MB (≤ {MEGABYTES:g})", "met"):
        table.add_column(header, justify="right")
    for cost in costs:
        met = "yes" if cost.met else "no"
        table.add_row(
            cost.command, f"{cost.seconds:.2f}", f"{cost.processor_seconds:.2f}", f"{cost.megabytes:.0f}", met
        )
    return table


if __name__ == "__main__":
    main()
