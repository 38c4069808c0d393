"""Runs on the machines of a Ray cluster, or of a small one of this machine: one a core, or one a GPU.

Each run has an actor, which is an agent of the local launcher at the place where Ray puts it (see away.py).
It is asked for news once a second; one that is lost with its machine is put in line again, and the run goes
on from its last checkpoint. Agents end with this process, and runs end with their agents.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mtctl import __version__
from mtctl.engine.files import write_text
from mtctl.engine.launch.away import Look, Mirror
from mtctl.engine.launch.launcher import State
from mtctl.engine.launch.parallel import Parallel
from mtctl.engine.launch.worker import going_on
from mtctl.engine.lock import holder
from mtctl.engine.result import RunError, RunResult, result_from_json
from mtctl.engine.spec import RunSpec, Spec, spec_to_json
from mtctl.errors import ExitCode, MtctlError
from mtctl.faults import in_one_line

_LOOK_SECONDS: Final = 1.0
_LOSSES: Final = 5
"""Machines that a run may lose: from then on it is to blame itself."""
_PATIENCE: Final = 60.0
"""Seconds that a run on a machine that was lost is given to notice it, and to let its directory go."""
_REACH_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 40.0
"""That agents are given to end what still runs: more than the local launcher takes."""
_EXTRA: Final = 'pip install "mtctl[ray]"'


def _agent() -> type:
    """Return the class of the actors. It goes to workers as code, so that one without mtctl can say so."""

    class Agent:
        """Where a run is trained.

        Args:
            version: of mtctl, which is to be the same there.
        """

        def __init__(self, version: str) -> None:
            self._version = version
            self._away: Any = None

        def meet(self, spec: str, folder: str, token: str, text: str) -> dict[str, Any]:
            """Get ready; return whether a file is seen from here, or what is wrong here."""
            import platform  # noqa: PLC0415 - there, not here
            import sys  # noqa: PLC0415

            host = platform.node()
            try:
                from mtctl import __version__ as version  # noqa: PLC0415
            except ImportError:
                return {"host": host, "lacks": f"{sys.executable} has no mtctl"}
            if version != self._version:
                return {"host": host, "lacks": f"{sys.executable} has mtctl {version}"}
            from mtctl.engine.launch.away import Away  # noqa: PLC0415

            self._away = Away(spec, folder)
            try:
                with open(token, encoding="utf-8") as file:  # noqa: PTH123
                    shared = file.read() == text
            except OSError:
                shared = False
            return {"host": host, "lacks": "", "shared": shared}

        def start(self, files: Any) -> None:
            self._away.start(files)

        def look(self) -> Any:
            return self._away.look()

        def stop(self) -> None:
            if self._away is not None:
                self._away.stop()

        def leave(self) -> Any:
            return self._away.leave()

    return Agent


class RayRun:
    """A spec, and the actor that it is trained by: a handle (see `mtctl.engine.launch.launcher`).

    Args:
        spec: what to train.
        launcher: that it was submitted to.
    """

    def __init__(self, spec: RunSpec, launcher: RayLauncher) -> None:
        self.spec = spec
        self.started: float | None = None
        self.result: RunResult | None = None
        self.delay = ""
        self.cancelled = False
        self.agent: Any = None
        self.pending: Any = None
        """What the agent has been asked and has not answered."""
        self._launcher = launcher
        self._absolute = replace(spec, directory=spec.directory.absolute())
        self._asked, self._due, self._leaving = "", 0.0, False
        self._losses, self._patience = 0, 0.0
        self._mirror: Mirror | None = None

    @property
    def state(self) -> State:
        if self.result is not None:
            return self.result.status
        return "waiting" if self.started is None else "running"

    @property
    def startable(self) -> bool:
        """Whether an agent can be made: a run on a machine that was lost may still have its directory."""
        if self.agent is not None or self.result is not None or self.cancelled:
            return False
        late = time.monotonic() > self._patience
        return late or self._mirror is not None or holder(self.spec.directory).state != "held"

    def start(self) -> None:
        """Ask for a machine."""
        launcher = self._launcher
        gpu = _on_gpu(self.spec)
        if gpu and not launcher.has("GPU"):
            message = f"{self.spec.label}: `training.device` is cuda, and no machine of the cluster has a GPU"
            hint = "-o training.device=cpu, or another --ray-address"
            self._end(RunResult("failed", error=RunError("error", message, hint, ExitCode.USAGE)))
            return
        spec = going_on(self._absolute, launcher.since) if self._losses else self._absolute
        self.agent = launcher.new_agent(gpu=gpu)
        self._ask("meet", spec_to_json(spec), str(Path.cwd()), str(launcher.token), launcher.text)

    def answered(self) -> None:
        """Take what the agent has answered, and ask for the next thing."""
        ray, asked = self._launcher.ray, self._asked
        answer, self.pending = self.pending, None
        try:
            found = ray.get(answer)
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
            self._lost()
            return
        except Exception as error:  # noqa: BLE001 - of the other machine: told as the run's
            cause = getattr(error, "cause", None) or error
            self._end(RunResult("failed", error=replace(RunError.of(cause), kind="error")))
            return
        if asked == "meet":
            self._met(found)
        elif asked == "start":
            self._due = time.monotonic()
        elif isinstance(found, Look):
            self._take(found)
        if self._leaving and self.agent is not None and self.pending is None:
            self._ask("leave")

    def due(self) -> None:
        """Ask for news, if it is time."""
        if self.agent is not None and self.pending is None and time.monotonic() >= self._due:
            self._ask("look")

    def stop(self) -> None:
        self.cancelled = True
        if self.agent is None:
            return
        if self.started is None:  # Ray has found no room for it yet
            self._drop()
        else:
            self.agent.stop.remote()

    def leave(self) -> None:
        """Ask the agent to end what still runs, once it has answered: no news may get lost."""
        self._leaving = True
        if self.started is None:
            self._drop()
        elif self.pending is None:
            self._ask("leave")

    def close(self) -> None:
        """Give up what is still held."""
        self._drop()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _ask(self, what: str, *arguments: Any) -> None:
        self._asked, self.pending = what, getattr(self.agent, what).remote(*arguments)
        self._due = time.monotonic() + _LOOK_SECONDS

    def _met(self, found: dict[str, Any]) -> None:
        if found["lacks"]:
            message = f"{found['host']}: {found['lacks']}; this is {__version__}"
            hint = f'install the same there: pip install "mtctl=={__version__}"'
            self._end(RunResult("failed", error=RunError("error", message, hint, ExitCode.USAGE)))
            return
        try:
            if self._mirror is None and not found["shared"]:
                self._mirror = Mirror(self._absolute)
            files = None if self._mirror is None else self._mirror.files()
        except (MtctlError, OSError) as error:
            self._end(RunResult("failed", error=RunError.of(error)))
            return
        self.started = self.started or time.time()
        self._ask("start", files)

    def _take(self, found: Look) -> None:
        try:
            if self._mirror is not None:
                self._mirror.apply(found.changes)
        except OSError as error:
            self._end(RunResult("failed", error=RunError.of(error)))
            return
        if found.result is not None:
            self._end(result_from_json(found.result))

    def _lost(self) -> None:
        self.agent = None
        self._losses += 1
        self._patience = time.monotonic() + _PATIENCE
        if self.cancelled:
            self._end(RunResult("interrupted"))
        elif self._losses >= _LOSSES:
            message = f"it has lost its worker {_LOSSES} times"
            self._end(RunResult("failed", error=RunError("killed", message, "its machines may lack memory")))
        else:
            count = f"{self._losses} of at most {_LOSSES - 1}"
            self.delay = f"has lost its worker ({count}), and goes on from its last checkpoint on another"

    def _end(self, result: RunResult) -> None:
        self.result = result
        if self.agent is not None and self.started is not None and self._asked != "leave":
            # An agent goes once nobody refers to it and it has nothing to do.
            self._launcher.farewells.append(self.agent.leave.remote())
        self.agent = self.pending = None
        self.close()

    def _drop(self) -> None:
        if self.agent is not None:
            with suppress(Exception):  # it may be gone
                self._launcher.ray.kill(self.agent)
            self.agent = self.pending = None


class RayLauncher:
    """Executes specs on the machines of a Ray cluster: one a core, or one a GPU for recipes that ask for one.

    Args:
        results: the folder of results.
        address: of a cluster, as `ray.init` takes it; a small cluster of this machine if None.
        parallel: how many runs at a time; as many as the cluster has room for if None.

    Raises:
        MtctlError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, results: Path, address: str | None, parallel: int | None) -> None:
        self.ray = _connected(address, parallel)
        self._asked = parallel
        self._agent = self.ray.remote(_agent())
        self._runs: list[RayRun] = []
        self.farewells: list[Any] = []
        """What agents have been asked last, and may not have done yet."""
        self.text = secrets.token_hex(16)
        results.mkdir(parents=True, exist_ok=True)
        self.token = results.absolute() / f".token-{self.text[:8]}"
        write_text(self.token, self.text)
        self.since = self.token.stat().st_mtime
        """When this launcher began, by the clock of the file system."""

    def submit(self, spec: Spec) -> RayRun:
        """Put a spec in line."""
        assert isinstance(spec, RunSpec)
        self._runs.append(RayRun(spec, self))
        return self._runs[-1]

    def poll(self) -> bool:
        """Start what has room, note what has ended; return whether there is anything left to wait for."""
        pending = [run.pending for run in self._runs if run.pending is not None]
        if pending:
            ready, _ = self.ray.wait(pending, num_returns=len(pending), timeout=0)
            for run in self._runs:
                if run.pending is not None and run.pending in ready:
                    run.answered()
        for run in self._runs:
            run.due()
        room = self.parallel([run.spec for run in self._runs]).count - sum(
            run.agent is not None for run in self._runs
        )
        for run in self._runs:
            if room > 0 and run.startable:
                run.start()
                room -= 1
        return any(run.result is None and not run.cancelled for run in self._runs) or any(
            run.agent is not None for run in self._runs
        )

    def new_agent(self, *, gpu: bool) -> Any:
        """Return an actor for one run, which waits until there is room for it."""
        return self._agent.options(num_cpus=1, num_gpus=int(gpu), max_restarts=0).remote(__version__)

    def close(self) -> None:
        """End what still runs, and wait for that."""
        left = [run for run in self._runs if run.result is None and run.agent is not None]
        for run in left:
            run.leave()
        deadline = time.monotonic() + _LEAVE_SECONDS
        while (waiting := [run for run in left if run.pending is not None]) and time.monotonic() < deadline:
            ready, _ = self.ray.wait([run.pending for run in waiting], timeout=_LOOK_SECONDS)
            for run in waiting:
                if run.pending in ready:
                    run.answered()
        for run in self._runs:
            run.close()
        if self.farewells:
            self.ray.wait(self.farewells, num_returns=len(self.farewells), timeout=_REACH_SECONDS)
        self.token.unlink(missing_ok=True)
        self.ray.shutdown()

    def parallel(self, specs: Sequence[RunSpec]) -> Parallel:
        """Return how many runs there can be at a time: one a core or GPU of the cluster as it is now."""
        if self._asked is not None:
            return Parallel(min(self._asked, len(specs)))
        kind = "GPU" if any(map(_on_gpu, specs)) else "CPU"
        found = int(self.has(kind))
        reason = f"{found} {kind}{'' if found == 1 else 's'} of the cluster"
        return Parallel(max(1, min(found, len(specs))), reason)

    def has(self, what: str) -> float:
        """Return how much of a resource the cluster has."""
        return float(self.ray.cluster_resources().get(what, 0))


def _on_gpu(spec: RunSpec) -> bool:
    return spec.recipe.device == "cuda"


def _connected(address: str | None, parallel: int | None) -> Any:
    """Return the module `ray`, connected.

    Raises:
        MtctlError: it is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    # A future default of Ray's, without which it warns: tasks without a GPU see what the machine has.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MtctlError("--launcher ray needs the package `ray`", hint=_EXTRA) from error
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        ray.init("local", num_cpus=parallel, include_dashboard=False, **quiet)
        return ray
    _reach(address)
    try:
        ray.init(address, **quiet)
    except Exception as error:
        raise MtctlError(
            f"--ray-address {address}: {in_one_line(error)}",
            hint="the cluster needs the same versions of Python and Ray; `ray status` there says how it is",
        ) from error
    return ray


def _reach(address: str) -> None:
    """Find out whether anybody answers: Ray itself waits for a minute, and may end the process then."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or "/" in host or not port.isdecimal():
        raise MtctlError(f"--ray-address {address}: expected HOST:PORT, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MtctlError(
            f"--ray-address {address}: nobody answers there ({reason})",
            hint="`ray start --head` on one machine starts a cluster and says its address",
        ) from error
