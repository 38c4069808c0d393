"""The page of `mtctl report` in a browser: what it loads, draws, tells and looks like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.browser import MISSING, find_browser, opened
from tests.end_to_end.command import mtctl
from tests.end_to_end.pages import CONTRASTS, HOSTILE, METHODS, Seen, load, write_runs
from tests.history.runs_factory import TASKS, write_run, write_training

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2 AA."""
LEAST_GRAPHICS = 3.0
"""Of lines, by the same."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Return a page about six methods; see `write_runs`."""
    if find_browser() is None:
        if pytestconfig.getoption("browser_required"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("report")
    write_runs(folder / "results")
    mtctl("report", "results", "--title", HOSTILE[0], cwd=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:
    path = find_browser()
    assert path is not None
    with opened(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def kept(browser: Browser, report: Path) -> Iterator[Seen]:
    seen = load(browser, report)
    yield seen
    seen.page.close()


@pytest.fixture
def seen(kept: Seen, report: Path) -> Iterator[Seen]:
    """Load the page anew; whatever a test does, it asks for nothing else and complains about nothing."""
    # A page that is only reloaded scrolls back to where it was, at any moment after it has loaded: a click
    # that was aimed before that misses.
    kept.page.goto("about:blank")
    kept.requests.clear()
    kept.page.set_viewport_size({"width": 1280, "height": 900})
    kept.page.emulate_media(media="screen")
    kept.page.goto(report.as_uri())
    yield kept
    assert kept.complaints == []
    assert kept.requests == [report.as_uri()]


def test_names_are_text_and_run_nothing(seen: Seen) -> None:
    page = seen.page
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("script").count() == 3
    assert page.locator("img").count() == 0
    assert page.title() == HOSTILE[0]
    assert page.locator("h1").inner_text() == HOSTILE[0]
    names = {each.inner_text() for each in page.locator(".verdicts h3").all()}
    assert names == set(METHODS)
    page.locator("#method details summary").click()
    assert "\\u2028 \\x1b[2J" in page.locator("#method table").inner_text()


def test_the_page_carries_its_figures(seen: Seen) -> None:
    comparison, charts = seen.json("comparison"), seen.json("charts")
    assert {method["label"] for method in comparison["methods"]} == set(METHODS)
    assert [method["label"] for method in charts["methods"]] == [
        each["label"] for each in comparison["methods"]
    ]
    assert seen.page.evaluate("performance.getEntriesByName('drawn').length") == 1


def test_methods_are_shown_and_hidden_everywhere(seen: Seen) -> None:
    curves = seen.page.locator("#learning .panel").first.locator(".curve")
    assert curves.count() == len(METHODS)
    assert seen.page.locator("#task-scores .panel").first.locator(".name").count() == len(METHODS)
    seen.button("#curves .methods", "gradnorm_blind").click()
    assert curves.count() == len(METHODS) - 1
    assert seen.page.locator("#task-scores .panel").first.locator(".name").count() == len(METHODS) - 1
    for section in ("curves", "scores", "sharing"):
        pressed = seen.button(f"#{section} .methods", "gradnorm_blind").get_attribute("aria-pressed")
        assert pressed == "false"
    seen.button("#scores .methods", "none").click()
    assert curves.count() == 0
    assert seen.page.locator("#learning .nothing").is_visible()
    seen.button("#scores .methods", "all").click()
    assert curves.count() == len(METHODS)


def test_tasks_are_shown_and_hidden(seen: Seen) -> None:
    assert seen.page.locator("#learning .panel h4").all_inner_texts() == ["average", *TASKS]
    button = seen.button("#learning .controls", "windy")
    button.focus()
    seen.page.keyboard.press("Space")
    assert seen.page.locator("#learning .panel h4").all_inner_texts() == ["average", "standard", "heavy"]
    weights = seen.page.locator("#weights .panel").first
    assert weights.locator(".curve").count() == 2


def test_what_is_drawn_can_be_chosen(seen: Seen) -> None:
    titles = seen.page.locator("#learning .panel").first.locator("svg > text")
    assert {"episodes", "return"} <= set(titles.all_text_contents())
    seen.button("#learning .controls", "environment steps").click()
    assert "environment steps" in titles.all_text_contents()
    seen.button("#learning .controls", "return of training episodes").click()
    assert {"episodes", "return of training episodes"} <= set(titles.all_text_contents())
    assert seen.page.locator("#learning .panel h4").all_inner_texts() == ["standard"]


def test_intervals_are_shown_and_hidden(seen: Seen) -> None:
    bands = seen.page.locator("#learning .band")
    assert bands.count() > 0
    seen.button("#learning .controls", "95 %").click()
    assert bands.count() == seen.page.locator("#profiles .band").count() == 0
    assert seen.button("#profiles .controls", "95 %").get_attribute("aria-pressed") == "false"
    seen.button("#profiles .controls", "95 %").click()
    assert bands.count() > 0


def test_weights_have_a_logarithmic_scale(seen: Seen) -> None:
    line = seen.page.locator("#weights .panel").first.locator(".curve").first
    before = line.get_attribute("d")
    seen.button("#weights .controls", "logarithmic").click()
    assert line.get_attribute("d") != before
    assert {"1", "2"} <= set(
        seen.page.locator("#weights .panel").first.locator("svg > text").all_text_contents()
    )


def test_the_pointer_shows_values(seen: Seen) -> None:
    plot = seen.plot("learning")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    tip = plot.locator(".tip")
    assert not tip.is_visible()
    seen.page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 60)
    text = tip.inner_text()
    assert "100 episodes" in text
    line = next(each for each in seen.json("charts")["methods"] if each["label"] == "gradnorm_blind")
    part = line["evaluations"]["parts"][0]
    shown = "gradnorm_blind {:.1f} [{:.1f}, {:.1f}]".format(
        part["mean"][-1], part["low"][-1], part["high"][-1]
    )
    assert shown.replace("-", "\u2212") in " ".join(text.split())
    seen.page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_keys_tell_values(seen: Seen) -> None:
    plot = seen.plot("learning", 1)
    plot.focus()
    seen.page.keyboard.press("ArrowRight")
    assert "20 episodes" in plot.locator(".tip").inner_text()
    seen.page.keyboard.press("ArrowRight")
    spoken = seen.page.locator("#spoken").text_content() or ""
    assert spoken.startswith("40 episodes. ")
    assert all(name in spoken for name in METHODS)
    seen.page.keyboard.press("End")
    assert "100 episodes" in plot.locator(".tip").inner_text()
    seen.page.keyboard.press("Escape")
    assert not plot.locator(".tip").is_visible()


def test_keys_lead_through_scores_and_conflicts(seen: Seen) -> None:
    seen.plot("task-scores").focus()
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("ArrowDown")
    second = seen.json("comparison")["methods"][1]
    assert (seen.page.locator("#spoken").text_content() or "").startswith(second["label"])
    seen.plot("conflicts").focus()
    for key in ("ArrowRight", "ArrowDown", "End", "ArrowRight", "ArrowDown", "ArrowUp", "Home"):
        seen.page.keyboard.press(key)
    told = seen.page.locator("#spoken").text_content() or ""
    assert "0 to 2 % of training. conflicting pairs: " in told


def test_one_seed_has_no_interval(seen: Seen) -> None:
    seen.button("#curves .methods", "none").click()
    seen.button("#curves .methods", "one_seed").click()
    assert seen.page.locator("#learning .curve").count() == 4
    assert seen.page.locator("#learning .band, #profiles .band, #task-scores .whisker").count() == 0
    seen.plot("learning").focus()
    seen.page.keyboard.press("End")
    assert "[" not in seen.plot("learning").locator(".tip").inner_text()


def test_charts_have_tables(seen: Seen) -> None:
    for chart in ("learning", "task-scores", "profiles", "weights", "conflicts"):
        details = seen.page.locator(f"#{chart} .as-table")
        assert details.locator("table").count() == 0
        details.locator("summary").click()
        table = details.locator("table").first
        table.wait_for()
        assert table.locator("tbody tr").count() > 1
        assert table.locator("thead th").count() > 1
        assert "…" not in table.inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_lines_stand_out(browser: Browser, report: Path, theme: Any) -> None:
    seen = load(browser, report, color_scheme=theme)
    seen.page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    seen.button("#curves .methods", "gradnorm_blind").click()
    seen.plot("learning").focus()
    seen.page.keyboard.press("ArrowRight")
    found = seen.page.evaluate(CONTRASTS)
    seen.page.close()
    assert len(found["texts"]) > 500
    assert [each for each in found["texts"] if each[0] < LEAST_CONTRAST] == []
    assert len(found["lines"]) > 20
    assert min(found["lines"]) >= LEAST_GRAPHICS


def test_the_theme_can_be_chosen(seen: Seen) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(ground) == "rgb(255, 255, 255)"
    button = seen.page.locator("#theme")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    dark = seen.page.evaluate(ground)
    assert dark != "rgb(255, 255, 255)"
    seen.page.emulate_media(media="print")
    assert seen.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert not seen.page.locator("nav").is_visible()


def test_without_a_script_verdicts_and_tables_are_there(browser: Browser, report: Path) -> None:
    seen = load(browser, report, java_script_enabled=False)
    page = seen.page
    assert page.locator(".verdicts li").count() == len(METHODS)
    assert (
        page.get_by_text("It is not distinguishable from")
        .or_(page.get_by_text("It is better than"))
        .first.is_visible()
    )
    assert page.locator("#tables table").count() >= 5
    assert page.locator("#learning noscript").is_visible()
    assert not page.locator("#theme").is_visible()
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_runs_over_the_edge(browser: Browser, report: Path, width: int) -> None:
    seen = load(browser, report, viewport={"width": width, "height": 700})
    wide = seen.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    seen.plot("learning").focus()
    seen.page.keyboard.press("End")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    box = seen.plot("learning").locator(".tip").bounding_box()
    seen.page.close()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_a_page_that_changes_its_width_is_drawn_anew(seen: Seen) -> None:
    drawing = seen.plot("profiles").locator("svg").first
    before = drawing.get_attribute("viewBox")
    seen.page.set_viewport_size({"width": 500, "height": 800})
    seen.page.wait_for_function(
        "(was) => document.querySelector('#profiles .plot svg').getAttribute('viewBox') !== was", arg=before
    )


def test_extremes_are_drawn(browser: Browser, tmp_path: Path) -> None:
    """Huge scores, tiny ones, all the same, lower is better, one task; hardly any records, and none."""
    for name, value in {"huge": 1e100, "tiny": 1e-100, "zero": 0.0, "negative": -1e100}.items():
        for seed in range(2):
            returns = {"standard": (value, value * (seed + 1) / 2)}
            run = write_run(
                tmp_path / "results",
                name,
                seed,
                tasks=("standard",),
                returns=returns,
                score={"higher_is_better": False, "success": None},
            )
            if name == "tiny":
                (run / "metrics.jsonl").unlink()
            if name == "huge":
                write_training(run, [value, -value], every=1)
    mtctl("report", "results", cwd=tmp_path)
    seen = load(browser, tmp_path / "report.html")
    assert "above another everywhere" in seen.page.locator("#scores").inner_text()
    for chart in ("learning", "task-scores", "profiles", "conflicts"):
        seen.plot(chart).focus()
        for key in ("ArrowRight", "End"):
            seen.page.keyboard.press(key)
        assert seen.plot(chart).locator(".tip").is_visible()
        assert "NaN" not in seen.page.locator(f"#{chart} .panels").inner_text()
        assert "NaN" not in seen.page.locator(f"#{chart} .panels").inner_html()
    seen.page.close()
    assert seen.complaints == []


def test_assistive_technology_is_told_what_there_is(seen: Seen) -> None:
    page = seen.page
    named = "button, a, summary, nav, [role=img], [role=application], [role=region], [role=group]"
    told = "(all) => all.map((each) => (each.getAttribute('aria-label') || each.textContent).trim())"
    assert all(page.locator(named).evaluate_all(told))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert (
        page.locator("main").count() == page.locator("header").count() == page.locator("footer").count() == 1
    )
    assert page.locator("html").get_attribute("lang") == "en"


def test_focus_is_seen_and_the_first_stop_skips_the_contents(seen: Seen) -> None:
    seen.page.keyboard.press("Tab")
    focus = "getComputedStyle(document.activeElement).outlineStyle + document.activeElement.textContent"
    assert seen.page.evaluate(focus) == "solidSkip to the verdicts"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "summary"


def test_who_wants_no_motion_gets_none(browser: Browser, report: Path) -> None:
    seen = load(browser, report, reduced_motion="reduce")
    assert seen.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    seen.page.close()
