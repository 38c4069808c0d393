"""What a monitor records: a loop's steps, what is wrong with them, and how the run ended."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from mtctl.balancing.chain import Decision
from mtctl.balancing.errors import BalanceError
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.run import diagnose_recorded
from mtctl.diagnosis.report import Diagnosis
from mtctl.diagnosis.thresholds import NO_GRADIENT
from mtctl.engine import layout
from mtctl.engine.result import RunError
from mtctl.history.history import observed_history
from mtctl.history.runs import read_run
from mtctl.library.report import Report
from mtctl.monitoring.faults import Fault, Faults, MonitorWarning, Wiring
from mtctl.monitoring.loop_run import LoopRun, Plan, Status
from mtctl.monitoring.record import Step, UnitLog
from mtctl.problems.kinds import LOOP

_WITHOUT: Final = 3
"""Measured steps in a row in which a head has no gradient until that is a fault: a loss may rest at 0."""


class Recorder:
    """What a monitor has behind it; it knows nothing of the monitor, so that it can outlive it.

    Args:
        run: where records are written.
        wiring: of the loop.
        settings: what the description says of the training.
        constants: the loss of each task's best constant answer, where that is known.
        units: how many there will be, if that is known.
        unit: the name of one.
    """

    def __init__(
        self,
        run: LoopRun,
        wiring: Wiring,
        settings: Mapping[str, Any],
        *,
        constants: Mapping[str, float],
        units: int | None,
        unit: str,
    ) -> None:
        self._run, self._wiring, self._settings = run, wiring, settings
        self._constants, self._units, self._unit = constants, units, unit
        self._faults = Faults()
        self._still: dict[str, int] = {}
        self._plain: tuple[tuple[str, ...], Tensor, Decision] | None = None
        self._log: UnitLog
        self.tasks: tuple[str, ...] = ()
        self._evaluated = -1
        self._shared = 0
        self._ready = True

    @property
    def begun(self) -> bool:
        """Whether the tasks are known."""
        return bool(self.tasks)

    @property
    def pending(self) -> int:
        """Steps since the last unit."""
        return self._log.steps if self.begun else 0

    def begin(self, tasks: tuple[str, ...], method: str) -> None:
        """Write the description of the run.

        Raises:
            BalanceError: a name is unusable, or a setting is of a task that there is not.
        """
        _refuse_names(tasks)
        for name, given in (("best_constants", self._constants), ("heads", self._wiring.heads)):
            if (unknown := next((task for task in given if task not in tasks), None)) is not None:
                raise BalanceError(f"{name}: there is no task `{unknown}`", hint=f"tasks: {', '.join(tasks)}")
        description = {
            "name": self._settings["name"],
            "problem": {"kind": LOOP, "tasks": list(tasks)},
            "optimizer": self._settings["optimizer"],
            "balancer": method,
            "monitor": self._settings["monitor"],
        }
        self._run.begin(Plan(tasks, self._constants, self._unit, self._units, description))
        self._log = UnitLog(tasks, self._constants)
        self._log.follow_heads(self._wiring.heads)
        self.tasks = tasks

    def admit(self, names: tuple[str, ...], method: str) -> tuple[str, ...]:
        """Return all tasks; the first step's become the tasks if none were given.

        Raises:
            BalanceError: a task is new.
        """
        if not self.begun:
            self.begin(names, method)
        if (new := next((name for name in names if name not in self.tasks), None)) is not None:
            raise BalanceError(
                f"task `{new}` is new: this monitor began with {', '.join(self.tasks)}",
                hint="name all tasks at the start: Monitor(…, tasks=[…])",
            )
        return self.tasks

    def inspect(self, losses: Mapping[str, Tensor]) -> None:
        """Look at the graphs of a step's losses; warn of what is wrong."""
        reached = self._wiring.reached(losses)
        if len(losses) == len(self.tasks):  # else what tasks share may look like the own of those present
            self._log.follow_heads(self._wiring.own(reached))
        self._say(self._wiring.faults(losses, reached))

    def check(self, losses: Mapping[str, float], number: int, *, scaled: bool) -> None:
        """Look for losses that are not finite; an infinite one may be the overflow of a scaled one."""
        known = {task: loss for task, loss in losses.items() if not (scaled and math.isinf(loss))}
        self._log.check(self._row(known), self._active(known), number)
        self._say_broken()

    def add_losses(
        self, number: int, losses: Mapping[str, Tensor], weights: Mapping[str, float], scale: float
    ) -> None:
        """Take in a step whose gradients are not measured; its losses stay where they are."""
        present = tuple(losses)
        if self._plain is None or weights or self._plain[0] != present:
            given = self._row({task: weights.get(task, 1.0) for task in losses})
            self._plain = None if weights else (present, self._active(losses), _both(given))
            active, decision = self._active(losses), _both(given)
        else:
            _, active, decision = self._plain
        values = self._on_device(losses)
        self._log.add(Step(number, values if scale == 1 else values / scale, active, decision))

    def add_measured(
        self, number: int, losses: Mapping[str, Tensor], weights: Mapping[str, float], report: Report | None
    ) -> None:
        """Take in a step that was looked at.

        Args:
            number: of the step.
            losses: of the tasks that are present.
            weights: that the loop gives them; 1 where none is given.
            report: of those whose loss has a graph; None without any.
        """
        values = {task: float(loss.detach()) for task, loss in losses.items()}
        if report is not None:
            values |= report.losses
        given = self._row({task: weights.get(task, 1.0) for task in losses})
        measured = self._measured(
            report, detached=[task for task in losses if not losses[task].requires_grad]
        )
        self._log.add(Step(number, self._row(values), self._active(losses), _both(given), measured))
        self._after_measuring(report)

    def add_report(self, number: int, report: Report) -> None:
        """Take in a step of `mtctl.balance`."""
        decision = Decision(self._row(report.weights), self._row(report.own_weights))
        known = report.space == "all_shared" or report.own_norms is not None
        measured = self._measured(report) if known else None
        self._log.add(Step(number, self._row(report.losses), self._active(report.losses), decision, measured))
        self._after_measuring(report if known else None)

    def _measured(self, report: Report | None, detached: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
        """Return inner products and own norms of all tasks; those of a loss without a graph are 0."""
        count = len(self.tasks)
        gramian = torch.full((count, count), torch.nan, dtype=torch.float64)
        own = torch.full((count,), torch.nan, dtype=torch.float64)
        if report is not None and report.gramian is not None and report.space == "all_shared":
            places = torch.tensor([self.tasks.index(task) for task in report.losses])
            gramian = torch.zeros(count, count, dtype=torch.float64)
            gramian[places.unsqueeze(1), places] = report.gramian.cpu()
        for task, norm in ({} if report is None else report.own_norms or {}).items():
            own[self.tasks.index(task)] = norm
        for task in detached:
            place = self.tasks.index(task)
            gramian[place], gramian[:, place] = 0.0, 0.0
        return gramian, own

    def _after_measuring(self, report: Report | None) -> None:
        self._say_broken()
        if report is None:
            return
        shared = set(report.parameters) if report.space == "all_shared" else set()
        self._count(shared)
        norms = report.own_norms or {}
        self._say(self._without_gradient(norms))

    def _count(self, shared: set[Tensor]) -> None:
        self._shared = max(self._shared, sum(one.numel() for one in shared))
        self._run.count(sum(one.numel() for one in set(self._wiring.trained)), self._shared)

    def _without_gradient(self, norms: Mapping[str, float]) -> Iterable[Fault]:
        for task, norm in norms.items():
            self._still[task] = self._still.get(task, 0) + 1 if norm < NO_GRADIENT else 0
            if self._still[task] == _WITHOUT:
                yield Fault(
                    Code.DEAD_HEAD,
                    task,
                    f"{task}'s head had no gradient in {_WITHOUT} measured steps in a row",
                    "look at its last activation, and at what its loss clamps or masks",
                )

    def validated(self, losses: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Return validation losses as numbers; those that are not finite are warned of and left out.

        Raises:
            BalanceError: a task is unknown, or its loss is no number.
        """
        found: dict[str, float] = {}
        for task, loss in losses.items():
            if task not in self.tasks:
                raise BalanceError(
                    f"validation losses: there is no task `{task}`", hint=f"tasks: {', '.join(self.tasks)}"
                )
            try:
                value = float(loss)
            except (TypeError, ValueError, RuntimeError) as error:
                raise BalanceError(
                    f"task `{task}`: expected its validation loss, one number: {error}"
                ) from error
            if abs(value) < layout.LARGEST:
                found[task] = value
            else:
                text = f"{task}'s validation loss is {value:g} after {self._unit} {self._run.units + 1}"
                self._say([Fault(Code.DIVERGED, task, text, "it is left out", certain=False)])
        return found

    def catch_up(self) -> None:
        """Look at the losses of the steps since gradients were measured last."""
        self._log.fetch()
        self._say_broken()

    def end_unit(self, validation: Mapping[str, float]) -> None:
        """Write the unit under way, and validation losses after it."""
        if not self._ready:
            return
        try:
            if self.pending or not validation or self._evaluated == self._run.units:
                updates = self._run.updates + self.pending
                self._run.write(self._log.record(self._run.units + 1, updates))
                self._log.close()
            if validation:
                self._run.write_validation(validation)
                self._evaluated = self._run.units
            self._say_broken()
            self._describe(soon=True)
        except OSError as error:
            self._ready = False
            reason = f"{error.filename or self._run.path}: {error.strerror or error}"
            warnings.warn(f"the monitor has stopped recording: {reason}", MonitorWarning, stacklevel=2)

    def diagnose(self) -> Diagnosis:
        self._describe()
        run = read_run(self._run.path)
        records = self._run.records()
        if self.pending:
            updates = self._run.updates + self.pending
            records.append(self._log.record(self._run.units + 1, updates))
        return diagnose_recorded(run, observed_history(records, self.tasks))

    def close(self, error: BaseException | None) -> None:
        """Write what is left, and how the run ended."""
        if self.begun and self.pending:
            self.end_unit({})
        status: Status = "completed"
        if error is not None:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        elif self.begun and self._log.broken:
            status = "failed"
        self._run.close(status, self._certain(), self._error(error))

    def _describe(self, *, soon: bool = False) -> None:
        self._run.describe("running", self._certain(), self._error(None), soon=soon)

    def _certain(self) -> list[Fault]:
        """Return the faults that a diagnosis names; of a loss that is not finite, the error tells."""
        said = self._faults.said
        return [fault for fault in said if fault.certain and fault.code is not Code.DIVERGED]

    def _error(self, error: BaseException | None) -> dict[str, Any] | None:
        """Return what is wrong with the run: what ended it, and which loss is not finite."""
        if error is not None and isinstance(error, KeyboardInterrupt):
            return None
        found: dict[str, Any] | None = None if error is None else RunError.of(error).stored()
        if self.begun and self._log.broken:
            task, broken = next(iter(self._log.broken.items()))
            place = f"step {broken.step}"
            message = f"diverged in {place}: task `{task}` has {broken.found}"
            diverged = {"kind": "diverged", "task": task, "found": broken.found, "place": place}
            found = {"message": message, **(found or {}), **diverged}
        return found

    def _say(self, faults: Iterable[Fault]) -> None:
        before = len(self._certain())
        try:
            self._faults.say(faults)
        finally:
            if len(self._certain()) > before:
                self._describe()

    def _say_broken(self) -> None:
        self._say(
            Fault(
                Code.DIVERGED,
                task,
                f"{task}'s loss is {broken.found.removeprefix('loss ')} in step {broken.step}",
                "look at its targets and inputs, at logarithms and divisions in it, and at the learning rate",
            )
            for task, broken in list(self._log.broken.items())
        )

    def _row(self, values: Mapping[str, float]) -> Tensor:
        return torch.tensor([values.get(task, 0.0) for task in self.tasks], dtype=torch.float64)

    def _active(self, present: Iterable[str]) -> Tensor:
        there = set(present)
        return torch.tensor([task in there for task in self.tasks])

    def _on_device(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return [T] copies of the losses, on the device of the first: nothing waits for it."""
        first = next(iter(losses.values()))
        values = []
        for task in self.tasks:
            loss = losses[task].detach() if task in losses else first.new_zeros(())
            values.append(loss if loss.dim() == 0 else loss.reshape(()))
        if any(loss.device != first.device or loss.dtype != first.dtype for loss in values):
            values = [loss.to(first.device, torch.float32) for loss in values]
        return torch.stack(values)


def _both(weights: Tensor) -> Decision:
    return Decision(weights, weights)


def _refuse_names(tasks: tuple[object, ...]) -> None:
    for task in tasks:
        if not isinstance(task, str) or not task.strip() or not task.isprintable() or "|" in task:
            raise BalanceError(f"task {task!r}: expected a name of printable text without `|`")
    if len(set(tasks)) < len(tasks) or not tasks:
        raise BalanceError(f"tasks: expected one name or more, each once, found {list(tasks)}")
