"""The local launcher, with processes that are quicker than training."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import mtctl
from mtctl.engine.interrupt import Stop
from mtctl.engine.launch import lifeline, local, worker
from mtctl.engine.launch.launcher import Handle, Launcher, follow
from mtctl.engine.launch.local import LocalLauncher, LocalProcess
from mtctl.engine.result import Note, RunError, RunResult, result_from_json, result_to_json
from mtctl.engine.spec import EvaluationSpec, RunSpec, spec_from_json, spec_to_json
from mtctl.errors import MtctlError
from tests.engine.runs import recipe, run_json

SLOW = "import time; time.sleep(3600)"
DONE = f"pathlib.Path(sys.argv[2]).write_text({result_to_json(RunResult('completed', done=3))!r})"
STOPPED = f"pathlib.Path(sys.argv[2]).write_text({result_to_json(RunResult('interrupted'))!r}); sys.exit(130)"
# Ends as a training run does that is asked to stop: after having saved.
PATIENT = f"""
def leave(*_): pathlib.Path(sys.argv[1], 'saved').touch(); {STOPPED}
signal.signal(signal.SIGINT, leave)
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(3600)
"""

Submit = Callable[..., LocalProcess]


@pytest.fixture
def launchers() -> list[LocalLauncher]:
    """Return the launchers of a test; the last one gets what is submitted."""
    return []


@pytest.fixture
def submit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, launchers: list[LocalLauncher]) -> Submit:
    """Return what submits a script in place of a spec; its arguments are a folder and the result's file."""
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        assert command[:3] == [sys.executable, *local.WORKER]
        spec = spec_from_json(Path(command[3]).read_text())
        assert isinstance(spec, EvaluationSpec)
        script = f"import pathlib, signal, sys, time\n{spec.checkpoint}"
        return popen([sys.executable, "-c", script, str(spec.directory), command[4]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)

    def submitted(script: str) -> LocalProcess:
        if not launchers:
            launchers.append(LocalLauncher(1))
        return launchers[-1].submit(EvaluationSpec(tmp_path, checkpoint=script))

    return submitted


def never() -> int:
    return 0


def launch(
    launchers: list[LocalLauncher],
    handles: list[LocalProcess],
    watch: Callable[[], None] = lambda: None,
    stop: Callable[[], int] = never,
) -> None:
    follow(launchers[-1], handles, watch, stop)


def test_a_failed_run_does_not_stop_the_others(submit: Submit, launchers: list[LocalLauncher]) -> None:
    error = RunError("error", "no room", "make some", 2)
    failed = result_to_json(RunResult("failed", error=error))
    launchers.append(LocalLauncher(2))
    handles = [
        submit(f"pathlib.Path(sys.argv[2]).write_text({failed!r}); sys.exit(2)"),
        submit(DONE),
        submit("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        submit(DONE),
    ]
    launch(launchers, handles)
    assert [handle.state for handle in handles] == ["failed", "completed", "failed", "completed"]
    assert handles[0].result == RunResult("failed", error=error)
    assert handles[1].result == RunResult("completed", done=3)
    killed = handles[2].result
    assert killed is not None
    assert killed.error is not None
    assert (killed.error.kind, killed.error.message) == ("killed", "killed by signal 9")
    assert "memory" in (killed.error.hint or "")


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_run_at_a_time_than_asked(
    submit: Submit, launchers: list[LocalLauncher], parallel: int
) -> None:
    launchers.append(LocalLauncher(parallel))
    handles = [submit(f"time.sleep(0.3); {DONE}") for _ in range(4)]
    seen: list[int] = []
    launch(launchers, handles, lambda: seen.append([handle.state for handle in handles].count("running")))
    assert max(seen) == parallel
    assert {handle.state for handle in handles} == {"completed"}


def test_a_stop_is_passed_on_once_and_nothing_more_is_started(
    submit: Submit, launchers: list[LocalLauncher], tmp_path: Path
) -> None:
    handles = [submit(PATIENT), submit(SLOW)]
    launch(launchers, handles, stop=(tmp_path / "ready").exists)
    assert (tmp_path / "saved").exists()
    assert [handle.state for handle in handles] == ["interrupted", "waiting"]
    assert handles[1].result is None


def test_each_request_is_passed_on(submit: Submit, launchers: list[LocalLauncher], tmp_path: Path) -> None:
    """The second one, too: a child leaves the unit that it was finishing."""
    thorough = submit(f"""
asked = []
def ask(*_):
    asked.append(1)
    pathlib.Path(sys.argv[1], f'asked{{len(asked)}}').touch()
    if len(asked) == 2: {STOPPED}
signal.signal(signal.SIGINT, ask)
pathlib.Path(sys.argv[1], 'ready').touch()
while True: time.sleep(60)
""")
    asked = [tmp_path / name for name in ("ready", "asked1")]
    launch(launchers, [thorough], stop=lambda: sum(file.exists() for file in asked))
    assert thorough.state == "interrupted"
    assert (tmp_path / "asked2").exists()


def test_a_stop_as_it_starts_is_no_failure(submit: Submit, launchers: list[LocalLauncher]) -> None:
    started = submit("signal.signal(signal.SIGINT, signal.SIG_DFL); signal.raise_signal(signal.SIGINT)")
    launch(launchers, [started])
    assert started.result == RunResult("interrupted")


def test_who_does_not_leave_is_ended(
    submit: Submit, launchers: list[LocalLauncher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_PATIENCE", (0.1, 0.1))
    deaf = submit("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(600)
""")

    def watch() -> None:
        if (tmp_path / "ready").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(launchers, [deaf], watch)
    assert deaf.process is not None
    assert deaf.process.returncode == -9


PARENT = """
import subprocess, sys
from pathlib import Path
from mtctl.engine.launch.launcher import follow
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.spec import EvaluationSpec
popen, child = subprocess.Popen, Path("child.py").read_text()
subprocess.Popen = lambda command, **options: popen([sys.executable, "-c", child, command[3]], **options)
launcher = LocalLauncher(2)
handles = [launcher.submit(EvaluationSpec(Path())) for _ in range(2)]
follow(launcher, handles, lambda: print("turn", flush=True), lambda: 0)
"""
CHILD = """
import pathlib, signal, sys, time
from mtctl.engine.launch.lifeline import follow_parent
number = pathlib.Path(sys.argv[1]).stem
def leave(*_): pathlib.Path(f"saved{number}").touch(); sys.exit(130)
signal.signal(signal.SIGTERM, leave)
follow_parent()
pathlib.Path(f"ready{number}").touch()
while True: time.sleep(0.1)
"""


def test_children_stop_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    package = str(Path(mtctl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": package, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    _wait_for([tmp_path / "ready0", tmp_path / "ready1"], parent)
    parent.kill()
    parent.wait()
    _wait_for([tmp_path / "saved0", tmp_path / "saved1"])


def _wait_for(files: list[Path], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 120
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def idle(reader: Connection) -> None:
    lifeline.end_with_parent(reader)
    time.sleep(600)


def test_a_worker_ends_with_the_pipe_that_it_is_given() -> None:
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with lifeline.blocked_signals():
        worker = context.Process(target=idle, args=(reader,))
        worker.start()
    writer.close()
    worker.join(120)
    assert worker.exitcode == 1
    reader.close()


def test_signals_are_blocked_for_as_long_as_processes_are_started() -> None:
    def blocked() -> set[int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    before = blocked()
    with lifeline.blocked_signals():
        assert blocked() == before | {signal.SIGINT, signal.SIGHUP}
    assert blocked() == before


def scarce(most: int, monkeypatch: pytest.MonkeyPatch, handles: list[LocalProcess]) -> None:
    """Let the system refuse more processes than that at a time."""
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        if [handle.state for handle in handles].count("running") >= most:
            raise OSError(errno.EMFILE, "Too many open files")
        return popen(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)


def test_fewer_at_a_time_where_the_system_allows_no_more(
    submit: Submit, launchers: list[LocalLauncher], monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers.append(LocalLauncher(4))
    handles = [submit(f"time.sleep(0.3); {DONE}") for _ in range(4)]
    scarce(2, monkeypatch, handles)
    seen: list[int] = []
    launch(launchers, handles, lambda: seen.append([handle.state for handle in handles].count("running")))
    assert {handle.state for handle in handles} == {"completed"}
    assert max(seen) == 2
    assert [handle.delay for handle in handles] == [
        "", "", "only 2 in parallel: no further process can be started (Too many open files)", "",
    ]  # fmt: skip


def test_no_process_at_all(
    submit: Submit, launchers: list[LocalLauncher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = submit(DONE)
    scarce(0, monkeypatch, [handle])
    with pytest.raises(MtctlError) as refused:
        launch(launchers, [handle])
    assert refused.value.message == f"{tmp_path}: no process can be started (Too many open files)"
    assert "ulimit" in str(refused.value.hint)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_is_left_behind(
    submit: Submit, launchers: list[LocalLauncher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither descriptors nor files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = list(Path("/proc/self/fd").iterdir())
    launchers.append(LocalLauncher(2))
    launch(launchers, [submit("sys.exit(1)") for _ in range(3)])
    launchers.append(LocalLauncher(1))
    handle = submit(DONE)
    scarce(0, monkeypatch, [handle])
    with pytest.raises(MtctlError):
        launch(launchers, [handle])
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
    assert list(tmp_path.iterdir()) == []


def test_no_process_outlives_the_launcher(submit: Submit, launchers: list[LocalLauncher]) -> None:
    launchers.append(LocalLauncher(2))
    handles = [submit(SLOW), submit(SLOW)]

    def watch() -> None:
        if all(handle.process for handle in handles):
            raise KeyboardInterrupt  # the third Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        launch(launchers, handles, watch)
    for handle in handles:
        assert handle.process is not None
        assert handle.process.poll() == -15
        assert handle.result == RunResult("interrupted")


def test_output_does_not_block_a_run(submit: Submit, launchers: list[LocalLauncher]) -> None:
    """More than a pipe holds, and nobody reads it before the end."""
    noisy = submit(f"sys.stderr.write('x' * 1_000_000); print('y' * 1_000_000); {DONE}")
    start = time.monotonic()
    launch(launchers, [noisy], stop=lambda: int(time.monotonic() - start > 1800))
    assert noisy.result == RunResult("completed", done=3)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("sys.exit('no module')", "exit code 1: no module"),
        ("raise KeyError('x')", "exit code 1: KeyError: 'x'"),
        ("import os; print('terminate called', flush=True); os.kill(os.getpid(), 6)",
         "killed by signal 6: terminate called"),
    ],
)  # fmt: skip
def test_an_end_without_a_result_is_told(
    submit: Submit, launchers: list[LocalLauncher], script: str, said: str
) -> None:
    silent = submit(script)
    launch(launchers, [silent])
    assert silent.result is not None
    assert silent.result.error == RunError("killed", said)


def test_the_local_launcher_is_one() -> None:
    launcher: Launcher = LocalLauncher(1)
    handle: Handle = launcher.submit(EvaluationSpec(Path()))
    assert (handle.state, handle.result, handle.delay) == ("waiting", None, "")
    launcher.close()


SPECS = [
    RunSpec(recipe(), 3, Path("re\udcffsults/x"), "mtctl train x", resume=True),
    EvaluationSpec(
        Path("run"), "best", 3, ("windy",), ("problem.data.path=x",), Path("films"), 2, "mtctl eval"
    ),
    EvaluationSpec(Path("run")),
]


@pytest.mark.parametrize("spec", SPECS, ids=["run", "evaluation", "defaults"])
def test_specs_go_through_json(spec: RunSpec | EvaluationSpec) -> None:
    text = spec_to_json(spec)
    assert text.isascii()
    assert spec_from_json(text) == spec


def test_results_go_through_json() -> None:
    error = RunError("diverged", "m", "h", 1, "task", "loss nan", "epoch 1, step 2", "Traceback …")
    result = RunResult("failed", {"x": [0.1, 1e-300]}, 7, error, (Note("kept", "kept x"),))
    assert result_from_json(result_to_json(result)) == result


def worked(spec: RunSpec | EvaluationSpec, tmp_path: Path) -> RunResult:
    """Return what a worker, called in this process, writes of a spec."""
    files = tmp_path / "spec", tmp_path / "result"
    files[0].write_text(spec_to_json(spec))
    code = worker.main([str(file) for file in files])
    result = result_from_json(files[1].read_text())
    assert result.code == code
    return result


def test_a_worker_trains_and_evaluates(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = worked(RunSpec(recipe(), 1, run, "mtctl train equal_blind"), tmp_path)
    assert (trained.status, trained.done, trained.error) == ("completed", 6, None)
    assert trained.evaluation == json.loads((run / "eval.json").read_text())
    again = worked(RunSpec(recipe(), 1, run, resume=True), tmp_path)
    assert again == RunResult("completed", trained.evaluation, 6, None, again.notes)
    assert [note.kind for note in again.notes] == ["idle"]
    evaluated = worked(EvaluationSpec(run, items=2, tasks=("windy",)), tmp_path)
    assert evaluated.evaluation is not None
    assert len(evaluated.evaluation["tasks"]["windy"]["scores"]) == 2
    refused = worked(EvaluationSpec(run, checkpoint="ep9999"), tmp_path).error
    assert refused is not None
    assert (refused.kind, refused.code, "no such checkpoint" in refused.message) == ("error", 2, True)


def test_a_worker_heeds_signals_that_its_parent_has_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked: list[set[int]] = []

    def look(*_: object) -> RunResult:
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        return RunResult("completed")

    monkeypatch.setattr(worker, "perform", look)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        worked(RunSpec(recipe(), 1, tmp_path / "run"), tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert not blocked[0] & {signal.SIGINT, signal.SIGTERM}


def test_a_worker_tells_of_a_divergence_in_fields(tmp_path: Path) -> None:
    wild = recipe("gradnorm_blind", "agent.lr=1e30")
    error = worked(RunSpec(wild, 0, tmp_path / "run"), tmp_path).error
    assert error is not None
    assert (error.kind, error.code) == ("diverged", 1)
    assert error.task in wild.problem.tasks
    assert error.message == f"diverged in {error.place}: task `{error.task}` has {error.found}"
    assert run_json(tmp_path / "run")["error"] == error.stored()


def test_a_mistake_in_mtctl_is_a_result_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(worker, "execute", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = worker.perform(RunSpec(recipe(), 0, tmp_path / "run", "mtctl train x"), Stop()).error
    assert found is not None
    assert (found.kind, found.message, found.code) == ("internal", "KeyError: 'x'", 1)
    (kept,) = tmp_path.glob("mtctl-traceback-*.txt")
    assert f"please report it with the command and the traceback in {kept}" in (found.hint or "")
    assert "\nmtctl train x\n" in kept.read_text()
