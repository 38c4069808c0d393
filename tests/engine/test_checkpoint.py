from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mtctl.engine import checkpoint
from mtctl.errors import ExitCode, MtctlError

WEIGHTS = torch.arange(300.0).reshape(2, 150)
CONTENT: dict[str, Any] = {
    "recipe_hash": "recipe",
    "definition_hash": "definition",
    "seed": 3,
    "done": 7,
    "policy": {"parameters": WEIGHTS},
    "training": {"best": -float("inf"), "counts": [1, 2], "rows": [torch.ones(3, dtype=torch.float64)]},
}


def saved(content: dict[str, Any] = CONTENT) -> bytes:
    """Return the bytes of a checkpoint."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "last.pt", content)
        return (Path(folder) / "last.pt").read_bytes()


INTACT = saved()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints") / "last.pt"


def refusal(path: Path, content: bytes, **options: Any) -> str:
    path.write_bytes(content)
    with pytest.raises(MtctlError) as caught:
        checkpoint.load(path, **options)
    assert caught.value.code == ExitCode.USAGE
    assert caught.value.hint
    assert str(path) in caught.value.message
    return caught.value.message


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.pt", CONTENT)
    found = checkpoint.load(tmp_path / "last.pt", recipe_hash="recipe")
    assert found["schema"] == 2
    assert torch.equal(found["policy"]["parameters"], WEIGHTS)
    assert found["training"]["best"] == -float("inf")
    assert found["training"]["rows"][0].dtype == torch.float64
    assert {name: found[name] for name in ("recipe_hash", "definition_hash", "seed", "done")} == {
        name: CONTENT[name] for name in ("recipe_hash", "definition_hash", "seed", "done")
    }


def test_missing_names_what_is_there(tmp_path: Path) -> None:
    for name in ("last", "ep0100"):
        checkpoint.save(tmp_path / f"{name}.pt", CONTENT)
    with pytest.raises(MtctlError, match="no such checkpoint") as caught:
        checkpoint.load(tmp_path / "best.pt")
    assert caught.value.hint == "there are: ep0100, last"
    with pytest.raises(MtctlError) as caught:
        checkpoint.load(tmp_path / "elsewhere" / "best.pt")
    assert caught.value.hint == "train first: `mtctl train RECIPE`"


@given(length=st.integers(0, len(INTACT) - 1))
@example(0)
@example(len(INTACT) - 1)
def test_truncated_anywhere(path: Path, length: int) -> None:
    assert "corrupt, truncated or not a checkpoint" in refusal(path, INTACT[:length])


@given(place=st.integers(0, len(INTACT) - 1), bit=st.integers(0, 7))
@example(INTACT.index(WEIGHTS.numpy().tobytes()[400:800]), 3)
def test_a_flipped_bit_is_found_or_harmless(path: Path, place: int, bit: int) -> None:
    """torch itself loads tensors with flipped bits unasked."""
    content = bytearray(INTACT)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = checkpoint.load(path)
    except MtctlError:
        return
    assert torch.equal(found["policy"]["parameters"], WEIGHTS)
    assert found["done"] == 7


def test_a_flipped_bit_of_a_tensor_is_found(path: Path) -> None:
    content = bytearray(INTACT)
    content[INTACT.index(WEIGHTS.numpy().tobytes()[400:800])] ^= 1
    assert "corrupt, truncated or not a checkpoint" in refusal(path, bytes(content))


@given(content=st.binary(max_size=60))
@example(pickle.dumps(CONTENT["done"]))
@example(b"PK\x05\x06" + bytes(18))
def test_any_other_file(path: Path, content: bytes) -> None:
    refusal(path, content)


def archive(pickled: bytes) -> bytes:
    """Return an intact archive like torch's around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as found:
        found.writestr("archive/data.pkl", pickled)
        found.writestr("archive/version", "3\n")
        found.writestr("archive/byteorder", "little")
    return file.getvalue()


@given(pickled=st.binary(max_size=40))
@example(b"a.")
@example(b"\x80\x02.")
def test_any_other_pickle(path: Path, pickled: bytes) -> None:
    refusal(path, archive(pickled))


def torch_file(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"model": WEIGHTS},
        [1, 2, 3],
        {key: value for key, value in {"schema": 2, **CONTENT}.items() if key != "policy"},
    ],
    ids=["tensor", "mapping", "list", "without policy"],
)
def test_a_torch_file_of_something_else(path: Path, content: object) -> None:
    assert "not a checkpoint of mtctl" in refusal(path, torch_file(content))


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self._target, "executed"))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_not_executed(path: Path, tmp_path: Path, legacy: bool) -> None:
    target = tmp_path / "executed"
    content = {"schema": 2, **CONTENT, "training": Payload(target)}
    refusal(path, torch_file(content, _use_new_zipfile_serialization=not legacy))
    refusal(path, pickle.dumps(content))
    refusal(path, archive(pickle.dumps(content, protocol=2)))
    assert not target.exists()


def test_another_recipe(path: Path) -> None:
    assert "another recipe" in refusal(path, INTACT, recipe_hash="another")


@pytest.mark.parametrize("schema", [0, 1, 3, "two", None])
def test_another_format(path: Path, schema: object) -> None:
    message = refusal(path, torch_file({**CONTENT, "schema": schema}))
    assert f"checkpoint format {schema}; this version reads 2" in message


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(MtctlError, match="expected a checkpoint file"):
        checkpoint.load(tmp_path / "last.pt")
