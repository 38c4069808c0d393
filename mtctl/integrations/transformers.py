"""`mtctl.Monitor` for the Trainer of transformers: a callback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mtctl.balancing.errors import BalanceError
from mtctl.errors import MtctlError
from mtctl.integrations.validation import MeanLosses
from mtctl.monitoring.monitor import Monitor

if TYPE_CHECKING:
    TrainerCallback = object
else:
    try:
        from transformers import TrainerCallback
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise MtctlError(
            "mtctl.integrations.transformers needs transformers", hint='pip install "mtctl[transformers]"'
        ) from error

Losses = Mapping[str, Tensor | None]


def _losses_of(outputs: Any) -> Losses:
    """Return what a model's outputs have under `losses`."""
    found = outputs.get("losses") if isinstance(outputs, Mapping) else getattr(outputs, "losses", None)
    if not isinstance(found, Mapping):
        raise BalanceError(
            "the model's outputs have no `losses` by task",
            hint="return them: {'loss': total, 'losses': {task: loss, …}}; or name where they are: "
            "MonitorCallback(…, losses=lambda outputs: {…})",
        )
    return found


class MonitorCallback(TrainerCallback):
    """Records a training by the Trainer of transformers with `mtctl.Monitor`.

        class Model(PreTrainedModel):
            def forward(self, …):
                return {"loss": topic + tone, "losses": {"topic": topic, "tone": tone}, "logits": …}

        Trainer(model, …, callbacks=[MonitorCallback("results/mine")])

    The losses of each forward pass are read from the model's outputs: in training they are a step, in an
    evaluation their means are the losses on validation data. A unit is as many steps as lie between two logs
    (`logging_steps`), and an epoch where the Trainer logs by epoch.

    Args:
        directory: of the run.
        losses: returns the tasks' losses, scalars by name, from the model's outputs; `outputs["losses"]` if
            left out.
        weights: what the model multiplies losses with in the sum that it trains; 1 if left out.
        **settings: of `mtctl.Monitor`, but for optimizer and model, which the Trainer knows.

    Attributes:
        monitor: while it trains; None before and after.

    Raises:
        MtctlError: transformers is not installed; or as `mtctl.Monitor` does.
        BalanceError: the outputs have no losses.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        losses: Callable[[Any], Losses] = _losses_of,
        weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        self._directory, self._losses, self._weights = directory, losses, weights
        self._settings = settings
        self._validation = MeanLosses()
        self._hook: Any = None
        self.monitor: Monitor | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        settings = dict(self._settings)
        if args.logging_strategy == "steps":
            settings.setdefault(
                "steps_per_unit", max(1, state.logging_steps) * args.gradient_accumulation_steps
            )
        elif "steps_per_unit" not in settings:
            settings.setdefault("epochs", max(1, int(state.num_train_epochs)))
        model = kwargs["model"]
        self.monitor = Monitor(self._directory, optimizer=kwargs["optimizer"], model=model, **settings)
        self._hook = model.register_forward_hook(self._see)

    def _see(self, model: Any, inputs: Any, outputs: Any) -> None:
        """Take in a forward pass."""
        if self.monitor is None:
            return
        if model.training:
            self.monitor.record(self._losses(outputs), self._weights)
        else:
            self._validation.add(self._losses(outputs))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.monitor is not None:
            self.monitor.epoch()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        losses = self._validation.take()
        if self.monitor is not None and self.monitor.tasks and losses:
            self.monitor.epoch(losses)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.monitor is not None:
            self._hook.remove()
            self.monitor.close()
            self.monitor = None
