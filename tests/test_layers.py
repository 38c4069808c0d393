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
    "problems",
    "recipes",
    "catalogue",
    "library",
    "engine",
    "history",
    "analysis",
    "diagnosis",
    "monitoring",
    "integrations",
    "following",
    "measuring",
    "terminal",
    "screens",
    "report",
    "api",
    "cli",
)
HEAVY = {"torch", "numpy", "gymnasium"}


def imports(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports; of `from a import b` that is a.b, where b is a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                is_module = inner.exists() or inner.with_suffix(".py").exists()
                yield f"{module}.{alias.name}" if is_module else module


def room_of(module: str) -> str | None:
    """Return the innermost room that a module stands in; None for what belongs to no room."""
    path = module.removeprefix("mtctl.").replace(".", "/") if module.startswith("mtctl.") else ""
    return max((room for room in ROOMS if f"{path}/".startswith(f"{room}/")), key=len, default=None)


def files(room: str) -> list[Path]:
    module = PACKAGE / f"{room}.py"
    inside = [module] if module.exists() else sorted((PACKAGE / room).rglob("*.py"))
    return [file for file in inside if room_of(module_name(file)) == room]


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_nothing_above_it(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    assert files(room)
    for file in files(room):
        for name in imports(file):
            assert room_of(name) not in above, f"{file} imports {name}"


def test_every_folder_of_the_package_has_its_place() -> None:
    folders = {entry.name for entry in PACKAGE.iterdir() if (entry / "__init__.py").exists()}
    assert folders <= set(ROOMS)


def test_files_do_not_import_each_other_in_a_circle() -> None:
    names = {file: module_name(file) for file in PACKAGE.rglob("*.py")}
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
    rooms = "recipes.loading", "catalogue.cards", "analysis.comparison", "problems.kinds"
    code = f"import sys, {', '.join(f'mtctl.{room}' for room in rooms)}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0


def test_diagnosis_knows_no_problem_by_name() -> None:
    for file in sorted((PACKAGE / "diagnosis").rglob("*.py")):
        named = {name for name in imports(file) if name.startswith("mtctl.problems.")}
        own = {name for name in named if name.split(".")[2] in ("windows", "python")}
        assert not own, f"{file} imports {own}"
        text = file.read_text(encoding="utf-8").casefold()
        assert "windows" not in text, f"{file} speaks of windows"
