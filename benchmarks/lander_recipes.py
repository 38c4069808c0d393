"""What the lander's recipes reach as they are shipped, and where the ceiling is.

    python -m benchmarks.lander_recipes [--only NAME …] [--jobs 2] [--results DIR]
    python -m benchmarks.lander_recipes --show

The final policy of every run plays 100 held-out episodes of each task. Recipes with claims about them are
trained from 5 seeds, others from 3. The ceiling is what a network of its own reaches on each task in ten
times the episodes (1 seed). Runs that are trained already are not trained again.

The arrays behind the tables in the README lie in lander_recipes.json; --show prints them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.lander_scores import Arm, command_line, keep, kept, score_table, train
from benchmarks.learner import environment
from benchmarks.sides import TASKS

KEPT: Final = Path(__file__).with_suffix(".json")
FIVE: Final = "0..4"
FOUR: Final = "0..3"
THREE: Final = "0..2"
ONE: Final = "0..0"
RECIPES: Final = {
    "best_aware": FIVE,
    "best_blind": FIVE,
    "shared_aware": FIVE,
    "gradnorm_blind": FIVE,
    "equal_blind": FIVE,
    "equal_aware": THREE,
    "independent": THREE,
    "multihead_blind": THREE,
    "multihead_aware": THREE,
    "softmod_aware": THREE,
    "brc": FOUR,
    "brc_tuned": THREE,
    "varshare": THREE,
    "varshare_pruned": THREE,
    "brc_published": THREE,
    "published/gradnorm_blind": THREE,
}
DEFECT: Final = "agent.categorical.projection=published_defect"
DEFECTS: Final = [
    Arm(f"{name} with the published defect", name, (DEFECT,)) for name in ("brc", "brc_published")
]
CEILINGS: Final = [
    Arm(
        f"{task} alone, 5,000 episodes",
        "best_blind",
        (f"problem.tasks=[{task}]", "problem.episodes_per_task=5000"),
    )
    for task in TASKS
]


def arms() -> list[tuple[Arm, str]]:
    """Return what is trained, and from which seeds."""
    recipes = [(Arm(name, name), seeds) for name, seeds in RECIPES.items()]
    return [*recipes, *((arm, THREE) for arm in DEFECTS), *((arm, ONE) for arm in CEILINGS)]


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, keep the arrays, and print the tables."""
    parser = command_line("lander_recipes", __doc__, Path("results/recipes"), KEPT)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the lines of the table to train; all")
    options = parser.parse_args(arguments)
    if options.show:
        trained = kept(options.keep)
    else:
        wanted = [each for each in arms() if options.only is None or each[0].name in options.only]
        trained = [train(arm, seeds, options.jobs, options.results) for arm, seeds in wanted]
        keep(trained, options.keep, environment())
    console = Console(width=200)
    for tasks in dict.fromkeys(each.tasks for each in trained):
        console.print(score_table([each for each in trained if each.tasks == tasks]))


if __name__ == "__main__":
    main()
