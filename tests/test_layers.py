"""Imports point one way, and what is light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mtctl

PACKAGE = Path(mtctl.__file__).parent
#: From the ground up: a layer may import itself and what stands before it.
LAYERS = (
    "errors",
    "text",
    "machine",
    "reading",
    "recipes",
    "balancing",
    "library",
    "problems",
    "engine",
    "analysis",
    "diagnosis",
    "cli",
)
HEAVY = {"torch", "numpy", "gymnasium"}


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""


def files(layer: str) -> list[Path]:
    module = PACKAGE / f"{layer}.py"
    return [module] if module.exists() else sorted((PACKAGE / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_nothing_above_it(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    assert files(layer)
    for file in files(layer):
        for name in imports(file):
            parts = name.split(".")
            assert not (parts[0] == "mtctl" and len(parts) > 1 and parts[1] in above), (
                f"{file} imports {name}"
            )


def test_every_folder_of_the_package_has_its_place() -> None:
    folders = {entry.name for entry in PACKAGE.iterdir() if (entry / "__init__.py").exists()}
    assert folders <= set(LAYERS)


@pytest.mark.parametrize("layer", ["errors", "text", "machine", "reading", "recipes"])
def test_the_ground_is_light(layer: str) -> None:
    for file in files(layer):
        assert not {name.split(".")[0] for name in imports(file)} & HEAVY, file


def test_recipes_and_finished_runs_are_read_without_torch() -> None:
    code = "import sys, mtctl.recipes.loading, mtctl.analysis.comparison; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0
