"""The balancing methods by what they look at: names and one sentence each, without any heavy import."""

from __future__ import annotations

import inspect
import sys

from mtctl.catalogue.settings import KINDS


def families() -> dict[str, dict[str, str]]:
    """Return what groups of methods look at, and in each the methods' summaries by kind.

    Both are docstrings: of the modules and the classes that describe the methods in recipes.
    """
    found: dict[str, dict[str, str]] = {}
    for kind, part in KINDS.items():
        group = inspect.getdoc(sys.modules[part.__module__]) or ""
        summary = (inspect.getdoc(part) or "").split("\n\n")[0]
        found.setdefault(group.split("\n\n")[0], {})[kind] = " ".join(summary.split())
    return found
