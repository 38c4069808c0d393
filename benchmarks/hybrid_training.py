"""What PPO with hybrid actions costs: beside Stable-Baselines3, and what balancing adds to an update.

    make bench                                       or, in an environment with the extra `benchmark`:
    python -m benchmarks.hybrid_training [--quick] [--json PATH]
    python -m benchmarks.hybrid_training --memory [--quick]

One process on one torch thread; all sides run in every block, by processor time.

    steps       An iteration (a rollout of all copies, and its epochs) of `moving` whose choice is a number as
                well, because Stable-Baselines3 takes no hybrid actions: the same environment, network,
                minibatches, epochs, clipping and normalisation of observations and rewards on both sides.
    hybrid      The same of `hybrid_fixed` as shipped.
    update      An update of the recipes with a balancer, over that of `hybrid_fixed`.

`--memory` trains 5 M steps of `moving` instead, as `mtctl train` does but with one epoch of large
minibatches, and prints the process's peak resident memory after a fifth of them and at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from gymnasium import spaces
from rich import box
from rich.console import Console
from rich.table import Table

from mtctl.balancing.chain import Chain
from mtctl.engine.fit import Balancing
from mtctl.engine.processor import use_one_thread
from mtctl.engine.provenance import peak_memory_mb
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from mtctl.measuring.timing import Spread, Timings, interleave
from mtctl.problems.contract import Record
from mtctl.problems.hybrid import playing
from mtctl.problems.hybrid.environments.moving import Moving
from mtctl.problems.hybrid.problem import Hybrid
from mtctl.problems.hybrid.recipe import HybridRecipe
from mtctl.recipes.loading import load

COPIES: Final = 128
STEPS_BAR: Final = 2.0
UPDATE_BAR: Final = 1.5
LONG: Final = (
    "problem.copies=1024",
    "agent.steps=32",
    "agent.epochs=1",
    "agent.minibatch=8192",
    "agent.hidden=[16]",
    "evaluation.every=5",
    "evaluation.final_episodes=20",
)
"""What makes a long run cheap; checkpoints are written as usual."""
BALANCED: Final = ("hybrid_balanced", "hybrid_gradnorm", "hybrid_pcgrad")


class BoxMoving(Moving):
    """`moving` with one Box of three numbers: which third of [-1, 1] the first lies in is the choice."""

    def __init__(self, copies: int) -> None:
        super().__init__(copies)
        self.action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.uses = {}

    def _advance(self, actions: Any) -> None:
        choice = np.minimum((1.5 * (actions[:, 0] + 1.0)).astype(np.int64), 2)
        hybrid = {"choice": choice, "acceleration": 0.5 * (actions[:, 1:2] + 1.0), "turn": actions[:, 2:3]}
        super()._advance(hybrid)


def hybrid(name: str, *overrides: str) -> tuple[Hybrid, HybridRecipe]:
    """Return a recipe's problem, that measures no gradients for the record."""
    recipe = load(name, [f"problem.copies={COPIES}", "monitor.every=1000000", *overrides])
    assert isinstance(recipe, HybridRecipe)
    return Hybrid(recipe.problem, recipe.agent, 0), recipe


def iterations(problem: Hybrid, recipe: HybridRecipe) -> Callable[[int], None]:
    """Return what plays and learns from so many rollouts."""
    balancing = Balancing(Chain(recipe.chain), problem.tasks, 0)

    def run(count: int) -> None:
        for _ in range(count):
            while problem.advance() is None:
                learn(problem, balancing)

    return run


def updates(problem: Hybrid, recipe: HybridRecipe) -> Callable[[int], None]:
    """Return what makes so many updates on one minibatch."""
    balancing = Balancing(Chain(recipe.chain), problem.tasks, 0)
    problem.advance()

    def run(count: int) -> None:
        for _ in range(count):
            learn(problem, balancing)

    return run


def learn(problem: Hybrid, balancing: Balancing) -> None:
    """Make an update as the engine does, its checks included."""
    gradients = problem.gradients()
    assert gradients is not None
    decision = balancing.balance(gradients)
    gradients.combine(decision.shared, decision.own)
    assert gradients.finite()
    problem.update()


def boxed() -> tuple[Hybrid, HybridRecipe]:
    """Return mtctl's side of the environment that Stable-Baselines3 takes too."""
    with patch.object(playing, "make_copies", lambda name, copies, options: BoxMoving(copies)):
        return hybrid("hybrid_fixed", "problem.tasks=[continuous]", "balancer=equal")


