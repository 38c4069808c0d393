"""What balancing the heads of a hybrid policy does: recipes on environments, over seeds.

    python -m benchmarks.hybrid_study [--only ENVIRONMENT …] [--seeds 0..4] [--jobs 2] [--results DIR]
    python -m benchmarks.hybrid_study --show

Every run's final policy plays 1,000 held-out episodes, with actions drawn as in training. Differences are to
`hybrid_fixed` (weights 0.7 and 0.3), paired by seed. `continuous` is the continuous head's share of the
weighted gradient in the shared layers, the median over the second half of the run: 30 % where weighted norms
are 0.7 : 0.3, 50 % where they are equal. `half-way` is the share of the budget after which evaluations stay
beyond half of the final return's way.

A run has half the steps that recipes ship with: differences show where little is to spare. The line `as
shipped` has all of them.

Runs that are trained already are not trained again; the figures lie in hybrid_study.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.lander_scores import show
from mtctl.history.history import read_history
from mtctl.history.runs import evaluation, find_runs, read_run
from mtctl.statistics import estimate, mean_of

KEPT: Final = Path(__file__).with_suffix(".json")
ENVIRONMENTS: Final = ("moving", "sliding", "topology")
BASELINE: Final = "hybrid_fixed"
STEPS: Final = 500_000
"""Environment steps of a run."""
RECIPES: Final = {
    **{
        name: (name, ())
        for name in (
            BASELINE,
            "hybrid_balanced",
            "hybrid_conservative",
            "hybrid_aggressive",
            "hybrid_equalise",
            "hybrid_gradnorm",
            "hybrid_pcgrad",
        )
    },
    "fixed 0.5 : 0.5": (BASELINE, ("balancer.weights={discrete: 0.5, continuous: 0.5}",)),
    "fixed 0.9 : 0.1": (BASELINE, ("balancer.weights={discrete: 0.9, continuous: 0.1}",)),
    "fixed 0.1 : 0.9": (BASELINE, ("balancer.weights={discrete: 0.1, continuous: 0.9}",)),
    "published defect": (BASELINE, ("agent.old_log_probability=published_defect",)),
    "as shipped": (BASELINE, (f"problem.environment_steps={2 * STEPS}",)),
}
"""The arms: a recipe, and what is changed in it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Args:
        arm: one of `RECIPES`.
        environment: what it was trained on.
        seed: the run's.
        mean: return of its final policy.
        success: share of its episodes that ended well.
        continuous: the continuous head's share of the weighted gradient.
        half_way: share of the budget until it stays half-way to its final return; None: it never does.
        seconds: wall-clock.
        failed: whether it ended early, as one that diverges does.
    """

    arm: str
    environment: str
    seed: int
    mean: float
    success: float
    continuous: float
    half_way: float | None
    seconds: float
    failed: bool = False


def folder(arm: str, environment: str) -> str:
    """Return the name of an arm's runs."""
    return f"{environment}_{arm.replace(' : ', '_').replace(' ', '_')}"


def train(arm: str, environment: str, seeds: str, jobs: int, results: Path) -> list[Outcome]:
    """Train what is not trained yet; return what all runs came to."""
    recipe, changes = RECIPES[arm]
    budget = f"problem.environment_steps={STEPS}"
    settings = [
        budget,
        *changes,
        f"problem.environment={environment}",
        f"name={folder(arm, environment)}",
    ]
    flags = [part for setting in settings for part in ("-o", setting)]
    command = ["train", recipe, *flags, "--seeds", seeds, "--jobs", str(jobs), "--resume", "--quiet"]
    subprocess.run([sys.executable, "-m", "mtctl", *command, "--results-dir", str(results)], check=False)
    return [read(path, arm, environment) for path in find_runs([results / folder(arm, environment)])]


