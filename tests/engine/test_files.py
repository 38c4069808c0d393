from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from mtctl.engine import checkpoint
from mtctl.engine.files import explained, write_atomically, write_text
from mtctl.errors import ExitCode, MtctlError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text("old")
    return path


def test_replaces_the_file_and_leaves_nothing_else(file: Path) -> None:
    write_text(file, "new ✔")
    assert file.read_text(encoding="utf-8") == "new ✔"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_on_the_way_keeps_the_old_file(file: Path, failure: BaseException) -> None:
    def write(target: BinaryIO) -> None:
        target.write(b"half of the n")
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(file, write)
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_end_keeps_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 4 KB: what a quota does, by the kernel itself."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
def test_a_checkpoint_that_does_not_fit_keeps_the_old_one(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "last.pt"
    fits = {"recipe_hash": "", "definition_hash": "", "seed": 0, "done": 1, "policy": {}, "training": None}
    checkpoint.save(path, fits)
    with pytest.raises(MtctlError, match="no space left") as caught, explained(tmp_path):
        checkpoint.save(path, {**fits, "done": 2, "policy": torch.zeros(5000)})
    assert caught.value.hint
    assert checkpoint.load(path)["done"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EFBIG, "no space left"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOTDIR, "cannot be written"),
        (errno.ENOENT, "cannot be written"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_system_says_is_explained(number: int, text: str) -> None:
    with pytest.raises(MtctlError, match=text) as caught, explained(Path("results")):
        raise OSError(number, os.strerror(number), "results/run.json")
    assert caught.value.code == ExitCode.USAGE
    assert "results" in caught.value.message
    assert caught.value.hint


def test_other_errors_pass() -> None:
    with pytest.raises(BrokenPipeError), explained(Path("results")):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    with pytest.raises(ZeroDivisionError), explained(Path("results")):
        raise ZeroDivisionError
    with pytest.raises(MtctlError, match="as it was"), explained(Path("results")):
        raise MtctlError("as it was")
