"""One run, in this process: followed on screen, and concluded with what to do next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text

from mtctl.engine import layout
from mtctl.engine.interrupt import stop_on_signals
from mtctl.engine.run import execute
from mtctl.engine.start import Note
from mtctl.errors import ExitCode
from mtctl.faults import ending_a_run
from mtctl.following.progress import Plan, Progress
from mtctl.history.runs import evaluation, read_run
from mtctl.problems.recipe import Recipe
from mtctl.screens.evaluation import print_evaluation
from mtctl.screens.figures import duration
from mtctl.screens.live import Lines, Live
from mtctl.terminal.console import err, redraws, write_json
from mtctl.terminal.streams import dispensable
from mtctl.text import command_line


def train_one(
    recipe: Recipe,
    seed: int,
    directory: Path,
    command: str,
    *,
    resume: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train one run and return the exit code.

    Args:
        recipe: resolved.
        seed: of the run.
        directory: of the run.
        command: what the user typed.
        resume: go on with the run that is there.
        force: replace it.
        quiet: lines only, and no table at the end.
        as_json: one JSON document on stdout instead of the table.
    """
    console = err()
    progress = Progress(Plan.of_recipe(recipe, seed))
    live = not quiet and redraws(console)

    def say(request: int) -> None:
        console.print(_answer(request, progress), soft_wrap=True)

    notes: list[Note] = []

    def told(note: Note) -> None:
        notes.append(note)
        console.print(Text(f"{directory} {note.text}"), soft_wrap=True)

    view = Live(progress, recipe) if live else Lines(progress)
    try:
        with stop_on_signals(say) as stop, view, ending_a_run():
            status = execute(
                recipe,
                seed,
                directory,
                command=command,
                resume=resume,
                force=force,
                observers=[progress, view],
                stop=stop,
                say=told,
            )
    except KeyboardInterrupt:
        console.print(f"left at once; go on from what was saved last with: {_again()}", soft_wrap=True)
        return int(ExitCode.INTERRUPTED)
    if as_json:
        print_runs([directory])
    if any(note.kind == "idle" for note in notes):
        return int(ExitCode.OK)
    return _conclude(status, progress, directory, table=not (quiet or as_json))


def _answer(request: int, progress: Progress) -> str:
    """Return what a request to stop does now."""
    if request == 1 and progress.done < progress.units:
        return (
            f"stopping: this {progress.unit} is finished, then everything is saved; "
            f"Ctrl-C again leaves it, and saves all before it"
        )
    if request == 1:
        return "stopping: the training is complete and saved; its final evaluation is left to --resume"
    if request == 2:
        return f"stopping now: everything up to the end of the last complete {progress.unit} is saved"
    return "leaving at once"


def _again() -> str:
    """Return the command that goes on with this one's run."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--force"]
    return command_line(["mtctl", *arguments, *([] if "--resume" in arguments else ["--resume"])])


def _conclude(status: str, progress: Progress, directory: Path, *, table: bool) -> int:
    console = err()
    if status == "interrupted":
        done = json.loads((directory / layout.RUN).read_text(encoding="utf-8"))["budget"]["done"]
        console.print(f"stopped after {progress.unit} {done}; go on with: {_again()}", soft_wrap=True)
        return int(ExitCode.INTERRUPTED)
    if progress.done and progress.updates == 0:
        console.print(
            "warning: nothing was learned: the run ended before its first update; train longer, or lower "
            "what learning waits for (`agent.replay.learning_starts`)",
            style="yellow",
            soft_wrap=True,
        )
    found = evaluation(directory)
    if table and found is not None:
        with dispensable():
            print_evaluation(read_run(directory), found)
    console.print(
        f"✔ done in {duration(progress.elapsed)} → {directory}      "
        f"next: `{command_line(['mtctl', 'eval', str(directory)])}`",
        soft_wrap=True,
    )
    return int(ExitCode.OK)


def print_runs(directories: Iterable[Path]) -> None:
    """Print one JSON document: every run's run.json and where it is."""
    runs = [
        {"directory": str(place), **json.loads((place / layout.RUN).read_text(encoding="utf-8"))}
        for place in directories
    ]
    write_json({"schema": 1, "runs": runs})
