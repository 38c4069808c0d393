"""The parts of a report, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mtctl.history.series import MOST_STRETCHES
from mtctl.report.content import Report
from mtctl.report.diagnosed import diagnoses
from mtctl.report.markup import Child, Markup, element
from mtctl.report.method import explanations
from mtctl.report.recipes import recipe_differences
from mtctl.report.tables import table
from mtctl.report.verdicts import verdicts
from mtctl.screens.compare import comparison_tables
from mtctl.screens.compare_training import published_table
from mtctl.screens.figures import NOTHING, duration
from mtctl.screens.tables import Column, StackedTable

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
    content: Callable[[Report], Iterable[Child]]


def sections(report: Report) -> list[Section]:
    """Return the sections of a report: one without content is left out."""
    diagnosed = report.run_diagnoses or report.file_diagnoses
    return [section for section in _SECTIONS if section.name != "diagnosis" or diagnosed]


def render(section: Section, report: Report) -> Markup:
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


def _curves(report: Report) -> Iterable[Child]:
    yield _legend()
    yield _chart(
        "learning",
        "Learning curves",
        "Means over seeds with 95 % t intervals, at every evaluation during training; a method with fewer "
        f"than three seeds has no interval. Training episodes and losses are means over {_STRETCHES} of the "
        "training.",
    )


def _scores(report: Report) -> Iterable[Child]:
    yield _legend()
    yield _chart(
        "task-scores",
        "Scores by task",
        "Means over seeds with 95 % t intervals; the line is the baseline's mean.",
    )
    yield _chart(
        "profiles",
        "Performance profiles",
        "The share of runs and tasks whose normalised score is above τ, with stratified bootstrap 95 % "
        "intervals: a curve that is above another everywhere is better at every level. A task's worst "
        "compared run is 0 and its best is 1.",
    )


def _sharing(report: Report) -> Iterable[Child]:
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


def _recipes(report: Report) -> Iterable[Child]:
    differences, unreadable = recipe_differences(report.comparison.methods, report.comparison.baseline)
    if differences is None:
        yield element("p", "No key differs between the recipes that can be read.")
    else:
        yield table(differences)
    if unreadable:
        yield element("ul", (element("li", each) for each in unreadable), class_="quiet")


def _tables(report: Report) -> Iterable[Child]:
    yield from map(table, comparison_tables(report.comparison))
    if report.study is not None:
        yield table(published_table(report.study))


def _method(report: Report) -> Iterable[Child]:
    explained = explanations(report.comparison, report.runs, report.bootstrap_seed)
    yield element(
        "dl",
        ((element("dt", what), element("dd", how)) for what, how in explained),
        class_="explanations",
    )
    yield element("p", "This page was written by", class_="quiet")
    yield element("p", element("code", report.command, class_="command"))
    yield element("details", element("summary", "The runs"), table(_runs(report)))
    yield element(
        "p",
        "The page carries its figures: the element with the id “comparison” is the document of "
        "`mtctl compare --json`, the one with the id “charts” is what is drawn.",
        class_="quiet",
    )


def _runs(report: Report) -> StackedTable:
    """Return where every figure comes from."""
    runs = report.runs
    return StackedTable(
        "Each run, and the command that trained it",
        Column("run", (str(run.path) for run in runs), text=True),
        [
            Column("seed", (f"{run.seed}" for run in runs)),
            Column("status", (run.status for run in runs), text=True),
            Column(f"{runs[0].unit}s", (f"{run.budget.done:,}" for run in runs)),
            Column("wall clock", (duration(run.seconds.total) for run in runs)),
            Column("started", (run.started or NOTHING for run in runs), text=True),
            Column("recipe", (run.recipe_hash[:12] for run in runs), text=True),
            Column("command", (run.command for run in runs), text=True),
        ],
    )


_SECTIONS: Final = (
    Section("summary", "Verdicts", "Verdicts", verdicts),
    Section("curves", "Learning", "Learning", _curves),
    Section("scores", "Scores", "Scores", _scores),
    Section("sharing", "How tasks share the network", "Sharing", _sharing),
    Section("diagnosis", "Diagnosis", "Diagnosis", diagnoses),
    Section("recipes", "What differs between the recipes", "Recipes", _recipes),
    Section("tables", "All figures", "Figures", _tables),
    Section("method", "How it was computed", "Method", _method),
)
