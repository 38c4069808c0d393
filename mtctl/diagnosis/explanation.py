"""What is said of a finding's code: one form for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from mtctl.diagnosis.codes import Code


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code stands for.

    Args:
        code: the stable name, as in `Finding.code`.
        title: the finding as a short statement.
        meaning: what happens to the task, and why.
        measured: how it is measured and decided.
        refuted_by: what would show that it is not so.
        remedies: what helps, the most effective first.
    """

    code: Code
    title: str
    meaning: str
    measured: str
    refuted_by: str
    remedies: tuple[str, ...]
