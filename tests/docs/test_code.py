"""README.md and docs/: all that can be executed is executed, page by page, from top to bottom."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import torch
from torch._functorch import config

import mtctl
from mtctl.balancing.registry import KINDS
from tests.cli.conftest import Command
from tests.cli.conftest import mtctl as here  # noqa: F401 - a fixture
from tests.docs.pages import PAGES, Block, blocks, fences, prose
from tests.docs.reader import Here, Reader, imports_of

NOT_RUN: Final = {
    ("index.md", "installs packages"): 2,
    ("index.md", "needs a diagnosis that has tried remedies"): 1,
    ("logs.md", "starts a server"): 1,
    ("many_runs.md", "needs Ray"): 3,
    ("many_runs.md", "needs Slurm"): 1,
    ("many_runs.md", "needs Slurm, Ray, and a second terminal"): 4,
}
"""How many commands of each page are not executed, and why: as the page says."""

Said = list[tuple[Block, str]]
"""Blocks, and what they have printed."""


@pytest.fixture
def reader(here: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:  # noqa: F811
    for module in ("train_runs", "eval_runs"):
        monkeypatch.setattr(f"mtctl.cli.{module}.LocalLauncher", Here)
    monkeypatch.setenv("COLUMNS", "80")
    # As torchrun starts a program, in a group of one.
    around = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for variable, value in around.items():
        monkeypatch.setenv(variable, value)
    with config.patch(donated_buffer=config.donated_buffer):  # a page changes it
        yield Reader(here)
    if "torch._dynamo" in sys.modules:  # of pages that compile a model
        torch._dynamo.reset()


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_a_page_is_true(page: Path, reader: Reader, tmp_path: Path) -> None:
    with imports_of(tmp_path):
        said = [(block, reader.do(block)) for block in blocks(page)]
        if check := CHECKS.get(page.stem):
            check(said)


def own_model(said: Said) -> None:
    """The example from a notebook finds what the command has found, and all variations are trained."""
    assert len(next(block for block, _ in said if block.name == "houses.py").text.splitlines()) <= 40
    (notebook,) = (printed for block, printed in said if block.kind == "python")
    scores, verdicts, *findings = notebook.splitlines()
    assert scores.startswith("{'style': ")
    assert verdicts == "{'mended': 'one seed: no verdict', 'houses': 'baseline'}"
    assert [finding.split()[:2] for finding in findings] == [
        ["target-out-of-reach", "price"],
        ["multiplier-dominance", "style"],
    ]
    variations = next(block.text for block, _ in said if block.name == "variations.py")
    for name in re.findall(r"^def (\w+)\(seed\)", variations, flags=re.MULTILINE):
        assert list(mtctl.train(f"variations.py:{name}", epochs=1).scores) == ["style", "price"]


def training_stacks(said: Said) -> None:
    """Three lines are what several processes take, and the page counts the methods."""
    processes = next(block for block, _ in said if block.name == "train.py")
    assert re.findall(r"# (\d)\b", processes.text) == ["1", "2", "3"]
    (printed,) = (printed for block, printed in said if block.text.startswith("torchrun "))
    assert printed.startswith("pcgrad\n")
    page = next(page for page in PAGES if page.stem == "training_stacks")
    assert f"for all {len(KINDS)} methods" in " ".join(prose(page).split())


def hybrid_actions(said: Said) -> None:
    assert any(
        "tank:Tank-v0" in printed for block, printed in said if block.text == "mtctl eval results/tank"
    )


CHECKS: Final[dict[str, Callable[[Said], None]]] = {
    "hybrid_actions": hybrid_actions,
    "own_model": own_model,
    "training_stacks": training_stacks,
}
"""What is looked at beside exit codes and screens."""


def test_the_readme_is_short_and_repeats_what_pages_show(reader: Reader) -> None:
    page = PAGES[0]
    assert page.name == "README.md"
    assert len(page.read_text(encoding="utf-8").splitlines()) < 150
    assert len(fences(page, "python")) == 1
    known = {block.text: block for other in PAGES[1:] for block in blocks(other)}
    for block in blocks(page):
        if block.text.startswith("mtctl "):
            lines = known[block.text].shown
            assert all(any(one.startswith(line.partition("…")[0]) for one in lines) for line in block.shown)
        elif block.kind == "python":
            assert block.text in known
        else:
            reader.do(block)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_files_of_a_page_are_used(page: Path) -> None:
    found = blocks(page)
    for file in (block for block in found if block.name.endswith(".py")):
        others = [prose(page), *(block.text for block in found if block is not file)]
        assert any(re.search(rf"\b{Path(file.name).stem}\b", text) for text in others), file.place


def test_what_is_not_run_says_why() -> None:
    found = Counter((page.name, block.not_run) for page in PAGES for block in blocks(page) if block.not_run)
    assert dict(found) == NOT_RUN
