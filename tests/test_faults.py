"""Ordinary faults are explained; mistakes of mtctl are not taken for one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtctl.cli.errors import guarded
from mtctl.engine.result import RunError
from mtctl.errors import ExitCode, MtctlError
from mtctl.faults import explain


def deep() -> object:
    return deep()


def recursion() -> RecursionError:
    with pytest.raises(RecursionError) as found:
        deep()
    return found.value


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "x: File name too long"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), "a → b: Invalid cross-device"),
        (OSError(errno.EIO, "Input/output error", b"a\xff"), "a\udcff: Input/output error"),
        (OSError(errno.EMFILE, "Too many open files"), "the operating system refuses: Too many open files"),
        (OSError("odd"), "the operating system refuses: odd"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "no folder for"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), "not enough memory"),
        (RuntimeError("can't start new thread"), "cannot start another thread"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (ImportError("libgomp.so.1: cannot open shared object file", name="torch"), "libgomp.so.1"),
        (ValueError("embedded null byte"), "NUL"),
        (recursion(), "nested too deeply"),
    ],
)
def test_what_is_no_mistake_of_mtctl_is_explained(error: Exception, message: str) -> None:
    found = explain(error)
    assert found is not None
    assert message in found.message
    assert found.code == ExitCode.USAGE


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("Out of range float values are not JSON compliant"),
        ImportError("cannot import name 'x'", name="mtctl.cli.app"),
        KeyError("x"),
    ],
)
def test_a_mistake_of_mtctl_is_none_of_them(error: Exception) -> None:
    assert explain(error) is None


def test_a_fault_in_the_middle_of_a_run_is_the_failure_of_the_run() -> None:
    fault, own = RunError.of(MemoryError()), RunError.of(MtctlError("as it is", hint="do"))
    assert (fault.kind, fault.message, fault.code) == ("error", "there is not enough memory", ExitCode.FAILED)
    assert (own.kind, own.message, own.hint, own.code) == ("error", "as it is", "do", ExitCode.USAGE)
    mistake = RunError.of(KeyError("x"))
    assert (mistake.kind, mistake.message, mistake.code) == ("internal", "KeyError: 'x'", ExitCode.FAILED)


@pytest.fixture
def removed_folder(tmp_path: Path) -> Iterator[Path]:
    before, folder = Path.cwd(), tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    yield folder
    os.chdir(before)


def test_a_folder_that_was_removed_is_named_as_the_reason(
    removed_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not removed_folder.exists()
    assert guarded(Path.cwd, verbose=False) == 2
    assert capsys.readouterr().err == (
        "error: the current folder no longer exists\nhint: change to a folder that exists\n"
    )


def test_an_explained_fault_has_its_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "a\x1bb")

    assert guarded(command, verbose=True) == 2
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("error: a\\x1bb: Permission denied\n")
    assert "\x1b" not in said
