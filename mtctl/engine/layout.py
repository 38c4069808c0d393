"""A run directory on disk: names and formats, in one place for those who write and those who read.

    results/<name>/seed<k>/
      recipe.yaml     the resolved recipe, with the exact command on top
      run.json        who, what, how far, how long (below)
      metrics.jsonl   one JSON object per line (below); free of wall-clock, so equal runs have equal files
      eval.json       evaluation on held-out data (below)
      checkpoints/    last.pt, best.pt, ep0100.pt … (after 100 units: episodes or epochs); best.pt is of the
                      first evaluation during training with the best average, and missing without one
      tb/             events for TensorBoard, and scalars.csv: only where the recipe's `logging` asks for them
                      (see mtctl.engine.logs.scalars); wandb/ is W&B's own
      lock            held by the process that trains; names the last one that did: "pid host"
      metrics-<hash>.jsonl  for a moment, while a run is prolonged: takes the place of metrics.jsonl once
                      last.pt is of the recipe with this hash

A problem that is played counts episodes, and an evaluation scores episodes; one that learns from a data set
counts epochs, and an evaluation scores windows. `unit` and `item` say which. What only the former has is
null in the latter's files.

run.json
    {"schema": 3, "status": "running" | "completed" | "interrupted" | "failed",
     "name": "gradnorm_blind", "seed": 0, "command": "mtctl train …", "recipe_hash": "sha256…",
     "problem": "lander", "tasks": ["standard", …],
     "score": {"name": "return", "higher_is_better": true, "success": 200.0 | null,
               "outcomes": ["landed", …]},
     "figures": {"followed": "return", "window": 50, "ending": "outcome" | null, "extra": ["epsilon"]},
         (what the records of units say, see `mtctl.problems.contract.Figures`)
     "definition": {…}, "definition_hash": "sha256…",
         (defines tasks and evaluation: runs are comparable only if these are equal)
     "parameters": {"total": 35719, "shared": 35716, "balancer": 3},
     "unit": "episode" | "epoch", "item": "episode" | "window",
     "budget": {"units": 1500, "done": 1500, "environment_steps": 612345 | null, "updates": 611000,
                "samples_per_update": 192,
                "earlier": [600] (only of a run that was prolonged: the units that were asked for before)},
         (done: units up to which the run is saved; all of them, once it is completed)
     "seconds": {"total": 512.3, "training": 490.1, "evaluation": 22.2},
     "device": "cpu" | "cuda" | "mps" (of runs that this version has trained),
     "peak_memory_mb": 512.0, "started": "2026-01-31T12:00:00+00:00", "ended": … | null,
     "versions": {"mtctl": …, "python": …, "torch": …, "numpy": …, "gymnasium": …, "box2d": …},
     "error": null | {"kind": "error" | "diverged" | "internal", "message": …,
                      "task": …, "found": "loss nan", "place": "epoch 3, step 120" (null unless it diverged)},
     "tuning": {"runs": 12 | null, "note": "rate by hand" | null} (only where the recipe declares it),
     "begun": false (only until its own files are there: what else lies beside it is an earlier run's)}

metrics.jsonl, in order of time
    {"kind": "unit", "unit": 1, "tasks": {task: {figure: x | text, …}}, "extra": {figure: x, …},
     "environment_steps": … (if played), "updates": …, "signals": null | {…}}
        (tasks: the figures of those that had a part in the unit. An episode: of the task that was played
             {"return": −123.4, "steps": 93, "outcome": "crashed"}, and in `extra` the `epsilon` of its last
             step. An epoch: of every task {"loss": mean over the epoch's batches, in original units}; in
             float16, `extra` has the `loss_scale` after the epoch and its `skipped_steps`, whose scaled
             gradients overflowed.)
    {"kind": "evaluation", "unit": 50, "environment_steps": … (if played), "updates": …,
     "tasks": {task: {"mean": …, "sd": … | null, "success_rate": … | null, "items": 5,
                      "outcomes": {"landed": 3, …} | null, "steps": mean | null, "measures": {name: x, …}}},
     "average": mean over tasks of the means}

    signals: means over the updates of this unit; null: there was no update yet
    {"updates": 93, "measured": 93, "loss": {task: x}, "weight": {task: x}, "own_weight": {task: x},
     "gradient_norm": {task: x}, "gradient_share": {task: x}, "own_gradient_norm": {task: x},
     "cosine": {"standard|windy": x, …}, "cosine_sd": {"standard|windy": x, …}, "conflict_rate": x,
     and further figures of each task, by name, as the problem knows them: "replay_rows": {task: x},
     "clipped_targets": {task: x} (of distributions over returns), …}
        (measured: updates whose gradients were measured, which the figures of gradients are means over.
         weight: the methods' on the shared network, 1 each for `equal`. own_weight: ∂total/∂loss as a task's
         own parameters see it, and gradient_share: of the sum that is learned from; both with the problem's
         own importance of a task in them: its share of the rows, with mixed replay.
         x is null where there is no value: the task was absent, nothing was measured, or it
         overflowed)

eval.json
    {"schema": 3, "checkpoint": "last", "done": 1500, "seeds": "held_out", "items": 20,
     "definition_hash": …,
     "tasks": {task: {"scores": [one per item, in the list's order], "steps": […] | null,
                      "outcomes": […] | null, "measures": {name: x, …}}}}
        (measures: over all items together, in the task's own units)
    A checkpoint other than the last one is evaluated into eval-<checkpoint>.json.

A loop of one's own (`mtctl.Monitor`) writes the same files but for checkpoints/, with `problem` "loop":
recipe.yaml then describes the training and cannot be trained; `samples_per_update` is 0, which is not known;
units are epochs, or intervals of so many steps; an evaluation has one item, the mean loss on validation data,
and `seeds` is "validation"; and run.json has
     "faults": [{"code": "not-in-optimizer", "task": "depth" | null, "text": …}, …]
         (what the monitor was certain of while it trained; codes are those of mtctl.diagnosis.codes)
     "error" beside "status": "running" while a loss is not finite

Beside the recipes' folders, `mtctl diagnose` keeps what it found: results/diagnosis/<name>-<n>.json.

Runs of schema 2 can be read (see mtctl.history.schema2), and not resumed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

SCHEMA = 3
READABLE = (2, SCHEMA)
RECIPE = "recipe.yaml"
RUN = "run.json"
METRICS = "metrics.jsonl"
EVALUATION = "eval.json"
CHECKPOINTS = "checkpoints"
LOCK = "lock"
TENSORBOARD = "tb"
SCALARS = "scalars.csv"
EVENTS_SUFFIX = ".mtctl"
"""Ends the names of the event files that mtctl writes."""
LAST = "last"
BEST = "best"
DIAGNOSES = "diagnosis"
LARGEST = 1e100
"""Numbers in these files are finite and lie within ± this: sums and squares of what is read stay finite."""

_FILES = (
    r"(recipe\.yaml|run\.json|metrics(-[0-9a-f]{64})?\.jsonl|eval(-(best|ep[0-9]{4,}))?\.json|scalars\.csv)"
)
_EVENTS = r"events\.out\.tfevents\..*\.mtctl"
_WEIGHTS = r"(last|best|ep[0-9]{4,})\.pt"
_TEMPORARY = r"\.{}(\.[A-Za-z0-9_-]+)?\.tmp"


RESULTS_VARIABLE = "MTCTL_RESULTS_DIR"
"""The environment variable that says where runs go."""


def results_root() -> Path:
    """Return where runs go, and are looked for, unless the command line says otherwise."""
    return Path(os.environ.get(RESULTS_VARIABLE) or "results")


def is_written(name: str, folder: str = "") -> bool:
    """Say whether a run writes a file of this name, or its temporary, into its directory or a folder in it.

    Everything else that lies there is somebody else's.
    """
    own = {CHECKPOINTS: _WEIGHTS, TENSORBOARD: _EVENTS}.get(folder, _FILES)
    return any(re.fullmatch(pattern, name) for pattern in (own, _TEMPORARY.replace("{}", own)))


def is_temporary(name: str) -> bool:
    """Say whether a run gives a file this name until it is complete."""
    return any(re.fullmatch(_TEMPORARY.replace("{}", own), name) for own in (_FILES, _WEIGHTS))


def restated(recipe_hash: str) -> str:
    """Return the name of the records that a run with this recipe goes on from, while it is prolonged."""
    return f"metrics-{recipe_hash}.jsonl"
