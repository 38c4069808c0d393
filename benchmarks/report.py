"""What `mtctl report` costs: writing the page of many runs, its size, and how soon a browser has drawn it.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.report [--json PATH] [--quick]

The runs are those of benchmarks.comparison, made up with files as `mtctl train` writes them. Writing is a
process of its own, so that starting Python and importing mtctl count. Drawing is from the beginning of the
navigation until the script has drawn every chart, in the Chromium on PATH without a window, every load in a
new context; printed are medians and the longest. At first at most eight methods are shown: what it takes to
draw all of them again is measured by a press of the button that shows them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from benchmarks.browser import MISSING, PATIENCE_MS, find_browser, opened
from benchmarks.comparison import Size, make_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECONDS: Final = 2.0
"""Within which a page of twenty methods is drawn."""
FULL: Final = (
    Size(recipes=20, seeds=1, episodes=1500, repeats=9),
    Size(recipes=20, seeds=5, episodes=1500, repeats=9),
)
QUICK: Final = (Size(recipes=2, seeds=2, episodes=100, repeats=1),)
_DRAWN: Final = "performance.getEntriesByName('drawn')[0].startTime / 1000"
_REDRAWN: Final = """
() => {
  const all = [...document.querySelectorAll("#curves .plain")].find((each) => each.textContent === "all");
  const start = performance.now();
  all.click();
  document.body.getBoundingClientRect();
  return (performance.now() - start) / 1000;
}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a page took.

    Args:
        runs: that it is about.
        methods: that they are grouped into.
        written: seconds of the command.
        kilobytes: the page's size.
        drawn: seconds from the beginning of the navigation until all charts are drawn, the median over loads;
            None without a browser.
        longest: of these loads.
        redrawn: seconds to draw all methods in all charts, layout included, the median; None likewise.
    """

    runs: int
    methods: int
    written: float
    kilobytes: float
    drawn: float | None
    longest: float | None
    redrawn: float | None


def measure(size: Size, browser: Browser | None) -> Cost:
    """Write a page and load it several times."""
    with tempfile.TemporaryDirectory(prefix="mtctl-report-") as folder:
        root, page = Path(folder) / "results", Path(folder) / "report.html"
        make_runs(root, size)
        command = [sys.executable, "-m", "mtctl", "report", str(root), "-o", str(page)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        written = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr)
        loads = [] if browser is None else [_load(browser, page) for _ in range(size.repeats)]
        drawn, redrawn = [each for each, _ in loads], [each for _, each in loads]
        return Cost(
            runs=size.recipes * size.seeds,
            methods=size.recipes,
            written=written,
            kilobytes=page.stat().st_size / 1e3,
            drawn=statistics.median(drawn) if drawn else None,
            longest=max(drawn, default=None),
            redrawn=statistics.median(redrawn) if redrawn else None,
        )


def _load(browser: Browser, page: Path) -> tuple[float, float]:
    """Return the seconds until a page is drawn, and until all its methods are."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    try:
        loaded = context.new_page()
        loaded.goto(page.as_uri())
        return float(loaded.evaluate(_DRAWN)), float(loaded.evaluate(_REDRAWN))
    finally:
        context.close()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    parser.add_argument(
        "--quick", action="store_true", help="a few runs only: shows that it runs, measures nothing"
    )
    options = parser.parse_args(arguments)
    sizes, path = QUICK if options.quick else FULL, find_browser()
    if path is None:
        print(f"drawing is not measured: {MISSING}", file=sys.stderr)
        costs = [measure(size, None) for size in sizes]
    else:
        with opened(path) as browser:
            costs = [measure(size, browser) for size in sizes]
    Console(width=160).print(_table(costs, sizes))
    if options.json is not None:
        from benchmarks.learner import environment  # noqa: PLC0415 torch takes seconds to import

        document = {**environment(), "bars": {"seconds": SECONDS}, "costs": list(map(asdict, costs))}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _table(costs: list[Cost], sizes: tuple[Size, ...]) -> Table:
    table = Table(title=f"Reports on runs of {sizes[0].episodes:,} episodes", title_justify="left")
    headers = (
        "runs",
        "methods",
        "written in s",
        "kB",
        f"drawn in s (≤ {SECONDS:g})",
        "longest",
        "all methods in s",
        "met",
    )
    for header in headers:
        table.add_column(header, justify="right")
    for cost in costs:
        seconds = [
            "–" if each is None else f"{each:.2f}" for each in (cost.drawn, cost.longest, cost.redrawn)
        ]
        met = "–" if cost.drawn is None else "yes" if cost.drawn <= SECONDS else "no"
        table.add_row(
            f"{cost.runs}", f"{cost.methods}", f"{cost.written:.1f}", f"{cost.kilobytes:,.0f}", *seconds, met
        )
    return table


if __name__ == "__main__":
    main()
