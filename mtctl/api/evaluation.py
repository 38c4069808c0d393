"""`mtctl.evaluate`: what `mtctl eval` does, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from mtctl.api.code import code_change
from mtctl.api.failures import explained
from mtctl.api.recipes import Overrides, override_arguments, require_places
from mtctl.api.results import EvaluatedRun
from mtctl.engine import layout
from mtctl.engine.evaluate import evaluate_run
from mtctl.engine.spec import EvaluationSpec
from mtctl.errors import MtctlError
from mtctl.history.formats import Evaluation
from mtctl.history.runs import find_runs, read_run
from mtctl.recipes.loading import load


def evaluate(
    run: EvaluatedRun | str | PathLike[str],
    *,
    checkpoint: str = layout.LAST,
    task: str | Sequence[str] | None = None,
    items: int | None = None,
    overrides: Overrides = (),
) -> EvaluatedRun:
    """Evaluate a run on held-out data and write its eval.json, as `mtctl eval` does.

    >>> mtctl.evaluate("results/mine/seed0", checkpoint="best")             # doctest: +SKIP

    Args:
        run: what `mtctl.train` returned, or the run's directory.
        checkpoint: last, best, ep0100 …, or a checkpoint file.
        task: evaluate these tasks only.
        items: how many episodes, windows or rows of each task; as many as a final score takes if left out.
        overrides: where the data or code is now: {"problem.build": "moved.py:build"}.

    Raises:
        MtctlError: there is no such run, checkpoint or task, or the run cannot be built.
    """
    with explained():
        arguments = override_arguments(overrides)
        require_places(arguments)
        found = read_run(run.path if isinstance(run, EvaluatedRun) else _directory(Path(run)))
        if found.problem == "python":
            change = code_change(load(found.path / layout.RECIPE, arguments), found)
            if change is not None:
                warnings.warn(change, RuntimeWarning, stacklevel=2)
        tasks = (task,) if isinstance(task, str) else task
        spec = EvaluationSpec(
            found.path,
            checkpoint=checkpoint,
            items=items,
            tasks=None if tasks is None else tuple(dict.fromkeys(tasks)),
            overrides=tuple(arguments),
        )
        result = evaluate_run(spec).required()
        notes = tuple(note.text for note in result.notes)
        return EvaluatedRun(found, Evaluation.model_validate(result.evaluation), notes)


def _directory(path: Path) -> Path:
    runs = find_runs([path])
    if len(runs) > 1:
        raise MtctlError(f"{path} holds {len(runs)} runs; name one of them", hint=f"such as {runs[0]}")
    return runs[0]
