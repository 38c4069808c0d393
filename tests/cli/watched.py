"""Runs on disk that seem to be under way, without any training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mtctl.engine.directory import RunDirectory
from tests.history.runs_factory import training, write_run


class UnderWay:
    """A run that goes on when it is told to.

    Args:
        root: results.
        name: of its recipe.
        seed: of the run.
        units: episodes that it sets out to play.
    """

    def __init__(self, root: Path, name: str = "gradnorm_blind", seed: int = 0, units: int = 150) -> None:
        budget = {"units": units, "done": 0, "environment_steps": 0, "updates": 0}
        self.path = write_run(root, name, seed, status="running", evaluation=None, budget=budget, ended=None)
        self.metrics = self.path / "metrics.jsonl"
        self.metrics.write_text("")
        self._place = RunDirectory(self.path)
        self._place.acquire()

    def describe(self, **changes: Any) -> None:
        """Replace keys of run.json, by rename as training does."""
        document = json.loads((self.path / "run.json").read_text()) | changes
        self._place.write("run.json", document)

    def play(self, averages: list[float], every: int = 50) -> None:
        """Have played 50 episodes for each average, and evaluated after them."""
        run = json.loads((self.path / "run.json").read_text())
        padding = [0.0] * (run["budget"]["units"] // every - len(averages))
        # Cut from a whole course, so that what came first is the same from one call to the next.
        lines = training(run, averages + padding, every)[: len(averages) * (every + 1)]
        self.metrics.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))

    def end(self, status: str, **changes: Any) -> None:
        """End as a process ends that can say how."""
        self.describe(status=status, ended="2026-01-31T12:08:32+00:00", **changes)
        self.die()

    def die(self) -> None:
        """End as a process ends that is killed."""
        self._place.release()


@contextmanager
def under_way(root: Path, *arguments: Any, **options: Any) -> Iterator[UnderWay]:
    run = UnderWay(root, *arguments, **options)
    try:
        yield run
    finally:
        run.die()
