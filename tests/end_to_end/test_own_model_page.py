"""docs/own_model.md: its files and its Python run, and its commands print what it shows."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import mtctl
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from tests.cli.conftest import Command
from tests.end_to_end.command import PATIENCE, ROOT

PAGE = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")
_FILE = re.compile(r"# (\w+\.py)\n")
_NUMBER = re.compile(r"[-+]?\d[\d.,:]*(e[-+]?\d+)?")
_LOOKED_AT = 12
"""Lines of each screen."""
_QUICK = ("--seeds", "1", "--no-verify")
"""Spares a diagnosis the remedies, which are trained from three seeds each."""


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def screens() -> list[tuple[str, list[str]]]:
    """Return the commands in their order, each with the lines that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL).splitlines():
        if line.startswith("    $ "):
            found.append((line.removeprefix("    $ "), []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line.strip())
    return found


def masked(line: str) -> str:
    """Return a line without its figures and their widths: machines and versions differ in those."""
    return re.sub(r"─+", "─", " ".join(_NUMBER.sub("#", line).split()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with the page's files."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for block in blocks():
        if name := _FILE.match(block):
            (tmp_path / name[1]).write_text(block, encoding="utf-8")
    yield tmp_path
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


def run(folder: Path, file: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, file],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Here:
    """Executes runs in this process; that launchers make no difference is tested elsewhere."""

    def __init__(self, parallel: int) -> None:
        del parallel
        self._handles: list[SimpleNamespace] = []

    def submit(self, spec: RunSpec) -> SimpleNamespace:
        handle = SimpleNamespace(spec=spec, state="waiting", started=None, result=None, delay="", stop=None)
        self._handles.append(handle)
        return handle

    def poll(self) -> bool:
        for handle in self._handles:
            handle.started, handle.result = time.time(), execute(handle.spec)
            handle.state = handle.result.status
        return False

    def close(self) -> None:
        self._handles.clear()


def test_the_file_is_short(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {"houses.py", "loop.py", "variations.py"}
    assert len((folder / "houses.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_commands_print_what_the_page_shows(
    folder: Path, here: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("mtctl.cli.train_runs.LocalLauncher", Here)
    commands = screens()
    assert [command.split()[1] for command, _ in commands] == [
        "diagnose",
        "train",
        "train",
        "compare",
        "train",
    ]
    for command, shown in commands:
        program, *words = shlex.split(command)
        assert program == "mtctl"
        diagnosis = words[0] == "diagnose"
        result = here(*words, *(_QUICK * diagnosis))
        assert result.code == 0, result
        printed = [masked(line) for line in f"{result.out}\n{result.err}".splitlines()]
        cures = next((place for place, line in enumerate(shown) if line.startswith("✔ Best")), None)
        looked_at = shown[2:cures] if diagnosis else shown
        expected = [masked(line) for line in looked_at if line][:_LOOKED_AT]
        assert expected or words[0] == "train"
        assert [line for line in expected if line not in printed] == [], "\n".join(printed)


def test_the_variations_are_trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in re.findall(r"^def (\w+)\(seed\)", (folder / "variations.py").read_text(), flags=re.MULTILINE):
        assert list(mtctl.train(f"variations.py:{name}", epochs=1).scores) == ["style", "price"]
    assert len(list((folder / "results").iterdir())) == 3


def test_a_loop_of_ones_own_is_watched(folder: Path, here: Command) -> None:
    summary = run(folder, "loop.py")
    assert "style" in summary or "price" in summary
    assert "loop" in here("diagnose", "results/loop").out.splitlines()[0]


def test_python_runs_as_it_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (example,) = (block for block in blocks() if not _FILE.match(block))
    (folder / "notebook.py").write_text(example, encoding="utf-8")
    runpy.run_path("notebook.py")
    scores, verdicts, *findings = capsys.readouterr().out.splitlines()
    assert scores.startswith("{'style': ")
    assert verdicts == "{'mended': 'one seed: no verdict', 'houses': 'baseline'}"
    assert [finding.split()[:2] for finding in findings] == [
        ["target-out-of-reach", "price"],
        ["multiplier-dominance", "style"],
    ]
