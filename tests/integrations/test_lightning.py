"""The callback in trainings by the real Lightning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mtctl
from mtctl.balancing.errors import BalanceError
from mtctl.history.history import read_history
from mtctl.history.runs import evaluation, read_run

L = pytest.importorskip("pytorch_lightning")

# Of Lightning's own: about workers of loaders, and about torch's pytrees.
pytestmark = pytest.mark.filterwarnings("default")


class Model(L.LightningModule):  # type: ignore[misc, name-defined]
    """Two regressions on one trunk."""

    def __init__(self, *, leaves: bool = True, left_out: bool = False) -> None:
        super().__init__()
        self.leaves, self.left_out = leaves, left_out
        self.trunk = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.red, self.blue = nn.Linear(24, 1), nn.Linear(24, 1)

    def losses(self, batch: list[Tensor]) -> dict[str, Tensor]:
        features = self.trunk(batch[0])
        answers = self.red(features)[:, 0], self.blue(features)[:, 0]
        return {
            task: (answer - batch[1][:, place]).square().mean()
            for place, (task, answer) in enumerate(zip(("red", "blue"), answers, strict=True))
        }

    def training_step(self, batch: list[Tensor], index: int) -> Tensor | None:
        losses = self.losses(batch)
        if self.leaves:
            self.task_losses: dict[str, Tensor] | None = losses
        return losses["red"] + losses["blue"]

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.task_losses = self.losses(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parts = [self.trunk, self.red] if self.left_out else [self]
        return torch.optim.Adam([one for part in parts for one in part.parameters()], lr=1e-2)


class Manual(Model):
    """The same, balanced by hand."""

    monitored: Any

    def __init__(self) -> None:
        super().__init__(leaves=False)
        self.automatic_optimization = False
        self.balancer = mtctl.Balancer("pcgrad")

    def training_step(self, batch: list[Tensor], index: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        mtctl.balance(self.losses(batch), balancer=self.balancer, monitor=self.monitored.monitor)
        optimizer.step()


@pytest.fixture
def data() -> Iterator[DataLoader[Any]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inputs = torch.randn(128, 6)
        yield DataLoader(TensorDataset(inputs, inputs[:, :2]), 16)


def trainer(callback: Any, epochs: int = 3, **settings: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return L.Trainer(
        max_epochs=epochs, callbacks=[callback], logger=False, accelerator="cpu", **quiet, **settings
    )


def callback(directory: Path, **settings: Any) -> Any:
    from mtctl.integrations.lightning import MonitorCallback

    return MonitorCallback(directory, **settings)


def test_a_training_is_recorded(tmp_path: Path, data: DataLoader[Any]) -> None:
    watching = callback(tmp_path / "run")
    trainer(watching).fit(Model(), data, data)
    run = read_run(tmp_path / "run")
    assert (run.status, run.tasks, run.budget.done, run.budget.updates) == (
        "completed",
        ("red", "blue"),
        3,
        24,
    )
    history = read_history(run)
    assert len(history.evaluations) == 3
    assert history.losses("red")[-1] < history.losses("red")[0]
    assert history.measured.sum() == 6
    assert evaluation(run.path) is not None
    assert watching.monitor is None


def test_names_of_parameters_are_the_modules(tmp_path: Path, data: DataLoader[Any]) -> None:
    with pytest.warns(mtctl.MonitorWarning, match=r"blue\.weight, blue\.bias"):
        trainer(callback(tmp_path / "run"), 1).fit(Model(left_out=True), data)


def test_accumulated_gradients_and_units_of_batches(tmp_path: Path, data: DataLoader[Any]) -> None:
    watching = callback(tmp_path / "run", steps_per_unit=4)
    trainer(watching, 2, accumulate_grad_batches=2).fit(Model(), data)
    run = read_run(tmp_path / "run")
    assert (run.unit, run.budget.done, run.budget.updates) == ("interval", 4, 16)


def test_manual_optimisation_with_balance(tmp_path: Path, data: DataLoader[Any]) -> None:
    model = Manual()
    model.monitored = watching = callback(tmp_path / "run")
    trainer(watching).fit(model, data, data)
    run = read_run(tmp_path / "run")
    assert run.budget.updates == 24
    assert len(read_history(run).evaluations) == 3


def test_a_module_that_leaves_no_losses_is_told_how(tmp_path: Path, data: DataLoader[Any]) -> None:
    with pytest.raises(BalanceError, match="training_step of Model left no losses"):
        trainer(callback(tmp_path / "run")).fit(Model(leaves=False), data)


def test_a_failure_is_recorded_as_one(tmp_path: Path, data: DataLoader[Any]) -> None:
    class Broken(Model):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor | None:
            if index == 3:
                raise RuntimeError("boom")
            return super().training_step(batch, index)

    with pytest.raises(RuntimeError, match="boom"):
        trainer(callback(tmp_path / "run")).fit(Broken(), data)
    run = read_run(tmp_path / "run")
    assert run.status == "failed"
    assert run.error is not None
    assert "boom" in run.error.message
