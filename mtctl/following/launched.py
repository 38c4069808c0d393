"""A run that this process has launched, followed by its handle and its metrics file."""

from __future__ import annotations

from mtctl.engine import layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.launch.launcher import Handle
from mtctl.engine.spec import RunSpec
from mtctl.following.progress import Plan, Progress, Tail


class Launched:
    """A run, and what it tells from one look to the next.

    Args:
        spec: of the run.
        handle: what a launcher knows of it.

    Attributes:
        progress: its course so far.
    """

    def __init__(self, spec: RunSpec, handle: Handle) -> None:
        self.spec, self.handle = spec, handle
        self._plan = Plan.of_recipe(spec.recipe, spec.seed)
        self._begin()

    def _begin(self) -> None:
        self.progress = Progress(self._plan)
        self._tail = Tail(self.spec.directory / layout.METRICS, self.progress)

    def look(self) -> None:
        """Read the records that have come since the last look."""
        if not self._written:
            return
        self._tail.follow()
        if self._tail.lost:  # the run has put other records in the place of those that were there
            self._begin()
            self._tail.follow()

    @property
    def _written(self) -> bool:
        """Whether the metrics file is this run's: until run.json is new, it is an earlier one's."""
        if self.handle.started is None or self.handle.state == "completed":
            return self.handle.state == "completed"
        try:
            fresh = (self.spec.directory / layout.RUN).stat().st_mtime >= self.handle.started
        except FileNotFoundError:
            return False
        return fresh and RunDirectory(self.spec.directory).told.get("begun") is not False
