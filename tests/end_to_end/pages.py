"""A report in a browser, and what happens there."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.browser import PATIENCE_MS
from tests.history.runs_factory import TASKS, scores, write_run, write_training

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = ("</script><script>hacked=1</script>", "<img src=x onerror=hacked=2>", "<!--<script>'\"&amp;")
METHODS = ("shared_aware", "gradnorm_blind", "one_seed", *HOSTILE)
CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) known.set(colour, painted(colour));
    return known.get(colour);
  };
  const painted = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (node) => {
    if (!node) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
  };
  const light = ([r, g, b]) => {
    const part = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const texts = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || ["SCRIPT", "NOSCRIPT"].includes(node.tagName)) continue;
    if (!node.checkVisibility() || node.closest(".unseen")) continue;
    const style = getComputedStyle(node);
    const colour = rgba(node instanceof SVGElement ? style.fill : style.color);
    const below = ground(node);
    texts.push([ratio(over(colour, below), below), walk.currentNode.data.trim().slice(0, 40)]);
  }
  const page = ground(document.body);
  const drawn = [...document.querySelectorAll(".curve, .whisker")];
  const lines = drawn.map((node) => ratio(rgba(getComputedStyle(node).stroke), page));
  return { texts, lines };
}
"""


@dataclass
class Seen:
    """A page and what happened on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def json(self, name: str) -> Any:
        return json.loads(self.page.locator(f"#{name}").text_content() or "")

    def plot(self, chart: str, number: int = 0) -> Locator:
        return self.page.locator(f"#{chart} .plot").nth(number)

    def button(self, place: str, name: str) -> Locator:
        return self.page.locator(place).get_by_role("button", name=name, exact=True)


def write_runs(root: Path) -> None:
    """Write the runs of six methods: hostile names, one seed, a run that is left out."""
    rng = random.Random(0)
    for number, name in enumerate(METHODS):
        for seed in range(1 if name == "one_seed" else 3):
            means = {task: 150 + 20 * number + rng.gauss(0, 8) for task in TASKS}
            returns = {task: scores(mean, (task,))[task] for task, mean in means.items()}
            run = write_run(root, f"method{number}", seed, returns=returns)
            document = json.loads((run / "run.json").read_text())
            document |= {"name": name, "command": f"mtctl train {name} \u2028 \x1b[2J"}
            (run / "run.json").write_text(json.dumps(document))
            write_training(run, [30 * part + 5 * seed - 60 + number for part in range(5)], every=20)
    write_run(root, "unfinished", status="interrupted", budget={"done": 312})


def load(browser: Browser, report: Path, **settings: Any) -> Seen:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **settings})
    page.set_default_timeout(PATIENCE_MS)
    seen = Seen(page)
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(report.as_uri())
    return seen
