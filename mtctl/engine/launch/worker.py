"""A process that executes one spec: `python -m mtctl.engine.launch.worker SPEC RESULT [FLAG]`.

It reads the spec as JSON from one file and writes the result as JSON to the other. Its exit code is that of
the result. With `--with-parent`, stdin is a lifeline: the process is asked to stop once its parent is gone.
With `--again`, the spec may have been executed before: it goes on with what it has begun since its file was
written. With `--together`, the file holds a list of runs that are trained as one program, and each one's
result goes to a file of its own as soon as it ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtctl.engine import layout
from mtctl.engine.evaluate import evaluate_run
from mtctl.engine.files import write_text
from mtctl.engine.interrupt import Stop, stop_on_signals
from mtctl.engine.launch.lifeline import follow_parent, heed_signals
from mtctl.engine.processor import use_one_thread
from mtctl.engine.rendering import present
from mtctl.engine.result import RunError, RunResult, Say, outcome, result_to_json, silent
from mtctl.engine.run import execute
from mtctl.engine.spec import EvaluationSpec, RunSpec, Spec, spec_from_json
from mtctl.engine.together import execute_together
from mtctl.errors import ExitCode
from mtctl.faults import mistake

TOGETHER: Final = "--together"


def perform(spec: Spec, stop: Stop) -> RunResult:
    """Return what comes of a spec, whatever happens. Every launcher lets this be called somewhere.

    Args:
        spec: what is to be done.
        stop: counts the requests to stop.
    """
    use_one_thread()
    try:
        return execute(spec, stop=stop) if isinstance(spec, RunSpec) else _evaluated(spec, stop)
    except KeyboardInterrupt:
        return RunResult("interrupted")
    except Exception as error:  # noqa: BLE001 - a mistake in mtctl is told where the spec comes from
        hint = mistake(error, spec.command).hint
        return RunResult("failed", error=replace(RunError.of(error), hint=hint))


def result_of(results: Path, place: int) -> Path:
    """Return where the result of a run goes that is trained together with others."""
    return results.with_name(f"{results.name}-{place}")


def perform_together(specs: Sequence[RunSpec], results: Path, stop: Stop) -> int:
    """Train runs as one program, write each one's result as it ends, and return an exit code for all.

    Args:
        specs: of one shape.
        results: see `result_of`.
        stop: counts the requests to stop.
    """
    use_one_thread()

    def ended(place: int, result: RunResult) -> None:
        write_text(result_of(results, place), result_to_json(result))

    try:
        return max(result.code for result in execute_together(specs, stop=stop, ended=ended))
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def going_on(spec: Spec, since: float) -> Spec:
    """Return a spec that can be executed repeatedly: it goes on with what it has begun itself.

    Args:
        spec: what a launcher was given.
        since: when that was, by the clock of the run's file system: what is newer is this spec's.
    """
    if not isinstance(spec, RunSpec):
        return spec
    run = spec.directory / layout.RUN
    replaces = spec.force and not (run.exists() and run.stat().st_mtime > since)
    return replace(spec, force=replaces, resume=not replaces)


def _evaluated(spec: EvaluationSpec, stop: Stop) -> RunResult:
    """Evaluate a run, then film it if that is asked for."""

    def work(say: Say) -> RunResult:
        result = evaluate_run(spec, stop=stop, say=say)
        present(spec, result, stop, say)
        return result

    return outcome(work, silent)


def main(arguments: list[str]) -> int:
    """Execute the spec in the first file, write the result into the second, and return the exit code."""
    file, result = map(Path, arguments[:2])
    heed_signals()
    content = file.read_text(encoding="utf-8")
    if "--with-parent" in arguments:
        follow_parent()
    if TOGETHER in arguments:
        specs = [spec for text in json.loads(content) if isinstance(spec := spec_from_json(text), RunSpec)]
        with stop_on_signals() as stop:
            return perform_together(specs, result, stop)
    spec = spec_from_json(content)
    if "--again" in arguments:
        spec = going_on(spec, file.stat().st_mtime)
    with stop_on_signals() as stop:
        found = perform(spec, stop)
        write_text(result, result_to_json(found))
    return found.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
