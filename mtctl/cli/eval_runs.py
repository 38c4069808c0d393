"""Runs evaluated one after the other or side by side, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mtctl.analysis.export import estimate_entry, selection_entry
from mtctl.analysis.grouping import method_labels
from mtctl.analysis.scores import how_it_stopped, resuming
from mtctl.analysis.selection import Selection, Unknown, mean_bias, read_selection
from mtctl.cli.errors import show as show_error
from mtctl.engine import layout
from mtctl.engine.interrupt import Stop, Stopped, stop_on_signals
from mtctl.engine.launch.local import Job, launch
from mtctl.engine.lock import holder
from mtctl.errors import ExitCode, MtctlError
from mtctl.history.formats import Evaluation, Run
from mtctl.history.runs import evaluation
from mtctl.screens.compare import remark
from mtctl.screens.evaluation import evaluating_screen, print_evaluation
from mtctl.screens.prose import Sentence
from mtctl.screens.selection import bias_sentence, bias_table, selection_sentences, selection_table
from mtctl.terminal.console import err, out, redraws, write_json
from mtctl.text import command_line

_SCHEMA = 2  # of the JSON document


@dataclass(frozen=True, slots=True)
class Choice:
    """What is evaluated of each run.

    Args:
        checkpoint: last, best, ep0100 … or a file.
        items: of each task; None for as many as a final score takes.
        tasks: None for all.
        overrides: where the data is now.
        window: show episodes afterwards.
        video: film them into this folder afterwards.
        shown: how many episodes of each task are shown or filmed.
    """

    checkpoint: str
    items: int | None
    tasks: tuple[str, ...] | None
    overrides: tuple[str, ...]
    window: bool
    video: Path | None
    shown: int

    def arguments(self, directory: Path) -> list[str]:
        """Return the arguments of `mtctl` that evaluate one run so."""
        items = [] if self.items is None else ["--episodes", str(self.items)]
        tasks = [word for task in self.tasks or () for word in ("--task", task)]
        changed = [word for override in self.overrides for word in ("-o", override)]
        video = [] if self.video is None else ["--video", str(self.video)]
        options = ["--checkpoint", self.checkpoint, *items, *tasks, *changed, *video, "--json", "--quiet"]
        return ["eval", *options, "--", str(directory)]

    def of_best(self, directory: Path) -> bool:
        """Say whether this is the run's own best checkpoint, which its evaluations have selected."""
        own = directory / layout.CHECKPOINTS / f"{layout.BEST}.pt"
        return self.checkpoint == layout.BEST or Path(self.checkpoint).resolve() == own.resolve()


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that could not be evaluated.

    Args:
        message: what is wrong, and where.
        hint: what to do about it.
        code: exit code that tells of it.
    """

    message: str
    hint: str | None
    code: int


Found = Iterable[tuple[Run, dict[str, Any] | Failed]]
"""Runs, in their order, with the documents of their evaluations (see `mtctl.engine.layout`)."""


def evaluate_runs(runs: Sequence[Run], choice: Choice, jobs: int, *, quiet: bool, as_json: bool) -> int:
    """Evaluate every run, print what was found in the order of the runs; return the exit code for all.

    The results do not depend on `jobs`: an evaluation is decided by weights and seeds.

    Args:
        runs: at least one.
        choice: of each run.
        jobs: how many at a time; a run alone is evaluated in this process.
        quiet: no progress on stderr.
        as_json: one JSON document on stdout instead of tables.

    Raises:
        MtctlError: a single run cannot be evaluated.
    """
    with stop_on_signals() as stop:
        return _evaluate_runs(runs, choice, jobs, stop, quiet=quiet, as_json=as_json)


def _evaluate_runs(
    runs: Sequence[Run], choice: Choice, jobs: int, stop: Stop, *, quiet: bool, as_json: bool
) -> int:
    if jobs == 1 or len(runs) == 1:
        found: Found = _one_by_one(runs, choice, stop, quiet=quiet)
    else:
        found = _side_by_side(runs, choice, jobs, stop, quiet=quiet)
    documents: list[dict[str, Any]] = []
    failures: list[tuple[Run, Failed]] = []
    selections: list[tuple[Run, Selection]] = []
    for run, result in found:
        if isinstance(result, Failed):
            failures.append((run, result))
            show_error("error", result.message, result.hint)
            continue
        selection = _selection(run, choice, result)
        if selection is not None:
            selections.append((run, selection))
        if not as_json:
            if documents:
                out().print()
            _print(run, result, selection)
        documents.append(_entry(run, result, selection, best=choice.of_best(run.path)))
    by_method = _by_method(selections)
    if stop() and len(documents) + len(failures) < len(runs):
        err().print(f"stopped; {len(documents)} of {len(runs)} runs have been evaluated", soft_wrap=True)
        return int(ExitCode.INTERRUPTED)
    if as_json:
        _print_json(documents, by_method, failures)
    elif selections:
        _print_seeds(by_method, several=len(selections) > 1)
    if failures and len(runs) > 1:
        names = ", ".join(str(run.path) for run, _ in failures)
        text = f"{len(failures)} of {len(runs)} runs could not be evaluated: {names}"
        err().print(text, style="red", soft_wrap=True)
    return _exit_code([failure for _, failure in failures])


def _exit_code(failures: Sequence[Failed]) -> int:
    if not failures:
        return int(ExitCode.OK)
    explained = all(failure.code == ExitCode.USAGE for failure in failures)
    return int(ExitCode.USAGE if explained else ExitCode.FAILED)


def _one_by_one(runs: Sequence[Run], choice: Choice, stop: Stop, *, quiet: bool) -> Found:
    """Evaluate in this process; what is shown of a run is shown when its result has been taken.

    A request to stop ends what is under way: half an evaluation is none.
    """
    # With torch, which whoever only waits for other processes does without.
    from mtctl.cli.rendering import film, show
    from mtctl.engine.evaluate import evaluate_run

    for run in runs:
        if stop():
            return
        if holder(run.path).state == "free" and run.status == "running":
            command = f": `{resuming(run)}` continues it" if resuming(run) else ""
            _note(run, how_it_stopped(run) + command)
        if not quiet:
            number = "" if choice.items is None else f"{choice.items} "
            err().print(f"{run.path}: {number}held-out {run.item}s of each task …", soft_wrap=True)
        try:
            with stop.leaving(1):
                document = evaluate_run(
                    run.path,
                    name=choice.checkpoint,
                    items=choice.items,
                    tasks=choice.tasks,
                    overrides=choice.overrides,
                    say=partial(_note, run),
                )
        except Stopped:
            return
        except MtctlError as error:
            if len(runs) == 1:
                raise
            yield run, Failed(error.message, error.hint, int(error.code))
            continue
        yield run, document
        tasks = tuple(document["tasks"])
        with suppress(Stopped), stop.leaving(1):
            if choice.window:
                show(run.path, choice.checkpoint, tasks, choice.shown)
            if choice.video is not None:
                film(run.path, choice.checkpoint, tasks, choice.shown, choice.video)


def _note(run: Run, text: str) -> None:
    err().print(remark("note", "cyan", f"{run.path} {text}"), soft_wrap=True)


def _side_by_side(
    runs: Sequence[Run], choice: Choice, parallel: int, stop: Stop, *, quiet: bool
) -> list[tuple[Run, dict[str, Any] | Failed]]:
    """Evaluate in processes; return what those that ended have found."""
    from rich.live import Live

    console = err()
    jobs = [Job(str(run.path), run.path, choice.arguments(run.path)) for run in runs]
    screen = None
    if not quiet:
        at_a_time = min(parallel, len(jobs))
        console.print(f"{len(jobs)} runs, {at_a_time} at a time", soft_wrap=True)
        if redraws(console):
            screen = Live(console=console, auto_refresh=False, transient=True)
    said: set[str] = set()
    delayed: set[str] = set()

    def watch() -> None:
        for job in jobs:
            if job.delay and job.label not in delayed and not quiet:
                delayed.add(job.label)
                console.print(f"{job.label}: {job.delay}", soft_wrap=True)
            if job.code is None or job.label in said or quiet:
                continue
            said.add(job.label)
            how = "evaluated" if job.code == 0 else "stopped" if stop() else "failed"
            console.print(f"{job.label}: {how} ({len(said)} of {len(jobs)})", soft_wrap=True)
        if screen is not None:
            screen.update(evaluating_screen(jobs), refresh=True)

    # The third request is raised, once all have ended.
    with suppress(KeyboardInterrupt), screen or nullcontext():
        launch(jobs, parallel, watch, stop)
    for job in jobs:
        if job.code == 0 and job.log:
            console.print(job.log.rstrip(), soft_wrap=True)
    return [
        (run, _result(job))
        for run, job in zip(runs, jobs, strict=True)
        if job.code is not None and not (stop() and job.stopped)
    ]


def _result(job: Job) -> dict[str, Any] | Failed:
    """Return what a process has found, or what it said went wrong."""
    if job.code == 0:
        document: dict[str, Any] = json.loads(job.output)["evaluations"][0]
        return {key: value for key, value in document.items() if key not in ("run", "selection")}
    code = int(ExitCode.USAGE if job.code == ExitCode.USAGE else ExitCode.FAILED)
    if not job.error.startswith("error: "):
        return Failed(f"{job.label}: {job.error}", None, code)
    message, _, hint = job.error.removeprefix("error: ").partition("\nhint: ")
    return Failed(message, hint or None, code)


def _selection(run: Run, choice: Choice, document: dict[str, Any]) -> Selection | None:
    """Return what the selection of a best checkpoint did; say where that cannot be told."""
    if not choice.of_best(run.path):
        return None
    found: Selection | Unknown
    if document["tasks"].keys() < set(run.tasks):
        found = Unknown("was evaluated on some of its tasks, and selected by the average over all of them")
    else:
        found = read_selection(run, Evaluation.model_validate(document), evaluation(run.path))
    if isinstance(found, Unknown):
        _note(run, f"{found.reason}: no selection bias")
        return None
    return found


def _by_method(selections: Sequence[tuple[Run, Selection]]) -> dict[str, list[Selection]]:
    labels = method_labels((run.name, run.recipe_hash) for run, _ in selections)
    found: dict[str, list[Selection]] = {}
    for run, selection in selections:
        found.setdefault(labels[run.name, run.recipe_hash], []).append(selection)
    return found


def _print(run: Run, document: dict[str, Any], selection: Selection | None) -> None:
    print_evaluation(run, Evaluation.model_validate(document))
    if selection is None:
        return
    out().print("", selection_table(selection, run), "", sep="\n", crop=False)
    for sentence in selection_sentences(selection, run):
        out().print(Sentence(sentence))
    if selection.last is None:
        command = command_line(["mtctl", "eval", str(run.path)])
        text = f"`{command}` puts the final policy on the same {run.item}s beside it"
        err().print(remark("hint", "bold cyan", text), soft_wrap=True)


def _print_seeds(by_method: dict[str, list[Selection]], *, several: bool) -> None:
    if several:
        out().print("", bias_table(by_method), "", sep="\n", crop=False)
    if (sentence := bias_sentence(by_method)) is not None:
        out().print(Sentence(sentence))


def _entry(run: Run, document: dict[str, Any], selection: Selection | None, *, best: bool) -> dict[str, Any]:
    known = selection_entry(selection) if selection is not None else None
    return {"run": str(run.path), **document, **({"selection": known} if best else {})}


def _print_json(
    documents: Sequence[dict[str, Any]],
    by_method: dict[str, list[Selection]],
    failures: Sequence[tuple[Run, Failed]],
) -> None:
    document = {
        "schema": _SCHEMA,
        "evaluations": list(documents),
        "selection_bias": {label: estimate_entry(mean_bias(found)) for label, found in by_method.items()},
        "failed": [{"run": str(run.path), "message": failure.message} for run, failure in failures],
    }
    write_json(document)
