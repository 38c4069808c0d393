"""The head of a report: figures, a verdict for each method, and what to be careful about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mtctl.report.markup import Child, Markup, element
from mtctl.report.parts import Fact, Kind, Page, Remark, Verdict
from mtctl.report.tables import figure, name, table

WORDS: Final[dict[Kind, tuple[str, str]]] = {
    "baseline": ("●", "baseline"),
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "unclear": ("≈", "not distinguishable"),
    "none": ("○", "no verdict"),
}
_WIDTH: Final = 200
_HEIGHT: Final = 22
_MARGIN: Final = 6
_LARGE: Final = 1e9
"""From here on numbers are written in powers of ten, as on the screens."""


def summary(report: Page) -> Iterable[Child]:
    """Yield the figures, the verdicts, and what to be careful about."""
    yield element("dl", map(_fact, report.facts), class_="facts")
    yield from _cautions(report)
    if report.difference:
        heads = ("method", "verdict", "average", report.difference)
        yield element("p", (element("span", head) for head in heads), class_="heads", aria_hidden="true")
    yield element("ol", _verdicts(report.verdicts, report.difference), class_="verdicts")
    if report.left_out:
        count = len(report.left_out)
        yield _caution(f"{count} {'run was' if count == 1 else 'runs were'} left out", report.left_out)
    yield from _notes(report)


def _fact(fact: Fact) -> Markup:
    return element(
        "div",
        element("dt", fact.name),
        element(
            "dd", element("span", figure(fact.value), class_="value"), element("small", figure(fact.note))
        ),
    )


def _verdicts(verdicts: Sequence[Verdict], difference: str) -> Iterable[Markup]:
    ends = [0.0, *(end for each in verdicts for end in (each.low, each.mean, each.high) if end is not None)]
    low, high = min(ends), max(ends)
    for each in verdicts:
        mark, word = WORDS[each.kind]
        badge = element(
            "span", element("span", mark, aria_hidden="true"), " ", word, class_=f"badge {each.kind}"
        )
        bar = _interval(each, low, high, difference) if difference else None
        yield element(
            "li",
            element("h3", name(each.label)),
            element("p", badge if difference else None, class_="which"),
            element("p", figure(each.average), class_="average"),
            element("div", bar, class_="bar"),
            element("p", figure(each.sentence), class_="sentence"),
        )


def _interval(verdict: Verdict, low: float, high: float, difference: str) -> Markup | None:
    """Return the difference and its interval on a scale that all methods share, with a line at none."""
    span = high - low
    if verdict.mean is None or not 0 < span < float("inf"):
        return None

    def place(value: float) -> str:
        return f"{_MARGIN + (value - low) / span * (_WIDTH - 2 * _MARGIN):.1f}"

    middle = f"{_HEIGHT / 2:g}"
    band = (
        element("line", x1=place(verdict.low), x2=place(verdict.high), y1=middle, y2=middle, class_="whisker")
        if verdict.low is not None and verdict.high is not None
        else None
    )
    return element(
        "svg",
        element("line", x1=place(0), x2=place(0), y1="0", y2=f"{_HEIGHT}", class_="zero"),
        band,
        element("circle", cx=place(verdict.mean), cy=middle, r="4", class_="dot"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{difference}: {_told(verdict)}",
        class_=verdict.kind,
    )


def _cautions(report: Page) -> Iterable[Markup]:
    if report.mismatch is not None:
        yield element(
            "div",
            element("h3", "These runs measure different things"),
            element(
                "p", "The tasks in common are compared because --allow-mismatch was given: read with care."
            ),
            table(report.mismatch),
            class_="caution severe",
            role="note",
        )
    if report.warnings:
        yield _caution("Read with care", (Remark(warning) for warning in report.warnings))


def _caution(title: str, remarks: Iterable[Remark]) -> Markup:
    items = (
        element("li", each.sentence, element("code", each.remedy, class_="command") if each.remedy else None)
        for each in remarks
    )
    return element("div", element("h3", title), element("ul", items), class_="caution", role="note")


def _notes(report: Page) -> Iterable[Markup]:
    if report.notes:
        items = (element("li", note) for note in report.notes)
        yield element("div", element("h3", "Notes"), element("ul", items), class_="notes")


def _told(verdict: Verdict) -> str:
    mean, low, high = (_number(end) for end in (verdict.mean, verdict.low, verdict.high))
    return f"{mean}, without an interval" if verdict.low is None else f"{mean}, 95 % interval {low} to {high}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return figure(f"{value:,.1f}" if abs(value) < _LARGE else f"{value:.3g}")
