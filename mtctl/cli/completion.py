"""What a shell completes: names of recipes and methods, files of recipes, directories of runs.

Where nothing here fits, the shell completes paths. Every press of the key starts a process: nothing heavy is
imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mtctl.engine import layout

_ENDINGS: Final = (".yaml", ".yml", ".py")
"""Of files that hold recipes, or functions that build a model."""


def recipes(incomplete: str) -> list[str]:
    """Return the built-in recipes and the files of recipes and models that begin like this."""
    from mtctl.recipes import builtin

    folder = Path(incomplete[: incomplete.rfind("/") + 1])
    try:
        files = sorted(str(file) for file in folder.iterdir() if file.suffix in _ENDINGS)
    except OSError:  # there is no such folder
        files = []
    return _beginning([*builtin.names(), *files], incomplete)


def methods(incomplete: str) -> list[str]:
    """Return the balancing methods that begin like this, as the schema of recipes lists them."""
    import json

    from mtctl.recipes import builtin

    schema = json.loads((builtin.folder() / "schema.json").read_text(encoding="utf-8"))
    one, _ = schema["anyOf"][0]["properties"]["balancer"]["anyOf"]  # a method, or a chain of them
    classes = [choice["$ref"].rpartition("/")[2] for choice in one["anyOf"]]
    return _beginning([schema["$defs"][name]["properties"]["kind"]["const"] for name in classes], incomplete)


def runs(incomplete: str) -> list[str]:
    """Return the folders of methods in the results, and then the runs in one of them."""
    results = layout.results_root()
    found = {file.parent for file in results.glob(f"*/*/{layout.RUN}")}
    if "/" not in incomplete.removeprefix(f"{results}/"):
        found = {run.parent for run in found}
    return _beginning(sorted(map(str, found)), incomplete)


def _beginning(words: list[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
