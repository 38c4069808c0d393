"""What the recipes of all balancing methods have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtctl.recipes.base import Part


class MethodPart(Part):
    """One balancing method; `kind` selects it."""

    kind: str

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Yield the name and the values of every key that gives one value for each task, by task name."""
        yield from ()


class AdaptiveMethod(MethodPart):
    """A method whose weights change from step to step."""
