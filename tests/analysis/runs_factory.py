"""Run directories on disk, as `mtctl.engine.layout` describes them, without training anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TASKS = ("standard", "windy", "heavy")
EPISODES = 4


def definition(tasks: Sequence[str]) -> dict[str, Any]:
    limits = {"standard": 1000, "windy": 400, "heavy": 800}
    return {
        "environment": "LunarLander",
        "tasks": {task: {"time_limit": limits.get(task, 400)} for task in tasks},
    }


def sha(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def run_document(
    name: str = "gradnorm_blind", seed: int = 0, tasks: Sequence[str] = TASKS, **changes: Any
) -> dict[str, Any]:
    """Return a completed run's run.json; `changes` replace its keys, and merge into `budget` and `score`."""
    rules = changes.pop("definition", definition(tasks))
    document = {
        "schema": 1,
        "status": "completed",
        "name": name,
        "seed": seed,
        "command": f"mtctl train {name} --seed {seed}",
        "recipe_hash": sha(name),
        "problem": "lander",
        "tasks": list(tasks),
        "score": {"name": "return", "higher_is_better": True, "success": 200.0} | changes.pop("score", {}),
        "definition": rules,
        "definition_hash": sha(rules),
        "parameters": {"total": 35719, "shared": 35716, "balancer": 3},
        "unit": "episode",
        "budget": {
            "units": 1500,
            "done": 1500,
            "environment_steps": 612_345,
            "updates": 611_000,
            "samples_per_update": 192,
        }
        | changes.pop("budget", {}),
        "seconds": {"total": 512.3, "training": 490.1, "evaluation": 22.2},
        "peak_memory_mb": 512.0,
        "started": "2026-01-31T12:00:00+00:00",
        "ended": "2026-01-31T12:08:32+00:00",
        "versions": {"mtctl": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "box2d": None},
        "error": None,
    }
    return document | changes


def evaluation_document(
    run: Mapping[str, Any], returns: Mapping[str, Sequence[float]] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return a run's eval.json: by default 4 episodes of each task, with returns 100, 150, 200 and 250."""
    scores = returns or dict.fromkeys(run["tasks"], (100.0, 150.0, 200.0, 250.0))
    document = {
        "schema": 1,
        "checkpoint": "last",
        "done": run["budget"]["done"],
        "seeds": "held_out",
        "episodes": len(next(iter(scores.values()))),
        "definition_hash": run["definition_hash"],
        "tasks": {
            task: {
                "returns": list(values),
                "steps": [100 + index for index in range(len(values))],
                "outcomes": [
                    "landed" if value >= 200 else "timed_out" if value >= 0 else "crashed" for value in values
                ],
            }
            for task, values in scores.items()
        },
    }
    return document | changes


def records(episodes: int = 3) -> list[dict[str, Any]]:
    """Return lines of metrics.jsonl: episodes, the first without an update, then an evaluation."""
    signals = {
        "updates": 93,
        "loss": {"standard": 1.5, "windy": None},
        "weight": {"standard": 1.0, "windy": None},
        "gradient_norm": {"standard": 0.5, "windy": None},
        "gradient_share": {"standard": 1.0, "windy": None},
        "cosine": {"standard|windy": None},
        "conflict_rate": None,
    }
    played = [
        {
            "kind": "episode",
            "episode": number,
            "task": "standard",
            "return": -123.4,
            "steps": 93,
            "outcome": "crashed",
            "epsilon": 1.0,
            "environment_steps": 93 * number,
            "updates": 0,
            "signals": None if number == 1 else signals,
        }
        for number in range(1, episodes + 1)
    ]
    task = {
        "mean": 1.0,
        "sd": None,
        "success_rate": 0.0,
        "episodes": 1,
        "landed": 0,
        "crashed": 1,
        "timed_out": 0,
    }
    evaluation = {
        "kind": "evaluation",
        "episode": episodes,
        "environment_steps": 93 * episodes,
        "updates": 0,
        "tasks": {"standard": {**task, "steps": 70.0}},
        "average": 1.0,
    }
    return [*played, evaluation]


def write_run(root: Path, name: str = "gradnorm_blind", seed: int = 0, **changes: Any) -> Path:
    """Write a completed, evaluated run to root/name/seed<k> and return its directory.

    `returns` sets the evaluation's episodes by task, `evaluation` replaces keys of eval.json (None: there is
    none), and everything else replaces keys of run.json.
    """
    returns, evaluation = changes.pop("returns", None), changes.pop("evaluation", {})
    run = run_document(name, seed, **changes)
    directory = root / name / f"seed{seed}"
    directory.mkdir(parents=True)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "last.pt").write_bytes(b"")
    (directory / "recipe.yaml").write_text(f"# {run['command']}\nname: {name}\n")
    (directory / "run.json").write_text(json.dumps(run, indent=2))
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records()))
    if evaluation is not None:
        (directory / "eval.json").write_text(json.dumps(evaluation_document(run, returns, **evaluation)))
    return directory


def scores(average: float, tasks: Sequence[str] = TASKS, episodes: int = EPISODES) -> dict[str, list[float]]:
    """Return episodes whose mean over tasks and episodes is `average`, spread around it."""
    spread = [10.0 * (index - (episodes - 1) / 2) for index in range(episodes)]
    return {task: [average + each for each in spread] for task in tasks}
