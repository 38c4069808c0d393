"""Lander runs as small arrays: what their final policies score, what they cost, and tables of it.

Runs of minutes are kept in the repository as one JSON document: of every arm the command's overrides, and of
every seed the return and the end of each held-out episode, in the order of the list of seeds.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.table import Table

from mtctl.history.runs import evaluation, find_runs, read_run
from mtctl.problems.kinds import build
from mtctl.problems.lander.tasks import SOLVED
from mtctl.recipes.loading import load
from mtctl.statistics import Estimate, estimate, mean_of

EPISODES: Final = 100
"""Held-out episodes of each task."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Args:
        name: as tables show it.
        recipe: a built-in recipe.
        overrides: `KEY=VALUE` on top of it.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Return the name of its runs."""
        return re.sub(r"[^\w.-]+", "_", self.name)

    @property
    def settings(self) -> list[str]:
        """Return all that is overridden."""
        return [*self.overrides, f"name={self.folder}", f"evaluation.final_episodes={EPISODES}"]


@dataclass(frozen=True, slots=True)
class Scores:
    """A run's final policy.

    Args:
        seed: the run's.
        seconds: wall-clock of the training, its evaluations included.
        environment_steps: played.
        updates: made.
        returns: of the held-out episodes, by task.
        outcomes: how many of them landed, crashed, timed out, by task.
    """

    seed: int
    seconds: float
    environment_steps: int
    updates: int
    returns: Mapping[str, Sequence[float]]
    outcomes: Mapping[str, Mapping[str, int]]

    @property
    def average(self) -> float:
        """Return the mean over tasks of the mean returns."""
        return mean_of([mean_of(returns) for returns in self.returns.values()])


@dataclass(frozen=True, slots=True)
class Trained:
    """An arm and its runs, at least one."""

    arm: Arm
    runs: Sequence[Scores]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.runs[0].returns)

    def averages(self) -> dict[int, float]:
        """Return the average of every seed."""
        return {run.seed: run.average for run in self.runs}


def command_line(module: str, doc: str | None, results: Path, arrays: Path) -> argparse.ArgumentParser:
    """Return a parser of what all benchmarks of lander runs can be told.

    Args:
        module: the benchmark's name.
        doc: what it says of itself.
        results: where its runs go.
        arrays: where their scores are kept.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}", description=(doc or "").split("\n")[0]
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time")
    parser.add_argument("--results", type=Path, default=results, help="where runs go")
    parser.add_argument("--keep", type=Path, default=arrays, metavar="PATH", help="where arrays go")
    parser.add_argument("--show", action="store_true", help="train nothing: print what is kept")
    return parser


def train(arm: Arm, seeds: str, jobs: int, results: Path) -> Trained:
    """Train what is not trained yet below `results`; return all scores."""
    flags = [part for override in arm.settings for part in ("-o", override)]
    command = ["train", arm.recipe, *flags, "--seeds", seeds, "--jobs", str(jobs), "--resume", "--quiet"]
    subprocess.run([sys.executable, "-m", "mtctl", *command, "--results-dir", str(results)], check=True)
    return Trained(arm, [read_scores(path) for path in find_runs([results / arm.folder])])


def read_scores(path: Path) -> Scores:
    """Return what a run's final policy scores.

    Args:
        path: the directory of a completed run.
    """
    run, found = read_run(path), evaluation(path)
    if found is None:
        raise ValueError(f"{path} has no evaluation")
    return Scores(
        seed=run.seed,
        seconds=round(run.seconds.total, 1),
        environment_steps=run.budget.environment_steps or 0,
        updates=run.budget.updates,
        returns={task: [round(each, 1) for each in one.scores] for task, one in found.tasks.items()},
        outcomes={
            task: {name: list(one.outcomes or ()).count(name) for name in run.score.outcomes}
            for task, one in found.tasks.items()
        },
    )


def keep(trained: Iterable[Trained], path: Path, facts: Mapping[str, Any]) -> None:
    """Write arms and scores as JSON, one line per run; what is there of other arms stays."""
    everything = {each.arm.name: each for each in (kept(path) if path.exists() else ())}
    everything |= {each.arm.name: each for each in trained}
    arms = []
    for each in everything.values():
        runs = ",\n   ".join(json.dumps(asdict(run)) for run in each.runs)
        arms.append(f' {{"arm": {json.dumps(asdict(each.arm))},\n  "runs": [\n   {runs}]}}')
    text = f'{{"facts": {json.dumps(facts)},\n"arms": [\n' + ",\n".join(arms) + "\n]}\n"
    path.write_text(text, encoding="utf-8")


def kept(path: Path) -> list[Trained]:
    """Return the arms and scores that `keep` has written."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return [
        Trained(
            Arm(**entry["arm"] | {"overrides": tuple(entry["arm"]["overrides"])}),
            [Scores(**run) for run in entry["runs"]],
        )
        for entry in document["arms"]
    ]


def score_table(trained: Sequence[Trained], reference: Trained | None = None) -> Table:
    """Return a table in Markdown: one line per arm.

    Args:
        trained: the arms, of the same tasks.
        reference: what the others' averages are compared with, seed by seed.
    """
    view = Table(box=box.MARKDOWN)
    view.add_column("", no_wrap=True)
    tasks = trained[0].tasks
    compared = [] if reference is None else ["difference"]
    for column in (
        "average",
        *compared,
        "lowest seed",
        *tasks,
        "≥ 200",
        "timed out",
        "parameters",
        "updates",
        "seconds",
    ):
        view.add_column(column, justify="right", no_wrap=True)
    for each in trained:
        differences = [] if reference is None else [_difference(each, reference)]
        view.add_row(
            each.arm.name,
            show(estimate(list(each.averages().values()))),
            *differences,
            f"{min(each.averages().values()):.1f}",
            *(f"{mean_of([mean_of(run.returns[task]) for run in each.runs]):.1f}" for task in tasks),
            " / ".join(f"{_solved(each, task):.0f}" for task in tasks) + " %",
            " / ".join(f"{_timed_out(each, task):.0f}" for task in tasks) + " %",
            f"{_parameters(each.arm):,}",
            f"{mean_of([run.updates for run in each.runs]):,.0f}",
            f"{mean_of([run.seconds for run in each.runs]):.0f}",
        )
    return view


def _parameters(arm: Arm) -> int:
    """Return how many numbers an arm's networks train, embeddings included."""
    return build(load(arm.recipe, arm.settings), 0).parameter_count().total


def show(found: Estimate, digits: int = 1) -> str:
    """Return a mean with its 95 % t interval, as tables show it."""
    interval = found.interval
    text = f"{found.mean:.{digits}f}"
    return text if interval is None else f"{text} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _difference(each: Trained, reference: Trained) -> str:
    if each is reference:
        return "–"
    ours, theirs = each.averages(), reference.averages()
    return show(estimate([ours[seed] - theirs[seed] for seed in ours if seed in theirs]))


def _solved(each: Trained, task: str) -> float:
    return 100 * mean_of([mean_of([value >= SOLVED for value in run.returns[task]]) for run in each.runs])


def _timed_out(each: Trained, task: str) -> float:
    shares = [run.outcomes[task].get("timed_out", 0) / sum(run.outcomes[task].values()) for run in each.runs]
    return 100 * mean_of(shares)
