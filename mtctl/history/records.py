"""The lines of metrics.jsonl as values: what mtctl.engine.layout describes, for those who read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from mtctl.engine import layout
from mtctl.history.documents import show

Number = Annotated[float, Meta(ge=-layout.LARGEST, le=layout.LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
ByName = dict[str, Number | None]
"""A value for each task or pair of tasks; None where it was absent, or nothing was measured."""


COUNTED: Final[Mapping[str, Any]] = {"updates": Count, "measured": Count, "conflict_rate": Share | None}
"""The signals of all tasks together; every other signal has a value for each task or pair of tasks."""
_Counted = msgspec.defstruct("_Counted", list(COUNTED.items()), gc=False)


class UnitRecord(Struct, tag_field="kind", tag="unit", frozen=True, gc=False):
    """A unit of training: an episode, or an epoch.

    Args:
        unit: its number, from 1.
        tasks: figures and words by name, of the tasks that had a part in it.
        updates: so far.
        signals: what its updates showed, by name: `updates`, `measured`, `conflict_rate`, and by task or pair
            of tasks everything else; None if it had none.
        extra: figures of the unit as a whole.
        environment_steps: so far; None where nothing is played.
    """

    unit: Positive
    tasks: dict[str, dict[str, Number | str]]
    updates: Count
    signals: dict[str, ByName | Count | Number | None] | None
    extra: dict[str, Number] = {}
    environment_steps: Count | None = None

    def __post_init__(self) -> None:
        if self.signals is None:
            return
        try:
            msgspec.convert(self.signals, _Counted)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"{error}".replace("`$", "`$.signals")) from error

    def by_name(self, signal: str) -> ByName:
        """Return a signal by task or pair of tasks; nothing where it was not recorded."""
        values = (self.signals or {}).get(signal)
        return values if isinstance(values, dict) else {}


class TaskMeans(Struct, frozen=True, gc=False):
    """One task's share of an evaluation during training."""

    mean: Number
    sd: Number | None
    success_rate: Number | None
    items: Positive
    outcomes: dict[str, Count] | None
    steps: Number | None
    measures: dict[str, Number]

    def __post_init__(self) -> None:
        for name in (*(self.outcomes or ()), *self.measures):
            if not name.strip() or not name.isprintable():
                raise msgspec.ValidationError(f"{show(name)} should be printable text")


class EvaluationRecord(Struct, tag_field="kind", tag="evaluation", frozen=True, gc=False):
    """An evaluation during training, after a unit."""

    unit: Count
    updates: Count
    tasks: dict[str, TaskMeans]
    average: Number
    environment_steps: Count | None = None

    @property
    def amount(self) -> int:
        """Return how much training it came after: environment steps, or updates where nothing is played."""
        return self.updates if self.environment_steps is None else self.environment_steps


Record = UnitRecord | EvaluationRecord
"""A line of metrics.jsonl."""
RECORDS: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)
