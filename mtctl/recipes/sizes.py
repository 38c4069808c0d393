"""How much memory a recipe takes at least, from its shapes, against what this machine has.

Only what a run certainly holds at one time is counted, so that a recipe that fits is never refused; the
processes' own some hundred megabytes, and what operations need inside themselves, come on top.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mtctl.errors import MtctlError
from mtctl.machine import available, memory, size
from mtctl.recipes.recipe import LanderRecipe, Recipe, WindowsRecipe
from mtctl.recipes.windows import SyntheticWindows

OBSERVATIONS: Final = 8
ACTIONS: Final = 4
TRANSITION: Final = 2 * OBSERVATIONS + 4
"""Numbers of a transition in replay: see problems/lander/replay.py."""
BARS: Final = 105
FEATURES: Final = 12
OUTPUTS: Final = {"type": 3, "ptr": 2, "binary": 1, "countdown": 1}
"""Outputs of the sequence model's heads: see problems/windows/network.py."""
_FLOAT: Final = 4
_ITEM: Final = 100
"""Bytes of Python's objects for one scored episode: its return, steps and outcome."""
_PARSED: Final = 1.5
"""Bytes of memory for a byte of a data file: see problems/windows/tables.py."""
_MADE: Final = BARS * (4 + FEATURES) * 8
"""Bytes of a window while it is made: prices and features of 64 bits."""
_KEPT: Final = 32
"""Numbers that a bar of a batch takes for each of the LSTM's units, on its way there and back: 45 to 65 were
measured."""
_FEW: Final = 64
"""Windows of a batch that a file of them can be trusted to have; reading it tells how many more."""
_NAMED: Final = 0.1
"""Share of the whole from which on a part is named."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A part of a run's memory.

    Args:
        key: the setting that decides it, dotted.
        what: what takes it.
        count: bytes.
    """

    key: str
    what: str
    count: float


def amounts(recipe: Recipe) -> list[Amount]:
    """Return what a run of a recipe certainly holds in memory at one time."""
    match recipe:
        case LanderRecipe():
            return list(_lander(recipe))
        case WindowsRecipe():
            return list(_windows(recipe))
        case _:
            return []


def require_memory(recipe: Recipe) -> None:
    """Refuse a recipe that takes more memory than this machine has, before any of it is asked for.

    Raises:
        MtctlError: names the settings that take it, and the figures.
    """
    there = memory()
    if there is not None and sum(part.count for part in amounts(recipe)) > there:
        raise MtctlError(
            f"{recipe.name}: {_sentence(amounts(recipe))}; this machine has {size(there)}",
            hint="lower what is named, or train on a machine with more memory",
        )


def doubt(recipe: Recipe) -> str | None:
    """Return what to know where a run takes more memory than is free at the moment; None if it takes less."""
    free, parts = available(), amounts(recipe)
    if free is None or sum(part.count for part in parts) <= free:
        return None
    return f"{recipe.name}: {_sentence(parts)}, and {size(free)} are free at the moment"


def _sentence(parts: list[Amount]) -> str:
    whole = sum(part.count for part in parts)
    what = {part.key: part.what for part in reversed(parts)}
    takes = {key: sum(part.count for part in parts if part.key == key) for key in what}
    named = sorted((key for key in what if takes[key] > _NAMED * whole), key=lambda key: -takes[key])
    found = [f"{key}: {what[key]} would take {size(takes[key])}" for key in named]
    return found[0] if len(found) == 1 else f"{', '.join(found)}: {size(whole)} together"


def _lander(recipe: LanderRecipe) -> Iterator[Amount]:
    agent, tasks = recipe.agent, len(recipe.problem.tasks)
    yield Amount(
        "agent.replay.capacity",
        f"{agent.replay.capacity:,} transitions",
        agent.replay.capacity * TRANSITION * _FLOAT,
    )
    codes = {"none": 0, "raw_id": 1, "onehot": tasks, "embedding": agent.embedding_dim}[agent.task_encoding]
    layers = list(itertools.pairwise((OBSERVATIONS, *agent.hidden, ACTIONS)))
    copies = tasks if agent.network == "independent" else 1
    # Online and target network with a gradient of each task, and Adam's two moments.
    copied = (4 * copies + 2 * tasks + 2) * _FLOAT
    hidden = "agent.hidden", f"layers of {' and '.join(f'{units:,}' for units in agent.hidden[:3])} units"
    yield Amount(*hidden, sum((inputs + 1) * units for inputs, units in layers) * copied)
    told = "agent.embedding_dim", f"{codes:,} inputs that tell the task"
    yield Amount(*_larger(told, codes, hidden, agent.hidden[0]), codes * agent.hidden[0] * copied)
    every_task = agent.replay.kind == "per_task" and agent.learn == "all_tasks"
    rows = agent.batch_size * (tasks if every_task else 1)
    units = TRANSITION + 2 * sum(agent.hidden) + ACTIONS
    batches = "agent.batch_size", f"batches of {rows:,} rows"
    yield Amount(*_larger(batches, rows, hidden, units), rows * units * _FLOAT)
    played = recipe.evaluation.final_episodes
    yield Amount("evaluation.final_episodes", f"{played:,} episodes of a task", played * _ITEM)
    if recipe.evaluation.every:
        played = recipe.evaluation.episodes
        yield Amount("evaluation.episodes", f"{played:,} episodes of a task", played * _ITEM)


def _windows(recipe: WindowsRecipe) -> Iterator[Amount]:
    problem, model = recipe.problem, recipe.model
    window = (BARS * (FEATURES + problem.position + 2) + 2) * _FLOAT
    if isinstance(problem.data, SyntheticWindows):
        counts = {name: getattr(problem.data, name) for name in ("windows", "validation", "held_out")}
        for name, count in counts.items():
            made = _MADE if count == max(counts.values()) else 0
            yield Amount(f"problem.data.{name}", f"{count:,} windows", count * (window + made))
    else:
        length = _length(Path(problem.data.path))
        yield Amount("problem.data.path", f"{problem.data.path}, {size(length)},", length * _PARSED)
    # The weights with a gradient, and an optimizer's two moments; SGD has none.
    kept = (2 if recipe.training.optimizer == "sgd" else 4) * _FLOAT
    width, inputs = 2 * model.hidden, FEATURES + problem.position
    hidden = "model.hidden", f"{model.hidden:,} units in each direction"
    projection = "model.projection", f"a projection to {model.projection:,}"
    lstm = 8 * model.hidden * (inputs + model.hidden + 2) + width * (OUTPUTS["binary"] + OUTPUTS["countdown"])
    yield Amount(*hidden, lstm * kept)
    projected = (width + 1 + OUTPUTS["type"] + OUTPUTS["ptr"]) * model.projection
    yield Amount(*_larger(projection, model.projection, hidden, width), projected * kept)
    rows = min(recipe.training.batch_size, problem.training_windows or _FEW)
    batches = "training.batch_size", f"batches of {rows:,} windows"
    yield Amount(*_larger(batches, rows, hidden, width), rows * BARS * _KEPT * model.hidden * _FLOAT)


def _larger(
    one: tuple[str, str], factor: float, other: tuple[str, str], other_factor: float
) -> tuple[str, str]:
    """Return which of two settings whose product takes memory is to be named."""
    return one if factor >= other_factor else other


def _length(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except (OSError, ValueError):
        return 0  # reading it says what is wrong
