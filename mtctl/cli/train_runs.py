"""Runs trained: one in this process, or several side by side in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.text import Text

from mtctl.analysis.next_step import after_training
from mtctl.engine import layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.interrupt import stop_on_signals
from mtctl.engine.launch.launcher import Launcher, follow
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.launch.parallel import in_parallel
from mtctl.engine.launch.queue import queue
from mtctl.engine.launch.stacked import StackLauncher
from mtctl.engine.processor import use_one_thread
from mtctl.engine.result import Note, RunResult
from mtctl.engine.run import execute
from mtctl.engine.shapes import apart, programs
from mtctl.engine.spec import RunSpec
from mtctl.engine.start import check_target
from mtctl.errors import ExitCode
from mtctl.following.launched import Launched
from mtctl.following.progress import Plan, Progress
from mtctl.history.formats import Evaluation
from mtctl.history.runs import read_run
from mtctl.problems.sizes import of_process
from mtctl.screens.evaluation import print_evaluation
from mtctl.screens.figures import duration
from mtctl.screens.live import Lines, Live
from mtctl.screens.several import SeveralTrained
from mtctl.terminal.console import err, redraws, write_json
from mtctl.terminal.streams import dispensable

_ANSWERS: Final = (
    "stopping: every run finishes its episode or epoch and saves everything; Ctrl-C again drops these and "
    "saves everything before them",
    "stopping now: every run saves everything up to the end of its last complete episode or epoch",
    "stopping at once, without saving",
)
"""What a request to stop several runs does, by its number."""


def train_one(spec: RunSpec, again: str, *, quiet: bool, as_json: bool) -> int:
    """Train one run here, followed on screen; return the exit code.

    Args:
        spec: of the run.
        again: the command that goes on with it.
        quiet: lines only, and no table at the end.
        as_json: one JSON document on stdout instead of the table.

    Raises:
        MtctlError: what the run's error says.
    """
    console = err()
    progress = Progress(Plan.of_recipe(spec.recipe, spec.seed))
    drawn = not quiet and redraws(console)
    view = Live(progress, spec.recipe) if drawn else Lines(progress)

    def answer(request: int) -> None:
        console.print(_answer(request, progress), soft_wrap=True)

    def say(note: Note) -> None:
        console.print(Text(f"{spec.directory} {note.text}"), soft_wrap=True)

    use_one_thread()
    try:
        with stop_on_signals(answer) as stop, view:
            result = execute(spec, observers=[progress, view], stop=stop, say=say).required()
    except KeyboardInterrupt:
        console.print(f"stopped at once; continue from the last checkpoint with: {again}", soft_wrap=True)
        return int(ExitCode.INTERRUPTED)
    if as_json:
        print_runs([spec.directory])
    if result.status == "interrupted":
        console.print(f"stopped after {progress.unit} {result.done}; continue with: {again}", soft_wrap=True)
    elif not any(note.kind == "idle" for note in result.notes):
        _conclude(spec.directory, progress, result, table=not (quiet or as_json))
    return result.code


def _answer(request: int, progress: Progress) -> str:
    """Return what a request to stop does now."""
    if request == 1 and progress.done < progress.units:
        return (
            f"stopping: this {progress.unit} is finished, then everything is saved; "
            f"Ctrl-C again drops it and saves everything before it"
        )
    if request == 1:
        return "stopping: the training is complete and saved; --resume makes its final evaluation"
    if request == 2:
        return f"stopping now: everything up to the end of the last complete {progress.unit} is saved"
    return "stopping at once, without saving"


def _conclude(directory: Path, progress: Progress, result: RunResult, *, table: bool) -> None:
    console = err()
    if progress.done and progress.updates == 0:
        console.print(
            "warning: nothing was learned: the run ended before its first update; train longer, or lower "
            "`agent.replay.learning_starts`",
            style="yellow",
            soft_wrap=True,
        )
    run = read_run(directory)
    if table:
        with dispensable():
            print_evaluation(run, Evaluation.model_validate(result.evaluation))
    console.print(f"✔ done in {duration(progress.elapsed)} → {directory}", soft_wrap=True)
    console.print(f"next: `{after_training(run)}`", soft_wrap=True)


def require_room(specs: Iterable[RunSpec], results_dir: Path) -> None:
    """Refuse runs that could not be written where they go, before the first of them starts.

    Raises:
        MtctlError: names the directory.
    """
    with explained(results_dir):
        for spec in specs:
            place = RunDirectory(spec.directory)
            check_target(place, spec)
            place.probe()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster.

    Args:
        address: None for a small one of this machine.
    """

    address: str | None = None


