"""The parts of a report, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mtctl.history.series import MOST_STRETCHES
from mtctl.report.diagnosis import diagnosis
from mtctl.report.markup import Child, Markup, element
from mtctl.report.parts import Page
from mtctl.report.summary import summary
from mtctl.report.tables import table

_STRETCHES: Final = f"at most {MOST_STRETCHES} stretches"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Args:
        name: its address.
        heading: its heading.
        short: its name in the list of contents.
        content: what is in it.
    """

    name: str
    heading: str
    short: str
    content: Callable[[Page], Iterable[Child]]


def sections(report: Page) -> list[Section]:
    """Return the sections of a report: one without content is left out."""
    diagnosed = report.runs_diagnosed or report.files_diagnosed
    return [section for section in _SECTIONS if section.name != "diagnosis" or diagnosed]


def render(section: Section, report: Page) -> Markup:
    """Return a section's HTML."""
    heading = f"{section.name}-heading"
    return element(
        "section",
        element("h2", section.heading, id=heading),
        section.content(report),
        id=section.name,
        aria_labelledby=heading,
        tabindex="-1",
    )


def _chart(name: str, title: str, about: str) -> Markup:
    """Return the place of a chart, which the script fills."""
    return element(
        "figure",
        element("figcaption", element("h3", title), element("p", about, class_="quiet")),
        element("div", class_="controls"),
        element("div", class_="panels"),
        element(
            "noscript", element("p", "This chart is drawn by a script; the tables below have its figures.")
        ),
        id=name,
        class_="chart",
    )


def _legend() -> Markup:
    """Return the place of the buttons that choose methods, for all charts of a section."""
    return element("div", class_="controls methods")


def _curves(report: Page) -> Iterable[Child]:
    yield _legend()
    yield _chart(
        "learning",
        "Learning curves",
        "Means over seeds with 95 % t intervals, at every evaluation during training; a method with one seed "
        f"has no interval. Training episodes and losses are means over {_STRETCHES} of the training.",
    )


def _scores(report: Page) -> Iterable[Child]:
    higher = report.comparison["score"]["higher_is_better"]
    yield _legend()
    yield _chart(
        "task-scores",
        "Scores by task",
        "Means over seeds with 95 % t intervals; the line is the baseline's mean.",
    )
    yield _chart(
        "profiles",
        "Performance profiles",
        "The share of runs and tasks that score above τ, with stratified bootstrap 95 % intervals: a curve "
        f"that is {'above' if higher else 'below'} another everywhere is better at every level.",
    )


def _sharing(report: Page) -> Iterable[Child]:
    yield _legend()
    yield _chart(
        "weights",
        "Weights of the tasks",
        f"Mean over seeds in {_STRETCHES} of the training; every panel has its own vertical scale.",
    )
    yield _chart(
        "conflicts",
        "Conflicts between gradients",
        "The share of pairs of tasks whose gradients oppose each other, mean over seeds in "
        f"{_STRETCHES} of the training.",
    )


def _recipes(report: Page) -> Iterable[Child]:
    if report.recipes is None:
        yield element("p", "No key differs between the recipes that can be read.")
    else:
        yield table(report.recipes)
    if report.recipe_remarks:
        yield element("ul", (element("li", each) for each in report.recipe_remarks), class_="quiet")


def _tables(report: Page) -> Iterable[Child]:
    return map(table, report.tables)


def _method(report: Page) -> Iterable[Child]:
    yield element(
        "dl",
        ((element("dt", each.what), element("dd", each.how)) for each in report.explanations),
        class_="explanations",
    )
    yield element("p", "This page was written by", class_="quiet")
    yield element("p", element("code", report.command, class_="command"))
    yield element("details", element("summary", "The runs"), table(report.runs))
    yield element(
        "p",
        "The page carries its figures: the element with the id “comparison” is the document of "
        "`mtctl compare --json`, the one with the id “charts” is what is drawn.",
        class_="quiet",
    )


_SECTIONS: Final = (
    Section("summary", "Verdicts", "Verdicts", summary),
    Section("curves", "Learning", "Learning", _curves),
    Section("scores", "Scores", "Scores", _scores),
    Section("sharing", "How tasks share the network", "Sharing", _sharing),
    Section("diagnosis", "Diagnosis", "Diagnosis", diagnosis),
    Section("recipes", "What differs between the recipes", "Recipes", _recipes),
    Section("tables", "All figures", "Figures", _tables),
    Section("method", "How it was computed", "Method", _method),
)
