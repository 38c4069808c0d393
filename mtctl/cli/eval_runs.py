"""Runs evaluated one after the other or side by side, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtctl.analysis.evaluation import summarise
from mtctl.analysis.export import estimate_entry, selection_entry, success_entry
from mtctl.analysis.grouping import method_labels
from mtctl.analysis.scores import how_it_stopped, resuming
from mtctl.analysis.selection import Selection, Unknown, mean_bias, read_selection
from mtctl.cli.errors import show as show_error
from mtctl.engine import layout
from mtctl.engine.interrupt import Stop, stop_on_signals
from mtctl.engine.launch.launcher import follow
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.launch.parallel import in_parallel
from mtctl.engine.lock import holder
from mtctl.engine.result import Note, RunError, RunResult
from mtctl.engine.spec import EvaluationSpec
from mtctl.errors import ExitCode
from mtctl.history.formats import Evaluation, Run
from mtctl.history.runs import evaluation
from mtctl.problems.sizes import PROCESS
from mtctl.screens.compare import remark
from mtctl.screens.evaluation import SeveralEvaluated, print_evaluation
from mtctl.screens.selection import print_selection, print_selections
from mtctl.terminal.console import err, out, write_json

_SCHEMA = 2  # of the JSON document

Work = Sequence[tuple[Run, EvaluationSpec]]
Results = Iterable[tuple[Run, EvaluationSpec, RunResult]]
"""In the order of the runs; those that were stopped are left out."""


def evaluate_runs(work: Work, jobs: int | None, *, window: bool, quiet: bool, as_json: bool) -> int:
    """Evaluate every run, print what was found in the order of the runs; return the exit code for all.

    The results do not depend on `jobs`: an evaluation is decided by weights and seeds.

    Args:
        work: at least one run, each with what is evaluated of it.
        jobs: how many at a time; as many as this machine has room for if None. One at a time is evaluated in
            this process.
        window: show episodes of a run after its evaluation.
        quiet: no progress on stderr.
        as_json: one JSON document on stdout instead of tables.

    Raises:
        MtctlError: a single run cannot be evaluated.
    """
    parallel = in_parallel(jobs, len(work), max(map(_process, work)))
    if len(work) > 1 and not quiet:
        err().print(parallel.line("run"), soft_wrap=True)
    with stop_on_signals() as stop:
        if parallel.count == 1:
            results: Results = _one_by_one(work, stop, window=window, quiet=quiet)
        else:
            results = _side_by_side(work, parallel.count, stop, quiet=quiet)
        return _tell(results, len(work), stop, as_json=as_json)


def _process(work: tuple[Run, EvaluationSpec]) -> float:
    """Return the bytes that a process is likely to take that evaluates a run: what its training took."""
    run, _ = work
    return max(PROCESS, 1e6 * (run.peak_memory_mb or 0))


def _tell(results: Results, runs: int, stop: Stop, *, as_json: bool) -> int:
    """Print results as they come, then what they say together; return the exit code for all."""
    entries: list[dict[str, Any]] = []
    failures: list[tuple[Run, RunError]] = []
    selections: list[tuple[Run, Selection]] = []
    for run, spec, result in results:
        if result.evaluation is None:
            error = _error_of(run, result)
            failures.append((run, error))
            show_error("error", error.message, error.hint)
            continue
        selection = _selection(run, spec, result.evaluation)
        if selection is not None:
            selections.append((run, selection))
        if not as_json:
            if entries:
                out().print()
            print_evaluation(run, Evaluation.model_validate(result.evaluation))
            if selection is not None:
                print_selection(run, selection)
        known = {"selection": selection and selection_entry(selection)} if _is_best(spec) else {}
        entries.append(_entry(run, result.evaluation) | known)
    if stop() and len(entries) + len(failures) < runs:
        err().print(f"stopped; {len(entries)} of {runs} runs have been evaluated", soft_wrap=True)
        return int(ExitCode.INTERRUPTED)
    by_method = _by_method(selections)
    if as_json:
        bias = {label: estimate_entry(mean_bias(seeds)) for label, seeds in by_method.items()}
        failed = [{"run": str(run.path), "message": error.message} for run, error in failures]
        write_json({"schema": _SCHEMA, "evaluations": entries, "selection_bias": bias, "failed": failed})
    elif selections:
        print_selections(by_method)
    if failures and runs > 1:
        names = ", ".join(str(run.path) for run, _ in failures)
        text = f"{len(failures)} of {runs} runs could not be evaluated: {names}"
        err().print(text, style="red", soft_wrap=True)
    codes = {error.code for _, error in failures}
    return int(ExitCode.OK if not codes else ExitCode.USAGE if codes == {ExitCode.USAGE} else ExitCode.FAILED)


def _entry(run: Run, document: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation with what the screen shows of it: means, intervals, success rates."""
    summary = summarise(Evaluation.model_validate(document), run.score)
    tasks = {
        row.task: {**document["tasks"][row.task], **estimate_entry(row.scores), **success_entry(row)}
        for row in summary.tasks
    }
    average = {"mean": summary.average, "success_rate": summary.outcomes.success_rate}
    return {"run": str(run.path), **document, "tasks": tasks, "average": average}


