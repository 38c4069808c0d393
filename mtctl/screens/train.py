"""The screens of `mtctl train`: one run, several runs, and the lines where nothing may move."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mtctl.following.progress import Progress
from mtctl.screens.figures import NOTHING, duration, measure, number, percent
from mtctl.text import show_text

_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 12
_BAR: Final = 5  # cells of a bar in a row
_EXTRA: Final[dict[str, tuple[str, Callable[[float | None], str]]]] = {
    "epsilon": ("ε", lambda value: number(value, 2)),
    "loss_scale": ("loss scale", measure),
    "skipped_steps": ("skipped", lambda value: number(value, 0)),
}
"""What figures of a whole unit are called, and how they are written."""
_FEW: Final = 10  # per second: below, a rate has a decimal


def sparkline(values: Sequence[float], width: int = _SPARKS) -> str:
    """Draw the means of `width` equal stretches of a series, from its lowest to its highest."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [round(place * len(values) / width) for place in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[int((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)


def run_screen(
    progress: Progress, method: str, device: str = "cpu", hint: str = "Ctrl-C saves and stops"
) -> RenderableType:
    """Show one run: a row per task, then how far it is."""
    place = f"{device} · 1 thread" if device == "cpu" else device
    head = _text(f"{progress.name} · {method} · {len(progress.tasks)} tasks · seed {progress.seed} · {place}")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        _text(f"{progress.unit} {progress.done}/{progress.units}"),
        ProgressBar(total=progress.units, completed=progress.done, width=20),
        _text(_beside(progress)),
    )
    foot = Text(_pace(progress) + f" · {hint}", style="dim")
    return Group(head, _tasks(progress), bar, foot)


def _tasks(progress: Progress) -> Table:
    """Show each task's latest: a return and its successes, or a loss and the score of an evaluation."""
    score, rated = progress.score, progress.score.success is not None and progress.is_scored
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("task", no_wrap=True)
    table.add_column(_text(progress.figure), justify="right", no_wrap=True, min_width=8)
    table.add_column("course", no_wrap=True, min_width=_SPARKS)
    header = f"{'≥' if score.higher_is_better else '≤'}{score.success:g}" if rated else score.name
    table.add_column(_text(header), justify="right", no_wrap=True, min_width=5)
    table.add_column("weight", justify="right", no_wrap=True, min_width=6)
    table.add_column("grad share", justify="right", no_wrap=True, min_width=10)
    for name, task in progress.tasks.items():
        table.add_row(
            _text(name),
            _figure(progress)(task.mean),
            Text(sparkline(task.history), style="cyan"),
            percent(task.success_rate) if rated else number(task.score),
            number(task.weight, 2),
            percent(task.share),
        )
    return table


def runs_screen(runs: Sequence[tuple[Progress, str]], *, bars: bool = False) -> RenderableType:
    """Show several runs, a row each, with their status.

    Args:
        runs: with a word on how they are.
        bars: draw how far they are, in the place of their running returns.
    """
    units, paces = {each.unit for each, _ in runs}, {_steps(each) for each, _ in runs}
    scores = {each.score.name for each, _ in runs}
    scored = [each.figure for each, _ in runs if each.is_scored]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    table.add_column("status", no_wrap=True)
    unit = units.pop() if len(units) == 1 else "done"
    table.add_column(_text(unit), justify="right", no_wrap=True, min_width=9)
    if bars:
        table.add_column("", width=_BAR)
    if scored and not bars:
        table.add_column(_text(scored[0]), justify="right", no_wrap=True, min_width=7)
    score = "eval" if scored or len(scores) > 1 else scores.pop()
    table.add_column(_text(score), justify="right", no_wrap=True, min_width=7)
    pace = paces.pop() if len(paces) == 1 else "pace"
    table.add_column(f"{pace}/s", justify="right", no_wrap=True, min_width=7)
    table.add_column("left", justify="right", no_wrap=True, min_width=5)
    for progress, status in runs:
        moving = status == "running"
        table.add_row(
            _text(f"{progress.name}/seed{progress.seed}"),
            status,
            f"{progress.done}/{progress.units}",
            *([ProgressBar(total=progress.units, completed=progress.done, width=_BAR)] if bars else []),
            *([number(progress.average)] if scored and not bars else []),
            number(progress.evaluation),
            _rate(progress) if moving else NOTHING,
            duration(progress.seconds_left) if moving else NOTHING,
        )
    return table


def _text(text: str) -> Text:
    """Return what a file says as text: a string in a table would be read as rich's markup."""
    return Text(show_text(text))


def line(progress: Progress) -> str:
    """Say in one line how a run goes."""
    show = _figure(progress)
    tasks = "  ".join(f"{name} {show(progress.tasks[name].mean)}" for name in progress.scored)
    place = f"{progress.unit} {progress.done}/{progress.units}"
    return f"{place}  {tasks}  {_beside(progress)}  {_pace(progress)}"


def _figure(progress: Progress) -> Callable[[float | None], str]:
    """Say how a task's figures are written: scores alike, losses each in its own size."""
    return number if progress.is_scored else measure


def _beside(progress: Progress) -> str:
    """Name what matters besides the tasks: how the latest evaluation went, and figures of the whole unit."""
    figures = []
    for name, value in progress.extra.items():
        words, written = _EXTRA.get(name, (name, measure))
        figures.append(f"{words} {written(value)}")
    score = [] if progress.is_scored else [f"{progress.score.name} {number(progress.evaluation)}"]
    return "  ".join([*score, *figures])


def _steps(progress: Progress) -> str:
    return "steps" if progress.is_played else "updates"


def _pace(progress: Progress) -> str:
    return f"{_rate(progress)} {_steps(progress)}/s · {duration(progress.seconds_left)} left"


def _rate(progress: Progress) -> str:
    rate = progress.steps_per_second
    return number(rate, 1 if rate is not None and rate < _FEW else 0)
