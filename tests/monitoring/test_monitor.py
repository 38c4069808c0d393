from __future__ import annotations

import doctest
import gc
import json
import math
import os
import signal
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import mtctl
from mtctl.balancing.errors import BalanceError
from mtctl.errors import MtctlError
from mtctl.history.history import read_history
from mtctl.history.runs import evaluation, read_run
from mtctl.monitoring.monitor import EVERY
from tests.monitoring.loops import Loop

ROOT = Path(__file__).parents[2]


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_the_example_in_the_documentation_works() -> None:
    assert doctest.testmod(import_module("mtctl.monitoring.monitor")).failed == 0


@pytest.mark.parametrize("balanced", [False, True])
def test_a_run_is_recorded_as_trainings_record_theirs(tmp_path: Path, balanced: bool) -> None:
    loop = Loop(tmp_path / "mine" / "seed3", epochs=4)
    for _ in range(3):
        loop.epoch(balanced=balanced)
    loop.monitor.close()
    run = read_run(tmp_path / "mine" / "seed3")
    assert (run.name, run.seed, run.status, run.problem) == ("mine", 3, "completed", "loop")
    assert (run.tasks, run.unit, run.budget.units, run.budget.done) == (("red", "blue"), "epoch", 3, 3)
    assert run.budget.updates == 30
    history = read_history(run)
    assert history.units.tolist() == [1, 2, 3]
    assert len(history.evaluations) == 3
    assert len(history.losses("red")) == 3
    assert history.measured.tolist() == [5, 1, 0]  # steps 1, 2, 3, 5, 9; 17
    assert 0 < history.signal("gradient_share", "red").values[0] < 1
    assert (history.signal("own_update", "blue").values > 0).all()
    assert evaluation(run.path) is not None


