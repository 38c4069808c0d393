"""Run directories on disk, as `mtctl.engine.layout` describes them, without training anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtctl.history.formats import Run
from mtctl.history.summary import TrainingSummary, recorded_summary

TASKS = ("standard", "windy", "heavy")
EPISODES = 4
WINDOWS_TASKS = ("type", "ptr", "binary", "countdown")
MEASURES = {
    "type": {"loss": 0.7081, "accuracy": 0.508},
    "ptr": {"loss": 0.00612, "pointer_error": 15.692},
    "binary": {"loss": 0.248, "span_f1": 0.0},
    "countdown": {"loss": 15.47, "start_mae": 31.004},
}


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
        "schema": 3,
        "status": "completed",
        "name": name,
        "seed": seed,
        "command": f"mtctl train {name} --seed {seed}",
        "recipe_hash": sha(name),
        "problem": "lander",
        "tasks": list(tasks),
        "score": {
            "name": "return",
            "higher_is_better": True,
            "success": 200.0,
            "outcomes": ["landed", "crashed", "timed_out"],
        }
        | changes.pop("score", {}),
        "figures": {"followed": "return", "window": 50, "ending": "outcome", "extra": ["epsilon"]},
        "definition": rules,
        "definition_hash": sha(rules),
        "parameters": {"total": 35719, "shared": 35716, "balancer": 3},
        "unit": "episode",
        "item": "episode",
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
    """Return a run's eval.json: by default 4 items of each task, with scores 100, 150, 200 and 250."""
    played = run["unit"] == "episode"
    scores = returns or dict.fromkeys(run["tasks"], (100.0, 150.0, 200.0, 250.0))
    document = {
        "schema": 3,
        "checkpoint": "last",
        "done": run["budget"]["done"],
        "seeds": "held_out",
        "items": len(next(iter(scores.values()))),
        "definition_hash": run["definition_hash"],
        "tasks": {
            task: {
                "scores": list(values),
                "steps": [100 + index for index in range(len(values))] if played else None,
                "outcomes": list(map(_outcome, values)) if played else None,
                "measures": {} if played else MEASURES[task],
            }
            for task, values in scores.items()
        },
    }
    return document | changes


def _outcome(value: float) -> str:
    return "landed" if value >= 200 else "timed_out" if value >= 0 else "crashed"


