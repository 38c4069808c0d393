"""The versions of files that a command begins with, and the refusal of others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mtctl.errors import MtctlError
from mtctl.problems import code


def test_versions_are_those_of_the_files_that_there_are(tmp_path: Path) -> None:
    there = tmp_path / "a.py"
    there.write_text("x = 1")
    found = code.versions([there, tmp_path / "gone.py"])
    assert found == {str(there): hashlib.sha256(b"x = 1").hexdigest()}


def test_what_has_not_changed_is_read() -> None:
    code.require_pinned()  # nothing is pinned outside of a command
    with code.pinned(code.versions([Path(__file__)])):
        assert list(code.current()) == [__file__]
        code.require_pinned()
    assert code.current() == {}


def test_what_has_changed_or_gone_is_told_with_a_remedy(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.py", "b.py", "c.py")]
    for file in files:
        file.write_text("x = 1")
    with code.pinned(code.versions(files)):
        files[0].write_text("x = 2")
        files[1].unlink()
        with pytest.raises(MtctlError) as caught:
            code.require_pinned()
    message = caught.value.message
    old, new = (hashlib.sha256(text).hexdigest()[:12] for text in (b"x = 1", b"x = 2"))
    assert (
        f"{files[0]} has changed (its SHA-256 was {old}… and is {new}…) since this command started" in message
    )
    assert f"{files[1]} has changed (its SHA-256 was {old}… and is gone)" in message
    assert "c.py" not in message
    assert "start the command again" in str(caught.value.hint)
