"""Text logs, long form, exports and folders."""

from __future__ import annotations

import json

import numpy as np

from mtctl.diagnosis.records.trends import Values
from tests.diagnosis.records.curve_files.written import (
    FLAT,
    OVER,
    UP,
    CurveFile,
    csv,
    falling,
    level,
    rising,
    valley,
    written,
)


def long_form_csv() -> CurveFile:
    n = 160
    rows = [
        (i, name, values[i])
        for i in range(n)
        for name, values in (
            ("train/loss_a", falling(n)),
            ("train/loss_b", level(n)),
            ("val/loss_a", falling(n, 2, 0.3)),
            ("lr", [1e-3] * n),
        )
    ]
    return written(
        "long.csv", "step,name,value\n" + "".join(f"{s},{k},{v}\n" for s, k, v in rows), "a", "b", b=FLAT
    )


def long_form_with_split() -> CurveFile:
    n = 40
    lines = [
        f"{i},{split},loss_a,{v}\n"
        for split, values in (("train", falling(n)), ("val", valley(n, 2, 0.6, 1.9)))
        for i, v in enumerate(values)
    ]
    return written("long.csv", "epoch,split,metric,value\n" + "".join(lines), "a", a=OVER)


def plain_log() -> CurveFile:
    n = 30
    a, b = falling(n), falling(n, 1, 0.2)
    return written(
        "train.log",
        "".join(
            f"[2024-05-01 10:00:{i:02}] INFO epoch {i} loss_a={a[i]:.5f} "
            f"val_loss_a: {a[i] + 0.1:.5f} loss_b={b[i]:.5f} lr=1e-3\n"
            for i in range(n)
        ),
        "a",
        "b",
    )


def plain_log_with_sections() -> CurveFile:
    n = 30
    a, b, v = falling(n), falling(n, 1, 0.1), valley(n, 1.0, 0.4, 1.2)
    text = "".join(
        f"Epoch {i + 1}/{n}\ntrain: loss_seg: {a[i]:.4f}, loss_depth: {b[i]:.4f}\n"
        f"val: loss_seg: {a[i]:.4f}, loss_depth: {v[i]:.4f}\n"
        for i in range(n)
    )
    return written("out.txt", text, "seg", "depth", depth=OVER)


def plain_log_of_keras() -> CurveFile:
    n = 20
    a, b = falling(n), level(n)
    return written(
        "keras.log",
        "".join(
            f"Epoch {i + 1}/{n}\n"
            f"100/100 ━━━━━━━━━━━━━━━━━━━━ 3s 20ms/step - a_loss: {a[i]:.4f} "
            f"- b_loss: {b[i]:.4f} - loss: {a[i] + b[i]:.4f} - val_a_loss: {a[i]:.4f} "
            f"- val_b_loss: {b[i]:.4f}\n"
            for i in range(n)
        ),
        "a",
        "b",
        b=FLAT,
    )


def plain_log_of_pytorch_examples() -> CurveFile:
    a = falling(60, 2.3, 0.1)
    return written(
        "mnist.txt",
        "".join(
            f"Train Epoch: {i // 20 + 1} [{i % 20 * 640}/60000 ({i % 20 * 5}%)]\tLoss: {a[i]:.6f}\n"
            for i in range(60)
        ),
        "loss",
    )


def plain_log_of_mmdet() -> CurveFile:
    n = 100
    a, b = falling(n), rising(n, 0.3, 1.5)
    return written(
        "20240101.log",
        "".join(
            f"2024-01-01 10:00:00,123 - mmdet - INFO - "
            f"Epoch [{i // 20 + 1}][{50 * (i % 20 + 1)}/1000]\t"
            f"lr: 2.000e-02, eta: 1:02:03, time: 0.511, loss_cls: {a[i]:.4f}, "
            f"loss_bbox: {b[i]:.4f}, loss: {a[i] + b[i]:.4f}\n"
            for i in range(n)
        ),
        "cls",
        "bbox",
        bbox=UP,
    )


