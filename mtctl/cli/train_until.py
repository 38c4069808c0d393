"""`--seeds until-decided`: seeds are added until the recipes are told apart, or there are enough of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtctl.analysis.evaluation import summarise
from mtctl.analysis.sequential import LEVEL, GroupSequential, Pair
from mtctl.api.seeds import GROUP
from mtctl.cli.train_runs import Cluster, print_runs, require_room, train_many
from mtctl.engine.spec import RunSpec
from mtctl.errors import ExitCode, MtctlError
from mtctl.history.runs import evaluation, read_run
from mtctl.terminal.console import err
from mtctl.text import command_line


def train_until(
    specs: Sequence[RunSpec],
    results_dir: Path,
    jobs: int | None,
    cluster: Cluster | None,
    *,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train group after group of seeds until every pair of recipes is decided; return the exit code.

    Args:
        specs: of all recipes, each with all seeds that it may get.
        results_dir: where all of them go.
        jobs: how many at a time; as many as there is room for if None.
        cluster: whose machines train; this one if None.
        quiet: lines only.
        as_json: one JSON document on stdout.
    """
    require_room(specs, results_dir)
    names = list(dict.fromkeys(spec.recipe.name for spec in specs))
    most = max(spec.seed for spec in specs) + 1
    test, trained = GroupSequential(names, GROUP, most // GROUP), list[RunSpec]()
    for first in range(0, most, GROUP):
        group = [
            spec for spec in specs if spec.recipe.name in test.needed and first <= spec.seed < first + GROUP
        ]
        trained += group
        code = train_many(group, results_dir, jobs, cluster, quiet=quiet, as_json=False, last=False)
        if code != ExitCode.OK:
            return code
        _say(test, test.look(_scores(group, names)), first + GROUP, most)
        if test.is_over:
            break
    if as_json:
        print_runs(spec.directory for spec in trained)
    places = [str(results_dir / name) for name in names]
    err().print(f"next: `{command_line(['mtctl', 'compare', *places])}`", soft_wrap=True)
    return int(ExitCode.OK)


def _scores(group: Sequence[RunSpec], names: Sequence[str]) -> dict[str, list[float]]:
    """Return the mean over tasks of each run, by recipe; higher is better.

    Raises:
        MtctlError: the recipes are scored on different tasks, or an evaluation is missing.
    """
    scores: dict[str, list[float]] = {name: [] for name in names}
    measured = set()
    for spec in group:
        run, found = read_run(spec.directory), evaluation(spec.directory)
        if found is None:
            raise MtctlError(f"{spec.directory}: has no evaluation", hint=f"mtctl eval {spec.directory}")
        measured.add(run.definition_hash)
        if len(measured) > 1:
            raise MtctlError(
                f"{spec.directory}: measures something else than {group[0].directory}",
                hint="`mtctl compare` says what differs",
            )
        average = summarise(found, run.score).average
        scores[spec.recipe.name].append(average if run.score.higher_is_better else -average)
    return scores


def _say(test: GroupSequential, found: Sequence[Pair], seeds: int, most: int) -> None:
    """Say what a group of seeds has decided, and what follows."""
    for one, other in found:
        better, worse = (one, other) if test.decided[one, other] == "higher" else (other, one)
        err().print(f"after {seeds} seeds each: {better} is better than {worse}", soft_wrap=True)
    control = f"chance of a false difference at most {100 * LEVEL:.0f} %, over all looks and pairs"
    left = ", ".join(f"{one} and {other}" for one, other in test.open)
    if not left:
        text = f"✔ decided after {seeds} seeds ({control})"
    elif test.is_over:
        text = f"stopped at {most} seeds, with no difference proven between {left} ({control})"
    else:
        text = f"after {seeds} seeds each: undecided between {left}; {GROUP} more seeds"
    err().print(text, soft_wrap=True)
