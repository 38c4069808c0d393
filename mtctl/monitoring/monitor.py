"""The watcher of anyone's own training loop: records what `mtctl diagnose` and `mtctl compare` read."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from mtctl.balancing.errors import BalanceError
from mtctl.diagnosis.report import Diagnosis
from mtctl.errors import MtctlError
from mtctl.library.balance import look, scalars
from mtctl.library.balancer import Balancer
from mtctl.library.report import Report
from mtctl.library.scaling import Scale, number
from mtctl.library.sharing import checked
from mtctl.monitoring.faults import Wiring
from mtctl.monitoring.loop_run import LoopRun, name_and_seed
from mtctl.monitoring.recorder import Recorder

EVERY: Final = 200
"""Steps between two measurements of gradients. With three tasks one takes about two steps' time: 1 %."""
_NO_STEP: Final = "hand its losses in: monitor.record(losses), or mtctl.balance(losses, …, monitor=monitor)"


class Monitor:
    """Records a training loop of your own in a run directory, and says at once what is certainly wrong.

    >>> import tempfile, torch, mtctl
    >>> trunk, left, right = torch.nn.Linear(4, 8), torch.nn.Linear(8, 1), torch.nn.Linear(8, 1)
    >>> optimizer = torch.optim.Adam([*trunk.parameters(), *left.parameters(), *right.parameters()])
    >>> monitor = mtctl.Monitor(tempfile.mkdtemp(), optimizer=optimizer)        # once, before the loop
    >>> for _ in range(3):
    ...     for _ in range(10):
    ...         features = trunk(torch.randn(16, 4)).relu()
    ...         losses = {"left": left(features).square().mean(), "right": right(features).abs().mean()}
    ...         optimizer.zero_grad()
    ...         report = mtctl.balance(losses, monitor=monitor)                 # one of the two …
    ...         optimizer.step()
    ...     monitor.epoch({"left": 0.5, "right": 0.4})                          # losses on validation data
    >>> [state.task for state in monitor.diagnose().states]
    ['left', 'right']
    >>> monitor.close()

    Without `mtctl.balance`, call `monitor.record(losses)` before `loss.backward()`. `mtctl diagnose DIR`,
    `mtctl compare DIR… --watch` and `mtctl report` then read the directory as they read a run of
    `mtctl train`; it has no checkpoints, so that `mtctl` can neither resume nor evaluate it.

    Every step's losses and weights are recorded. Gradients are measured in the steps 1, 2, 3, 5, 9, … and
    every `every`-th: for each task the norm on shared parameters ‖∇Lᵢ‖, its share of the weighted sum,
    cosines of each pair, and the norm on the task's own parameters. That costs one backward pass through the
    shared part for each task. `.grad`, hooks and random numbers are as without a monitor.

    Said by `warnings.warn` (`MonitorWarning`), each once, and named again by a diagnosis: parameters that
    losses reach and no optimizer has; a loss without a graph; a loss that is NaN or infinite, at most `every`
    steps later; a head without a gradient. A loop that accumulates gradients over several batches counts each
    as a step.

    A run ends with `close()`, with the `with` block, or with the process: completed, or failed where an
    exception ended it. The records of a process that was killed are those up to its last unit. Where several
    processes train together (DistributedDataParallel), the first one records losses and weights, without
    gradients, and the others nothing.

    Args:
        directory: the run's, such as "results/mine". Name it results/NAME/seed3 for the seed 3 of a method:
            comparisons then put the seeds of one name together.
        optimizer: what trains the model, or several; nothing is said about left out parameters without it.
        model: whose parameters' names messages use.
        heads: each task's own parameters, by task; found in the graphs if left out: those that no other
            task's loss reaches.
        best_constants: by task, the mean loss of the best answer that is the same for all inputs. Diagnoses
            then tell a task that has learned nothing from one that has little left to learn, and validation
            losses are scored as skill, 100·(1 − L/Lᶜ) in percent, where all tasks have one.
        tasks: names; those of the first step if left out. Give them if a task may be absent from that step.
        epochs: how many units there will be, for `--watch`.
        every: steps between two measurements of gradients. The default takes 3 % of the time or less where a
            step takes 10 ms; 1 measures each step.
        steps_per_unit: end a unit by itself after so many steps, for loops whose epochs are long or that have
            none; without it, `epoch()` does.
        resume: append to the records that the directory holds.

    Raises:
        BalanceError: an argument is unusable.
        MtctlError: the directory holds something already, or cannot be written.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        optimizer: Optimizer | Iterable[Optimizer] | None = None,
        model: nn.Module | None = None,
        heads: Mapping[str, Iterable[Tensor]] | None = None,
        best_constants: Mapping[str, float] | None = None,
        tasks: Iterable[str] | None = None,
        epochs: int | None = None,
        every: int = EVERY,
        steps_per_unit: int | None = None,
        resume: bool = False,
    ) -> None:
        for name, value in (("every", every), ("steps_per_unit", steps_per_unit), ("epochs", epochs)):
            if value is not None and value < 1:
                raise BalanceError(f"{name}: expected 1 or more, found {value}")
        optimizers = _all(optimizer)
        settings = {
            "name": name_and_seed(Path(directory))[0],
            "optimizer": [_described(one) for one in optimizers],
            "monitor": {"every": every, "steps_per_unit": steps_per_unit},
        }
        own = {task: checked(f"heads[{task!r}]", head) or () for task, head in (heads or {}).items()}
        self._every, self._steps_per_unit = every, steps_per_unit
        self._ranks, first = _processes()
        self._recorder = (
            Recorder(
                LoopRun(Path(directory), resume=resume),
                Wiring(optimizers, model, own),
                settings,
                constants=dict(best_constants or {}),
                units=epochs,
                unit="epoch" if steps_per_unit is None else "interval",
            )
            if first
            else None
        )
        self._equal = Balancer("equal")
        self._steps = 0
        self._end = weakref.finalize(self, _end, self._recorder, os.getpid(), _last_exception())
        if tasks is not None and self._recorder is not None:
            try:
                self._recorder.begin(tuple(tasks), self._equal.name)
            except BaseException:
                self.close()
                raise

    def record(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Mapping[str, float] | None = None,
        *,
        scale: Scale | None = None,
    ) -> None:
        """Record a step of a loop that does not use `mtctl.balance`; call it before `loss.backward()`.

        Args:
            losses: scalars by task name, as they are before weighting, each with its graph. Leave a task out,
                or None, where the step has no data of it.
            weights: what the loop multiplies losses with in the sum that it minimises; 1 if left out.
            scale: what the losses given are multiplied with against underflow; see `mtctl.balance`. Hand in
                scaled losses where gradients are float16, unscaled ones elsewhere.

        Raises:
            BalanceError: a loss is no scalar or of a task that is new; or gradients are switched off.
        """
        recorder = self._recorder
        if recorder is None:
            return
        if not torch.is_grad_enabled():
            raise BalanceError(
                "record: gradients are switched off here, as in a validation",
                hint="record training steps; losses on validation data are for monitor.epoch(losses)",
            )
        present = scalars(losses)
        if not present:
            return
        tasks = recorder.admit(tuple(losses), self._equal.name)
        weighted = dict(weights or {})
        if (unknown := next((task for task in weighted if task not in tasks), None)) is not None:
            raise BalanceError(f"weights: there is no task `{unknown}`", hint=f"tasks: {', '.join(tasks)}")
        self._close_full_unit()
        if not self.wants_gradients:
            self._steps += 1
            recorder.add_losses(self._steps, present, weighted, self._scale_of(present, scale))
            return
        recorder.inspect(present)
        attached = {task: loss for task, loss in present.items() if loss.requires_grad}
        report = None
        if attached:
            if not self._equal.tasks:
                self._equal.admit(tasks)
            report = look(attached, self._equal, weighted, scale=scale)
        self._steps += 1
        recorder.add_measured(self._steps, present, weighted, report)

    def _scale_of(self, losses: Mapping[str, Tensor], scale: Scale | None) -> float:
        """Return what losses are multiplied with; looked for only where measured steps had a scale."""
        if scale is not None:
            return number(scale)
        scaling = self._equal.scaling
        return (scaling.of(losses, None, len(losses)) or 1.0) if scaling.found else 1.0

    @property
    def wants_gradients(self) -> bool:
        """Whether the next step is one whose gradients are measured."""
        if self._recorder is None or self._ranks > 1:
            return False
        step = self._steps
        return step % self._every == 0 or (step < self._every and step & (step - 1) == 0)

    def see(
        self, tasks: tuple[str, ...], losses: Mapping[str, Tensor], values: Tensor, *, scale: float
    ) -> None:
        """Look at the losses of a step of `mtctl.balance`, which calls this itself."""
        if (recorder := self._recorder) is None:
            return
        known = recorder.admit(tasks, self._equal.name)
        if known != tasks and set(known) != set(tasks):
            raise BalanceError(
                f"the balancer's tasks are {', '.join(tasks)}, the monitor's {', '.join(known)}",
                hint="give both the same tasks",
            )
        self._close_full_unit()
        by_task = dict(zip(tasks, values.tolist(), strict=True))
        recorder.check({task: by_task[task] for task in losses}, self._steps + 1, scaled=scale != 1)
        if self.wants_gradients:
            recorder.inspect(losses)

    def step(self, report: Report) -> None:
        """Record a step of `mtctl.balance` by its report, where `monitor=` was not given.

        Gradients are recorded where the report has them on all shared parameters: `measure=True`.

        Args:
            report: of the step.

        Raises:
            BalanceError: it is of a task that is new.
        """
        if (recorder := self._recorder) is None:
            return
        recorder.admit(tuple(report.losses), report.method)
        self._close_full_unit()
        self._steps += 1
        if not report.overflowed:
            recorder.add_report(self._steps, report)

    def epoch(self, validation_losses: Mapping[str, Tensor | float] | None = None) -> None:
        """End an epoch: write the means over its steps, and its losses on validation data.

        Where no step came since the last call, only the losses are added. With `steps_per_unit`, call it
        where there are losses on validation data; the unit under way then ends there.

        Args:
            validation_losses: by task, means over data that training does not see; comparisons score the last
                ones, lower is better.

        Raises:
            BalanceError: no step was recorded; a task is unknown, or its loss is no number.
        """
        if (recorder := self._recorder) is None:
            return
        if not recorder.begun:
            raise BalanceError("epoch: no step has been recorded", hint=_NO_STEP)
        if self._steps_per_unit is None or validation_losses is not None:
            recorder.catch_up()
            recorder.end_unit(recorder.validated(validation_losses or {}))

    def diagnose(self) -> Diagnosis:
        """Return what the records so far say: the same rules as `mtctl diagnose DIR`, the same findings.

        >>> print([str(finding.code) for finding in monitor.diagnose().findings])       # doctest: +SKIP

        Raises:
            BalanceError: no step was recorded; or this process records nothing, as it is not the first one.
        """
        if self._recorder is None:
            raise BalanceError("diagnose: only the first of several processes records")
        if not self._recorder.begun:
            raise BalanceError("diagnose: no step has been recorded", hint=_NO_STEP)
        return self._recorder.diagnose()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in order; none as long as no step has been recorded."""
        return () if self._recorder is None else self._recorder.tasks

    @property
    def records(self) -> bool:
        """Whether this process records: it is the first of several, and the run has not been closed."""
        return self._recorder is not None

    def close(self, error: BaseException | None = None) -> None:
        """End the run; nothing more is recorded. What came after the last epoch becomes a unit of its own.

        Args:
            error: what ended the training, if that was a failure.
        """
        if self._end.detach() is not None and self._recorder is not None:
            self._recorder.close(error)
        self._recorder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def _close_full_unit(self) -> None:
        """End a unit that has its steps; not with its last step, which the optimizer has yet to make."""
        recorder = self._recorder
        if recorder is not None and self._steps_per_unit and recorder.pending >= self._steps_per_unit:
            recorder.end_unit({})


