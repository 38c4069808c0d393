"""The tables of a diagnosis: how tasks do, their signals, the experiments, the fixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Final

from mtctl.diagnosis.report import Diagnosis, Experiment, State, TaskState, Trial, Verdict
from mtctl.diagnosis.thresholds import LEARNED, percent
from mtctl.screens.figures import NOTHING, in_words, measure, number
from mtctl.screens.tables import Column, StackedTable
from mtctl.statistics import Estimate, Interval

STATES: Final[Mapping[State, str]] = {
    "learns": "✔ learns",
    "at_floor": "✔ at its floor",
    "slow": "⚠ slow",
    "flat": "✘ flat",
    "rising": "✘ rising",
    "diverged": "✘ diverged",
    "unknown": "? unknown",
}
VERDICTS: Final[Mapping[Verdict, str]] = {
    "helps": "✔ helps",
    "without_inputs": "⚠ ignores inputs",
    "no_effect": "– no effect",
    "harms": "✘ harms",
    "unclear": "? unclear",
    "failed": "✘ failed",
}
_DIGITS: Final = 4
_IN_A_GROUP: Final = 4
"""Columns of signals that a cut between tables keeps together."""
_BEST_FIXES: Final = 3
"""Remedies that the short table has."""
_NO_COST: Final = 0.005
"""Skill that another task may lose without being named: half a point."""


def share(value: float | None, *, sign: bool = False) -> str:
    """Return a share in per cent, with decimals where it is small: 0.41 %, 8.7 %, 81 %."""
    if value is None:
        return NOTHING
    percent = 100 * value
    digits = 0 if abs(percent) >= 9.95 else 1 if abs(percent) >= 0.995 else 2
    return f"{number(percent, digits, sign=sign)} %"


def change(value: float) -> str:
    """Return a relative change in per cent."""
    return f"{number(100 * value, 1, sign=True)} %" if isfinite(value) else NOTHING


def loss(value: float) -> str:
    """Return a loss with three significant digits; nothing where it was never finite."""
    return measure(value if isfinite(value) else None)


def period(diagnosis: Diagnosis) -> str:
    """Return how long was trained or recorded: "5 epochs (30 updates)"."""
    subject = diagnosis.subject
    units = f"{subject.units:,} {subject.unit}{'' if subject.units == 1 else 's'}"
    if subject.updates is None or subject.unit == "step":
        return units
    return f"{units} ({subject.updates:,} updates)"


def symptom_table(diagnosis: Diagnosis) -> StackedTable:
    """Return how each task does as it is."""
    rows = diagnosis.states
    columns = [Column("change", (change(row.change) for row in rows))]
    if any(row.constant is not None for row in rows):
        columns.append(Column("best constant", (measure(row.constant) for row in rows)))
    if any(row.skill is not None for row in rows):
        columns.append(Column("skill", (share(row.skill) for row in rows)))
    state = Column("state", (STATES[row.state] for row in rows), text=True)
    return StackedTable(
        f"Symptom: {figure(diagnosis)} over {period(diagnosis)}",
        _names(rows),
        [Column("first → last", _courses(rows)), *columns, state],
    )


def figure(diagnosis: Diagnosis) -> str:
    """Return what tasks are judged by: "loss", "return"."""
    played = diagnosis.subject.played
    return "loss" if played is None else played.score.name


def scored(diagnosis: Diagnosis) -> str:
    """Return what remedies are judged by, in words."""
    return "held-out loss" if diagnosis.subject.played is None else f"final policy's {figure(diagnosis)}"


def measures_table(diagnosis: Diagnosis) -> StackedTable | None:
    """Return further figures in each task's own units besides the loss, or None if there are none."""
    rows = diagnosis.states
    names = dict.fromkeys(name for row in rows for name in row.measures if name != "loss")
    if not names:
        return None
    columns = (Column(in_words(name), (measure(row.measures.get(name)) for row in rows)) for name in names)
    return StackedTable("Measures, in each task's own units", _names(rows), tuple(columns))


def _names(rows: Sequence[TaskState]) -> Column:
    return Column("task", (row.task for row in rows), text=True)


def _courses(rows: Sequence[TaskState]) -> tuple[str, ...]:
    """Return "first → last", aligned at the arrow."""
    lasts = [loss(row.last) for row in rows]
    width = max(map(len, lasts), default=0)
    return tuple(f"{loss(row.first)} → {last:>{width}}" for row, last in zip(rows, lasts, strict=True))


