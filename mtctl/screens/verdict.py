"""What `mtctl compare` says first: who is better, by how much, decided or not, with how many seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.methods import ComparedMethod, Difference
from mtctl.screens.compare_seeds import one_more_run_text
from mtctl.screens.figures import NOTHING, estimate_text, estimates, number
from mtctl.screens.prose import Sentence
from mtctl.screens.tables import Column, StackedTable
from mtctl.statistics import Estimate

_MOST_NAMED: Final = 5
"""Methods that a sentence names; the table below has all."""
_SMALLEST_P: Final = 0.001
"""Below, a p value is only said to be smaller: a t test's far tails mean little with few seeds."""
_KINDS: Final = (
    ("better", "better than", "✔", "green"),
    ("worse", "worse than", "✘", "red"),
    ("undecided", "undecided against", "?", "yellow"),
    ("no verdict", "no verdict against", "?", "yellow"),
)


def verdict_sentences(comparison: Comparison) -> Iterator[Sentence]:
    """Yield a sentence for each kind of verdict: better first, undecided last."""
    if len(comparison.methods) == 1:
        (method,) = comparison.methods
        seeds = _count(len(method.seeds))
        yield Sentence(
            f"one method, so nothing to compare it with: {method.label} has an average "
            f"{comparison.score.name} of {estimate_text(method.average)} ({seeds})"
        )
        if further := one_more_run_text(method):
            yield Sentence(further)
    for kind, words, mark, style in _KINDS:
        methods = [method for method in comparison.methods if verdict_word(method) == kind]
        named = [
            _detail(method.label, method.difference, comparison.score.name, decided=mark != "?")
            for method in methods[:_MOST_NAMED]
            if method.difference is not None
        ]
        if more := len(methods) - len(named):
            named.append(f"{more:,} more below")
        if named:
            yield Sentence(f"{words} {comparison.baseline}: {'; '.join(named)}", mark, style)


def _detail(label: str, difference: Difference, score: str, *, decided: bool) -> str:
    seeds = difference.common_seeds
    over = _count(seeds) if seeds else "no seed in common"
    if decided:
        chance = p_value(difference.adjusted)
        chance = f"p {chance}" if chance.startswith("<") else f"p = {chance}"
        return f"{label} by {number(abs(difference.mean))} {score} ({over}, {chance})"
    if difference.p_value is not None:
        over += f", {_needed(difference)} would be needed"
    return f"{label} {number(difference.mean, sign=True)} {score} ({over})"


def _needed(difference: Difference) -> str:
    wanted = difference.seeds_wanted
    return "more than 1,000" if wanted is None else f"about {wanted:,}"


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds:,} seeds"


def verdict_word(method: ComparedMethod) -> str:
    """Return the verdict in a word or two: a cell of a table."""
    difference = method.difference
    if difference is None or difference.found:
        return method.verdict
    return "no verdict" if difference.p_value is None else "undecided"


def verdict_table(comparison: Comparison, names: Column) -> StackedTable:
    """Return averages, differences to the baseline and verdicts."""
    methods = comparison.methods
    differences = [method.difference for method in methods]
    adjusted = [None if each is None else each.adjusted for each in differences]
    tested = any(p is not None for p in adjusted)
    title = f"Average {comparison.score.name}, and the difference to {comparison.baseline} paired by seed"
    return StackedTable(
        f"{title}: ± 95 % interval, p by Holm's method" if tested else title,
        names,
        [
            Column("seeds", (f"{len(method.seeds):,}" for method in methods)),
            Column("average", estimates([method.average for method in methods])),
            Column("difference", estimates(_estimates(differences), sign=True)),
            *([Column("p", map(p_value, adjusted))] if tested else []),
            Column("verdict", map(verdict_word, methods), text=True),
        ],
    )


def _estimates(differences: Sequence[Difference | None]) -> list[Estimate | None]:
    return [
        None if each is None else Estimate(each.common_seeds, each.mean, None, each.interval)
        for each in differences
    ]


def p_value(value: float | None) -> str:
    """Return a p value, or that it is too small to be told."""
    if value is None:
        return NOTHING
    return f"< {_SMALLEST_P:g}" if value < _SMALLEST_P else f"{value:.3f}"
