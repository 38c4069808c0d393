"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Final

from mtctl import __version__
from mtctl.analysis.export import as_document
from mtctl.engine.provenance import now
from mtctl.report.charts import charts
from mtctl.report.content import Report
from mtctl.report.markup import Markup, data, element, raw
from mtctl.report.sections import Section, render, sections

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
    "chart.js",
    "learning.js",
    "scores.js",
    "sharing.js",
    "main.js",
)
"""In this order they are one script."""
_HEAD: Final = 2_000
"""Bytes within which a page says what made it."""


def page(report: Report) -> str:
    """Return the page's HTML.

    Raises:
        MtctlError: a run's file is corrupt.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="generator", content=GENERATOR),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", report.heading),
        element("style", raw(_assets(_STYLES))),
    )
    shown = sections(report)
    body = element(
        "body",
        element("a", "Skip to the verdicts", href="#summary", class_="skip"),
        _header(report, shown),
        element("main", (render(section, report) for section in shown), id="main"),
        element("footer", element("p", f"Written by mtctl {__version__} at {now()}.")),
        data("comparison", as_document(report.comparison, report.study)),
        data("charts", charts(report.comparison, report.read)),
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


def _assets(names: Iterable[str]) -> str:
    folder = resources.files("mtctl.report") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _header(report: Report, shown: Iterable[Section]) -> Markup:
    links = (element("li", element("a", each.short, href=f"#{each.name}")) for each in shown)
    theme = element("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True)
    return element(
        "header",
        element("p", "mtctl report", class_="brand"),
        element("h1", report.heading),
        element("p", report.lead, class_="lead"),
        element("nav", element("ul", links), theme, aria_label="Contents"),
    )