@dataclass(frozen=True, slots=True)
class Signal:
    """How a signal is shown.

    Args:
        header: of its column.
        meaning: what the figure is, for the line below the table.
        show: how a value is written.
    """

    header: str
    meaning: str = ""
    show: Callable[[float | None], str] = measure


_SIGNALS: Final[Mapping[str, Signal]] = {
    "weight": Signal("weight", "of the task's gradient on the shared network"),
    "own_weight": Signal("multiplier", "∂total/∂loss"),
    "gradient_norm": Signal("gradient norm", "of the task's own loss on the shared network"),
    "gradient_share": Signal("gradient share", "of the weighted gradient on the shared network", share),
    "own_gradient_norm": Signal("head gradient", "norm on the task's own parameters"),
    "own_update": Signal("head move", "net displacement of the head per update"),
    "reach": Signal(
        "reach", "distance of the targets relative to how far Adam can move an output in the run"
    ),
    "relative_loss": Signal("relative loss", "training loss over that of the best constant"),
    "dead_units": Signal("dead units", "inputs of the head that do not vary", share),
    "loss": Signal("training loss"),
    "update_share": Signal("update share", "of the rows that were learned from", share),
    "clipped_targets": Signal("clipped", "share of the targets beyond the lowest or highest atom", share),
    "kl": Signal("KL", "of the task's residuals from their prior, in nats"),
    "kept_share": Signal("kept share", "of the task's residuals, in evaluations", share),
}
"""Names as in engine/layout.py and problems/windows/inspection.py, in the order of the table."""


def signals_table(diagnosis: Diagnosis) -> StackedTable:
    """Return the signals of each task; those without any value are left out."""
    tasks = diagnosis.subject.tasks
    columns = [
        Column(signal.header, (signal.show(diagnosis.signals[name].get(task)) for task in tasks))
        for name, signal in _present(diagnosis)
    ]
    groups = (tuple(columns[at : at + _IN_A_GROUP]) for at in range(0, len(columns), _IN_A_GROUP))
    names = Column("task", tasks, text=True)
    return StackedTable("Signals of each task", names, *groups)


def signals_meaning(diagnosis: Diagnosis) -> str:
    """Say what the columns are."""
    return "; ".join(f"{one.header}: {one.meaning}" for _, one in _present(diagnosis) if one.meaning)


def _present(diagnosis: Diagnosis) -> Iterator[tuple[str, Signal]]:
    """Yield the signals that have a value: those known here first, in their order."""
    for name in dict.fromkeys([*_SIGNALS, *diagnosis.signals]):
        if name == "weight" and diagnosis.signals.get(name) == diagnosis.signals.get("own_weight"):
            continue  # methods that act on losses have one weight for the trunk and the head
        if any(value is not None for value in diagnosis.signals.get(name, {}).values()):
            yield name, _SIGNALS.get(name) or Signal(in_words(name))


def experiment_tables(diagnosis: Diagnosis) -> Iterator[StackedTable]:
    """Yield the counterfactual trainings, a table for each task that they are about."""
    states = {state.task: state for state in diagnosis.states}
    for task in dict.fromkeys(each.task for each in diagnosis.experiments):
        experiments = [each for each in diagnosis.experiments if each.task == task]
        yield _experiments(diagnosis, task, states.get(task), experiments)


def _experiments(
    diagnosis: Diagnosis, task: str, as_is: TaskState | None, experiments: Sequence[Experiment]
) -> StackedTable:
    played = diagnosis.subject.played is not None
    never = as_is is None or as_is.steps is None
    names = [each.name for each in experiments]
    steps = [_steps(each.steps, each.watched) for each in experiments]
    speedups = [_speedup(each.speedup, bound=never and each.name != "as is") for each in experiments]
    skills = [share(each.skill) for each in experiments]
    return StackedTable(
        f"Experiments on {task}: one thing changed, same seed{'' if played else ', weights and batches'}",
        Column("changed", names, text=True),
        [
            Column(f"{'steps' if played else 'updates'} to {percent(LEARNED)} skill", steps),
            Column("speed-up", speedups),
            Column("skill in budget", skills),
        ],
    )


def _steps(steps: float | None, watched: int) -> str:
    return f"> {watched:,}" if steps is None else number(steps, 0)


def _speedup(speedup: float | None, *, bound: bool) -> str:
    return NOTHING if speedup is None else f"{'≥ ' if bound else ''}{number(speedup)} ×"


