"""A run directory on disk: names and formats, in one place for those who write and those who read.

    results/<name>/seed<k>/
      recipe.yaml     the resolved recipe, with the exact command on top
      run.json        who, what, how far, how long (below)
      metrics.jsonl   one JSON object per line (below); free of wall-clock, so equal runs have equal files
      eval.json       greedy evaluation on the held-out seeds (below)
      checkpoints/    last.pt, best.pt, ep0100.pt …
      lock            held by the process that trains

run.json
    {"schema": 1, "status": "running" | "completed" | "interrupted" | "failed",
     "name": "gradnorm_blind", "seed": 0, "command": "mtctl train …", "recipe_hash": "sha256…",
     "problem": "lander", "tasks": ["standard", …],
     "score": {"name": "return", "higher_is_better": true, "success": 200.0},
     "definition": {…}, "definition_hash": "sha256…",     (defines tasks and evaluation: comparable only if
     equal) "parameters": {"total": 35719, "shared": 35716, "balancer": 3},
     "unit": "episode", "budget": {"units": 1500, "done": 1500, "environment_steps": 612345, "updates":
     611000,
                                   "samples_per_update": 192},
     "seconds": {"total": 512.3, "training": 490.1, "evaluation": 22.2},
     "peak_memory_mb": 512.0, "started": "2026-01-31T12:00:00+00:00", "ended": … | null,
     "versions": {"mtctl": …, "python": …, "torch": …, "numpy": …, "gymnasium": …, "box2d": …},
     "error": null | {"message": …}}

metrics.jsonl, in order of time
    {"kind": "episode", "episode": 1, "task": "standard", "return": −123.4, "steps": 93,
     "outcome": "crashed" | "landed" | "timed_out", "epsilon": 1.0, "environment_steps": 93, "updates": 0,
     "signals": null | {"updates": 93, "loss": {task: x | null}, "weight": {task: x | null},
                        "gradient_norm": {task: x | null}, "gradient_share": {task: x | null},
                        "cosine": {"standard|windy": x | null, …}, "conflict_rate": x | null}}
        (signals are means over the updates of this episode; null: no update yet, or the task was absent)
    {"kind": "evaluation", "episode": 50, "environment_steps": …, "updates": …,
     "tasks": {task: {"mean": …, "sd": …, "success_rate": …, "episodes": 5, "landed": …, "crashed": …,
                      "timed_out": …, "steps": mean}}, "average": mean over tasks of the means}

eval.json
    {"schema": 1, "checkpoint": "last", "done": 1500, "seeds": "held_out", "episodes": 20, "definition_hash":
    …,
     "tasks": {task: {"returns": [one per seed, in the list's order], "steps": […], "outcomes": […]}}}
    A checkpoint other than the last one is evaluated into eval-<checkpoint>.json.
"""

from __future__ import annotations

SCHEMA = 1
RECIPE = "recipe.yaml"
RUN = "run.json"
METRICS = "metrics.jsonl"
EVALUATION = "eval.json"
CHECKPOINTS = "checkpoints"
LOCK = "lock"
LAST = "last"
BEST = "best"