def step_and_epoch_together() -> CurveFile:
    n = 80
    return written(
        "log.tsv",
        csv(
            {
                "epoch": [i // 8 for i in range(n)],
                "global_step": range(0, 50 * n, 50),
                "loss/x": falling(n),
                "loss/y": falling(n, 8, 2),
            },
            "\t",
        ),
        "x",
        "y",
    )


def held_out_only() -> CurveFile:
    n = 30
    return written(
        "val.csv",
        csv({"epoch": range(n), "val_loss_a": falling(n), "val_loss_b": level(n)}),
        "a",
        "b",
        b=FLAT,
    )


def losses_by_other_names() -> CurveFile:
    n = 50
    return written(
        "log.csv", csv({"epoch": range(n), "train_rmse": falling(n), "val_rmse": falling(n, 2, 0.3)}), "rmse"
    )


def columns_that_only_speak_of_losses() -> CurveFile:
    n = 50
    return written(
        "log.csv",
        csv(
            {
                "step": range(n),
                "loss_a": falling(n),
                "loss_b": falling(n, 3, 1),
                "loss_weight_a": [0.5] * n,
                "loss_scale": [65536.0] * n,
                "best_val_loss": np.minimum.accumulate(falling(n)),
            }
        ),
        "a",
        "b",
    )


def gan() -> CurveFile:
    n = 200
    return written(
        "gan.csv",
        csv(
            {"step": range(n), "loss_G": rising(n, 0.7, 3.0, 0.3), "loss_D": falling(n, 1.4, 0.4, noise=0.3)}
        ),
        states={"g": "unknown", "d": "unknown"},
    )


def variational_autoencoder() -> CurveFile:
    n = 100
    return written(
        "vae.csv",
        csv({"epoch": range(n), "recon_loss": falling(n, 200, 80), "kl_loss": 25 - falling(n, 24, 1)}),
        "recon",
    )


def event_exports_of_tensorboard() -> CurveFile:
    n = 60

    def export(values: Values) -> str:
        return csv({"Wall time": [1.7e9 + i for i in range(n)], "Step": range(0, 5 * n, 5), "Value": values})

    return written(
        "",
        {
            "run-v0-tag-train_loss_a.csv": export(falling(n)),
            "run-v0-tag-train_loss_b.csv": export(level(n)),
            "run-v0-tag-val_loss_a.csv": export(falling(n, 2, 0.3)),
        },
        "a",
        "b",
        b=FLAT,
    )


def json_exports_of_tensorboard() -> CurveFile:
    n = 60

    def export(values: Values) -> str:
        return json.dumps([[1.7e9 + i, 5 * i, v] for i, v in enumerate(values)])

    return written(
        "",
        {"run-v0-tag-loss_a.json": export(falling(n)), "run-v0-tag-loss_b.json": export(rising(n))},
        "a",
        "b",
        b=UP,
    )


def one_file_per_split() -> CurveFile:
    n = 40
    return written(
        "",
        {
            "train.csv": csv({"epoch": range(n), "loss_a": falling(n), "loss_b": falling(n)}),
            "val.csv": csv({"epoch": range(n), "loss_a": falling(n, 2, 0.3), "loss_b": valley(n)}),
        },
        "a",
        "b",
        b=OVER,
    )


def text_log_with_json_inside() -> CurveFile:
    a = falling(60)
    lines = (
        f'2024-05-05 INFO {{"epoch": {i}, "train_loss": {a[i]:.4f}, "valid_loss": {a[i] + 0.1:.4f}}}\n'
        for i in range(60)
    )
    return written("a.log", "".join(lines), "loss")


def nested_records_in_a_list() -> CurveFile:
    a, b = falling(60), valley(60, 5, 1, 4)
    rows = [
        {"epoch": i, "train": {"loss": {"a": a[i], "b": a[i]}}, "val": {"loss": {"a": a[i] + 0.1, "b": b[i]}}}
        for i in range(60)
    ]
    return written("m.json", json.dumps(rows), "a", "b", b=OVER)


def files_of_splits_with_other_steps() -> CurveFile:
    n = 150
    files = {
        "train_log.csv": csv({"iteration": range(n), "loss_a": falling(n), "loss_b": falling(n, 5, 1)}),
        "valid_log.csv": csv(
            {"iteration": range(0, n, 10), "loss_a": valley(15, 2, 0.5, 1.9), "loss_b": falling(15, 5, 1.1)}
        ),
    }
    return written("", files, "a", "b", a=OVER)