def read(path: Path, arm: str, environment: str) -> Outcome:
    """Return what a run came to."""
    run, found = read_run(path), evaluation(path)
    history = read_history(run)
    shares = history.signal("gradient_share", "continuous").values
    share = float(np.median(shares[len(shares) // 2 :])) if len(shares) else float("nan")
    if found is None:
        return Outcome(
            arm, environment, run.seed, float("nan"), 0.0, share, None, run.seconds.total, failed=True
        )
    scored = found.tasks[environment]
    best = run.score.outcomes[0]
    followed = [
        (record.unit / run.budget.units, record.tasks[environment].mean) for record in history.evaluations
    ]
    return Outcome(
        arm,
        environment,
        run.seed,
        round(mean_of(scored.scores), 4),
        round(list(scored.outcomes or ()).count(best) / len(scored.scores), 4),
        round(share, 4),
        _half_way(followed),
        round(run.seconds.total, 1),
    )


def _half_way(followed: Sequence[tuple[float, float]]) -> float | None:
    if len(followed) < 2:
        return None
    middle = (followed[0][1] + followed[-1][1]) / 2
    later = [place for place, value in followed if value < middle]
    return next((place for place, _ in followed if not later or place > later[-1]), None)


def keep(found: Iterable[Outcome], path: Path) -> None:
    """Write outcomes as JSON, one line each; what is there of other runs stays."""
    known = {(each.arm, each.environment, each.seed): each for each in kept(path)}
    known |= {(each.arm, each.environment, each.seed): each for each in found}
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(each)) for each in known.values()) + "\n]\n")


def kept(path: Path) -> list[Outcome]:
    """Return the outcomes that `keep` has written."""
    return [Outcome(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def table(environment: str, found: Sequence[Outcome]) -> Table:
    """Return a table in Markdown: one line per arm."""
    view = Table(box=box.MARKDOWN, title=environment)
    view.add_column("", no_wrap=True)
    for column in ("seeds", "return", "difference", "success", "continuous", "half-way", "failed", "seconds"):
        view.add_column(column, justify="right", no_wrap=True)
    baseline = {each.seed: each.mean for each in found if each.arm == BASELINE and not each.failed}
    for arm in dict.fromkeys(each.arm for each in found):
        runs = [each for each in found if each.arm == arm]
        ended = [each for each in runs if not each.failed]
        pairs = [each.mean - baseline[each.seed] for each in ended if each.seed in baseline]
        halves = [each.half_way for each in ended if each.half_way is not None]
        view.add_row(
            arm,
            str(len(runs)),
            _interval([each.mean for each in ended]),
            "–" if arm == BASELINE else _interval(pairs),
            _percent([each.success for each in ended]),
            _percent([each.continuous for each in ended]),
            _percent(halves),
            str(len(runs) - len(ended)),
            f"{mean_of([each.seconds for each in runs]):.0f}",
        )
    return view


def _interval(values: Sequence[float]) -> str:
    return show(estimate(list(values)), digits=2) if values else "–"


def _percent(values: Sequence[float]) -> str:
    return f"{100 * mean_of(list(values)):.0f} %" if values else "–"


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, keep the figures, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid_study")
    parser.add_argument(
        "--only", nargs="+", choices=ENVIRONMENTS, default=ENVIRONMENTS, metavar="ENVIRONMENT"
    )
    parser.add_argument("--seeds", default="0..4")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time")
    parser.add_argument("--results", type=Path, default=Path("results/hybrid_study"), help="where runs go")
    parser.add_argument("--keep", type=Path, default=KEPT, metavar="PATH", help="where the figures go")
    parser.add_argument("--show", action="store_true", help="train nothing: print what is kept")
    options = parser.parse_args(arguments)
    for environment in options.only:
        for arm in () if options.show else RECIPES:
            keep(train(arm, environment, options.seeds, options.jobs, options.results), options.keep)
    found = kept(options.keep)
    for environment in dict.fromkeys(each.environment for each in found):
        here = [each for each in found if each.environment == environment]
        Console(width=160).print(table(environment, here))


if __name__ == "__main__":
    main()
