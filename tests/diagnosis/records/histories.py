"""Records as a training would leave them, made by hand: one fault at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtctl.diagnosis.records.run import diagnose_history
from mtctl.diagnosis.report import Diagnosis, Finding, Subject
from mtctl.history.history import observed_history

Record = dict[str, Any]
TASKS = ("a", "b")
HEALTHY: Mapping[str, float] = {
    "weight": 1.0,
    "own_weight": 1.0,
    "gradient_norm": 0.3,
    "gradient_share": 0.5,
    "own_gradient_norm": 0.4,
    "own_update": 0.01,
    "reach": 2.0,
    "relative_loss": 0.5,
    "dead_units": 0.05,
}
FALLING = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
LEVEL = (1.0, 1.001, 0.999, 1.0, 1.001, 0.999)


def epochs(
    losses: Mapping[str, Sequence[float]],
    signals: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    cosine: Sequence[float] | None = None,
    updates: int = 50,
) -> list[Record]:
    """Return epochs.

    Args:
        losses: by task, one for each epoch.
        signals: by task, those that are not healthy: one value, or one for each epoch.
        cosine: between the first two tasks, one for each epoch; None: they share nothing.
        updates: in each epoch.
    """
    tasks, length = tuple(losses), len(next(iter(losses.values())))
    changed = signals or {}
    pair = "|".join(tasks[:2])
    records = []
    for epoch in range(length):
        figures = {
            name: {task: _at(changed.get(task, {}).get(name, usual), epoch) for task in tasks}
            for name, usual in HEALTHY.items()
        }
        loss = {task: float(values[epoch]) for task, values in losses.items()}
        measured = {
            "updates": updates,
            "measured": 4,
            "loss": loss,
            **figures,
            "cosine": {pair: None if cosine is None else float(cosine[epoch])},
            "cosine_sd": {pair: None if cosine is None else 0.1},
            "conflict_rate": None if cosine is None else 0.5,
        }
        records.append(
            {
                "kind": "unit",
                "unit": epoch + 1,
                "tasks": {task: {"loss": value} for task, value in loss.items()},
                "extra": {},
                "updates": updates * (epoch + 1),
                "signals": measured,
            }
        )
    return records


def episodes(
    returns: Mapping[str, Sequence[float]],
    signals: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    outcome: Mapping[str, str] | None = None,
    epsilon: float = 0.01,
    updates: int = 100,
    one_at_a_time: bool = False,
) -> list[Record]:
    """Return episodes, played in turn.

    Args:
        returns: by task, one for each of its episodes.
        signals: by task and name (`weight`, `replay_rows`, …): one value, or one for each of its episodes.
        outcome: by task, how all its episodes end; by its return if left out.
        epsilon: of all episodes.
        updates: in each episode.
        one_at_a_time: only the task that is played is learned.
    """
    tasks, length = tuple(returns), len(next(iter(returns.values())))
    changed = signals or {}
    usual = {"weight": 1.0, "gradient_norm": 0.3, "replay_rows": 500.0, "update_share": 1 / len(tasks)}
    records = []
    for index in range(length * len(tasks)):
        turn, task = divmod(index, len(tasks))
        figures = {
            name: {each: _at(changed.get(each, {}).get(name, value), turn) for each in tasks}
            for name, value in usual.items()
        }
        if one_at_a_time:
            figures["update_share"] = {each: float(each == tasks[task]) for each in tasks}
        value = float(returns[tasks[task]][turn])
        by_return = "landed" if value >= 200 else "crashed"
        measured = {
            "updates": updates,
            "measured": updates,
            "loss": dict.fromkeys(tasks, 1.0),
            **figures,
            "gradient_share": dict.fromkeys(tasks, 1 / len(tasks)),
            "cosine": {"|".join(tasks[:2]): 0.1},
            "cosine_sd": {"|".join(tasks[:2]): 0.1},
            "conflict_rate": 0.3,
        }
        records.append(
            {
                "kind": "unit",
                "unit": index + 1,
                "tasks": {
                    tasks[task]: {
                        "return": value,
                        "steps": 100,
                        "outcome": (outcome or {}).get(tasks[task], by_return),
                    }
                },
                "extra": {"epsilon": epsilon},
                "environment_steps": 100 * (index + 1),
                "updates": updates * (index + 1),
                "signals": measured if updates else None,
            }
        )
    return records


def subject(tasks: Sequence[str] = TASKS, problem: str = "windows") -> Subject:
    unit = "episode" if problem == "lander" else "epoch"
    return Subject("run", "results/x/seed0", problem, unit, 6, 300, (0,), tuple(tasks))


def diagnosed(
    records: Sequence[Record], about: Subject, scored: Sequence[str] | None = None, **options: Any
) -> Diagnosis:
    """Return what records say."""
    return diagnose_history(observed_history(records, about.tasks, scored), about, **options)


def codes(found: Diagnosis | Sequence[Finding]) -> list[tuple[str, str | None]]:
    """Return codes and tasks of findings."""
    findings = found.findings if isinstance(found, Diagnosis) else found
    return [(finding.code, finding.task) for finding in findings]


def _at(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list | tuple) else value
