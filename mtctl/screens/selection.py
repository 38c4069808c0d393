"""What `mtctl eval --checkpoint best` shows besides scores: what the selection did to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mtctl.analysis.selection import AgainstLast, Rescored, Selection, mean_bias
from mtctl.history.formats import RecordedScore, Run
from mtctl.screens.compare import remark
from mtctl.screens.figures import NOTHING, estimates, interval, number
from mtctl.screens.prose import Sentence
from mtctl.screens.tables import Column, StackedTable
from mtctl.statistics import Estimate, Interval, estimate
from mtctl.terminal.console import err, out
from mtctl.text import command_line


def print_selection(run: Run, selection: Selection) -> None:
    """Print what the selection of one run's best checkpoint did."""
    out().print("", selection_table(selection, run), "", sep="\n", crop=False)
    for sentence in selection_sentences(selection, run):
        out().print(Sentence(sentence))
    if selection.last is None:
        command = command_line(["mtctl", "eval", str(run.path)])
        text = f"`{command}` also scores the final policy on the same {run.item}s"
        err().print(remark("hint", "bold cyan", text), soft_wrap=True)


def print_selections(methods: Mapping[str, Sequence[Selection]]) -> None:
    """Print what selection did on average over the seeds of each method."""
    if sum(map(len, methods.values())) > 1:
        out().print("", bias_table(methods), "", sep="\n", crop=False)
    if (sentence := bias_sentence(methods)) is not None:
        out().print(Sentence(sentence))


def selection_table(selection: Selection, run: Run) -> StackedTable:
    """Return what a checkpoint was selected for, and what it scores on fresh items, by task."""
    rows = [*selection.tasks.values(), selection.average]
    return StackedTable(
        f"Selection: best of {_count(selection.evaluations, 'evaluation')} during training, "
        f"at {run.unit} {selection.place:,}",
        Column("task", (*selection.tasks, "average"), text=True),
        [
            Column("selected for", (number(row.recorded) for row in rows)),
            Column("fresh", (number(row.fresh.mean) for row in rows)),
            Column("95 % interval", (interval(row.fresh.interval) for row in rows)),
        ],
        [
            Column("selection bias", (number(row.bias, sign=True) for row in rows)),
            Column("95 % interval", (interval(row.interval, sign=True) for row in rows)),
        ],
    )


def selection_sentences(selection: Selection, run: Run) -> Iterator[str]:
    """Yield what a selection's figures mean."""
    average = selection.average
    yield (
        f"selected for {number(average.recorded)} over {_count(average.items, run.item)} of each task; "
        f"on {average.fresh.n:,} fresh {'one' if average.fresh.n == 1 else 'ones'} "
        f"{number(average.fresh.mean)}: {_meaning(average, run.score)}"
    )
    if selection.ties:
        yield f"{_count(selection.ties, 'later evaluation')} scored the same; the first is kept"
    if not run.is_played:
        yield (
            f"it was selected on the validation {run.item}s, not on the held-out ones: "
            f"a difference between the two splits counts as selection here"
        )
    if selection.last is not None:
        yield _against_last(selection, selection.last, run)


def _meaning(average: Rescored, score: RecordedScore) -> str:
    bias = average.bias if score.higher_is_better else -average.bias
    ends, half = average.interval, average.half_width
    if ends is None or half is None:
        return "one fresh item does not show how much of it was selection"
    amount = f"{number(abs(bias))} ± {number(half)}"
    if ends.low <= 0 <= ends.high:
        return f"the difference, {amount}, may be chance"
    return f"{amount} of it was selection" if bias > 0 else f"it is better than it looked by {amount}"


def _against_last(selection: Selection, last: AgainstLast, run: Run) -> str:
    if last.done == selection.place:
        return "the best checkpoint is the final policy"
    difference_to_last = last.difference
    ends, difference = difference_to_last.interval, number(difference_to_last.mean, sign=True)
    sentence = (
        f"the final policy ({run.unit} {last.done:,}) has {number(last.mean)} on the same {run.item}s: "
        f"best − last is {difference}"
    )
    if ends is None:
        return sentence
    better = (difference_to_last.mean > 0) == run.score.higher_is_better
    verdict = "not distinguishable" if ends.low <= 0 <= ends.high else "better" if better else "worse"
    return f"{sentence} ± {number(difference_to_last.half_width)}, {verdict}"


def bias_table(methods: Mapping[str, Sequence[Selection]]) -> StackedTable:
    """Return each method's selection bias over its seeds: means, and their intervals where there are two."""
    several = list(methods.values())
    return StackedTable(
        "Selection over seeds: means and 95 % intervals over seeds",
        Column("method", methods, text=True),
        [
            Column("seeds", (f"{len(each):,}" for each in several)),
            Column("selected for", _means([[one.average.recorded for one in each] for each in several])),
            Column("fresh", _means([[one.average.fresh.mean for one in each] for each in several])),
        ],
        [
            Column("selection bias", (number(mean_bias(each).mean, sign=True) for each in several)),
            Column("95 % interval", (interval(mean_bias(each).interval, sign=True) for each in several)),
            Column("best − last", (_differences(each) for each in several)),
        ],
    )


def bias_sentence(methods: Mapping[str, Sequence[Selection]]) -> str | None:
    """Say which methods have no interval over seeds."""
    single = [label for label, selections in methods.items() if len(selections) == 1]
    if not single:
        return None
    return f"a mean selection bias needs several seeds; there is one of {', '.join(single)}"


def _means(values: Sequence[Sequence[float]]) -> tuple[str, ...]:
    return estimates([estimate(each) for each in values])


def _differences(selections: Sequence[Selection]) -> str:
    differences = [each.last.difference.mean for each in selections if each.last is not None]
    if len(differences) < len(selections):
        return NOTHING
    over_seeds: Estimate = estimate(differences)
    ends: Interval | None = over_seeds.interval
    return number(over_seeds.mean, sign=True) + ("" if ends is None else f" {interval(ends, sign=True)}")


def _count(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}{'' if number_of == 1 else 's'}"
