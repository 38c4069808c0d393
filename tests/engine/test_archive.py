"""Files at a checkpoint's place that are bombs, traps or something else: refused before they take memory."""

from __future__ import annotations

import io
import pickle
import resource
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.engine import archive
from mtctl.engine.archive import Unusable
from mtctl.errors import MtctlError

SMALL = b"\0" * 16


def read(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return archive.read(path, remedy="train again")


def torch_file(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


class Storage:
    """Pickled as torch does a tensor's memory: a name and a number of entries that can be anything."""

    def __init__(self, entries: int) -> None:
        self.persistent = ("storage", torch.FloatStorage, "0", "cpu", entries)


class Call:
    """Pickled as a call, which unpickling would make."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.persistent if isinstance(value, Storage) else None


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], entries: int = 4, offset: int = 0) -> Call:
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, Storage(entries), offset, shape, strides, False, OrderedDict())


def crafted(content: object, memory: bytes = SMALL) -> bytes:
    """Return an archive like torch's whose pickle says what it likes."""
    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump(content)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as found:
        found.writestr("archive/data.pkl", pickled.getvalue())
        found.writestr("archive/version", "3\n")
        found.writestr("archive/byteorder", "little")
        found.writestr("archive/data/0", memory)
    return file.getvalue()


def test_plain_values_and_tensors_come_as_they_were(tmp_path: Path) -> None:
    transposed = torch.arange(6.0).reshape(2, 3).t()
    content = {"a": [1, "x", None, 2.5, True], "b": (transposed, torch.ones(0)), "c": torch.tensor(True)}
    found = read(tmp_path / "last.pt", torch_file(content))
    assert found["a"] == content["a"]
    assert torch.equal(found["b"][0], transposed)
    assert found["b"][1].shape == (0,)
    assert found["c"].dtype == torch.bool


def test_tensors_that_share_memory_become_each_its_own(tmp_path: Path) -> None:
    weights = torch.ones(3)
    found = read(
        tmp_path / "last.pt", torch_file({"policy": weights, "training": weights, "row": weights[:1]})
    )
    found["policy"].zero_()
    assert found["training"].tolist() == [1, 1, 1]
    assert found["row"].tolist() == [1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (tensor((10**9,), (0,)), "announces tensors of 4 GB (x: 1000000000)"),
        (tensor((10**9, 10**9), (0, 0)), "of 4 EB"),
        (tensor((10**9,), (1,)), "torch cannot load it"),
        (tensor((10**9,), (1,), entries=10**9), "torch cannot load it"),
        (tensor((2,), (1,), offset=10**12), "torch cannot load it"),
        (tensor((-5,), (1,)), "torch cannot load it"),
        (Call(bytearray, 10**10), "it holds __builtin__.bytearray"),
        (Call(torch.FloatTensor, 10**10), "it holds torch.FloatTensor"),
        (Call(torch.Tensor, 10**10), "it holds torch.Tensor"),
        (Call(print, "executed"), "it holds __builtin__.print"),
    ],
    ids=[
        "stride 0",
        "strides 0",
        "no memory",
        "more memory",
        "offset",
        "negative",
        "bytes",
        "floats",
        "new",
        "code",
    ],
)
def test_what_announces_more_than_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Call, says: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unusable) as caught:
        read(tmp_path / "last.pt", crafted({"x": content}))
    assert says in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kB of memory were taken"
    assert capsys.readouterr().out == ""


def test_a_tensor_that_is_repeated(tmp_path: Path) -> None:
    one = torch.zeros(1000)
    with pytest.raises(Unusable, match="announces tensors of"):
        read(tmp_path / "last.pt", torch_file([one] * 100))


def test_a_compressed_archive(tmp_path: Path) -> None:
    file = io.BytesIO()
    original = zipfile.ZipFile(io.BytesIO(torch_file(torch.zeros(10**6))))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in original.namelist():
            packed.writestr(name, original.read(name))
    with pytest.raises(
        Unusable, match=r"it unpacks from .* kB to 4 MB, but torch does not compress its archives"
    ):
        read(tmp_path / "last.pt", file.getvalue())


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found, found]
    return found


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (nested(25), "more than 100,000 values"),
        (nested(40), "more than 32 levels"),
        (endless(), "more than 32 levels"),
        (torch.nn.Linear(2, 2), "it holds torch.nn.modules.linear.Linear"),
        (torch.zeros(3).to_sparse(), "it holds torch._utils._rebuild_sparse_tensor"),
        (10**5000, "torch cannot load it"),
    ],
    ids=["laughs", "deep laughs", "endless", "module", "sparse", "huge integer"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_values_that_no_checkpoint_has(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(tmp_path / "last.pt", torch_file(content))
    assert says in str(caught.value)


def scripted() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as found:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            found.writestr(f"model/{name}", "x" * 100)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as found:
        for name in names:
            found.writestr(name, "x" * 100)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as found:
        found.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"x" * 1000, "not a complete zip archive"),
        (pickle.dumps({"a": 1}), "not a complete zip archive"),
        (torch_file({"a": 1}, _use_new_zipfile_serialization=False), "not a complete zip archive"),
        (tarred(), "not a complete zip archive"),
        (scripted(), "a TorchScript archive"),
        (zipped("notes.txt"), "without torch's data.pkl"),
        (zipped("a/data.pkl", "b/data.pkl"), "without torch's data.pkl"),
        (zipped("a/data.pkl"), "its data.pkl is damaged"),
    ],
    ids=["empty", "text", "pickle", "legacy", "tar", "script", "zip", "two pickles", "no pickle"],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(tmp_path / "last.pt", content)
    assert says in str(caught.value)


def test_a_terabyte_of_nothing(tmp_path: Path) -> None:
    with (tmp_path / "last.pt").open("wb") as file:
        file.truncate(10**13)
    with pytest.raises(MtctlError, match=r"last\.pt is too large: 10 TB, which take about 20 TB of memory"):
        archive.read(tmp_path / "last.pt", remedy="train again")
