"""What an installed mtctl brings along."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(ROOT),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_every_recipe_and_the_schema_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    recipes = ROOT / "recipes"
    sources = [path for path in recipes.rglob("*") if path.suffix in {".yaml", ".json"}]
    assert {recipes / "gradnorm_blind.yaml", recipes / "schema.json"} <= set(sources)
    assert any(path.parent.name == "published" for path in sources)
    for source in sources:
        shipped = f"mtctl/recipes/builtin/{source.relative_to(recipes).as_posix()}"
        assert wheel.read(shipped) == source.read_bytes()


def test_every_module_is_in_the_wheel_and_marked_as_typed(wheel: zipfile.ZipFile) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mtctl").rglob("*.py")}
    assert modules | {"mtctl/py.typed"} <= set(wheel.namelist())


def test_the_styles_and_scripts_of_reports_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assets = sorted((ROOT / "mtctl" / "report" / "assets").iterdir())
    assert {path.suffix for path in assets} == {".css", ".js"}
    for path in assets:
        assert wheel.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mtctl"}


def test_the_license_is_in_the_wheel(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    (name,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_asks_for_python_3_11(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "mtctl = mtctl.cli.app:main" in wheel.read(name).decode()


def test_everything_that_make_installs_is_pinned(metadata: Message) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {
        canonicalize_name(line.partition("==")[0]) for line in lines if line and not line.startswith("#")
    }
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    assert {canonicalize_name(one.name) for one in asked if "video" not in str(one.marker)} <= pinned
