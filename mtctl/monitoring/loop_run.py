"""The run directory of a loop of one's own: the files that trainings by mtctl write, without checkpoints."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mtctl.engine import layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.lock import Taken, holder
from mtctl.engine.metrics import MetricsFile
from mtctl.engine.provenance import now, peak_memory_mb, versions
from mtctl.engine.scores import definition_hash
from mtctl.errors import MtctlError
from mtctl.monitoring.faults import Fault
from mtctl.problems.kinds import LOOP
from mtctl.problems.score import LOSSES, SKILL, Score
from mtctl.recipes.resolved import canonical_hash, yaml_of
from mtctl.text import command_line

Status = Literal["running", "completed", "interrupted", "failed"]
VALIDATION: Final = "validation"
"""What the losses that a loop hands in at the end of a unit are measured on."""
_LOSS: Final = Score("loss", higher_is_better=False, success=None)
_SEED: Final = re.compile(r"seed(\d{1,9})")
_ELSEWHERE: Final = "choose another directory for the monitor"
_PAUSE: Final = 1.0
"""Seconds between two versions of run.json at least: writing it to disk takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a loop sets out to do.

    Args:
        tasks: names.
        constants: the loss of each task's best constant answer, where that is known.
        unit: the name of a unit.
        units: how many there will be; None where that is not known.
        description: what is known of the training, as JSON values.
    """

    tasks: tuple[str, ...]
    constants: Mapping[str, float]
    unit: str
    units: int | None
    description: Mapping[str, Any]

    @property
    def definition(self) -> dict[str, Any]:
        """What defines tasks and scores: runs are comparable if these are equal."""
        known = {task: self.constants.get(task) for task in self.tasks}
        return {"scored on": VALIDATION, "tasks": {task: {"best_constant": known[task]} for task in known}}

    @property
    def score(self) -> Score:
        """What validation losses are scored by: skill where the best constant of every task is known."""
        return SKILL if all(self.constants.get(task) for task in self.tasks) else _LOSS

    def scored(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Return the tasks' scores, by name, in the tasks' order."""
        skilled = self.score is SKILL
        return {
            task: 100 * (1 - losses[task] / self.constants[task]) if skilled else losses[task]
            for task in self.tasks
            if task in losses
        }


