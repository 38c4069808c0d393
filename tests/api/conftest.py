from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.problems.python.recipes import TINY


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("own", *(name for name in sys.modules if name.startswith("mtctl_user_"))):
        if name not in known:
            sys.modules.pop(name, None)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file whose function `build` builds a model, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("own.py")
    path.write_text(TINY.read_text(encoding="utf-8"), encoding="utf-8")
    return path
