"""The scores of a comparison's seeds as arrays, for other programs and for whoever checks the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.profiles import normalised_scores, worst_and_best
from mtctl.engine.files import write_atomically, write_text

SCHEMA: Final = 1
"""Version of both formats; goes up when a key changes its meaning or goes away."""
ENDINGS: Final = (".npz", ".json")


def save_arrays(comparison: Comparison, path: Path) -> None:
    """Write each method's scores, [runs, tasks], into a file of numpy's or of JSON, by its ending.

    An npz has `raw/LABEL`, `normalised/LABEL` and `seeds/LABEL` for every label in `methods`; `tasks`, and
    the `worst` and `best` scores of each task that normalised ones are between. It needs no pickle.

    Args:
        comparison: of the methods.
        path: ends in one of `ENDINGS`; what is there is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    document = arrays(comparison)
    if path.suffix == ".json":
        write_text(path, json.dumps(document, indent=1) + "\n")
        return
    methods, score = document.pop("methods"), document.pop("score")
    flat = {**document, "score": score["name"], "higher_is_better": score["higher_is_better"]}
    flat["methods"] = list(methods)
    for label, method in methods.items():
        flat |= {f"{key}/{label}": method[key] for key in ("raw", "normalised", "seeds")}
    columns: dict[str, Any] = {key: np.array(each) for key, each in flat.items()}
    write_atomically(path, lambda file: np.savez_compressed(file, **columns))


def arrays(comparison: Comparison) -> dict[str, Any]:
    """Return each method's scores as JSON values: [runs][tasks], in the order of seeds and of tasks."""
    normalised = normalised_scores(comparison)
    worst, best = worst_and_best(comparison).tolist()
    return {
        "schema": SCHEMA,
        "problem": comparison.problem,
        "score": {"name": comparison.score.name, "higher_is_better": comparison.score.higher_is_better},
        "checkpoint": comparison.checkpoint,
        "items": comparison.items,
        "tasks": list(comparison.tasks),
        "worst": worst,
        "best": best,
        "baseline": comparison.baseline,
        "methods": {
            method.label: {
                "recipe_hash": method.recipe_hash,
                "seeds": list(method.seeds),
                "raw": [list(row) for row in method.matrix],
                "normalised": normalised[method.label].tolist(),
            }
            for method in comparison.methods
        },
    }