def test_figures_are_those_of_a_report(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run")
    losses = loop.losses()
    loop.monitor.record(losses, {"red": 1.0, "blue": 3.0})
    report = mtctl.balance(losses, measure=True, retain_graph=True)
    loop.monitor.epoch()
    (record,) = lines(tmp_path / "run")
    signals = record["signals"]
    norms, own = report.norms, report.own_norms
    assert norms is not None
    assert own is not None
    assert report.cosines is not None
    assert signals["gradient_norm"] == pytest.approx(norms)
    assert signals["own_gradient_norm"] == pytest.approx(own)
    assert signals["cosine"]["red|blue"] == pytest.approx(report.cosines["red", "blue"])
    assert signals["own_weight"] == {"red": 1.0, "blue": 3.0}
    share = norms["red"] / (norms["red"] + 3 * norms["blue"])
    assert signals["gradient_share"]["red"] == pytest.approx(share)
    assert signals["loss"] == pytest.approx({task: loss.item() for task, loss in losses.items()})
    head = torch.autograd.grad(losses["red"], [*loop.red.parameters()], retain_graph=True)
    assert own["red"] == pytest.approx(math.sqrt(sum(float(one.square().sum()) for one in head)))


@pytest.mark.parametrize("every", [1, EVERY])
def test_a_loop_learns_what_it_would_learn_without(tmp_path: Path, every: int) -> None:
    watched, alone = Loop(tmp_path / "run", every=every), Loop(tmp_path / "other")
    state = torch.get_rng_state()
    for _ in range(8):
        watched.step()
        alone.step(lambda _losses: None)
    assert torch.equal(state, torch.get_rng_state())
    for one, other in zip(watched.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_balance_gives_the_same_gradients_to_the_bit_with_a_monitor(tmp_path: Path) -> None:
    watched, alone = Loop(tmp_path / "run", every=1), Loop(tmp_path / "other")
    for _ in range(5):
        watched.balanced_step()
        losses = alone.losses()
        alone.optimizer.zero_grad()
        mtctl.balance(losses)
        alone.optimizer.step()
    for one, other in zip(watched.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_measuring_calls_no_hook_and_leaves_no_gradient(tmp_path: Path) -> None:
    loop, called = Loop(tmp_path / "run", every=1), []
    for parameter in loop.model.parameters():
        parameter.register_hook(lambda gradient: called.append(1))
    loop.monitor.record(loop.losses())
    assert not called
    assert all(parameter.grad is None for parameter in loop.model.parameters())


def test_accumulated_gradients_are_those_without_a_monitor(tmp_path: Path) -> None:
    watched, alone = Loop(tmp_path / "run", every=1), Loop(tmp_path / "other")
    for _ in range(3):
        for loop in (watched, alone):
            losses = loop.losses()
            if loop is watched:
                loop.monitor.record(losses)
            (losses["red"] + losses["blue"]).backward()
    for one, other in zip(watched.model.parameters(), alone.model.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_scaled_losses_are_recorded_without_their_scale(tmp_path: Path) -> None:
    loop, scale = Loop(tmp_path / "run"), torch.tensor(1024.0)
    sums: dict[str, float] = {"red": 0.0, "blue": 0.0}
    for _ in range(4):  # the fourth is not measured
        losses = loop.losses()
        sums = {task: sums[task] + loss.item() / 4 for task, loss in losses.items()}
        loop.monitor.record({task: loss * scale for task, loss in losses.items()})
    loop.monitor.epoch()
    (record,) = lines(tmp_path / "run")
    assert record["signals"]["loss"] == pytest.approx(sums)
    assert record["signals"]["gradient_norm"]["red"] < 100


def test_autocast_and_a_grad_scaler_work_as_in_balance(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", every=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for _ in range(6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = loop.losses()
        loop.optimizer.zero_grad()
        scaled = {task: scaler.scale(loss) for task, loss in losses.items()}
        mtctl.balance(scaled, balancer="equal", monitor=loop.monitor, scale=scaler)
        scaler.step(loop.optimizer)
        scaler.update()
    loop.monitor.epoch()
    (record,) = lines(tmp_path / "run")
    assert record["signals"]["measured"] == 6
    assert 0 < record["signals"]["gradient_norm"]["red"] < 100


def test_a_task_may_be_absent(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", every=1)
    for step in range(6):
        losses = loop.losses()
        given = losses if step % 2 else {"red": losses["red"], "blue": None}
        loop.monitor.record(given)
    loop.monitor.epoch()
    (record,) = lines(tmp_path / "run")
    assert record["tasks"].keys() == {"red", "blue"}
    assert record["signals"]["measured"] == 6
    assert record["signals"]["own_gradient_norm"]["red"] > 0


def test_units_end_by_themselves_after_so_many_steps(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", steps_per_unit=4)
    for _ in range(10):
        loop.step()
    loop.monitor.epoch()  # nothing to add
    loop.monitor.close()
    run = read_run(tmp_path / "run")
    assert run.unit == "interval"
    assert [record["signals"]["updates"] for record in lines(run.path)] == [4, 4, 2]


def test_validation_losses_may_come_after_their_epoch(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run")
    loop.epoch(validate=False)
    loop.monitor.epoch({"red": 1.0, "blue": 2.0})
    assert [record["kind"] for record in lines(tmp_path / "run")] == ["unit", "evaluation"]


def test_best_constants_make_skill_of_losses(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run", best_constants={"red": 4.0, "blue": 8.0})
    loop.epoch(validate=False)
    loop.monitor.epoch({"red": 1.0, "blue": 2.0})
    unit, scored = lines(tmp_path / "run")
    assert scored["tasks"]["red"]["mean"] == pytest.approx(75.0)
    assert unit["signals"]["relative_loss"]["blue"] == pytest.approx(unit["tasks"]["blue"]["loss"] / 8)


def test_a_diagnosis_in_the_midst_of_an_epoch_sees_its_steps(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "run")
    loop.step()
    assert loop.monitor.diagnose().subject.problem == "loop"
    loop.epoch()
    loop.step()
    found = loop.monitor.diagnose()
    assert [state.task for state in found.states] == ["red", "blue"]
    assert len(lines(tmp_path / "run")) == 2  # nothing was written for it


class TestDirectories:
    def test_records_are_not_overwritten(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        loop.epoch()
        loop.monitor.close()
        before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
        with pytest.raises(MtctlError, match="already holds the records of a loop") as refused:
            mtctl.Monitor(tmp_path / "run")
        assert refused.value.hint is not None
        assert "resume=True" in refused.value.hint
        assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before

    def test_resume_appends(self, tmp_path: Path) -> None:
        first = Loop(tmp_path / "run")
        first.epoch()
        first.monitor.close()
        with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
            file.write('{"kind":"unit","un')  # as a process that was killed leaves it
        second = Loop(tmp_path / "run", resume=True)
        second.epoch()
        second.monitor.close()
        found = [(each["kind"], each["unit"], each["updates"]) for each in lines(tmp_path / "run")]
        assert found == [("unit", 1, 10), ("evaluation", 1, 10), ("unit", 2, 20), ("evaluation", 2, 20)]
        assert read_run(tmp_path / "run").budget.done == 2

    def test_resume_refuses_other_tasks(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        loop.epoch()
        loop.monitor.close()
        with pytest.raises(MtctlError, match="tasks red, blue, not of green"):
            mtctl.Monitor(tmp_path / "run", tasks=["green"], resume=True)

    def test_resume_begins_where_there_is_nothing(self, tmp_path: Path) -> None:
        Loop(tmp_path / "run", resume=True).epoch()
        assert len(lines(tmp_path / "run")) == 2

    @pytest.mark.parametrize("resume", [False, True])
    def test_somebody_elses_files_are_left_alone(self, tmp_path: Path, resume: bool) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(MtctlError, match="not a monitor's"):
            mtctl.Monitor(tmp_path, resume=resume)
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_two_monitors_do_not_write_one_run(self, tmp_path: Path) -> None:
        monitor = mtctl.Monitor(tmp_path / "run")
        with pytest.raises(MtctlError, match="is writing a run here"):
            mtctl.Monitor(tmp_path / "run")
        monitor.close()

    def test_a_directory_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(MtctlError, match="file"):
            mtctl.Monitor(tmp_path / "file" / "run")

    def test_a_full_disk_does_not_end_the_training(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = Loop(tmp_path / "run")
        loop.step()

        def full(self: object, record: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("mtctl.engine.metrics.MetricsFile.write", full)
        with pytest.warns(mtctl.MonitorWarning, match="has stopped recording"):
            loop.monitor.epoch()
        loop.step()
        loop.monitor.epoch()


class TestEnds:
    def test_the_with_block_says_how_it_ended(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), Loop(tmp_path / "run").monitor as monitor:
            monitor.record({"a": torch.ones(1, requires_grad=True).sum()})
            raise RuntimeError("boom")
        run = read_run(tmp_path / "run")
        assert run.status == "failed"
        assert run.error is not None
        assert "boom" in run.error.message
        assert len(lines(tmp_path / "run")) == 1

    def test_a_stop_by_the_user_is_an_interruption(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        loop.step()
        loop.monitor.close(KeyboardInterrupt())
        assert read_run(tmp_path / "run").status == "interrupted"

    def test_a_monitor_that_is_forgotten_closes_its_run(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        loop.step()
        del loop
        gc.collect()
        assert read_run(tmp_path / "run").status == "completed"
        assert len(lines(tmp_path / "run")) == 1

    @pytest.mark.parametrize(
        ("ending", "status", "units"),
        [
            ("", "completed", 2),
            ("raise RuntimeError('boom')", "failed", 2),
            ("raise KeyboardInterrupt", "interrupted", 2),
            (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "running", 1),
        ],
    )
    def test_processes_leave_a_readable_run(
        self, tmp_path: Path, ending: str, status: str, units: int
    ) -> None:
        code = f"""
from pathlib import Path
from tests.monitoring.loops import Loop
loop = Loop(Path({str(tmp_path / "run")!r}))
loop.epoch(3, validate=False)
loop.step()
{ending}
"""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        run = read_run(tmp_path / "run")
        assert run.status == status
        assert len(read_history(run).units) == units


class TestRefusals:
    def test_a_new_task(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        loop.step()
        with pytest.raises(BalanceError, match="`green` is new"):
            loop.monitor.record({"green": loop.losses()["red"]})

    def test_validation_under_no_grad(self, tmp_path: Path) -> None:
        loop = Loop(tmp_path / "run")
        with torch.no_grad(), pytest.raises(BalanceError, match="gradients are switched off"):
            loop.monitor.record(loop.losses())

    def test_an_epoch_before_any_step(self, tmp_path: Path) -> None:
        monitor = mtctl.Monitor(tmp_path / "run")
        with pytest.raises(BalanceError, match="no step has been recorded"):
            monitor.epoch()
        with pytest.raises(BalanceError, match="no step has been recorded"):
            monitor.diagnose()

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"every": 0}, "every: expected 1 or more, found 0"),
            ({"best_constants": {"green": 1.0}}, "best_constants: there is no task `green`"),
            ({"heads": {"red": [1.0]}}, "heads\\['red'\\]: expected parameters"),
            ({"tasks": ["red", "red"]}, "each once"),
            ({"tasks": ["a|b"]}, "without `|`"),
        ],
    )
    def test_settings(self, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(BalanceError, match=said):
            Loop(tmp_path / "run", **settings).step()

    @pytest.mark.parametrize(
        ("losses", "said"),
        [
            ({"green": 1.0}, "no task `green`"),
            ({"red": torch.ones(2)}, "`red`: expected its validation loss"),
        ],
    )
    def test_validation_losses(self, tmp_path: Path, losses: dict[str, Any], said: str) -> None:
        loop = Loop(tmp_path / "run")
        loop.step()
        with pytest.raises(BalanceError, match=said):
            loop.monitor.epoch(losses)


def test_import_of_mtctl_stays_light() -> None:
    code = "import mtctl, sys; sys.exit('torch' in sys.modules or 'Monitor' not in mtctl.__all__)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_warning_is_given_of_a_healthy_loop(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = Loop(tmp_path / "run", every=1)
        for _ in range(3):
            loop.epoch()
