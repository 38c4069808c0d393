"""The callback in trainings by the real Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mtctl
from mtctl.balancing.errors import BalanceError
from mtctl.history.history import read_history
from mtctl.history.runs import evaluation, read_run

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

pytestmark = pytest.mark.filterwarnings("default")


class Model(transformers.PreTrainedModel):  # type: ignore[misc, name-defined]
    """Two regressions on one trunk."""

    config_class = transformers.PretrainedConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.trunk = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.red, self.blue = nn.Linear(24, 1), nn.Linear(24, 1)
        self.post_init()

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        features = self.trunk(x)
        red = (self.red(features)[:, 0] - y[:, 0]).square().mean()
        blue = (self.blue(features)[:, 0] - y[:, 1]).square().mean()
        return {"loss": red + blue, "losses": {"red": red, "blue": blue}}


def train(directory: Path, *, callback: dict[str, Any] | None = None, **settings: Any) -> None:
    from mtctl.integrations.transformers import MonitorCallback

    inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    data = [{"x": row, "y": row[:2]} for row in inputs]
    arguments = transformers.TrainingArguments(
        str(directory / "out"),
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
        prediction_loss_only=True,
        dataloader_pin_memory=False,
        **settings,
    )
    watching = MonitorCallback(directory / "run", **(callback or {}))
    model = Model(transformers.PretrainedConfig())
    transformers.Trainer(
        model, arguments, train_dataset=data, eval_dataset=data, callbacks=[watching]
    ).train()
    assert watching.monitor is None
    assert not model._forward_hooks


def test_a_training_is_recorded_by_epoch(tmp_path: Path) -> None:
    train(tmp_path, num_train_epochs=3, eval_strategy="epoch", logging_strategy="epoch", learning_rate=1e-2)
    run = read_run(tmp_path / "run")
    assert (run.status, run.unit, run.tasks) == ("completed", "epoch", ("red", "blue"))
    assert (run.budget.done, run.budget.updates) == (3, 24)
    history = read_history(run)
    assert len(history.evaluations) == 3
    assert history.measured.sum() == 6
    assert history.losses("red")[-1] < history.losses("red")[0]
    assert evaluation(run.path) is not None


def test_units_lie_between_two_logs(tmp_path: Path) -> None:
    train(
        tmp_path,
        num_train_epochs=2,
        logging_steps=2,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=4,
    )
    run = read_run(tmp_path / "run")
    assert (run.unit, run.budget.done, run.budget.updates) == ("interval", 4, 16)
    assert len(read_history(run).evaluations) == 2


def test_losses_may_stand_elsewhere(tmp_path: Path) -> None:
    found = {"losses": lambda outputs: {"only": outputs["losses"]["red"]}}
    train(tmp_path, callback=found, max_steps=3, logging_strategy="epoch")
    assert read_run(tmp_path / "run").tasks == ("only",)


def test_outputs_without_losses_are_told_how(tmp_path: Path) -> None:
    from mtctl.integrations.transformers import MonitorCallback

    watching = MonitorCallback(tmp_path / "run")
    with pytest.raises(BalanceError, match="have no `losses` by task"):
        watching._losses({"loss": torch.ones(())})


def test_a_parameter_that_the_optimizer_lacks_is_named(tmp_path: Path) -> None:
    class Frozen(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del kwargs["optimizer"].param_groups[0]["params"][0]

    from mtctl.integrations.transformers import MonitorCallback

    inputs = torch.randn(16, 6)
    data = [{"x": row, "y": row[:2]} for row in inputs]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"),
        max_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    callbacks = [Frozen(), MonitorCallback(tmp_path / "run")]
    model = Model(transformers.PretrainedConfig())
    with pytest.warns(mtctl.MonitorWarning, match="the optimizer was not given 1 parameter"):
        transformers.Trainer(model, arguments, train_dataset=data, callbacks=callbacks).train()
