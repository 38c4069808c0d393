"""docs/training_stacks.md: its code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import distributed

import mtctl
from mtctl.balancing.registry import KINDS

PAGE = (Path(mtctl.__file__).parent.parent / "docs" / "training_stacks.md").read_text(encoding="utf-8")
BLOCKS = dict(
    zip(
        ("processes", "precision", "compiled"),
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL),
        strict=True,
    )
)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_run(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As torchrun starts them, in a group of one."""
    if name == "processes" and not distributed.is_available():
        pytest.skip("this torch cannot train in several processes")
    around = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for variable, value in around.items():
        monkeypatch.setenv(variable, value)
    torch._dynamo.reset()
    with torch.random.fork_rng(), torch._functorch.config.patch(donated_buffer=True):
        torch.manual_seed(0)
        exec(BLOCKS[name], {})
    torch._dynamo.reset()
    said = capsys.readouterr().out
    assert said.startswith("pcgrad\n") if name == "processes" else not said


def test_three_lines_are_what_several_processes_take() -> None:
    numbered = re.findall(r"# (\d)\b", BLOCKS["processes"])
    assert numbered == ["1", "2", "3"]


def test_the_page_counts_the_methods() -> None:
    assert f"for all {len(KINDS)} methods" in " ".join(PAGE.split())
