"""A user's Python file, imported as `python FILE.py` would run it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from mtctl.errors import MtctlError
from mtctl.faults import is_of_memory
from mtctl.problems.code import current, require_pinned
from mtctl.problems.python.calling import failure
from mtctl.problems.python.generators import seeded
from mtctl.problems.python.source import digest_of, is_module, read, require_file, shown

_SEED: Final = 0
"""What is drawn at the top of a file is the same in every run."""


@dataclass(frozen=True, slots=True)
class _Imported:
    """A file that has been imported.

    Args:
        digest: of its text then.
        module: itself.
        siblings: names of the modules beside it that it has imported.
        known: names of the modules that there were before.
    """

    digest: str
    module: ModuleType
    siblings: tuple[str, ...]
    known: frozenset[str]


_imported: Final[dict[Path, _Imported]] = {}
_before: Final[dict[str, frozenset[str]]] = {}
"""The modules that there were before one was imported by its name."""


class _Uncached(SourceFileLoader):
    """Compiles a file anew: the cache of bytecode cannot tell two versions of one second and one size."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def import_file(place: str) -> ModuleType:
    """Return the module of a Python file; one that has changed since is imported anew, unless it is pinned.

    Its folder comes first on `sys.path` and stays there, for imports inside of its functions.

    Raises:
        MtctlError: there is no such file, it is not Python, or it fails.
    """
    path = require_file(place)
    before = _imported.get(path)
    if before is not None and before.digest == (current().get(str(path)) or digest_of(read(path))):
        return before.module
    require_pinned()
    digest = digest_of(read(path))
    folder = path.resolve().parent
    _forget(path, folder)
    _put_first(folder)
    name = _name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    known = {*sys.modules, name}
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        with _run_as_script(path):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        _drop(_beside(folder, known))
        raise
    _imported[path] = _Imported(digest, module, tuple(_beside(folder, known)), frozenset(known - {name}))
    return module


def files_of(place: str) -> list[Path]:
    """Return the file of a module that has been imported, and of those beside it that came with it."""
    if is_module(place):
        module, known = sys.modules[place], _before[place]
        path = Path(module.__file__ or place)
    else:
        path = require_file(place)
        known = _imported[path].known
    folder = path.resolve().parent
    files = [sys.modules[name].__file__ for name in _beside(folder, set(known))]
    return list(dict.fromkeys([path, *(Path(file) for file in files if file)]))


def import_module(name: str) -> ModuleType:
    """Return a module by its name; modules in the current folder can be named too.

    Raises:
        MtctlError: there is no such module, or it fails.
    """
    _put_first(Path.cwd())
    if name not in sys.modules:
        require_pinned()
    _before.setdefault(name, frozenset(sys.modules))
    with _run_as_script(Path(name)):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # one that the module needs
            raise MtctlError(
                f"there is no module {name}: `{error.name}` is not found",
                hint="a file is named with its suffix: FILE.py:FUNCTION",
            ) from error


@contextmanager
def _run_as_script(path: Path) -> Iterator[None]:
    """Explain what goes wrong, and leave arguments and generators as they were."""
    arguments = sys.argv
    sys.argv = [str(path)]
    try:
        with seeded(_SEED), redirect_stdout(sys.stderr):
            yield
    except MtctlError:
        raise
    except SyntaxError as error:
        raise _syntax(error) from error
    except (Exception, SystemExit) as error:
        if is_of_memory(error):
            raise
        raise failure(f"importing {shown(path)}", error) from error
    finally:
        sys.argv = arguments


def _syntax(error: SyntaxError) -> MtctlError:
    line = (error.text or "").rstrip()
    text = line.lstrip()
    lines = [f"{shown(error.filename or '')}:{error.lineno}: {error.msg}"]
    if text:
        column = max(0, (error.offset or 1) - 1 - (len(line) - len(text)))
        lines += [f"    {text}", f"    {' ' * column}^"]
    return MtctlError("\n".join(lines), hint="mend the file: Python cannot read it")


def _name(path: Path) -> str:
    """Return the name of a file's module: its stem, by which workers find it too, unless that is taken."""
    stem = path.stem
    if stem.isidentifier() and _leads_to(stem, path):
        return stem
    word = re.sub(r"\W", "_", stem)
    place = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()
    return f"mtctl_user_{word}_{place[:8]}"


def _leads_to(name: str, path: Path) -> bool:
    """Return whether `import name` would import this file, whose folder is first on `sys.path`."""
    known = sys.modules.get(name)
    if known is not None:
        return getattr(known, "__file__", None) == str(path)
    with suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(name)
        return spec is not None and spec.origin is not None and Path(spec.origin).samefile(path)
    return False


def _put_first(folder: Path) -> None:
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]
    importlib.invalidate_caches()


def _forget(path: Path, folder: Path) -> None:
    """Remove modules that the file, or one of another folder, has imported by names that now mean others."""
    for other, imported in _imported.items():
        if other == path:
            _drop([imported.module.__name__, *imported.siblings])
        elif other.resolve().parent != folder:
            _drop([name for name in imported.siblings if _is_in(folder, name.partition(".")[0])])
    _imported.pop(path, None)


def _is_in(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()


def _beside(folder: Path, known: set[str]) -> list[str]:
    """Return the new modules whose files lie in a folder, but for installed ones."""
    names = [name for name in sys.modules if name not in known]
    return [name for name in names if _lies_in(folder, getattr(sys.modules[name], "__file__", None))]


def _lies_in(folder: Path, file: str | None) -> bool:
    return file is not None and folder in Path(file).parents and "site-packages" not in Path(file).parts


def _drop(names: list[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
