"""Where the curves of a task stand, and how they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["loss", "return", "value", "unjudged"]
"""`value`: of a value function, whose loss grows with the returns and is judged only for blowing up.
`unjudged`: a policy's, an opponent's or a regulariser's, which need not fall for learning to go well."""


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """Where the curves of a task stand.

    Args:
        column: its training loss, or what else is judged.
        held_out: its held-out loss, where there is one.
        kind: how it is judged.
        only_held_out: whether `column` is of held-out data itself.
    """

    column: str
    held_out: str | None = None
    kind: Kind = "loss"
    only_held_out: bool = False
