"""What the tests of recipes share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Write = Callable[[str, str], Path]
Refusal = Callable[..., str]

MINIMAL = """\
name: mine
problem: {kind: lander}
agent: {kind: dqn}
balancer: {kind: equal}
"""