class LoopRun:
    """One run directory that a loop writes.

    Args:
        path: of the directory.
        resume: go on in a run that is there.

    Attributes:
        path: of the directory.
        units: that are recorded.
        updates: that are recorded.

    Raises:
        MtctlError: the directory holds something already, or another process writes it.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self._place, self._resume = RunDirectory(path), resume
        self._started, self._before, self._clock = now(), 0.0, time.perf_counter()
        self.units = self.updates = 0
        self._metrics: MetricsFile | None = None
        self._plan: Plan | None = None
        self._parameters = {"total": 0, "shared": 0, "balancer": 0}
        self._last: tuple[int, Mapping[str, float]] | None = None
        self._written, self._versions = 0.0, versions()
        with explained(path, hint=_ELSEWHERE):
            self._acquire()
            try:
                self._told = self._require_place()
            except BaseException:
                self._place.release()
                raise

    def _acquire(self) -> None:
        try:
            self._place.acquire()
        except Taken as error:
            raise MtctlError(
                f"{self.path}: {holder(self.path)} is writing a run here",
                hint="name another directory; or end the other one first: monitor.close()",
            ) from error

    def _require_place(self) -> dict[str, Any]:
        """Refuse a directory that this run may not be written into; return what run.json says."""
        place, told = self._place, self._place.told
        if not place.used:
            return {}
        if told.get("problem") != LOOP:
            what = "a run of `mtctl train`" if told.get("problem") else "files that are not a monitor's"
            raise MtctlError(f"{place.path}: already holds {what}", hint="name another directory")
        if not self._resume:
            raise MtctlError(
                f"{place.path}: already holds the records of a loop ({told.get('status')})",
                hint="name another directory, such as one for each seed: results/mine/seed1; or "
                "Monitor(…, resume=True) appends to these records",
            )
        return told

    def begin(self, plan: Plan) -> None:
        """Write the description, and open the records.

        Raises:
            MtctlError: the run to append to is of other tasks, or its records are damaged.
        """
        with explained(self.path, hint=_ELSEWHERE):
            keep = self._take_up(plan) if self._told else 0
            command = command_line(["python", *sys.argv])
            self._place.prepare(yaml_of(dict(plan.description)), command, checkpoints=False)
            self._metrics = MetricsFile(self._place.metrics, keep)
            self._plan = plan
            self.describe("running", (), None)

    def _take_up(self, plan: Plan) -> int:
        """Go on from the last complete record; return how many bytes are kept."""
        told, path = self._told, self._place.metrics
        if told.get("tasks") != list(plan.tasks):
            raise MtctlError(
                f"{self.path}: its records are of the tasks {', '.join(map(str, told.get('tasks') or ()))}, "
                f"not of {', '.join(plan.tasks)}",
                hint="name another directory",
            )
        seconds = told.get("seconds")
        self._before = float(seconds.get("total", 0.0)) if isinstance(seconds, Mapping) else 0.0
        self._started = str(told.get("started") or self._started)
        content = path.read_bytes() if path.exists() else b""
        kept = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(kept.splitlines(), 1):
            try:
                record = json.loads(line)
                if record["kind"] == "unit":
                    self.units, self.updates = int(record["unit"]), int(record["updates"])
            except (ValueError, KeyError, TypeError) as error:
                raise MtctlError(
                    f"{path}:{number}: is no record, so that nothing can be appended",
                    hint="restore the file from a copy, or name another directory",
                ) from error
        return len(kept)

    def write(self, record: dict[str, Any]) -> None:
        """Append the record of a unit."""
        assert self._metrics is not None
        self._metrics.write(record)
        self.units, self.updates = record["unit"], record["updates"]

    def write_validation(self, losses: Mapping[str, float]) -> None:
        """Append losses on held-out data, after the last unit."""
        assert self._metrics is not None
        assert self._plan is not None
        self._last = self.units, losses
        if not losses:
            return
        scores = self._plan.scored(losses)
        nothing = {"sd": None, "success_rate": None, "items": 1, "outcomes": None, "steps": None}
        self._metrics.write(
            {
                "kind": "evaluation",
                "unit": self.units,
                "updates": self.updates,
                "tasks": {
                    task: {"mean": score, **nothing, "measures": {"loss": losses[task]}}
                    for task, score in scores.items()
                },
                "average": sum(scores.values()) / len(scores),
            }
        )

    def records(self) -> list[dict[str, Any]]:
        """Return what has been written so far."""
        return [json.loads(line) for line in self._place.metrics.read_bytes().splitlines()]

    def count(self, total: int, shared: int) -> None:
        """Take note of how many numbers are trained, in all and of those that tasks share."""
        self._parameters = {"total": max(total, shared), "shared": shared, "balancer": 0}

    def describe(
        self, status: Status, faults: Sequence[Fault], error: Mapping[str, Any] | None, *, soon: bool = False
    ) -> None:
        """Write run.json.

        Args:
            status: of the run.
            faults: that were seen.
            error: what is wrong with it, if something is.
            soon: whether it can wait for the next time if it has been written just now.
        """
        plan = self._plan
        if plan is None or (soon and time.monotonic() < self._written + _PAUSE):
            return
        spent = self._before + time.perf_counter() - self._clock
        name, seed = name_and_seed(self.path)
        self._place.write(
            layout.RUN,
            {
                "schema": layout.SCHEMA,
                "status": status,
                "name": name,
                "seed": seed,
                "command": command_line(["python", *sys.argv]),
                "recipe_hash": canonical_hash(dict(plan.description)),
                "problem": LOOP,
                "tasks": list(plan.tasks),
                "score": asdict(plan.score),
                "figures": asdict(LOSSES),
                "definition": plan.definition,
                "definition_hash": definition_hash(plan.definition),
                "parameters": self._parameters,
                "unit": plan.unit,
                "item": f"{VALIDATION} set",
                "budget": {
                    "units": self._units_planned(plan, status),
                    "done": self.units,
                    "environment_steps": None,
                    "updates": self.updates,
                    "samples_per_update": 0,
                },
                "seconds": {"total": spent, "training": spent, "evaluation": 0.0},
                "peak_memory_mb": peak_memory_mb(),
                "started": self._started,
                "ended": None if status == "running" else now(),
                "versions": self._versions,
                "error": error,
                "faults": [fault.stored() for fault in faults],
            },
        )
        self._written = time.monotonic()

    def _units_planned(self, plan: Plan, status: Status) -> int:
        """Return how many units there will be: a loop that has ended has made all that it set out to make."""
        known = plan.units if plan.units is not None and status != "completed" else self.units
        return max(1, self.units, known)

    def close(self, status: Status, faults: Sequence[Fault], error: Mapping[str, Any] | None) -> None:
        """Write how the run ended, and let it go."""
        try:
            with explained(self.path, hint=_ELSEWHERE):
                if self._metrics is not None:
                    self._evaluate()
                    self.describe(status, faults, error)
                    self._metrics.close()
        finally:
            self._place.release()

    def _evaluate(self) -> None:
        """Write eval.json where the last unit was evaluated; one of an earlier end is gone."""
        assert self._plan is not None
        if self._last is None or self._last[0] != self.units or not self._last[1]:
            with suppress(FileNotFoundError):
                (self.path / layout.EVALUATION).unlink()
            return
        losses = self._last[1]
        self._place.write(
            layout.EVALUATION,
            {
                "schema": layout.SCHEMA,
                "checkpoint": layout.LAST,
                "done": self.units,
                "seeds": VALIDATION,
                "items": 1,
                "definition_hash": definition_hash(self._plan.definition),
                "tasks": {
                    task: {
                        "scores": [score],
                        "steps": None,
                        "outcomes": None,
                        "measures": {"loss": losses[task]},
                    }
                    for task, score in self._plan.scored(losses).items()
                },
            },
        )


def name_and_seed(path: Path) -> tuple[str, int]:
    """Return a run's name and seed: "mine" and 3 in results/mine/seed3, else the directory's name and 0."""
    path = path.resolve()
    if (found := _SEED.fullmatch(path.name)) and path.parent.name:
        return path.parent.name, int(found[1])
    return path.name or LOOP, 0
