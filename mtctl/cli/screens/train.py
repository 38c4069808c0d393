"""The screens of `mtctl train`: one run, several runs, and the lines where nothing may move."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mtctl.cli.progress import Progress
from mtctl.cli.screens.figures import NOTHING, duration, number, percent

_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 12


def sparkline(values: Sequence[float], width: int = _SPARKS) -> str:
    """Draw the means of `width` equal stretches of a series, from its lowest to its highest."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [round(place * len(values) / width) for place in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[int((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)


def run_screen(progress: Progress, method: str, hint: str = "Ctrl-C saves and stops") -> RenderableType:
    """Show one run: a row per task, then how far it is."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("task", no_wrap=True)
    table.add_column("return", justify="right", no_wrap=True, min_width=8)
    table.add_column("course", no_wrap=True, min_width=_SPARKS)
    table.add_column("≥200", justify="right", no_wrap=True, min_width=5)
    table.add_column("weight", justify="right", no_wrap=True, min_width=6)
    table.add_column("grad share", justify="right", no_wrap=True, min_width=10)
    for name, task in progress.tasks.items():
        course = Text(sparkline(task.history), style="cyan")
        row = (
            number(task.mean),
            course,
            percent(task.success_rate),
            number(task.weight, 2),
            percent(task.share),
        )
        table.add_row(Text(name), *row)
    head = Text(
        f"{progress.name} · {method} · {len(progress.tasks)} tasks · seed {progress.seed} · cpu · 1 thread"
    )
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        f"episode {progress.done}/{progress.units}",
        ProgressBar(total=progress.units, completed=progress.done, width=20),
        f"ε {number(progress.epsilon, 2)}",
    )
    foot = Text(_pace(progress) + f" · {hint}", style="dim")
    return Group(head, table, bar, foot)


def runs_screen(runs: Sequence[tuple[Progress, str]]) -> RenderableType:
    """Show several runs, a row each, with their status."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("episode", justify="right", no_wrap=True, min_width=9)
    table.add_column("return", justify="right", no_wrap=True, min_width=7)
    table.add_column("eval", justify="right", no_wrap=True, min_width=7)
    table.add_column("steps/s", justify="right", no_wrap=True, min_width=7)
    table.add_column("left", justify="right", no_wrap=True, min_width=5)
    for progress, status in runs:
        moving = status == "running"
        table.add_row(
            Text(f"{progress.name}/seed{progress.seed}"),
            status,
            f"{progress.done}/{progress.units}",
            number(progress.average),
            number(progress.evaluation),
            number(progress.steps_per_second, 0) if moving else NOTHING,
            duration(progress.seconds_left) if moving else NOTHING,
        )
    return table


def line(progress: Progress) -> str:
    """Say in one line how a run goes."""
    tasks = "  ".join(f"{name} {number(task.mean)}" for name, task in progress.tasks.items())
    place = f"episode {progress.done}/{progress.units}"
    return f"{place}  {tasks}  ε {number(progress.epsilon, 2)}  {_pace(progress)}"


def _pace(progress: Progress) -> str:
    return f"{number(progress.steps_per_second, 0)} steps/s · {duration(progress.seconds_left)} left"
