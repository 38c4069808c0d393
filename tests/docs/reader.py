"""Somebody who does what a page says, in a folder of its own, with small budgets."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import torch

from mtctl.engine.evaluate import evaluate_run
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec, Spec
from mtctl.errors import MtctlError
from mtctl.history.runs import find_runs, read_run
from mtctl.recipes.loading import load
from tests.cli.conftest import Command
from tests.docs.pages import ROOT, Block

SMALL: Final = {
    "windows": (
        "training.epochs=1",
        "problem.data={kind: synthetic, windows: 64, validation: 32, held_out: 32}",
    ),
    "lander": ("problem.episodes_per_task=2", "evaluation.final_episodes=2"),
    "hybrid": (
        "problem.copies=16",
        "problem.environment_steps=1024",
        "agent.steps=16",
        "agent.minibatch=64",
        "evaluation.final_episodes=16",
    ),
    "python": (),
}
"""What is changed in recipes of each kind, so that they are trained in about a second."""
LOOKED_AT: Final = 12
"""Lines of each screen that are compared."""
_UNPROVEN: Final = ("--seeds", "1", "--no-verify")
"""Spares a diagnosis the remedies, which are trained from three seeds each."""
_NUMBER = re.compile(r"[-+]?\d[\d.,:]*(e[-+]?\d+)?")


class Here:
    """A launcher in this process; that launchers make no difference is tested elsewhere."""

    def __init__(self, parallel: int) -> None:
        del parallel
        self._handles: list[SimpleNamespace] = []

    def submit(self, spec: Spec) -> SimpleNamespace:
        handle = SimpleNamespace(spec=spec, state="waiting", started=None, result=None, delay="", stop=None)
        self._handles.append(handle)
        return handle

    def poll(self) -> bool:
        for handle in self._handles:
            handle.started, spec = time.time(), handle.spec
            handle.result = execute(spec) if isinstance(spec, RunSpec) else evaluate_run(spec)
            handle.state = handle.result.status
        return False

    def close(self) -> None:
        self._handles.clear()


class Reader:
    """Does what blocks say, one after another. Screens are compared as long as nothing was trained for less.

    Args:
        mtctl: runs the command line.
    """

    def __init__(self, mtctl: Command) -> None:
        self._mtctl, self._in_full = mtctl, True

    def do(self, block: Block) -> str:
        """Return what a block has printed; fail where it does not do what the page shows."""
        if block.kind == "file":
            Path(block.name).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            return self._python(lambda: exec(compile(block.text, block.place, "exec"), {}))
        elif not block.not_run:
            return self._command(block)
        return ""

    def _command(self, block: Block) -> str:
        program, *words = _expanded(shlex.split(block.text, comments=True))
        match program, words:
            case "mtctl", _:
                return self._verb(words, block)
            case ("python", [file]) | ("torchrun", [*_, file]) if file.endswith(".py"):
                # torchrun would start several processes; the test that calls this has prepared one.
                return self._python(lambda: runpy.run_path(file, run_name="__main__"))
            case "python", ["-m", module, *_] if module.startswith("benchmarks."):
                assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), block
            case "pip", ["install", *what]:
                known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
                extras = re.findall(r"\[(\w+)\]", " ".join(what))
                assert set(extras) <= set(known["optional-dependencies"]), block
            case "make", [target, *_]:
                assert f"\n{target}: " in (ROOT / "Makefile").read_text(), block
            case _:
                raise AssertionError(f"{block.place}: say why this is not run: {block.text}")
        return ""

    def _verb(self, words: list[str], block: Block) -> str:
        words, file = (words[:-2], words[-1]) if ">" in words else (words, "")
        short = shortened(words)
        result = self._mtctl(*short)
        fails = block.shown[:1] != [] and block.shown[0].startswith("error: ")
        assert result.code == (2 if fails else 0), f"{block.place}: {shlex.join(short)}\n{result}"
        if file:
            Path(file).write_text(result.out, encoding="utf-8")
        printed = f"{result.out}\n{result.err}"
        self._in_full &= short == words or tuple(short) == (*words, *_UNPROVEN)
        if fails:
            assert [line.strip() for line in result.err.splitlines() if line] == block.shown, block.place
        elif self._in_full:
            known = [masked(line) for line in printed.splitlines()]
            lines = [masked(line) for line in _comparable(block.shown, short) if line][:LOOKED_AT]
            assert [line for line in lines if line not in known] == [], f"{block.place}\n{printed}"
        return printed

    def _python(self, run: Callable[[], object]) -> str:
        printed = io.StringIO()
        with torch.random.fork_rng(), contextlib.redirect_stdout(printed):
            torch.manual_seed(0)
            run()
        return printed.getvalue()


def _expanded(words: Sequence[str]) -> list[str]:
    """Return words with those that end in `*` replaced by what is there, as a shell does."""
    found = [sorted(map(str, Path().glob(word))) if word.endswith("*") else [word] for word in words]
    return [word for some in found for word in some]


def _comparable(shown: Sequence[str], words: Sequence[str]) -> Sequence[str]:
    """Return what a screen shows without the seeds, the time and the remedies of a diagnosis."""
    if words[0] != "diagnose":
        return shown
    cures = next((place for place, line in enumerate(shown) if line.startswith("✔ Best")), None)
    return shown[2:cures]


def masked(line: str) -> str:
    """Return a line without its figures and their widths: machines and versions differ in those."""
    return re.sub(r"─+", "─", " ".join(_NUMBER.sub("#", line).split()))


def shortened(words: Sequence[str]) -> list[str]:
    """Return a command that does the same with a smaller budget."""
    words = ["windows_documented" if word == "RECIPE" else word for word in words]
    match words:
        case ["train", *_]:
            return _shorter_training(words)
        case ["diagnose", *_] if not {"--from", "--explain", "--dry-run"} & set(words):
            return _shorter_diagnosis(words)
        case ["eval", *runs]:
            played = any(_played(Path(run)) for run in runs)
            return [*words, "--episodes", "2"] if played else list(words)
    return list(words)


def _shorter_training(words: Sequence[str]) -> list[str]:
    kinds = {kind for word in words[1:] if (kind := _kind(word))}
    if kinds <= {"python"}:
        return list(words)
    until_decided = any(word.startswith("until-decided") for word in words)
    words = [re.sub(r"^0\.\.\d+$", "1", word) for word in words]
    # A training that goes on has to ask for more than the one before it.
    small = (
        override.replace("epochs=1", "epochs=2") if "--resume" in words else override
        for kind in kinds
        for override in SMALL[kind]
    )
    # Decisions take five seeds of each recipe at least: tests/cli/test_train_until.py makes some.
    return [
        *words,
        *(word for override in small for word in ("-o", override)),
        *(["--dry-run"] if until_decided else []),
    ]


def _shorter_diagnosis(words: Sequence[str]) -> list[str]:
    target = next((word for word in words[1:] if not word.startswith("-")), "")
    kind = "windows" if target in ("", "5") else _kind(target)
    if kind == "windows":
        small = (word for override in SMALL[kind] for word in ("-o", override))
        return [*words, *_UNPROVEN, "--budget", "0", *small]
    return [*words, *_UNPROVEN] if kind == "python" else list(words)


def _kind(word: str) -> str | None:
    """Return the kind of problem of a recipe that a word names; None where it names none."""
    try:
        return load(word).problem.kind
    except MtctlError:
        return None


def _played(path: Path) -> bool:
    return path.is_dir() and any(read_run(run).is_played for run in find_runs([path]))


@contextlib.contextmanager
def imports_of(folder: Path) -> Iterator[None]:
    """Let a page's files be imported, and leave none of them behind."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
        for file in folder.glob("*.py"):
            sys.modules.pop(file.stem, None)
