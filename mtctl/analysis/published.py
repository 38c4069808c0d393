"""Figures that others have published about the same methods, to be shown beside and never mixed in."""

from __future__ import annotations

from mtctl.errors import MtctlError
from mtctl.problems.kind import Published
from mtctl.problems.kinds import KINDS


def published_about(problem: str) -> Published:
    """Return what is published about a kind of problem.

    Raises:
        MtctlError: if there are no figures.
    """
    kind = KINDS.get(problem)
    if kind is None or kind.published is None:
        studies = " and ".join(other.title for other in KINDS.values() if other.published is not None)
        raise MtctlError(
            f"--reference published: there are no published figures about {problem} runs",
            hint=f"leave out --reference; published are those of {studies} study",
        )
    return kind.published