def train_many(
    specs: Sequence[RunSpec],
    results_dir: Path,
    jobs: int | None,
    cluster: Cluster | None = None,
    *,
    stack: bool = False,
    quiet: bool,
    as_json: bool,
    last: bool = True,
) -> int:
    """Train runs side by side, a process each or as one program; return the exit code for all.

    All targets are checked before the first run starts, so that a mistake costs nothing.

    Args:
        specs: of the runs, in their order.
        results_dir: where all of them go.
        jobs: how many at a time; as many as there is room for if None.
        cluster: whose machines train; this one if None.
        stack: whether runs of one shape are one program.
        quiet: lines only.
        as_json: one JSON document on stdout.
        last: no others follow, so that it is said what to do next.
    """
    require_room(specs, results_dir)
    console = err()

    def answer(request: int) -> None:
        console.print(_ANSWERS[min(request, len(_ANSWERS)) - 1], soft_wrap=True)

    launcher = _stacked(specs) if stack else _launcher(specs, results_dir, jobs, cluster)
    runs = [Launched(spec, launcher.submit(spec)) for spec in specs]
    view = SeveralTrained(runs, quiet=quiet)
    # The third request is raised, once all have ended.
    announced = queue(results_dir, [spec.directory for spec in specs])
    with suppress(KeyboardInterrupt), stop_on_signals(answer) as stop, announced, view:
        follow(launcher, view.handles, view.look, stop)
    states = {run.spec.label: run.handle.state for run in runs}
    stopped = stop() > 0 and set(states.values()) != {"completed"}
    excused = ("completed", *(("waiting", "interrupted") if stopped else ()))
    failed = [label for label, state in states.items() if state not in excused]
    if as_json:
        print_runs(spec.directory for spec in specs if (spec.directory / layout.RUN).is_file())
    if stopped:
        console.print("stopped; continue with the same command and --resume", soft_wrap=True)
    if failed:
        text = f"{len(failed)} of {len(specs)} runs failed: {', '.join(failed)}"
        console.print(text, style="red", soft_wrap=True)
    elif last and not stopped:
        console.print(f"✔ {len(specs)} runs done", soft_wrap=True)
        console.print(f"next: `{after_training(read_run(specs[0].directory))}`", soft_wrap=True)
    return int(ExitCode.INTERRUPTED if stopped else ExitCode.FAILED if failed else ExitCode.OK)


def _stacked(specs: Sequence[RunSpec]) -> Launcher:
    """Return what lets runs be trained as programs; say how many there are, and why."""
    found = programs(specs)
    for place, runs in enumerate(found):
        recipes = list(dict.fromkeys(spec.recipe.name for spec in runs))
        text = f"{len(runs)} runs of {', '.join(recipes)} as one program"
        if place:
            keys = apart(found[0][0].recipe, runs[0].recipe)
            differ = "differs" if len(keys) == 1 and keys[0].startswith("`") else "differ"
            text += f", after the one before it: {' and '.join(keys)} {differ}"
        err().print(text, soft_wrap=True)
    return StackLauncher(found)


def _launcher(
    specs: Sequence[RunSpec], results_dir: Path, jobs: int | None, cluster: Cluster | None
) -> Launcher:
    """Return what lets runs be trained; say how many are at a time."""
    parallel = in_parallel(jobs, len(specs), max(of_process(spec.recipe) for spec in specs))
    if cluster is None:
        err().print(parallel.line("run"), soft_wrap=True)
        return LocalLauncher(parallel.count)
    from mtctl.engine.launch.ray import RayLauncher

    if cluster.address is not None:
        launcher = RayLauncher(results_dir, cluster.address, jobs)
        parallel = launcher.parallel(specs)
    else:
        launcher = RayLauncher(results_dir, None, parallel.count)
    err().print(parallel.line("run"), soft_wrap=True)
    return launcher


def print_runs(directories: Iterable[Path]) -> None:
    """Print one JSON document: every run's run.json and where it is."""
    runs = [
        {"directory": str(place), **json.loads((place / layout.RUN).read_text(encoding="utf-8"))}
        for place in directories
    ]
    write_json({"schema": 1, "runs": runs})
