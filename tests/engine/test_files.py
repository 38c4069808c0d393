from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from mtctl.engine import checkpoint, layout
from mtctl.engine.files import (
    explained,
    is_stream,
    open_to_append,
    write_atomically,
    write_numbered,
    write_output,
    write_text,
)
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


class TestLinks:
    """Nothing is written through a link: what it points to is somebody else's."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Path:
        (tmp_path / "elsewhere").mkdir()
        path = tmp_path / "elsewhere" / "theirs.json"
        path.write_text("theirs")
        return path

    @pytest.mark.parametrize("write", [write_text, write_output])
    def test_a_link_is_replaced(
        self, tmp_path: Path, elsewhere: Path, write: Callable[[Path, str], None]
    ) -> None:
        (tmp_path / "run.json").symlink_to(elsewhere)
        write(tmp_path / "run.json", "new")
        assert (tmp_path / "run.json").read_text() == "new"
        assert not (tmp_path / "run.json").is_symlink()
        assert elsewhere.read_text() == "theirs"

    def test_a_link_to_nothing_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").symlink_to(tmp_path / "planted")
        write_output(tmp_path / "run.json", "new")
        assert (tmp_path / "run.json").read_text() == "new"
        assert not (tmp_path / "planted").exists()

    def test_a_link_that_waits_for_the_temporary_file_is_not_followed(
        self, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
        trap = tmp_path / ".run.json.0000000000000000.tmp"
        trap.symlink_to(elsewhere)
        with pytest.raises(FileExistsError):
            write_text(tmp_path / "run.json", "new")
        assert elsewhere.read_text() == "theirs"
        assert trap.is_symlink()

    def test_temporary_files_have_names_that_nobody_guesses_and_we_know(self, tmp_path: Path) -> None:
        names: set[str] = set()
        for _ in range(20):
            write_atomically(
                tmp_path / "run.json", lambda _: names.update(path.name for path in tmp_path.iterdir())
            )
        names.discard("run.json")
        assert len(names) == 20
        assert all(re.fullmatch(r"\.run\.json\.[0-9a-f]{16}\.tmp", name) for name in names)
        assert all(map(layout.is_temporary, names))
        assert not any(map(layout.is_temporary, ("run.json", ".hidden", "notes.tmp")))

    def test_the_longest_name(self, tmp_path: Path) -> None:
        path = tmp_path / ("ä" * 127)
        write_text(path, "new")
        assert path.read_text() == "new"

    def test_permissions_are_those_of_any_new_file(self, tmp_path: Path) -> None:
        write_text(tmp_path / "ours", "")
        (tmp_path / "any").write_text("")
        assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode

    def test_nothing_is_appended_through_a_link(self, tmp_path: Path, elsewhere: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        for target in (elsewhere, tmp_path / "planted"):
            path.symlink_to(target)
            with pytest.raises(MtctlError, match=r"metrics\.jsonl is a link") as caught:
                open_to_append(path)
            assert caught.value.code == ExitCode.USAGE
            path.unlink()
        assert elsewhere.read_text() == "theirs"
        assert not (tmp_path / "planted").exists()
        os.mkfifo(path)
        with pytest.raises(MtctlError, match="is not a file"):
            open_to_append(path)

    def test_a_copy_by_hard_links_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "backup").write_text("old\n")
        (tmp_path / "metrics.jsonl").hardlink_to(tmp_path / "backup")
        with open_to_append(tmp_path / "metrics.jsonl") as file:
            file.write(b"new\n")
        assert (tmp_path / "metrics.jsonl").read_text() == "old\nnew\n"
        assert (tmp_path / "backup").read_text() == "old\n"


class TestStreams:
    """Devices, pipes and the standard streams are written to where a user names them."""

    def test_what_is_one(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to("/dev/stdout")
        (tmp_path / "file").write_text("")
        for path in ("/dev/stdout", "/dev/stderr", "/dev/null", "/dev/fd/1", "/proc/self/fd/2"):
            assert is_stream(Path(path)), path
        assert is_stream(tmp_path / "pipe")
        assert is_stream(tmp_path / "link")
        assert not any(map(is_stream, (tmp_path, tmp_path / "file", tmp_path / "nothing")))

    def test_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        found: list[str] = []
        reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_text()))
        reader.start()
        write_output(tmp_path / "pipe", "text ✔")
        reader.join()
        assert found == ["text ✔"]
        assert (tmp_path / "pipe").is_fifo()

    @pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "link"])
    def test_standard_output_after_what_was_printed(self, tmp_path: Path, name: str) -> None:
        """Sent to a file, /dev/stdout is that file by another name, which must not be replaced or emptied."""
        code = (
            "import sys, pathlib; from mtctl.engine.files import write_output; print('before'); "
            f"write_output(pathlib.Path({name!r}), 'text'); print('after')"
        )
        (tmp_path / "link").symlink_to("/dev/stdout")
        with (tmp_path / "out").open("wb") as out:
            subprocess.run([sys.executable, "-c", code], stdout=out, cwd=tmp_path, check=True)
        assert (tmp_path / "out").read_text() == "before\ntextafter\n"
        assert Path("/dev/stdout").is_symlink()

    def test_a_device_that_is_full(self) -> None:
        with pytest.raises(MtctlError, match="no space left"), explained(Path("/dev")):
            write_output(Path("/dev/full"), "text")


def test_numbered_files_count_up_and_overwrite_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert write_numbered(folder, "a", ".json", "1") == folder / "a-1.json"
    (folder / "a-7.json").write_text("mine")
    (folder / "a-b-9.json").touch()
    assert write_numbered(folder, "a", ".json", "2") == folder / "a-8.json"
    assert (folder / "a-7.json").read_text() == "mine"
    assert sorted(file.name for file in folder.iterdir()) == [
        "a-1.json",
        "a-7.json",
        "a-8.json",
        "a-b-9.json",
    ]


def test_a_numbered_file_of_another_process_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-1.json").write_text("theirs")
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))  # it came after the look
    assert write_numbered(tmp_path, "a", ".json", "mine") == tmp_path / "a-2.json"
    assert (tmp_path / "a-1.json").read_text() == "theirs"


def test_numbered_files_need_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(self, target)

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "a-1.json").write_text("theirs")
    assert write_numbered(tmp_path, "a", ".json", "mine").read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a-1.json", "a-2.json"]