def _all(optimizer: Optimizer | Iterable[Optimizer] | None) -> tuple[Optimizer, ...]:
    if optimizer is None:
        return ()
    return (optimizer,) if isinstance(optimizer, Optimizer) else tuple(optimizer)


def _described(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's kind and settings as JSON values, with the learning rate of each group."""
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in optimizer.defaults.items()
        if isinstance(value, bool | int | float | str | tuple)
    }
    rates = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups if "lr" in group]
    return {"kind": type(optimizer).__name__, **settings, **({"lr": rates} if len(rates) > 1 else {})}


def _end(recorder: Recorder | None, process: int, before: BaseException | None) -> None:
    """End the run of a monitor that is gone, or whose process ends; a forked process leaves it alone."""
    if recorder is None or os.getpid() != process:
        return
    last = _last_exception()
    with suppress(MtctlError):  # the directory is gone, say, and nobody is left to hear of it
        recorder.close(last if last is not before else None)


def _last_exception() -> BaseException | None:
    """Return the exception that nobody has caught, or that is on its way up."""
    return sys.exc_info()[1] or getattr(sys, "last_value", None)


def _processes() -> tuple[int, bool]:
    """Return how many processes train together, and whether this is the first."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1, True
    return distributed.get_world_size(), distributed.get_rank() == 0
