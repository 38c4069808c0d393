"""Imports point one way: cli → diagnosis, analysis → engine → problems → balancing → recipes, errors."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mtctl"

# What each layer may import of mtctl, besides itself.
ALLOWED = {
    "errors": set(),
    "recipes": {"errors"},
    "balancing": {"recipes", "errors"},
    "problems": {"balancing", "recipes", "errors"},
    "engine": {"problems", "balancing", "recipes", "errors"},
    "analysis": {"engine", "problems", "balancing", "recipes", "errors"},
    "diagnosis": {"analysis", "engine", "problems", "balancing", "recipes", "errors"},
    "cli": {"diagnosis", "analysis", "engine", "problems", "balancing", "recipes", "errors"},
}
LAYERS = [name for name in ALLOWED if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()]
# Recipes, errors and what reads finished runs work where torch is not even loaded.
WITHOUT_TORCH = ["errors", "recipes", "analysis"]


def files(layer: str) -> list[Path]:
    single = PACKAGE / f"{layer}.py"
    return [single] if single.exists() else sorted((PACKAGE / layer).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Yield the full names that a file imports anywhere, relative ones resolved."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layers_of(names: Iterator[str]) -> set[str]:
    parts = (name.split(".") for name in names)
    return {name[1] for name in parts if name[0] == "mtctl" and len(name) > 1}


def test_every_part_of_the_package_is_a_layer() -> None:
    parts = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__", "__main__"} <= ALLOWED.keys()
    assert {"recipes", "balancing", "problems", "engine", "analysis", "cli"} <= parts


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    found = {file: layers_of(imported(file)) - {layer, "__version__"} for file in files(layer)}
    assert found
    wrong = {
        str(file.relative_to(ROOT)): up for file, names in found.items() if (up := names - ALLOWED[layer])
    }
    assert wrong == {}


@pytest.mark.parametrize("layer", WITHOUT_TORCH)
def test_light_layers_do_not_load_torch(layer: str) -> None:
    heavy = {name for file in files(layer) for name in imported(file) if name.split(".")[0] == "torch"}
    assert heavy == set()


def test_recipes_and_finished_runs_are_read_without_torch() -> None:
    code = "import sys, mtctl.recipes.loading, mtctl.analysis.comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_imports_are_seen() -> None:
    """The check itself: imports inside functions count."""
    file = PACKAGE / "cli" / "app.py"
    assert "mtctl.cli.train.train" in set(imported(file))
    assert "cli" in layers_of(imported(file))
    assert "mtctl.problems.lander.problem.Lander" in set(imported(PACKAGE / "problems" / "build.py"))
