"""The balancing methods by what they look at: names and one sentence each."""

from __future__ import annotations

from mtctl.balancing.contract import AdaptiveMethod, Method, summary
from mtctl.balancing.registry import KINDS


def families() -> dict[str, dict[str, str]]:
    """Return what groups of methods look at, and in each the methods' summaries by kind."""
    groups: dict[str, dict[str, str]] = {}
    for kind, method in KINDS.items():
        groups.setdefault(_looks_at(method), {})[kind] = summary(method)
    return groups


def _looks_at(method: type[Method]) -> str:
    if not issubclass(method, AdaptiveMethod):
        return "Fixed weights."
    if "gramian" in method.needs:
        return "Methods that use the tasks' gradients and the angles between them."
    if "norms" in method.needs:
        return "Methods that use the lengths of the tasks' gradients."
    return "Methods that use losses alone."
