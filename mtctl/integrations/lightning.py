"""`mtctl.Monitor` for Lightning: a callback that works with `lightning` and with `pytorch_lightning`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from mtctl.balancing.errors import BalanceError
from mtctl.errors import MtctlError
from mtctl.integrations.validation import MeanLosses
from mtctl.monitoring.monitor import Monitor

_PACKAGES: Final = ("lightning.pytorch", "pytorch_lightning")
"""Two names of the same code, whose classes are not the same."""


def _callback_class() -> type[Any]:
    """Return the base class of callbacks, from the package that the program uses already."""
    for name in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    raise MtctlError("mtctl.integrations.lightning needs Lightning", hint='pip install "mtctl[lightning]"')


if TYPE_CHECKING:
    Callback = object
else:
    Callback = _callback_class()


class MonitorCallback(Callback):
    """Records a Lightning training with `mtctl.Monitor`.

        class Model(LightningModule):
            def training_step(self, batch, index):
                self.task_losses = {"depth": …, "normals": …}          # scalars, with their graphs
                return sum(self.task_losses.values())

            def validation_step(self, batch, index):
                self.task_losses = {"depth": …, "normals": …}          # optional: their means count

        Trainer(callbacks=[MonitorCallback("results/mine")])

    A unit is an epoch; with `steps_per_unit` it is so many batches. In manual optimisation, hand
    `callback.monitor` to `mtctl.balance(losses, monitor=…)` and set no attribute in `training_step`.

    Args:
        directory: of the run.
        attribute: of the module, where its steps leave their losses.
        weights: what the module multiplies losses with in the sum that it returns; 1 if left out.
        **settings: of `mtctl.Monitor`, but for optimizer, model and epochs, which the trainer knows.

    Attributes:
        monitor: while it trains; None before and after.

    Raises:
        MtctlError: Lightning is not installed; or as `mtctl.Monitor` does.
        BalanceError: a training step left no losses.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        attribute: str = "task_losses",
        weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._directory, self._attribute = directory, attribute
        self._weights, self._settings = weights, settings
        self._validation = MeanLosses()
        self.monitor: Monitor | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        by_steps = self._settings.get("steps_per_unit") is not None
        self.monitor = Monitor(
            self._directory,
            optimizer=trainer.optimizers,
            model=pl_module,
            epochs=None if by_steps else epochs,
            **self._settings,
        )

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        losses = self._taken(pl_module)
        if self.monitor is not None and losses is not None:
            self.monitor.record(losses, self._weights)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *batch: Any) -> None:
        if self.monitor is not None and self.monitor.records and not self.monitor.tasks:
            raise BalanceError(
                f"training_step of {type(pl_module).__name__} left no losses for the monitor",
                hint=f"self.{self._attribute} = {{task: loss, …}} in it; or, in manual optimisation, "
                "mtctl.balance(losses, monitor=callback.monitor)",
            )

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._validation = MeanLosses()

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *batch: Any) -> None:
        if (losses := self._taken(pl_module)) is not None:
            self._validation.add(losses)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self.monitor is not None:
            self.monitor.epoch(self._validation.take() or None)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close(None)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close(exception)

    def _taken(self, module: Any) -> Mapping[str, Tensor | None] | None:
        """Return what a step left, and remove it: its graph would stay in memory until the next step."""
        losses: Mapping[str, Tensor | None] | None = getattr(module, self._attribute, None)
        if losses is not None:
            setattr(module, self._attribute, None)
        return losses

    def _close(self, error: BaseException | None) -> None:
        if self.monitor is not None:
            self.monitor.close(error)
            self.monitor = None
