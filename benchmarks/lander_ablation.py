"""Which parts of the lander's learner matter: each taken out in turn, on the final policies.

    python -m benchmarks.lander_ablation [--recipe gradnorm_blind] [--seeds 0..2] [--jobs 2]
                                         [--results DIR] [--only TEXT …]
    python -m benchmarks.lander_ablation --show

Every arm is the recipe as shipped with one part as the study published it, or as another value that people
use. It is scored by the average return of the final policy over the tasks, 100 held-out episodes each; its
difference to the recipe is paired by seed. Arms that are trained already are not trained again.

Arrays lie in lander_ablation.json; --show prints the table from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.lander_scores import Arm, command_line, keep, kept, score_table, train
from benchmarks.learner import environment

KEPT: Final = Path(__file__).with_suffix(".json")
RECIPE: Final = "gradnorm_blind"
CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "not mirrored": ("agent.replay.mirrored=false",),
    "no advantage learning": ("agent.advantage_learning=0",),
    "rewards as they are": ("agent.reward_scale.factor=1",),
    "squared error": ("agent.loss=mse",),
    "no clipping": ("agent.gradient_clip=null",),
    "no Double DQN": ("agent.double=false",),
    "1-step returns": ("agent.n_step=1",),
    "constant learning rate": ("agent.lr_schedule={kind: constant}",),
    "target copied every 10 episodes": ("agent.target={kind: episodes, every: 10}",),
    "exploration by episodes": (
        "agent.exploration={counts: all_episodes, decay: 0.995, length: null, start: 1.0, end: 0.01}",
    ),
    "an update every 4 steps": ("agent.update_every=4",),
    "with layer normalisation": ("agent.layer_norm=true",),
    "with two streams": ("agent.dueling=true",),
    "with priorities": ("agent.replay.priority={}",),
    "with an averaged policy": ("evaluation.policy=averaged",),
}
"""What each arm changes: first parts of the learner taken out, then what could be added."""


def arms(recipe: str) -> list[Arm]:
    """Return the recipe as shipped, then with each change."""
    changed = [Arm(f"{recipe}, {name}", recipe, overrides) for name, overrides in CHANGES.items()]
    return [Arm(recipe, recipe), *changed]


def _asked_for(arm: Arm, parts: Sequence[str]) -> bool:
    return arm.name == arm.recipe or not parts or any(part in arm.name for part in parts)


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, keep the arrays, and print the table."""
    parser = command_line("lander_ablation", __doc__, Path("results/ablation"), KEPT)
    parser.add_argument("--recipe", default=RECIPE, help=f"a built-in recipe; {RECIPE} if left out")
    parser.add_argument("--seeds", default="0..2", metavar="SEEDS", help="as `mtctl train` takes them")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="arms whose names hold TEXT")
    options = parser.parse_args(arguments)
    if options.show:
        trained = kept(options.keep)
    else:
        wanted = [arm for arm in arms(options.recipe) if _asked_for(arm, options.only)]
        trained = [train(arm, options.seeds, options.jobs, options.results) for arm in wanted]
        keep(trained, options.keep, environment())
    Console(width=200).print(score_table(trained, trained[0]))


if __name__ == "__main__":
    main()
