"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from mtctl.analysis.page.diagnosis import diagnosis
from mtctl.analysis.page.markup import Child, Markup, data, element, raw
from mtctl.analysis.page.parts import Report
from mtctl.analysis.page.summary import summary
from mtctl.analysis.page.tables import table

GENERATOR: Final = "mtctl report"
"""What the page says of itself; see `is_report`."""
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing is loaded and nothing is sent."""
_STYLES: Final = ("theme.css", "page.css", "charts.css", "print.css")
_SCRIPTS: Final = (
    "data.js",
    "dom.js",
    "scales.js",
    "reader.js",
    "lines.js",
    "intervals.js",
    "heatmap.js",
    "controls.js",
    "main.js",
)
"""In this order they are one script."""
_HEAD: Final = 2_000
"""Bytes within which a page says what made it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its name in addresses, its heading, its name in the list of contents, its content."""

    name: str
    heading: str
    short: str
    content: Callable[[Report], Iterable[Child]]


def page(report: Report) -> str:
    """Return the page's HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="generator", content=GENERATOR),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", report.title),
        element("style", raw(_assets(_STYLES))),
    )
    shown = [section for section in _SECTIONS if section.name != "diagnosis" or _diagnosed(report)]
    body = element(
        "body",
        element("a", "Skip to the verdicts", href="#summary", class_="skip"),
        _header(report, shown),
        element("main", (_section(section, report) for section in shown), id="main"),
        element("footer", element("p", report.written)),
        data("comparison", report.comparison),
        data("charts", report.charts),
        element("script", raw(f'"use strict";\n{{\n{_assets(_SCRIPTS)}}}\n')),
    )
    return f'<!doctype html>\n<html lang="en">{head}\n{body}</html>\n'


def is_report(path: Path) -> bool:
    """Say whether a file is a page that was written here, which may be written anew.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return f'name="generator" content="{GENERATOR}"'.encode() in file.read(_HEAD)


def _diagnosed(report: Report) -> bool:
    return bool(report.runs_diagnosed or report.files_diagnosed)


def _assets(names: Iterable[str]) -> str:
    folder = resources.files("mtctl.analysis.page") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _header(report: Report, shown: Iterable[Section]) -> Markup:
    links = (element("li", element("a", each.short, href=f"#{each.name}")) for each in shown)
    theme = element("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True)
    return element(
        "header",
        element("p", "mtctl report", class_="brand"),
        element("h1", report.title),
        element("p", report.lead, class_="lead"),
        element("nav", element("ul", links), theme, aria_label="Contents"),
    )


def _section(section: Section, report: Report) -> Markup:
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


def _curves(report: Report) -> Iterable[Child]:
    yield _chart(
        "learning",
        "Learning curves",
        "Means over seeds with 95 % t intervals, at every evaluation during training; a method with one seed "
        "has no interval. Training episodes and losses are means over 50 stretches of the training.",
    )


def _scores(report: Report) -> Iterable[Child]:
    yield _chart(
        "task-scores",
        "Scores by task",
        "Means over seeds with 95 % t intervals; the line is the baseline's mean.",
    )
    yield _chart(
        "profiles",
        "Performance profiles",
        "The share of runs and tasks that score above τ, with stratified bootstrap 95 % intervals: a curve "
        "above another all along is better at every level.",
    )


def _sharing(report: Report) -> Iterable[Child]:
    yield _chart(
        "weights",
        "Weights of the tasks",
        "Mean over seeds in 50 stretches of the training; every panel has its own vertical scale.",
    )
    yield _chart(
        "conflicts",
        "Conflicts between gradients",
        "The share of pairs of tasks whose gradients oppose each other, mean over seeds in 50 stretches of "
        "the training.",
    )


def _recipes(report: Report) -> Iterable[Child]:
    if report.recipes is None:
        yield element("p", "There is nothing to tell: no key differs between recipes that can be read.")
    else:
        yield table(report.recipes)
    if report.recipe_remarks:
        yield element("ul", (element("li", each) for each in report.recipe_remarks), class_="quiet")


def _tables(report: Report) -> Iterable[Child]:
    return map(table, report.tables)


def _method(report: Report) -> Iterable[Child]:
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