def baselines3(recipe: HybridRecipe) -> Callable[[int], None]:
    """Return Stable-Baselines3's side: its PPO with the recipe's settings."""
    from stable_baselines3 import PPO  # noqa: PLC0415 - an extra
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize  # noqa: PLC0415

    class Stacked(VecEnv):
        """Copies as Stable-Baselines3 wants them."""

        def __init__(self) -> None:
            self._copies = BoxMoving(COPIES)
            super().__init__(COPIES, self._copies.observation_space, self._copies.action_space)

        def reset(self) -> Any:
            return self._copies.reset(range(COPIES)).copy()

        def step_async(self, actions: Any) -> None:
            self._actions = actions

        def step_wait(self) -> Any:
            copies = self._copies
            copies.step(self._actions)
            infos: list[dict[str, Any]] = [{} for _ in range(COPIES)]
            for place in np.flatnonzero(copies.ended):
                infos[place] = {"terminal_observation": copies.final_observations[place].copy()}
            return copies.observations.copy(), copies.rewards.copy(), copies.ended.copy(), infos

        def close(self) -> None:
            self._copies.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * COPIES

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            return [None] * COPIES

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * COPIES

    agent = recipe.agent
    model = PPO(
        "MlpPolicy",
        VecNormalize(Stacked(), gamma=agent.gamma),
        learning_rate=agent.lr,
        n_steps=agent.steps,
        batch_size=agent.minibatch,
        n_epochs=agent.epochs,
        gamma=agent.gamma,
        gae_lambda=agent.gae_lambda,
        clip_range=agent.clip,
        clip_range_vf=agent.value_clip,
        max_grad_norm=agent.gradient_clip or 0.0,
        policy_kwargs={"net_arch": list(agent.hidden), "share_features_extractor": True},
        device="cpu",
        seed=0,
    )
    rollout = COPIES * agent.steps

    def run(count: int) -> None:
        model.learn(count * rollout, reset_num_timesteps=False)

    return run


class Memory:
    """Notes the peak memory at the end of each iteration."""

    def __init__(self) -> None:
        self.peaks: list[float] = []
        self.steps: list[int] = []

    def unit_ended(self, record: Record) -> None:
        if record["kind"] == "unit":
            self.peaks.append(peak_memory_mb() or float("nan"))
            self.steps.append(record["environment_steps"])


def memory(steps: int) -> Memory:
    """Train for so many steps; return what memory it took."""
    recipe, seen = load("hybrid_balanced", [*LONG, f"problem.environment_steps={steps}"]), Memory()
    with TemporaryDirectory() as folder:
        execute(RunSpec(recipe, 0, Path(folder) / "run"), observers=[seen]).required()
    return seen


def measure(blocks: int) -> tuple[Timings, Timings, int]:
    """Return the seconds of iterations and of updates, and how many steps an iteration has."""
    problem, recipe = boxed()
    sides = {
        "mtctl": iterations(problem, recipe),
        "Stable-Baselines3": baselines3(recipe),
        "hybrid_fixed": iterations(*hybrid("hybrid_fixed")),
    }
    steps = interleave(sides, blocks=blocks, calls=1, warm_up=1, clock=time.process_time)
    named = {name: updates(*hybrid(name)) for name in ("hybrid_fixed", *BALANCED)}
    made = interleave(named, blocks=3 * blocks, calls=10, warm_up=10, clock=time.process_time)
    return steps, made, recipe.rollout


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid_training")
    parser.add_argument("--quick", action="store_true", help="a look in seconds")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures as well")
    parser.add_argument("--memory", action="store_true", help="peak memory of a long training instead")
    options = parser.parse_args(arguments)
    use_one_thread()
    if options.memory:
        seen = memory(500_000 if options.quick else 5_000_000)
        for place in (len(seen.peaks) // 5 - 1, -1):
            print(f"{seen.steps[place]:>9,} steps: peak resident memory {seen.peaks[place]:.1f} MB")
        return
    steps, made, rollout = measure(2 if options.quick else 15)
    table = Table(box=box.MARKDOWN)
    for column in ("measured", "", "ratio", "quartiles", "bar"):
        table.add_column(column, justify="left" if column == "measured" else "right", no_wrap=True)
    figures: dict[str, Any] = {}

    def row(name: str, value: str, ratio: Spread | None, bar: str) -> None:
        told = ("", "") if ratio is None else (f"{ratio.median:.2f}", f"{ratio.low:.2f}–{ratio.high:.2f}")
        table.add_row(name, value, *told, bar)
        figures[name] = {"value": value, "ratio": None if ratio is None else ratio.median}

    for side in steps.seconds:
        faster = steps.ratio("Stable-Baselines3", side) if side == "mtctl" else None
        bar = f"at least {STEPS_BAR:g}" if faster else ""
        row(f"{side}, steps/s", f"{rollout / steps.of(side).median:,.0f}", faster, bar)
    for side in made.seconds:
        ratio = made.ratio(side, "hybrid_fixed") if side in BALANCED else None
        bar = f"at most {UPDATE_BAR:g}" if ratio else ""
        row(f"update of {side}", f"{1e3 * made.of(side).median:.2f} ms", ratio, bar)
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
