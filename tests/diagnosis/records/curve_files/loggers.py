"""Curves as training libraries and trackers write them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.diagnosis.records.curve_files.written import (
    FLAT,
    NAN,
    OVER,
    UP,
    CurveFile,
    csv,
    every,
    falling,
    jsonl,
    level,
    rising,
    valley,
    written,
)


def lightning_two_tasks() -> CurveFile:
    n, rows = 200, 220
    step = [10 * i for i in range(n)] + [100 * (i + 1) for i in range(20)]
    order = np.argsort(step, kind="stable")
    a, b = [*falling(n), *[None] * 20], [*falling(n, 1.0, 0.1, seed=5), *[None] * 20]
    va, vb = [*[None] * n, *falling(20, 2.0, 0.25)], [*[None] * n, *falling(20, 1.0, 0.15)]
    columns = {
        "epoch": [s // 100 for s in step],
        "step": step,
        "train_loss_depth_step": a,
        "train_loss_seg_step": b,
        "val_loss_depth": va,
        "val_loss_seg": vb,
    }
    columns = {key: [column[i] for i in order] for key, column in columns.items()}
    epoch_means = every(11, list(falling(20)), rows, 10)
    return written(
        "metrics.csv",
        csv({**columns, "train_loss_depth_epoch": epoch_means, "train_loss_seg_epoch": epoch_means}),
        "depth",
        "seg",
    )


def lightning_single_task_overfits() -> CurveFile:
    epochs = 30
    rows: list[dict[str, Any]] = []
    train, val = falling(epochs, 1.0, 0.05), valley(epochs, 1.0, 0.5, 1.2)
    for e in range(epochs):
        rows.append(
            {"epoch": e, "step": 50 * e + 49, "train_loss": train[e], "val_loss": None, "val_acc": None}
        )
        rows.append(
            {
                "epoch": e,
                "step": 50 * e + 49,
                "train_loss": None,
                "val_loss": val[e],
                "val_acc": 0.5 + e / 100,
            }
        )
    return written(
        "metrics.csv", csv({key: [row[key] for row in rows] for key in rows[0]}), "loss", loss=OVER
    )


def lightning_with_a_task_that_stays() -> CurveFile:
    n = 120
    return written(
        "metrics.csv",
        csv(
            {
                "epoch": [i // 10 for i in range(n)],
                "step": [50 * i for i in range(n)],
                "train/loss_ptr": falling(n),
                "train/loss_countdown": level(n, 15.9, 0.001),
                "train/loss": falling(n, 18, 16),
            }
        ),
        "ptr",
        "countdown",
        countdown=FLAT,
    )


def keras_csv_multi_output() -> CurveFile:
    n = 40
    return written(
        "history.csv",
        csv(
            {
                "epoch": range(n),
                "accuracy": 1 - falling(n, 0.9, 0.1),
                "age_loss": falling(n, 40, 4),
                "gender_loss": falling(n, 0.7, 0.2),
                "loss": falling(n, 41, 4.2),
                "lr": [1e-3] * n,
                "val_age_loss": falling(n, 41, 5),
                "val_gender_loss": falling(n, 0.7, 0.25),
                "val_loss": falling(n, 42, 5),
            }
        ),
        "age",
        "gender",
    )


def keras_json_single_output() -> CurveFile:
    n = 25
    history = {
        "loss": list(falling(n)),
        "accuracy": list(1 - falling(n, 0.8, 0.1)),
        "val_loss": list(falling(n, 2.1, 0.3)),
        "val_accuracy": [0.8] * n,
    }
    return written("history.json", json.dumps(history), "loss")


def keras_json_multi_output_overfits_one() -> CurveFile:
    n = 40
    history = {
        "loss": list(falling(n)),
        "a_loss": list(falling(n)),
        "b_loss": list(falling(n, 1, 0.1)),
        "val_a_loss": list(falling(n, 2, 0.3)),
        "val_b_loss": list(valley(n, 1.0, 0.4, 1.1)),
    }
    return written("history.json", json.dumps(history), "a", "b", b=OVER)


def keras_wrapped_history_with_params() -> CurveFile:
    n = 20
    text = json.dumps(
        {
            "history": {"x_loss": list(falling(n)), "y_loss": list(level(n))},
            "params": {"epochs": n},
            "epoch": list(range(n)),
        }
    )
    return written("history.json", text, "x", "y", y=FLAT)


def keras_decimal_commas() -> CurveFile:
    n = 30
    text = csv(
        {"epoch": range(n), "out_a_loss": falling(n), "val_out_a_loss": falling(n, 2, 0.3)}, ";"
    ).replace(".", ",")
    return written("log.csv", text, "out_a")


def wandb_export_with_min_and_max() -> CurveFile:
    n = 80
    columns: dict[str, Any] = {"Step": range(0, 10 * n, 10)}
    for metric, values in (("train/loss_depth", falling(n)), ("train/loss_seg", falling(n, 1, 0.1, seed=8))):
        for end in ("", "__MIN", "__MAX"):
            columns[f"lively-sun-3 - {metric}{end}"] = values
    return written("wandb_export.csv", csv(columns), "depth", "seg")


def wandb_quoted_single_loss_rises() -> CurveFile:
    n = 60
    values = rising(n)
    rows = "".join(f'"{i}","{v}","{v}","{v}"\n' for i, v in enumerate(values))
    return written(
        "wandb.csv",
        '"Step","super-run-12 - loss","super-run-12 - loss__MIN","super-run-12 - loss__MAX"\n' + rows,
        "loss",
        states={"loss": "rising diverged"},
        loss=UP,
    )


def wandb_history_with_empty_held_out() -> CurveFile:
    n = 60
    return written(
        "history.csv",
        csv(
            {
                "_step": range(0, 10 * n, 10),
                "_runtime": range(n),
                "train/loss_depth": falling(n),
                "train/loss_seg": level(n),
                "val/loss_depth": [None] * n,
                "val/loss_seg": [None] * n,
            }
        ),
        "depth",
        "seg",
        seg=FLAT,
    )


def wandb_history_jsonl_nested_nulls() -> CurveFile:
    n = 100
    rows = [
        {
            "_step": i,
            "train": {"loss_a": falling(n)[i], "loss_b": falling(n, 5, 1)[i]},
            "val": {"loss_a": falling(n)[i] if i % 10 == 9 else None, "loss_b": NAN},
        }
        for i in range(n)
    ]
    return written("history.jsonl", jsonl(rows), "a", "b")


def trainer_state_healthy() -> CurveFile:
    n, log = 50, []
    for i, v in enumerate(falling(n, 3.5, 1.9)):
        log.append(
            {"epoch": i / 10, "grad_norm": 1.0, "learning_rate": 5e-5, "loss": v, "step": 10 * (i + 1)}
        )
        if i % 10 == 9:
            log.append(
                {
                    "epoch": i / 10,
                    "eval_loss": 3.4 - 0.25 * (i // 10),
                    "eval_runtime": 3.0,
                    "eval_samples_per_second": 100.0,
                    "step": 10 * (i + 1),
                }
            )
    log.append({"epoch": 5.0, "step": 500, "total_flos": 1e15, "train_loss": 2.2, "train_runtime": 100.0})
    return written(
        "trainer_state.json",
        json.dumps(
            {
                "best_metric": None,
                "epoch": 5.0,
                "global_step": 500,
                "is_world_process_zero": True,
                "log_history": log,
            },
            indent=2,
        ),
        "loss",
    )


def trainer_state_overfits() -> CurveFile:
    log: list[dict[str, float]] = []
    evals = valley(16, 2.0, 1.2, 2.6)
    for i, v in enumerate(falling(80, 2.2, 0.1)):
        log.append({"epoch": i / 5, "loss": v, "step": 10 * (i + 1)})
        if i % 5 == 4:
            log.append({"epoch": i / 5, "eval_loss": evals[i // 5], "step": 10 * (i + 1)})
    return written("trainer_state.json", json.dumps({"log_history": log}), "loss", loss=OVER)


def transformers_printed_dictionaries() -> CurveFile:
    lines = [
        f"{{'loss': {v:.4f}, 'grad_norm': 2.13, 'learning_rate': 4.9e-05, 'epoch': {i / 10}}}"
        for i, v in enumerate(falling(40, 3, 1))
    ]
    return written("train.log", "loading weights\n" + "\n".join(lines) + "\ndone\n", "loss")
