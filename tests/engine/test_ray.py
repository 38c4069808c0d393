"""Runs on a real Ray cluster of this machine, whose machines are raylets; one of them is killed half-way."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtctl.engine.launch.away import Change, Look, Mirror
from mtctl.engine.launch.launcher import Handle, Launcher, follow
from mtctl.engine.launch.ray import RayLauncher, RayRun, _agent
from mtctl.engine.result import RunResult, result_to_json
from mtctl.engine.spec import RunSpec
from mtctl.errors import MtctlError
from tests.engine.runs import WINDOWS, assert_same_training, train

pytest.importorskip("ray", reason="needs the extra [ray]")
LONG = WINDOWS.revised({"training.epochs": 80, "checkpoints.every": 10})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Start a cluster with one machine, which trains one run at a time; its head trains none."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "temporary").mkdir()
    # A machine that is killed leaves things there; Ray's own sockets need a short path.
    monkeypatch.setenv("RAY_TMPDIR", tempfile.gettempdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    from ray.cluster_utils import Cluster

    # A machine counts as lost after three seconds without a word, instead of half a minute.
    early = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": early}
    started: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield started
    finally:
        started.shutdown()


def finish(launcher: Launcher, handle: Handle, watch: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 600
    follow(launcher, [handle], watch, lambda: int(time.monotonic() > deadline))


def test_a_machine_that_is_lost_half_way_and_others_that_do_not_fit(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a machine has done that sees none of our files is here when it is killed, and is gone on from.

    One test: a cluster takes its time to start.
    """
    monkeypatch.setattr("mtctl.engine.launch.ray._LOOK_SECONDS", 0.2)  # the run is short
    first = cluster.add_node(num_cpus=1)
    place, results = tmp_path / "results" / LONG.name / "seed0", tmp_path / "results"
    launcher = RayLauncher(results, cluster.address, None)
    launcher.token.unlink()  # so that no worker takes its files for ours
    handle = launcher.submit(RunSpec(LONG, 0, place, "mtctl train equal_blind"))
    seen: list[tuple[str, str]] = []

    def watch() -> None:
        if not seen and (place / "checkpoints" / "ep0010.pt").exists():
            seen.append((handle.state, handle.delay))
            cluster.remove_node(first, allow_graceful=False)
            cluster.add_node(num_cpus=1)

    finish(launcher, handle, watch)
    assert seen == [("running", "")]
    assert handle.state == "completed", handle.result
    assert handle.delay.startswith("has lost its worker (1 of at most 4), and goes on")
    assert [each.name for each in results.iterdir()] == [LONG.name]
    train(tmp_path / "whole", LONG)
    assert_same_training(tmp_path / "whole", place)

    launcher = RayLauncher(results, cluster.address, None)
    cuda: Any = SimpleNamespace(name="other", device="cuda")
    refused = launcher.submit(RunSpec(cuda, 0, results / "other" / "seed0"))
    assert launcher.parallel([refused.spec]).line("run") == "one run at a time (0 GPUs of the cluster)"
    assert launcher.parallel([handle.spec]).line("run") == "one run at a time (1 CPU of the cluster)"
    finish(launcher, refused)
    assert refused.result is not None
    assert refused.result.error is not None
    assert refused.result.error.message.endswith("and no machine of the cluster has a GPU")

    with monkeypatch.context() as patch:
        patch.setattr("mtctl.engine.launch.ray.__version__", "9.9.9")
        launcher = RayLauncher(results, cluster.address, 1)
        refused = launcher.submit(RunSpec(WINDOWS, 0, results / "other" / "seed0"))
        finish(launcher, refused)
        error = refused.result.error if refused.result else None
        assert error is not None
        assert error.message.endswith("; this is 9.9.9")
        assert " has mtctl " in error.message
        assert error.hint == 'install the same there: pip install "mtctl==9.9.9"'
        assert not (results / "other").exists()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "--ray-address 127.0.0.1:1: nobody answers there (Connection refused)"),
        ("head", "--ray-address head: expected HOST:PORT, or auto"),
        ("ray://host:10001", "--ray-address ray://host:10001: expected HOST:PORT, or auto"),
        ("host:port", "--ray-address host:port: expected HOST:PORT, or auto"),
        ("127.0.0.1:99999999", "--ray-address 127.0.0.1:99999999: nobody answers there"),
    ],
)
def test_a_cluster_that_cannot_be_reached(tmp_path: Path, address: str, says: str) -> None:
    with pytest.raises(MtctlError) as refused:
        RayLauncher(tmp_path / "results", address, None)
    assert refused.value.message.startswith(says)
    assert not (tmp_path / "results").exists()


def test_no_news_get_lost_when_a_run_is_ended(tmp_path: Path) -> None:
    """What an agent has told is written before it is asked to leave: the next news begin where that ends."""
    asked: list[str] = []

    class Agent:
        def __getattr__(self, name: str) -> Any:
            def remote() -> str:
                asked.append(name)
                return name

            return SimpleNamespace(remote=remote)

    ray = SimpleNamespace(
        get=lambda answer: answer,
        exceptions=SimpleNamespace(RayActorError=KeyError, ObjectLostError=KeyError),
    )
    launcher: Any = SimpleNamespace(ray=ray, farewells=[])
    spec = RunSpec(WINDOWS, 0, tmp_path / "run")
    run = RayRun(spec, launcher)
    run.agent, run.started, run._mirror = Agent(), 1.0, Mirror(spec)
    run.due()
    run.leave()
    assert asked == ["look"]
    run.pending = Look([Change("metrics.jsonl", b"one\n"), Change("run.json", b"{}")], None)
    run.answered()
    assert asked == ["look", "leave"]
    run.pending = Look(
        [Change("metrics.jsonl", b"two\n", 4)], result_to_json(RunResult("interrupted", done=1))
    )
    run.answered()
    assert (run.state, asked) == ("interrupted", ["look", "leave"])
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b"one\ntwo\n"
    Mirror(spec).close()  # its directory is free


def test_a_worker_without_mtctl_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's code is sent to it; nothing of mtctl needs to be there."""
    agent = _agent()("0.1.0")
    monkeypatch.setitem(sys.modules, "mtctl", None)
    assert agent.meet("", "", "", "")["lacks"] == f"{sys.executable} has no mtctl"


def test_ray_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MtctlError, match="--launcher ray needs the package `ray`") as refused:
        RayLauncher(tmp_path / "results", None, 1)
    assert refused.value.hint == 'pip install "mtctl[ray]"'
    assert not (tmp_path / "results").exists()
