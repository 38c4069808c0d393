"""How a report's figures were computed, in words: scores, intervals, tests, versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mtctl.analysis.bootstrap import RESAMPLES
from mtctl.analysis.budgets import TOLERANCE
from mtctl.analysis.comparison import Comparison
from mtctl.analysis.significance import POWER
from mtctl.analysis.tolerance import SHARE, seeds_for_any_shape
from mtctl.engine import layout
from mtctl.history.formats import Run
from mtctl.history.series import MOST_STRETCHES
from mtctl.statistics import LEVEL


def explanations(comparison: Comparison, runs: Sequence[Run], seed: int) -> Iterator[tuple[str, str]]:
    """Yield what was computed and how: what a reader asks first comes first.

    Args:
        comparison: what was computed.
        runs: all of them.
        seed: of the resampling that intervals come from.
    """
    level = f"{100 * LEVEL:g} %"
    yield ("Scores", _scores(comparison))
    yield (
        f"± and {level} intervals of scores and curves",
        "Student's t interval over seeds, each seed counted once by its mean. One seed has no "
        "interval, and curves of two are drawn without: it would be 12.7 standard errors wide.",
    )
    if len(comparison.methods) > 1:
        yield from _tests(comparison, level)
    yield (
        "Mean, median, interquartile mean, profiles",
        f"Over all seeds and tasks, with percentile intervals of a stratified bootstrap: {RESAMPLES:,} "
        f"resamples, each task's seeds drawn separately, generator seed {seed} (0 for profiles), from three "
        f"seeds on. They "
        "only describe: verdicts come from tests.",
    )
    yield (
        "Normalised scores",
        "Task by task, 0 is the worst and 1 the best score of any compared run: they tell these methods "
        "apart, and mean nothing beside those of another comparison.",
    )
    yield (
        "Bootstrap and Student's t",
        "Both are intervals of the mean. The bootstrap resamples these seeds and knows no others, so that it "
        "is too narrow with few; and each task's apart, so that it is too narrow where a run's tasks are "
        "good or bad together. t is over the runs' averages, and right with few too if those are normal.",
    )
    yield (
        "One more run",
        f"A tolerance interval: with {level} confidence, at least {100 * SHARE:.0f} % of the runs that other "
        f"seeds would give score within. From {seeds_for_any_shape()} seeds on its ends are runs, whatever "
        "the shape of their distribution; below, mean ± k·s of a normal one, with the exact k.",
    )
    yield (
        "Tuning",
        "What recipes declare (`tuning:`): the runs that their settings were chosen by. Nothing checks it.",
    )
    yield (
        "Curves",
        f"Evaluations are shown where they were made, as long as all seeds of a method were evaluated. "
        f"Environment steps and updates of a place are means over its seeds. Weights, conflicts, training "
        f"episodes and losses are means over at most {MOST_STRETCHES} stretches of equal length, however "
        "long a training was: of each run first, over its updates where these are what is shown, and then "
        "over seeds.",
    )
    yield (
        "Budgets",
        f"A warning is given where episodes, epochs or rows per update differ, or where environment steps or "
        f"updates differ by more than a factor of {TOLERANCE:g}.",
    )
    yield ("Evaluation protocol", _protocol(runs))
    yield ("Versions of the runs", _versions(runs))


def _scores(comparison: Comparison) -> str:
    tasks = f"The average is the mean over {len(comparison.tasks)} tasks, each of the same weight."
    if comparison.matched is not None:
        return (
            f"A run's score is that of its last evaluation during training within the budget that all runs "
            f"reached ({comparison.matched.limit:,.0f} by {comparison.matched.by.value}). {tasks}"
        )
    last = comparison.checkpoint == layout.LAST
    weights = "last weights" if last else f"checkpoint `{comparison.checkpoint}`, scored again,"
    return (
        f"A run's score on a task is the mean {comparison.score.name} of its {weights} over "
        f"{comparison.items:,} held-out {comparison.item}s, the same ones for every run. {tasks}"
    )


def _tests(comparison: Comparison, level: str) -> Iterator[tuple[str, str]]:
    yield (
        "Verdicts",
        f"The difference to {comparison.baseline} is paired by seed and tested with Student's two-sided t "
        f"test. p values are adjusted by Holm's method for all methods tested, so that the chance of one "
        f"false verdict or more is at most {100 * (1 - LEVEL):.0f} %; the {level} interval is that of one "
        "method alone. “Not distinguishable” means that these seeds do not decide, not that both are equal.",
    )
    yield (
        "Seeds that would be needed",
        f"For a chance of {100 * POWER:.0f} % to find a difference as large as the one seen.",
    )
    yield (
        "P(better), Δm, mean rank",
        "The chance that a run scores higher than one of the baseline, over tasks; the mean over tasks of "
        "the relative change to the baseline, positive for better; the mean place over tasks.",
    )


def _protocol(runs: Sequence[Run]) -> str:
    """Return how tasks are defined and scored; one line if all runs agree."""
    shown = (", ".join(f"{key} {text}" for key, text in _leaves(run.definition)) for run in runs)
    return "; or ".join(dict.fromkeys(shown))


def _leaves(value: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{place}.{key}" if place else key
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, name)
        else:
            yield name, item if isinstance(item, str) else json.dumps(item)


def _versions(runs: Iterable[Run]) -> str:
    """Return each package's versions over all runs."""
    by_package: dict[str, dict[str, None]] = {}
    for run in runs:
        for package, version in run.versions.items():
            by_package.setdefault(package, {})[version or "not installed"] = None
    return (
        ", ".join(f"{package} {' and '.join(versions)}" for package, versions in by_package.items())
        or "unknown"
    )