def _error_of(run: Run, result: RunResult) -> RunError:
    """Return why a run was not evaluated, with its path."""
    error = result.error or RunError("killed", "stopped by a signal")
    if error.kind in ("killed", "internal"):
        return replace(error, message=f"{run.path}: {error.message}")
    return error


def _one_by_one(work: Work, stop: Stop, *, window: bool, quiet: bool) -> Results:
    """Evaluate in this process; what is shown of a run is shown when its result has been taken.

    A request to stop ends what is under way: half an evaluation is none.
    """
    # With torch, which whoever only waits for other processes does without.
    from mtctl.engine.evaluate import evaluate_run
    from mtctl.engine.processor import use_one_thread
    from mtctl.engine.rendering import present

    use_one_thread()
    for run, spec in work:
        if stop():
            return
        _note_of_stop(run)
        if not quiet:
            number = "" if spec.items is None else f"{spec.items} "
            err().print(f"{run.path}: {number}held-out {run.item}s of each task …", soft_wrap=True)

        def say(note: Note, run: Run = run) -> None:
            _say(run, note)

        result = evaluate_run(spec, stop=stop, say=say)
        if result.status == "interrupted":
            return
        yield run, spec, result if len(work) > 1 else result.required()
        present(spec, result, stop, say, window=window)


def _side_by_side(work: Work, parallel: int, stop: Stop, *, quiet: bool) -> Results:
    """Evaluate in processes of their own, all of them before the first result is given."""
    launcher = LocalLauncher(parallel)
    handles = [launcher.submit(spec) for _, spec in work]
    # The third request is raised, once all have ended.
    with suppress(KeyboardInterrupt), SeveralEvaluated(handles, quiet=quiet) as view:
        follow(launcher, handles, view.look, stop)
    for (run, spec), handle in zip(work, handles, strict=True):
        result = handle.result
        if result is None or (stop() and result.status == "interrupted"):
            continue
        if result.status == "completed":
            _note_of_stop(run)
            for note in result.notes:
                _say(run, note)
        yield run, spec, result


def _note_of_stop(run: Run) -> None:
    if holder(run.path).state == "free" and run.status == "running":
        command = f": `{resuming(run)}` continues it" if resuming(run) else ""
        _note(run, how_it_stopped(run) + command)


def _say(run: Run, note: Note) -> None:
    if note.kind == "filmed":
        err().print(f"wrote {note.text}", soft_wrap=True)
    else:
        _note(run, note.text)


def _note(run: Run, text: str) -> None:
    err().print(remark("note", "cyan", f"{run.path} {text}"), soft_wrap=True)


def _is_best(spec: EvaluationSpec) -> bool:
    """Say whether this is the run's own best checkpoint, which its evaluations have selected."""
    own = spec.directory / layout.CHECKPOINTS / f"{layout.BEST}.pt"
    return spec.checkpoint == layout.BEST or Path(spec.checkpoint).resolve() == own.resolve()


def _selection(run: Run, spec: EvaluationSpec, document: dict[str, Any]) -> Selection | None:
    """Return what the selection of a best checkpoint did; say where that cannot be told."""
    if not _is_best(spec):
        return None
    selection: Selection | Unknown
    if document["tasks"].keys() < set(run.scored):
        selection = Unknown(
            "was evaluated on some of its tasks, but selected by the average over all of them"
        )
    else:
        selection = read_selection(run, Evaluation.model_validate(document), evaluation(run.path))
    if isinstance(selection, Unknown):
        _note(run, f"{selection.reason}: no selection bias")
        return None
    return selection


def _by_method(selections: Sequence[tuple[Run, Selection]]) -> dict[str, list[Selection]]:
    labels = method_labels((run.name, run.recipe_hash) for run, _ in selections)
    by_method: dict[str, list[Selection]] = {}
    for run, selection in selections:
        by_method.setdefault(labels[run.name, run.recipe_hash], []).append(selection)
    return by_method
