from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.engine.metrics import MetricsFile
from mtctl.errors import MtctlError


def test_records_are_lines_that_others_see_at_once(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.write({"kind": "unit", "return": -1.5, "outcome": None, "task": "é"})
    assert file.sync() == len((tmp_path / "metrics.jsonl").read_bytes())
    file.write({"kind": "evaluation"})
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert text == '{"kind":"unit","return":-1.5,"outcome":null,"task":"é"}\n{"kind":"evaluation"}\n'
    file.close()


def test_numbers_survive_to_the_last_bit(tmp_path: Path) -> None:
    import json

    file = MetricsFile(tmp_path / "metrics.jsonl")
    values = [0.1 + 0.2, 1e-300, -0.0, 123456789.123456789]
    file.write({"values": values})
    file.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["values"] == values


def test_nan_is_never_written(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        file.write({"return": float("nan")})
    file.close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_what_a_checkpoint_does_not_cover_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a"')
    file = MetricsFile(path, keep=8)
    file.write({"a": 3})
    assert file.sync() == 16
    file.close()
    assert path.read_bytes() == b'{"a":1}\n{"a":3}\n'


def test_a_new_run_starts_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"old\n")
    MetricsFile(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [None, b'{"a":1}'])
def test_a_file_that_lacks_what_a_checkpoint_covers_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MtctlError, match="shorter than"):
        MetricsFile(path, keep=8)
    assert (path.read_bytes() if path.exists() else None) == content
