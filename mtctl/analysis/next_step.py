"""What to do after a training or a comparison: the command that would tell most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from mtctl.analysis.bootstrap import FEWEST_SEEDS
from mtctl.analysis.comparison import Comparison
from mtctl.analysis.methods import ComparedMethod
from mtctl.analysis.scores import may_be_trained
from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.formats import Run
from mtctl.history.runs import find_runs, read_run
from mtctl.text import command_line

_MOST_SEEDS: Final = 20
"""More seeds than that are not suggested: a difference that needs them is small beside the seeds' own."""


def next_step(comparison: Comparison, paths: Iterable[Path]) -> str:
    """Return a command: mend what was left out, train more seeds, diagnose a lone method, or write a report.

    Args:
        comparison: what is known.
        paths: what was compared, as it was typed.
    """
    if remedy := next((entry.remedy for entry in comparison.left_out if entry.remedy), None):
        return remedy
    if len(comparison.methods) == 1:
        return command_line(["mtctl", "diagnose", str(comparison.methods[0].paths[0])])
    return next(_more_seeds(comparison), command_line(["mtctl", "report", *map(str, paths)]))


def after_training(run: Run) -> str:
    """Return a command: compare with what was trained on the same tasks, else look at what it learned."""
    root = run.path.parent.parent
    others = list(_readable([root]))
    alike = [other for other in others if other.definition_hash == run.definition_hash]
    if sum(other.status == "completed" for other in alike) > 1:
        folders = dict.fromkeys(str(other.path.parent) for other in alike)
        return command_line(["mtctl", "compare", *([str(root)] if len(alike) == len(others) else folders)])
    if run.is_played:
        return command_line(["mtctl", "eval", str(run.path), "--render", "human"])
    if (run.path / layout.CHECKPOINTS / f"{layout.BEST}.pt").is_file():
        return command_line(["mtctl", "eval", str(run.path), "--checkpoint", layout.BEST])
    return command_line(["mtctl", "diagnose", str(run.path)])


def _readable(paths: Iterable[Path]) -> Iterator[Run]:
    """Yield the runs that can be read: a corrupt neighbour is no fault of what was trained."""
    for path in find_runs(paths, may_be_none=True):
        with suppress(MtctlError):
            yield read_run(path)


def _more_seeds(comparison: Comparison) -> Iterator[str]:
    """Yield what would decide each method that is undecided, the best average first."""
    baseline = next(each for each in comparison.methods if each.label == comparison.baseline)
    for method in comparison.methods:
        difference = method.difference
        if difference is None or difference.found:
            continue
        wanted = max(difference.seeds_wanted or 0, FEWEST_SEEDS)
        beyond = difference.p_value is not None and difference.seeds_wanted is None
        places = [_trained_from(each) for each in (baseline, method)]
        roots = {root for root, _ in filter(None, places)}
        if beyond or not difference.common_seeds < wanted <= _MOST_SEEDS:
            continue
        if None in places or len(roots) > 1:
            continue
        first = max(*baseline.seeds, *method.seeds) + 1
        seeds = f"{first}..{first + wanted - difference.common_seeds - 1}"
        recipes = [recipe for _, recipe in filter(None, places)]
        elsewhere = [] if roots == {layout.results_root()} else ["--results-dir", *map(str, roots)]
        yield command_line(["mtctl", "train", *map(str, recipes), "--seeds", seeds, *elsewhere])


def _trained_from(method: ComparedMethod) -> tuple[Path, Path] | None:
    """Return the folder of results that a method's further seeds belong to, and its recipe; None without."""
    run = read_run(method.paths[0])
    return (run.path.parent.parent, run.path / layout.RECIPE) if may_be_trained(run) else None
