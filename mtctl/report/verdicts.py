"""The head of a report: figures, a verdict for each method, and what to be careful about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.methods import ComparedMethod, Difference
from mtctl.report.content import Report
from mtctl.report.markup import Child, Markup, element
from mtctl.report.tables import figure, name, table
from mtctl.screens.compare import mismatch_table
from mtctl.screens.figures import NOTHING, estimate_text, interval, number
from mtctl.screens.verdict import p_value

_KINDS: Final = {
    "baseline": ("●", "baseline"),
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "unclear": ("≈", "not distinguishable"),  # the difference may be chance
    "none": ("○", "no verdict"),  # too few seeds to say
}
"""A verdict's mark and words."""
_WIDTH: Final = 200
_HEIGHT: Final = 22
_MARGIN: Final = 6
_LARGE: Final = 1e9
"""From here on numbers are written in powers of ten, as on the screens."""


def verdicts(report: Report) -> Iterable[Child]:
    """Yield the figures, the verdicts, and what to be careful about."""
    comparison = report.comparison
    difference = f"difference to {comparison.baseline}" if len(comparison.methods) > 1 else ""
    yield element("dl", _facts(comparison, len(report.runs)), class_="facts")
    yield from _cautions(comparison)
    if difference:
        heads = ("method", "verdict", "average", difference)
        yield element("p", (element("span", head) for head in heads), class_="heads", aria_hidden="true")
    yield element("ol", _verdicts(comparison, difference), class_="verdicts")
    if left_out := comparison.left_out:
        title = f"{len(left_out)} {'run was' if len(left_out) == 1 else 'runs were'} left out"
        yield _caution(title, ((f"{each.run.path} {each.reason}", each.remedy) for each in left_out))
    notes = (*comparison.notes, *(report.study.notes(comparison.tasks) if report.study else ()))
    if notes:
        items = (element("li", note) for note in notes)
        yield element("div", element("h3", "Notes"), element("ul", items), class_="notes")


def _facts(comparison: Comparison, runs: int) -> Iterable[Markup]:
    methods = comparison.methods
    several = len(methods) > 1
    yield _fact("best average" if several else "average", estimate_text(methods[0].average), methods[0].label)
    if several:
        baseline = next(each for each in methods if each.label == comparison.baseline)
        yield _fact("baseline", estimate_text(baseline.average), baseline.label)
        kinds = [_kind(method) for method in methods]
        words = {
            "better": "better",
            "worse": "worse",
            "unclear": "not distinguishable",
            "none": "without verdict",
        }
        outcomes = ", ".join(f"{kinds.count(kind)} {word}" for kind, word in words.items() if kind in kinds)
        yield _fact("methods", f"{len(methods):,}", outcomes)
    fewest, most = (pick(len(each.seeds) for each in methods) for pick in (min, max))
    seeds = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    in_all = "1 run in all" if runs == 1 else f"{runs:,} runs in all"
    yield _fact("seeds of each method" if several else "seeds", seeds, in_all)


def _fact(title: str, value: str, note: str) -> Markup:
    figures = element("dd", element("span", figure(value), class_="value"), element("small", figure(note)))
    return element("div", element("dt", title), figures)


def _kind(method: ComparedMethod) -> str:
    if method.verdict in _KINDS:
        return method.verdict
    return "none" if method.difference is None or method.difference.p_value is None else "unclear"


def _verdicts(comparison: Comparison, difference: str) -> Iterable[Markup]:
    known = [each.difference for each in comparison.methods if each.difference is not None]
    bands = [each.interval for each in known if each.interval is not None]
    ends = [0.0, *(each.mean for each in known), *(end for band in bands for end in (band.low, band.high))]
    for method in comparison.methods:
        kind = _kind(method)
        mark, word = _KINDS[kind]
        badge = element("span", element("span", mark, aria_hidden="true"), " ", word, class_=f"badge {kind}")
        bar = _interval(method.difference, kind, min(ends), max(ends), difference) if difference else None
        average = f"{estimate_text(method.average)} {comparison.score.name}"
        yield element(
            "li",
            element("h3", name(method.label)),
            element("p", badge if difference else None, class_="which"),
            element("p", figure(average), class_="average"),
            element("div", bar, class_="bar"),
            element("p", figure(_sentence(comparison, method)), class_="sentence"),
        )


def _interval(difference: Difference | None, kind: str, low: float, high: float, what: str) -> Markup | None:
    """Return the difference and its interval on a scale that all methods share, with a line at none."""
    span = high - low
    if difference is None or not 0 < span < float("inf"):
        return None

    def place(value: float) -> str:
        return f"{_MARGIN + (value - low) / span * (_WIDTH - 2 * _MARGIN):.1f}"

    middle, mean, ends = f"{_HEIGHT / 2:g}", _number(difference.mean), difference.interval
    band, told = None, f"{mean}, without an interval"
    if ends is not None:
        x1, x2 = place(ends.low), place(ends.high)
        band = element("line", x1=x1, x2=x2, y1=middle, y2=middle, class_="whisker")
        told = f"{mean}, 95 % interval {_number(ends.low)} to {_number(ends.high)}"
    return element(
        "svg",
        element("line", x1=place(0), x2=place(0), y1="0", y2=f"{_HEIGHT}", class_="zero"),
        band,
        element("circle", cx=place(difference.mean), cy=middle, r="4", class_="dot"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{what}: {told}",
        class_=kind,
    )


def _number(value: float) -> str:
    return figure(f"{value:,.1f}" if abs(value) < _LARGE else f"{value:.3g}")


def _sentence(comparison: Comparison, method: ComparedMethod) -> str:
    """Say in one sentence what is to be made of a method."""
    difference, baseline, seeds = method.difference, comparison.baseline, len(method.seeds)
    if difference is None:
        over = "one seed, so it has no interval" if seeds == 1 else f"{seeds:,} seeds"
        compared = " The others are compared with it." if len(comparison.methods) > 1 else ""
        return f"Measured with {over}.{compared}"
    by = f"{number(difference.mean, sign=True)} {comparison.score.name} on average"
    if difference.p_value is None:
        common = "one seed" if difference.common_seeds else "no seed"
        return f"It differs from {baseline} by {by}; with {common} in common, that may be chance."
    chance = p_value(difference.adjusted)
    chance = f"p {chance}" if chance.startswith(("<", NOTHING)) else f"p = {chance}"
    figures = f"{by}, 95 % interval {interval(difference.interval, sign=True)}, {chance}"
    if difference.found:
        return f"It is {method.verdict} than {baseline}: {figures}, with {difference.common_seeds:,} seeds."
    needed = method.verdict.partition(", ")[2]
    seeds_used = f"{difference.common_seeds:,} seeds"
    return f"It is not distinguishable from {baseline} with {seeds_used}: {figures}; {needed}."


def _cautions(comparison: Comparison) -> Iterable[Markup]:
    if comparison.mismatches:
        yield element(
            "div",
            element("h3", "These runs measure different things"),
            element(
                "p", "The tasks in common are compared because --allow-mismatch was given: read with care."
            ),
            table(mismatch_table(comparison.mismatches)),
            class_="caution severe",
            role="note",
        )
    if comparison.warnings:
        yield _caution("Read with care", ((warning, None) for warning in comparison.warnings))


def _caution(title: str, remarks: Iterable[tuple[str, str | None]]) -> Markup:
    """Return sentences, each with the command that mends what it is about, if one does."""
    items = (
        element("li", sentence, element("code", remedy, class_="command") if remedy else None)
        for sentence, remedy in remarks
    )
    return element("div", element("h3", title), element("ul", items), class_="caution", role="note")
