"""Counters, gaps, empty columns, and shapes of curves."""

from __future__ import annotations

import numpy as np

from tests.diagnosis.records.curve_files.written import (
    BLOWN,
    FLAT,
    NAN,
    OVER,
    UP,
    CurveFile,
    csv,
    exploding,
    falling,
    jsonl,
    level,
    rising,
    valley,
    written,
)


def counter_restarts_in_every_epoch() -> CurveFile:
    epochs, k = 12, 20
    n = epochs * k
    a, b, m = falling(n), falling(n, 1.0, 0.15, seed=9), level(n)
    rows = [
        {
            "mode": "train",
            "epoch": i // k + 1,
            "iter": 50 * (i % k + 1),
            "lr": 0.02,
            "loss_cls": a[i],
            "loss_bbox": b[i],
            "loss_mask": m[i],
            "loss": a[i] + b[i] + m[i],
        }
        for i in range(n)
    ]
    return written(
        "20240101.log.json", jsonl([{"env_info": "torch 2"}, *rows]), "cls", "bbox", "mask", mask=FLAT
    )


def counter_restarts_without_an_epoch() -> CurveFile:
    n = 100
    return written(
        "log.csv",
        csv({"batch": [i % 20 for i in range(n)], "loss_a": falling(n), "loss_b": falling(n, 9, 2)}),
        "a",
        "b",
    )


def gaps_of_nan() -> CurveFile:
    n = 300
    gap = np.random.default_rng(0).random(n) < 0.3
    b = np.where(gap, NAN, falling(n, 1.0, 0.1))
    return written(
        "log.csv",
        csv({"step": range(n), "loss_cls": falling(n), "loss_box": b}),
        "cls",
        "box",
        states={"box": "learns"},
        box=frozenset({"bad-targets"}),
    )


def nan_to_the_end() -> CurveFile:
    n = 300
    b = falling(n, 1.0, 0.1)
    b[200:] = NAN
    return written(
        "log.csv", csv({"step": range(n), "loss_cls": falling(n), "loss_box": b}), "cls", "box", box=BLOWN
    )


def tasks_sampled_in_turn_as_nan() -> CurveFile:
    n = 300
    turn = np.random.default_rng(1).random(n) < 0.5
    columns = {
        "step": range(n),
        "loss_a": np.where(turn, falling(n), NAN),
        "loss_b": np.where(turn, NAN, falling(n, 1, 0.1)),
    }
    return written("log.csv", csv(columns), "a", "b")


def held_out_columns_of_na() -> CurveFile:
    n = 50
    return written(
        "log.csv",
        csv(
            {
                "step": range(n),
                "loss_a": falling(n),
                "loss_b": falling(n, 3, 1),
                "val_loss_a": ["NA"] * n,
                "val_loss_b": ["nan"] * n,
            }
        ),
        "a",
        "b",
    )


def loss_of_exactly_zero() -> CurveFile:
    n = 80
    return written(
        "log.csv",
        csv({"step": range(n), "loss_a": falling(n), "loss_b": [0.0] * n}),
        "a",
        "b",
        states={"b": "unknown at_floor"},
        b=frozenset({"bad-targets"}),
    )


def loss_that_reaches_zero() -> CurveFile:
    n = 80
    a = np.maximum(falling(n, 2, 0, 0.1) - 0.01, 0)
    return written(
        "log.csv",
        csv({"step": range(n), "loss_a": a, "loss_b": falling(n)}),
        "a",
        "b",
        states={"a": "learns"},
    )


def healthy_noisy_per_batch() -> CurveFile:
    n = 4000
    return written(
        "log.csv",
        csv(
            {
                "iteration": range(n),
                "loss_a": falling(n, noise=0.4),
                "loss_b": falling(n, 6.9, 3.0, noise=0.2, seed=4),
            }
        ),
        "a",
        "b",
    )


def healthy_with_warm_restarts() -> CurveFile:
    n = 200
    wave = 1 + 0.4 * (1 - (np.arange(n) % 50) / 50)
    return written(
        "log.csv",
        csv({"step": range(n), "loss_a": falling(n) * wave, "loss_b": falling(n, 5, 1) * wave}),
        "a",
        "b",
    )


def healthy_negative_log_likelihood() -> CurveFile:
    n = 100
    return written(
        "log.csv",
        csv(
            {
                "epoch": range(n),
                "train_loss_flow": falling(n, 3, -2, noise=0.02),
                "valid_loss_flow": falling(n, 3, -1.8, noise=0.02),
            }
        ),
        "flow",
    )


def falls_and_rises_again() -> CurveFile:
    n = 100
    return written(
        "log.csv",
        csv({"step": range(0, 10 * n, 10), "loss_a": valley(n), "loss_b": falling(n)}),
        "a",
        "b",
        states={"a": "rising diverged"},
        a=UP,
    )


def trade_off() -> CurveFile:
    n = 120
    return written(
        "log.csv",
        csv({"step": range(n), "loss_a": falling(n, 2, 0.3, 0.5), "loss_b": rising(n, 1, 1.6, 0.02)}),
        "a",
        "b",
        b=frozenset({"conflict", "rising-loss"}),
    )


def blown_up() -> CurveFile:
    n = 100
    return written(
        "log.csv",
        csv({"step": range(n), "loss_a": exploding(n), "loss_b": exploding(n, 2, 1e4)}),
        "a",
        "b",
        a=BLOWN,
        b=BLOWN,
    )


def one_spike_and_recovery() -> CurveFile:
    n = 200
    a = falling(n)
    a[90:93] *= [20, 8, 3]
    return written("log.csv", csv({"step": range(n), "loss_a": a}), "a", states={"a": "learns"})


def held_out_that_never_falls() -> CurveFile:
    n = 150
    return written(
        "log.csv", csv({"epoch": range(n), "loss": falling(n), "val_loss": level(n, 2.0)}), "loss", loss=OVER
    )


def rate_that_is_too_low() -> CurveFile:
    n = 500
    a, b = level(n, 2.3, 0.003) * np.linspace(1, 0.96, n), level(n, 1, 0.003, 5) * np.linspace(1, 0.97, n)
    text = csv({"step": range(n), "loss_a": a, "loss_b": b})
    slow = frozenset({"slow"})
    return written("log.csv", text, "a", "b", states={"a": "slow", "b": "slow"}, a=slow, b=slow)


def sudden_blow_up() -> CurveFile:
    n = 150
    a = falling(n)
    a[100:] = 3e8
    return written("log.csv", csv({"step": range(n), "train_loss": a}), "loss", loss=BLOWN)


def tasks_in_alternate_rows_as_nan() -> CurveFile:
    n = 150
    a, b = falling(n), falling(n, 5, 1)
    rows = "".join(f"{i},{a[i] if i % 2 else 'NaN'},{'NaN' if i % 2 else b[i]}\n" for i in range(n))
    return written("log.csv", "step,loss_a,loss_b\n" + rows, "a", "b")