def fixes_table(diagnosis: Diagnosis) -> StackedTable:
    """Return what each remedy did for the stuck task, the best first."""
    trials, as_is = diagnosis.trials, as_is_loss(diagnosis)
    digits = decimals(as_is)
    task = f" for {diagnosis.stuck}" if diagnosis.stuck else ""
    reference = "" if as_is is None else f"; as is {number(as_is, digits)}"
    losses = (None if each.loss is None else each.loss.mean for each in trials)
    gains = [each.improvement for each in trials]
    skills = (None if each.skill is None else each.skill.mean for each in trials)
    return StackedTable(
        f"Fixes{task}: {scored(diagnosis)} after {period(diagnosis)}{reference}",
        Column("remedy", (each.remedy.title for each in trials), text=True),
        [
            Column("documented as", (each.remedy.documented or NOTHING for each in trials), text=True),
            Column(figure(diagnosis), (number(each, digits) for each in losses)),
            Column(
                "better by",
                (number(None if each is None else each.mean, digits, sign=True) for each in gains),
            ),
            Column(
                "95 % interval",
                (NOTHING if each is None else bounds(each.interval, digits) for each in gains),
            ),
        ],
        [
            Column("skill", map(share, skills)),
            Column("worst-hit other task", map(worst_hit, trials), text=True),
            Column("verdict", map(verdict, trials), text=True),
        ],
    )


def best_fixes(diagnosis: Diagnosis) -> StackedTable | None:
    """Return the remedies that help, or came closest, in a few columns; None where none was tried."""
    trials = diagnosis.trials[:_BEST_FIXES]
    if not trials:
        return None
    as_is = as_is_loss(diagnosis)
    digits, total = decimals(as_is), len(diagnosis.trials)
    count = (
        f"the {len(trials)} best of {total}"
        if total > len(trials)
        else f"all {total}"
        if total > 1
        else "the one"
    )
    reference = "" if as_is is None else f"; {figure(diagnosis)} as is {number(as_is, digits)}"
    losses = (None if each.loss is None else each.loss.mean for each in trials)
    gains = (None if each.improvement is None else each.improvement.mean for each in trials)
    return StackedTable(
        f"Remedies for {diagnosis.stuck or 'the run'}, {count}{reference}",
        Column("remedy", (each.remedy.title for each in trials), text=True),
        [
            Column(figure(diagnosis), (number(each, digits) for each in losses)),
            Column("better by", (number(each, digits, sign=True) for each in gains)),
            Column("skill", (share(None if each.skill is None else each.skill.mean) for each in trials)),
            Column("verdict", map(verdict, trials), text=True),
        ],
    )


def verdict(trial: Trial) -> str:
    """Return what came of a remedy, and whether another task pays for it."""
    return f"{VERDICTS[trial.verdict]}{', at a cost' if trial.verdict == 'helps' and cost(trial) else ''}"


def as_is_loss(diagnosis: Diagnosis) -> float | None:
    """Return the stuck task's held-out loss, or return, without any remedy: the trials' mean over seeds."""
    better = 1 if diagnosis.subject.played is None else -1
    for trial in diagnosis.trials:
        if trial.loss is not None and trial.improvement is not None:
            return trial.loss.mean + better * trial.improvement.mean
    return None


def decimals(reference: float | None) -> int:
    """Return the decimals of losses and their differences: those that four digits of the reference have."""
    return 2 if not reference else max(0, _DIGITS - 1 - floor(log10(abs(reference))))


def bounds(ends: Interval | None, digits: int) -> str:
    """Return "[+low, +high]"."""
    if ends is None:
        return NOTHING
    return f"[{number(ends.low, digits, sign=True)}, {number(ends.high, digits, sign=True)}]"


def worst_hit(trial: Trial) -> str:
    """Return the other task that lost most skill, in points of per cent: "ptr -12 ± 4"."""
    if not trial.others:
        return NOTHING
    task, change = min(trial.others.items(), key=lambda item: item[1].mean)
    if change.mean > -_NO_COST:
        return "none"
    half = "" if change.half_width is None else f" ± {number(100 * change.half_width, 0)}"
    return f"{task} {number(100 * change.mean, 0)}{half}"


def cost(trial: Trial) -> tuple[str, Estimate] | None:
    """Return the other task that loses most skill, and how much; only beyond the interval."""
    losing = {
        task: change
        for task, change in trial.others.items()
        if change.mean <= -_NO_COST and change.interval is not None and change.interval.high < 0
    }
    return min(losing.items(), key=lambda item: item[1].mean, default=None)


def points(lost: Estimate) -> str:
    """Return a loss of skill in points of per cent: "12 ± 6"."""
    half = "" if lost.half_width is None else f" ± {number(100 * lost.half_width, 0)}"
    return f"{number(-100 * lost.mean, 0)}{half}"
