"""What a name can stand for: a file, a pipe that ends, and much that is never read to its end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtctl import reading
from mtctl.errors import ExitCode, MtctlError
from mtctl.reading import open_file, read_bytes


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(MtctlError) as caught:
        read_bytes(path, remedy="write it anew", **options)  # type: ignore[arg-type]
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint == "write it anew"
    assert str(path) in caught.value.message
    return caught.value.message


def test_a_file_and_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content\0")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "file", remedy=None) == b"content\0"
    assert read_bytes(tmp_path / "link", remedy=None) == b"content\0"


def test_what_is_not_there_or_is_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nothing")
    assert "Is a directory" in refusal(tmp_path)
    assert "null" in refusal(Path("a\0b"))
    assert "too long" in refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_devices_that_never_end_are_not_read(tmp_path: Path, device: str, pipes: bool) -> None:
    (tmp_path / "file.csv").symlink_to(device)
    assert "it is a device, not a file" in refusal(tmp_path / "file.csv", pipes=pipes)


def test_a_pipe_is_not_waited_for_where_a_file_is_asked_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe, not a file" in refusal(tmp_path / "pipe")


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "it is a socket, not a file" in refusal(Path("socket"), pipes=True)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, threading.Thread]]:
    """Return a pipe with a thread that writes 3 MB into it, or until its reader leaves."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        try:
            path.write_bytes(b"x" * 3_000_000)
        except BrokenPipeError:
            return

    writer = threading.Thread(target=write)
    writer.start()
    yield path, writer
    writer.join()


def test_a_pipe_is_read_to_its_end_where_it_may_be_one(pipe: tuple[Path, threading.Thread]) -> None:
    assert len(read_bytes(pipe[0], remedy=None, pipes=True)) == 3_000_000


def test_a_pipe_is_read_no_further_than_allowed(pipe: tuple[Path, threading.Thread]) -> None:
    message = refusal(pipe[0], pipes=True, largest=2_000_000)
    assert "is too large: more than 2.1 MB; at most 2 MB are read" in message


def test_a_terabyte_of_nothing_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(10**12)
    assert "is too large: 1 TB; at most 1 GB are read" in refusal(tmp_path / "file")


def test_memory_is_a_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    monkeypatch.setattr(reading, "memory", lambda: 7999)
    assert "1 kB, which take about 8 kB of memory; this machine has 8 kB" in refusal(
        tmp_path / "file", needs=8
    )
    monkeypatch.setattr(reading, "memory", lambda: 8000)
    assert len(read_bytes(tmp_path / "file", remedy=None, needs=8)) == 1000


def test_a_file_whose_size_is_not_told_is_read_whole() -> None:
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("needs Linux")
    assert b"VmRSS" in read_bytes(path, remedy=None)


def test_what_is_opened_is_closed_by_whoever_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with open_file(tmp_path / "file", remedy=None) as file:
        assert file.read() == b"content"
    assert file.closed