def records(episodes: int = 3, tasks: Sequence[str] = TASKS) -> list[dict[str, Any]]:
    """Return lines of metrics.jsonl: episodes, the first without an update, then an evaluation."""
    first, second = tasks[0], tasks[1 % len(tasks)]
    signals = {
        "updates": 93,
        "measured": 93,
        "loss": {second: None, first: 1.5},
        "weight": {second: None, first: 1.0},
        "gradient_norm": {second: None, first: 0.5},
        "gradient_share": {second: None, first: 1.0},
        "cosine": {f"{first}|{second}": None},
        "cosine_sd": {f"{first}|{second}": None},
        "conflict_rate": None,
        "replay_rows": {second: 0.0, first: 93.0},
    }
    played = [
        {
            "kind": "unit",
            "unit": number,
            "tasks": {first: {"return": -123.4, "steps": 93, "outcome": "crashed"}},
            "extra": {"epsilon": 1.0},
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
        "items": 1,
        "outcomes": {"landed": 0, "crashed": 1, "timed_out": 0},
        "steps": 70.0,
        "measures": {},
    }
    evaluation = {
        "kind": "evaluation",
        "unit": episodes,
        "environment_steps": 93 * episodes,
        "updates": 0,
        "tasks": {first: task},
        "average": 1.0,
    }
    return [*played, evaluation]


def epochs(number: int = 2) -> list[dict[str, Any]]:
    """Return lines of a windows run's metrics.jsonl: epochs, each with an evaluation after it."""
    nothing = dict.fromkeys(WINDOWS_TASKS)
    ones = dict.fromkeys(WINDOWS_TASKS, 1.0)
    signals = {
        "updates": 6,
        "measured": 0,
        "loss": ones,
        "weight": ones,
        "own_weight": ones,
        "gradient_norm": nothing,
        "gradient_share": nothing,
        "own_gradient_norm": nothing,
        "cosine": {"type|ptr": None},
        "cosine_sd": {"type|ptr": None},
        "conflict_rate": None,
        "dead_units": {"type": 0.25, "ptr": None},
    }
    lines: list[dict[str, Any]] = []
    for epoch in range(1, number + 1):
        tasks = {
            task: {
                "mean": 12.5,
                "sd": 3.0,
                "success_rate": None,
                "items": 128,
                "outcomes": None,
                "steps": None,
                "measures": MEASURES[task],
            }
            for task in WINDOWS_TASKS
        }
        spent = {"unit": epoch, "updates": 6 * epoch}
        losses = {task: {"loss": 1.0} for task in WINDOWS_TASKS}
        lines.append({"kind": "unit", **spent, "tasks": losses, "extra": {}, "signals": signals})
        lines.append({"kind": "evaluation", **spent, "tasks": tasks, "average": 12.5})
    return lines


def training(
    run: Mapping[str, Any], averages: Sequence[float], every: int = 50, steps: int = 400
) -> list[dict[str, Any]]:
    """Return lines of metrics.jsonl: units of training, and every so often an evaluation with that average.

    Conflict rates go from 0 to 1, and the first task's weight from 1 to 3.
    """
    tasks = run["tasks"]
    played, last = run["unit"] == "episode", every * len(averages)
    lines: list[dict[str, Any]] = []
    for number in range(1, last + 1):
        spent = {"environment_steps": steps * number} if played else {}
        spent["updates"] = steps * number
        share = (number - 1) / max(1, last - 1)
        weight = {task: 1.0 + 2 * share * (index == 0) for index, task in enumerate(tasks)}
        signals = {
            "updates": steps,
            "measured": steps,
            **{name: dict.fromkeys(tasks, 1.0) for name in ("loss", "gradient_norm", "gradient_share")},
            "weight": weight,
            "cosine": {},
            "cosine_sd": {},
            "conflict_rate": share,
        }
        figures: dict[str, Any] = (
            {tasks[0]: {"return": 1.0, "steps": steps, "outcome": "landed"}}
            if played
            else {task: {"loss": 1.0} for task in tasks}
        )
        extra = {"epsilon": 0.1} if played else {}
        own = {"unit": number, "tasks": figures, "extra": extra}
        lines.append({"kind": "unit", **own, **spent, "signals": signals})
        if number % every == 0:
            mean = averages[number // every - 1]
            task = {
                "mean": mean,
                "sd": 1.0,
                "success_rate": 0.4 if played else None,
                "items": 5,
                "outcomes": {"landed": 2, "crashed": 3, "timed_out": 0} if played else None,
                "steps": 100.0 if played else None,
                "measures": {},
            }
            by_task = dict.fromkeys(tasks, task)
            lines.append({"kind": "evaluation", "unit": number, **spent, "tasks": by_task, "average": mean})
    return lines


def write_training(path: Path, averages: Sequence[float], **changes: int) -> None:
    """Replace a run's metrics.jsonl, written as a training writes it."""
    lines = training(json.loads((path / "run.json").read_text()), averages, **changes)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)


def summary(run: Run) -> TrainingSummary:
    """Return what a comparison reads of a run's training."""
    read = recorded_summary(run)
    assert read is not None
    return read


def write_windows_run(root: Path, name: str = "windows_documented", seed: int = 0, **changes: Any) -> Path:
    """Write a completed, evaluated run of the windows problem; `changes` as for `write_run`."""
    rules = {"data": {"kind": "synthetic", "held_out": 256}, "tasks": list(WINDOWS_TASKS)}
    spent = {"units": 20, "done": 20, "environment_steps": None, "updates": 120, "samples_per_update": 32}
    windows = {
        "tasks": WINDOWS_TASKS,
        "problem": "windows",
        "unit": "epoch",
        "item": "window",
        "figures": {"followed": "loss", "window": 1, "ending": None, "extra": []},
        "definition": rules,
        "parameters": {"total": 97543, "shared": 96832},
        "seconds": {"total": 24.2, "training": 20.0, "evaluation": 4.2},
    }
    score = {"name": "skill %", "success": None, "outcomes": []} | changes.pop("score", {})
    budget = spent | changes.pop("budget", {})
    path = write_run(root, name, seed, **{**windows, "score": score, "budget": budget, **changes})
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in epochs()))
    return path


def write_run(root: Path, name: str = "gradnorm_blind", seed: int = 0, **changes: Any) -> Path:
    """Write a completed, evaluated run to root/name/seed<k> and return its directory.

    `returns` sets the evaluation's scores by task, `evaluation` replaces keys of eval.json (None: there is
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
    (directory / "metrics.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records(tasks=run["tasks"]))
    )
    if evaluation is not None:
        (directory / "eval.json").write_text(json.dumps(evaluation_document(run, returns, **evaluation)))
    return directory


def scores(average: float, tasks: Sequence[str] = TASKS, episodes: int = EPISODES) -> dict[str, list[float]]:
    """Return episodes whose mean over tasks and episodes is `average`, spread around it."""
    spread = [10.0 * (index - (episodes - 1) / 2) for index in range(episodes)]
    return {task: [average + each for each in spread] for task in tasks}
