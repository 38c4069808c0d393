"""Figures of a comparison, for the extra `plot`: matplotlib without its global state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.profiles import profiles
from mtctl.analysis.trainings import efficiency_curve, read_trainings
from mtctl.engine.files import write_atomically
from mtctl.errors import MtctlError
from mtctl.history.curves import Curve, Trainings
from mtctl.history.series import MOST_STRETCHES, Array

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing: TypeAlias = "Callable[[Comparison, Mapping[str, Trainings]], Figure | None]"
_DPI = 150
_LEGEND_COLUMNS = 3
_WIDTH = 4.2
_HEIGHT = 3.2
"""Inches of one panel."""
_COLOURS = 10
"""Colours that are told apart at a glance; more methods take theirs from a continuous scale."""
_THRESHOLDS = 101
_MARKED = 10
"""A curve of fewer points has a mark at each: of one, nothing else can be seen."""
_DECADES = 100
"""Ratio of weights from which on their scale is logarithmic: on a linear one, the small ones all lie on 0."""


def require_matplotlib() -> None:
    """Refuse where no figure can be drawn.

    Raises:
        MtctlError: matplotlib is missing.
    """
    try:
        import matplotlib.figure  # noqa: F401, PLC0415 an extra
    except ImportError as error:
        raise MtctlError(
            f"--plot needs matplotlib, which cannot be imported: {error}", hint='pip install "mtctl[plot]"'
        ) from error


def write_plots(comparison: Comparison, folder: Path, formats: Sequence[str] = ("png",)) -> Iterator[Path]:
    """Draw every figure that the runs have data for, and yield the files as they are written.

    Args:
        comparison: what to draw.
        folder: an existing folder.
        formats: "png", "svg" or "pdf".

    Raises:
        MtctlError: matplotlib is missing, or a run's file is corrupt.
        OSError: a file cannot be written.
    """
    require_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 an extra

    trainings = read_trainings(comparison)
    # Without dates and random names, the same comparison draws the same bytes.
    # Names are no formulas, whatever dollar signs they hold.
    with mpl.rc_context({"svg.hashsalt": "mtctl", "font.size": 9, "text.parse_math": False}):
        for name, draw in _DRAWINGS.items():
            figure = draw(comparison, trainings)
            for form in formats if figure is not None else ():
                file = folder / f"{name}.{form}"
                undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
                assert figure is not None
                save = partial(figure.savefig, format=form, dpi=_DPI, metadata=undated[form])
                write_atomically(file, save)
                yield file


def learning_curves(comparison: Comparison, trainings: Mapping[str, Trainings]) -> Figure | None:
    """Draw scores by units of training: the average and each task, with 95 % t intervals over seeds."""
    parts = {"average": comparison.tasks, **{task: (task,) for task in comparison.tasks}}
    if not any(training.evaluations for training in trainings.values()):
        return None
    figure, axes = _panels(len(parts))
    for axis, (name, tasks) in zip(axes, parts.items(), strict=True):
        _lines(axis, {label: each.evaluated(tasks) for label, each in trainings.items()})
        axis.set(title=name, xlabel=f"{comparison.unit}s", ylabel=comparison.score.name)
    return _explained(figure, axes, "learning curves, 95 % t intervals over seeds")


def task_scores(comparison: Comparison, _: Mapping[str, Trainings]) -> Figure:
    """Draw each task's score by method, with 95 % t intervals over seeds."""
    figure, (axis,) = _panels(1, width=1.5 * _WIDTH)
    methods, tasks = comparison.methods, comparison.tasks
    width = 0.8 / len(methods)
    for index, (method, colour) in enumerate(zip(methods, _colours(len(methods)), strict=True)):
        scores = [method.tasks[task].score for task in tasks]
        places = np.arange(len(tasks)) + (index - (len(methods) - 1) / 2) * width
        axis.bar(places, [each.mean for each in scores], width, color=colour, label=method.label)
        halves = [each.half_width for each in scores]
        if None not in halves:
            errors = np.array(halves, dtype=np.float64)
            axis.errorbar(
                places, [each.mean for each in scores], errors, fmt="none", ecolor="black", elinewidth=1
            )
    axis.set_xticks(np.arange(len(tasks)), tasks)
    axis.set(ylabel=comparison.score.name)
    return _explained(figure, [axis], "scores by task, 95 % t intervals over seeds")


def performance_profiles(comparison: Comparison, _: Mapping[str, Trainings]) -> Figure:
    """Draw the share of runs and tasks whose normalised score is above τ, with bootstrap intervals."""
    figure, (axis,) = _panels(1, width=1.5 * _WIDTH)
    thresholds = np.linspace(0, 1, _THRESHOLDS)
    _lines(
        axis,
        {
            label: Curve(thresholds, None, each.shares, *((None, None) if each.ends is None else each.ends))
            for label, each in profiles(comparison, thresholds).items()
        },
    )
    name = f"normalised {comparison.score.name} τ (0: a task's worst run, 1: its best)"
    axis.set(xlabel=name, ylabel="share of runs and tasks above τ", ylim=(-0.02, 1.02))
    return _explained(figure, [axis], "performance profiles, stratified bootstrap 95 %")


