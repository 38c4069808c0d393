"""The recipes that come with mtctl, and which file a RECIPE argument means."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from mtctl.errors import MtctlError
from mtctl.problems.python import source as python
from mtctl.yaml.mistakes import closest, shortened

_SUFFIX = ".yaml"
_SUFFIXES = (_SUFFIX, ".yml")
_LIST = "`mtctl recipes list` shows the built-in ones"
_OVERRIDE = re.compile(r"[A-Za-z_]\w*(\.\w+)*=.*", re.DOTALL)
_BASES = "base"  # what others extend; no recipes by themselves


def folder() -> Path:
    """Return where the built-in recipes are: inside an installed package, or at the root of a checkout."""
    package = Path(str(files("mtctl")))
    installed = package / "recipes" / "builtin"
    return installed if installed.is_dir() else package.parent / "recipes"


def names() -> list[str]:
    """Return the names of the built-in recipes: `gradnorm_blind`, and so on."""
    root = folder()
    paths = (path.relative_to(root).with_suffix("") for path in root.rglob(f"*{_SUFFIX}"))
    return sorted((path.as_posix() for path in paths if path.parts[0] != _BASES), key=lambda n: ("/" in n, n))


def path_of(name: str) -> Path | None:
    """Return the file of a built-in recipe or base: a relative path where it is below the current folder."""
    root = folder()
    path = root / f"{name.removesuffix(_SUFFIX)}{_SUFFIX}"
    if not name or not exists(path) or not path.resolve().is_relative_to(root.resolve()):
        return None
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def find(reference: str | Path) -> Path:
    """Return the recipe file that a path or the name of a built-in recipe means.

    Raises:
        MtctlError: there is none, with the closest that there is; it is a directory; it may not be read.
    """
    name, path = str(reference), Path(reference)
    if not name:
        raise MtctlError("expected a recipe: a path, or the name of a built-in recipe", hint=_LIST)
    if exists(path) and not path.is_dir():
        if path.suffix == python.SUFFIX:
            python.split(name)
        return path
    if name in names() and (built_in := path_of(name)):
        return built_in
    raise _directory(path) if exists(path) else _missing(name, path)


def exists(path: Path) -> bool:
    """Return whether there is such a file or directory; a name that no file can have has none.

    Raises:
        MtctlError: the folder may not be looked into.
    """
    try:
        return path.exists()
    except PermissionError as error:
        raise MtctlError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, ValueError):  # longer than names may be, or a NUL in it
        return False


def neighbours(path: Path, *, relative_to: Path = Path()) -> list[str]:
    """Return the recipe files next to a path, as they would be written from `relative_to`."""
    try:
        found = [other for other in path.parent.iterdir() if other.suffix in _SUFFIXES]
    except (OSError, ValueError):
        return []
    return [
        str(one.relative_to(relative_to)) if one.is_relative_to(relative_to) else str(one) for one in found
    ]


def _directory(path: Path) -> MtctlError:
    runs = sorted(path.glob("recipe.yaml")) or sorted(path.glob("seed*/recipe.yaml"))
    if runs:
        return MtctlError(f"{path} holds a run, not a recipe", hint=f"the run's own recipe is {runs[0]}")
    recipes = sorted(str(file) for file in path.glob(f"*{_SUFFIX}"))[:3]
    hint = f"name one of its recipes, such as {', '.join(recipes)}" if recipes else "name a recipe file"
    return MtctlError(f"{path} is a directory, not a recipe", hint=hint)


def _missing(name: str, path: Path) -> MtctlError:
    known = names()
    if path.stem in known and name != path.stem:
        hint = f"`{path.stem}` is a built-in recipe: name it without folder and suffix"
        return MtctlError(f"{name} does not exist", hint=hint)
    if _OVERRIDE.fullmatch(name):
        hint = f"did you mean `-o {shortened(name)}`?"
        return MtctlError(f"there is no recipe `{shortened(name)}`", hint=hint)
    match = closest(name, [*neighbours(path), *known])
    guess = f"did you mean `{match}`? " if match else ""
    message = f"there is no recipe `{shortened(name)}`, neither a file nor built in"
    return MtctlError(message, hint=f"{guess}{_LIST}")


def description(name: str) -> str:
    """Return what a built-in recipe shows: the first line of its header."""
    path = path_of(name)
    return "" if path is None else header(path.read_text(encoding="utf-8"))[0]


def header(text: str) -> list[str]:
    """Return the comment at the head of a recipe file, without `# ` and without the editor's line."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return [line for line in lines if not line.startswith("yaml-language-server:")]
