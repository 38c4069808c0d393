"""Imports point one way, and what is light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mtctl

PACKAGE = Path(mtctl.__file__).parent
#: From the ground up: a room may import itself and what stands before it.
ROOMS = (
    "errors",
    "faults",
    "text",
    "statistics",
    "machine",
    "reading",
    "part",
    "yaml",
    "balancing",
    "recipes",
    "catalogue",
    "library",
    "problems",
    "engine",
    "history",
    "analysis",
    "diagnosis",
    "following",
    "measuring",
    "terminal",
    "screens",
    "report",
    "cli",
)
HEAVY = {"torch", "numpy", "gymnasium"}


def imports(file: Path) -> Iterator[str]:
    """Yield what a file imports; of `from a import b` both a and a.b, which may be a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(room: str) -> list[Path]:
    module = PACKAGE / f"{room}.py"
    return [module] if module.exists() else sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_nothing_above_it(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    assert files(room)
    for file in files(room):
        for name in imports(file):
            parts = name.split(".")
            assert not (parts[0] == "mtctl" and len(parts) > 1 and parts[1] in above), (
                f"{file} imports {name}"
            )


def test_every_folder_of_the_package_has_its_place() -> None:
    folders = {entry.name for entry in PACKAGE.iterdir() if (entry / "__init__.py").exists()}
    assert folders <= set(ROOMS)


def test_files_do_not_import_each_other_in_a_circle() -> None:
    names = {
        file: ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
    }
    known = set(names.values())
    graph = {name: known.intersection(imports(file)) - {name} for file, name in names.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("room", ["errors", "text", "machine", "reading", "part", "yaml", "recipes"])
def test_the_ground_is_light(room: str) -> None:
    for file in files(room):
        assert not {name.split(".")[0] for name in imports(file)} & HEAVY, file


def test_recipes_methods_and_finished_runs_are_read_without_torch() -> None:
    modules = "mtctl.recipes.loading, mtctl.catalogue.cards, mtctl.analysis.comparison"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0