def sample_efficiency(comparison: Comparison, trainings: Mapping[str, Trainings]) -> Figure | None:
    """Draw the interquartile mean by environment steps, or updates, with stratified bootstrap intervals."""
    curves = {label: efficiency_curve(each, comparison.tasks) for label, each in trainings.items()}
    if not any(curve is not None for curve in curves.values()):
        return None
    figure, (axis,) = _panels(1, width=1.5 * _WIDTH)
    _lines(axis, curves)
    counted = "environment steps" if comparison.played else "updates"
    axis.set(xlabel=counted, ylabel=f"{comparison.score.name}, interquartile mean")
    return _explained(figure, [axis], "sample efficiency, stratified bootstrap 95 %")


def weights(comparison: Comparison, trainings: Mapping[str, Trainings]) -> Figure | None:
    """Draw each task's weight through training, a panel for each method that has weights."""
    known = {label: each.weights for label, each in trainings.items() if each.weights}
    if not known:
        return None
    figure, axes = _panels(len(known))
    colours = dict(zip(comparison.balanced, _colours(len(comparison.balanced)), strict=True))
    for axis, (label, by_task) in zip(axes, known.items(), strict=True):
        for task, values in by_task.items():
            x, known_there = (np.arange(len(values)) + 0.5) / len(values) * 100, ~np.isnan(values)
            axis.plot(x[known_there], values[known_there], ".-", color=colours[task], label=task)
        axis.set(title=label, xlabel="training, %", ylabel="weight", yscale=_scale(by_task.values()))
    return _explained(figure, axes, "mean weights over seeds")


def _scale(weights: Iterable[Array]) -> str:
    values = np.concatenate(list(weights))
    low, high = np.nanmin(values), np.nanmax(values)
    return "log" if low > 0 and high >= _DECADES * low else "linear"


def conflicts(comparison: Comparison, trainings: Mapping[str, Trainings]) -> Figure | None:
    """Draw how often gradients conflict: a row for each method, training from left to right."""
    known = [each.conflicts for each in trainings.values()]
    if all(rates is None for rates in known):
        return None
    rates = np.array(list(map(_stretched, known)))
    figure, (axis,) = _panels(1, width=1.5 * _WIDTH, height=1.2 + 0.4 * len(rates))
    image = axis.imshow(rates, aspect="auto", vmin=0, vmax=1, extent=(0, 100, len(rates) - 0.5, -0.5))
    axis.set_yticks(np.arange(len(rates)), list(trainings))
    axis.set(xlabel="training, %", title=f"conflicting pairs of {len(comparison.balanced)} tasks")
    figure.colorbar(image, ax=axis, label="share of pairs")
    return figure


def _stretched(rates: Array | None) -> Array:
    """Return rates of any number of stretches as the cells of a row; gaps have their neighbour's."""
    if rates is None:
        return np.full(MOST_STRETCHES, np.nan)
    measured = np.flatnonzero(~np.isnan(rates))
    wanted = np.arange(MOST_STRETCHES) * len(rates) // MOST_STRETCHES
    cells: Array = rates[measured[np.abs(wanted[:, None] - measured).argmin(1)]]
    return cells


_DRAWINGS: dict[str, Drawing] = {
    "learning_curves": learning_curves,
    "task_scores": task_scores,
    "performance_profiles": performance_profiles,
    "sample_efficiency": sample_efficiency,
    "weights": weights,
    "conflicts": conflicts,
}


def _panels(count: int, *, width: float = _WIDTH, height: float = _HEIGHT) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 an extra

    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def _lines(axis: Axes, curves: Mapping[str, Curve | None]) -> None:
    for (label, curve), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        if curve is not None:
            mark = "." if len(curve.units) < _MARKED else ""
            axis.plot(curve.units, curve.mean, color=colour, marker=mark, label=label)
            if curve.low is not None and curve.high is not None:
                axis.fill_between(curve.units, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    means = np.concatenate([curve.mean for curve in curves.values() if curve is not None] or [np.zeros(1)])
    room = np.ptp(means) / 2
    low, high = axis.get_ylim()
    if room:  # wide intervals do not flatten the curves
        axis.set_ylim(max(low, means.min() - room), min(high, means.max() + room))


def _explained(figure: Figure, axes: Sequence[Axes], title: str) -> Figure:
    """Add a title, and one legend below all panels."""
    entries: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.suptitle(title)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=_LEGEND_COLUMNS)
    return figure


def _colours(count: int) -> Any:
    """Return colours: [count, 4]."""
    import matplotlib as mpl  # noqa: PLC0415 an extra

    if count <= _COLOURS:
        return mpl.colormaps["tab10"](np.arange(count))
    return mpl.colormaps["turbo"](np.linspace(0.05, 0.95, count))
