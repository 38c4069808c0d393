"""torch's archives, read without trust: what a file announces is checked before anything is allocated.

An archive is a zip of stored (not compressed) entries: one pickle that describes the values, and the bytes of
each tensor's memory. Of a pickle only the names that a checkpoint of mtctl needs are let through to
`torch.load(weights_only=True)`, whose own list has callables that allocate what they are asked for.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from mtctl.machine import size
from mtctl.reading import open_file, require_room

_PICKLE: Final = "data.pkl"
_SCRIPT: Final = "constants.pkl"
"""What only TorchScript's archives have."""
_REBUILT: Final = frozenset({"collections OrderedDict", "torch._utils _rebuild_tensor_v2"})
_STORAGES: Final = frozenset(
    f"torch {name}Storage"
    for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
)
_FETCHES: Final = frozenset({"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"})
"""Opcodes that name what is called in other ways than torch writes."""
_NEEDS: Final = 2.0
"""Bytes of memory for a byte of the file: the tensors, and what they are copied into."""
_TIMES: Final = 2
"""How often a tensor's memory may be used: the networks' weights are those of the policy and of training."""
_MOST_VALUES: Final = 100_000
"""Values in a checkpoint: an optimizer of some ten thousand tensors."""
_LARGEST_PICKLE: Final = 16_000_000
"""Bytes of the description of so many values."""
_DEEPEST: Final = 32
"""Levels of values inside one another."""
_LONGEST: Final = 200
"""Characters of a place in a message."""


class Unusable(ValueError):  # noqa: N818 - says what the file is
    """A file that is no archive of plain values and tensors; the text is a sentence that says why."""


def read(path: Path, *, remedy: str) -> Any:
    """Return what an archive holds: plain values and tensors, each with memory of its own size.

    Raises:
        Unusable: it is no such archive; the text says why.
        MtctlError: it cannot be read, or is too large for this machine.
    """
    with open_file(path, remedy=remedy) as file:
        length = file.seek(0, 2)
        require_room(path, length, largest=2**62, needs=_NEEDS, remedy=remedy)
        file.seek(0)
        _refuse_announced(file, length)
        file.seek(0)
        try:
            found = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged or foreign file makes its reader raise has no bounds
            raise Unusable(f"torch cannot load it ({_first_line(error)})") from error
    _refuse_values(found, length)
    return _own(found)


def _refuse_announced(file: BinaryIO, length: int) -> None:
    """Refuse an archive by its directory, its checksums and the names in its pickle."""
    if not length:
        raise Unusable("it is empty")
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_entries(archive.infolist(), length)
            if (damaged := archive.testzip()) is not None:  # torch loads flipped bits unasked
                raise Unusable(f"the checksum of its entry {damaged!r} is wrong")
            _refuse_names(archive)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"it is not a complete zip archive of torch ({_first_line(error)})") from error


def _refuse_entries(entries: list[zipfile.ZipInfo], length: int) -> None:
    names = [entry.filename for entry in entries]
    if _SCRIPT in {name.partition("/")[2] for name in names}:
        raise Unusable("it is a TorchScript archive")
    announced = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or announced > length:
        raise Unusable(
            f"it unpacks from {size(length)} to {size(announced)}, but torch does not compress its archives"
        )
    if len(set(names)) < len(names):
        raise Unusable("it has two entries of one name")
    if sum(name.endswith(f"/{_PICKLE}") for name in names) != 1:
        raise Unusable(f"it is a zip archive without torch's {_PICKLE}")


def _refuse_names(archive: zipfile.ZipFile) -> None:
    """Refuse a pickle that asks for anything but tensors; nothing of it is carried out here."""
    name = next(name for name in archive.namelist() if name.endswith(f"/{_PICKLE}"))
    if (length := archive.getinfo(name).file_size) > _LARGEST_PICKLE:
        raise Unusable(f"its {_PICKLE} has {size(length)}; at most {size(_LARGEST_PICKLE)} are read")
    for opcode, argument in _opcodes(archive.read(name)):
        if opcode in _FETCHES or (opcode == "GLOBAL" and argument not in _REBUILT | _STORAGES):
            what = str(argument).replace(" ", ".")[:_LONGEST] if opcode == "GLOBAL" else "objects"
            raise Unusable(f"it holds {what}, but checkpoints of mtctl hold plain values and tensors only")


def _opcodes(pickled: bytes) -> Iterator[tuple[str, Any]]:
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            yield opcode.name, argument
    except Exception as error:  # as above: the bytes of a pickle can be anything
        raise Unusable(f"its {_PICKLE} is damaged ({_first_line(error)})") from error


def _refuse_values(found: Any, length: int) -> None:
    """Refuse tensors that announce more than the file holds, such as one number repeated a milliard times."""
    announced = 0
    for number, (place, value) in enumerate(_values(found)):
        if number > _MOST_VALUES:
            raise Unusable(f"it has more than {_MOST_VALUES:,} values")
        if not isinstance(value, Tensor):
            continue
        announced += value.numel() * value.element_size()
        if announced > _TIMES * length:
            shape = "×".join(map(str, value.shape))
            raise Unusable(
                f"it has {size(length)} and announces tensors of {size(announced)} ({place}: {shape})"
            )


def _own(found: Any) -> Any:
    """Return values whose tensors share no memory with one another."""
    match found:
        case Tensor():
            return found.detach().clone(memory_format=torch.contiguous_format)
        case dict():
            return {key: _own(value) for key, value in found.items()}
        case list() | tuple():
            return type(found)(map(_own, found))
        case _:
            return found


def _values(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value with its place; one that is there twice comes twice, so that counting it is a bound.

    Raises:
        Unusable: values are nested too deeply, or without end.
    """
    rest: list[tuple[str, Any, int]] = [("", found, 0)]
    while rest:
        place, value, depth = rest.pop()
        if depth > _DEEPEST:
            raise Unusable(f"its values are nested more than {_DEEPEST} levels deep")
        yield place.removeprefix("."), value
        if isinstance(value, Mapping | list | tuple):
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            rest += [(f"{place}.{key}"[:_LONGEST], inner, depth + 1) for key, inner in pairs]


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:_LONGEST] if lines else type(error).__name__
