"""Curve files as many tools write them, healthy and faulty, with what a diagnosis must say of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mtctl.diagnosis.records.trends import Values

NAN: Final = float("nan")


@dataclass(frozen=True)
class CurveFile:
    """What a tool wrote, and what is right to say of it.

    Args:
        files: text by name.
        tasks: names of the curves to be judged.
        faults: by task, codes of which one must be found (a warning or an error).
        states: by task, the states that are right.
    """

    files: Mapping[str, str]
    tasks: frozenset[str]
    faults: Mapping[str, frozenset[str]] = field(default_factory=dict)
    states: Mapping[str, frozenset[str]] = field(default_factory=dict)


def falling(n: int, first: float = 2.0, last: float = 0.2, tau: float = 0.25, noise: float = 0.03, seed: int = 0) -> Values:
    rng = np.random.default_rng(seed)
    curve = last + (first - last) * np.exp(-np.linspace(0, 1, n) / tau)
    return np.asarray(curve * (1 + noise * rng.standard_normal(n)))


def level(n: int, value: float = 1.5, noise: float = 0.01, seed: int = 1) -> Values:
    return np.asarray(value * (1 + noise * np.random.default_rng(seed).standard_normal(n)))


def rising(n: int, first: float = 1.0, last: float = 4.0, noise: float = 0.03, seed: int = 2) -> Values:
    return np.asarray(np.linspace(first, last, n) * (1 + noise * np.random.default_rng(seed).standard_normal(n)))


def valley(n: int, first: float = 2.0, lowest: float = 0.4, last: float = 1.8, at: float = 0.4, seed: int = 3) -> Values:
    """Fall, then rise again."""
    down = falling(int(n * at), first, lowest, 0.2, 0.02, seed)
    return np.concatenate([down, rising(n - len(down), lowest, last, 0.02, seed)])


def exploding(n: int, first: float = 1.0, growth: float = 1e6, noise: float = 0.2, seed: int = 4) -> Values:
    rng = np.random.default_rng(seed)
    return np.asarray(first * growth ** np.linspace(0, 1, n) * np.exp(noise * rng.standard_normal(n)))


def csv(columns: Mapping[str, Sequence[Any]], delimiter: str = ",", missing: str = "") -> str:
    def cell(value: Any) -> str:
        return missing if value is None else str(value)

    rows = zip(*columns.values(), strict=True)
    return "".join(delimiter.join(line) + "\n" for line in [list(columns), *(map(cell, row) for row in rows)])


def jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def every(n: int, values: Sequence[float], length: int, offset: int = 0) -> list[float | None]:
    """Return a column with a value in every nth row only."""
    column: list[float | None] = [None] * length
    column[offset::n] = [float(value) for value in values][: len(column[offset::n])]
    return column


FLAT: Final = frozenset({"flat-task"})
UP: Final = frozenset({"rising-loss", "diverged", "conflict", "learning-rate"})
BLOWN: Final = frozenset({"diverged"})
OVER: Final = frozenset({"overfitting"})


def _case(name: str, text: str | Mapping[str, str], *tasks: str, states: Mapping[str, str] | None = None, **faults: frozenset[str]) -> CurveFile:
    files = {name: text} if isinstance(text, str) else text
    split = {task: frozenset(allowed.split()) for task, allowed in (states or {}).items()}
    return CurveFile(files, frozenset(tasks), faults, split)


CASES: dict[str, Callable[[], CurveFile]] = {}


def case(make: Callable[[], CurveFile]) -> Callable[[], CurveFile]:
    CASES[make.__name__] = make
    return make


# ----- Lightning


@case
def lightning_two_tasks() -> CurveFile:
    n, rows = 200, 220
    step = [10 * i for i in range(n)] + [100 * (i + 1) for i in range(20)]
    order = np.argsort(step, kind="stable")
    a, b = [*falling(n), *[None] * 20], [*falling(n, 1.0, 0.1, seed=5), *[None] * 20]
    va, vb = [*[None] * n, *falling(20, 2.0, 0.25)], [*[None] * n, *falling(20, 1.0, 0.15)]
    columns = {"epoch": [s // 100 for s in step], "step": step, "train_loss_depth_step": a, "train_loss_seg_step": b, "val_loss_depth": va, "val_loss_seg": vb}
    columns = {key: [column[i] for i in order] for key, column in columns.items()}
    epoch_means = every(11, list(falling(20)), rows, 10)
    return _case("metrics.csv", csv({**columns, "train_loss_depth_epoch": epoch_means, "train_loss_seg_epoch": epoch_means}), "depth", "seg")


@case
def lightning_single_task_overfits() -> CurveFile:
    epochs = 30
    rows: list[dict[str, Any]] = []
    train, val = falling(epochs, 1.0, 0.05), valley(epochs, 1.0, 0.5, 1.2)
    for e in range(epochs):
        rows.append({"epoch": e, "step": 50 * e + 49, "train_loss": train[e], "val_loss": None, "val_acc": None})
        rows.append({"epoch": e, "step": 50 * e + 49, "train_loss": None, "val_loss": val[e], "val_acc": 0.5 + e / 100})
    return _case("metrics.csv", csv({key: [row[key] for row in rows] for key in rows[0]}), "loss", loss=OVER)


@case
def lightning_with_a_task_that_stays() -> CurveFile:
    n = 120
    return _case("metrics.csv", csv({"epoch": [i // 10 for i in range(n)], "step": [50 * i for i in range(n)], "train/loss_ptr": falling(n), "train/loss_countdown": level(n, 15.9, 0.001), "train/loss": falling(n, 18, 16)}), "ptr", "countdown", countdown=FLAT)


# ----- Keras


@case
def keras_csv_multi_output() -> CurveFile:
    n = 40
    return _case("history.csv", csv({"epoch": range(n), "accuracy": 1 - falling(n, 0.9, 0.1), "age_loss": falling(n, 40, 4), "gender_loss": falling(n, 0.7, 0.2), "loss": falling(n, 41, 4.2), "lr": [1e-3] * n, "val_age_loss": falling(n, 41, 5), "val_gender_loss": falling(n, 0.7, 0.25), "val_loss": falling(n, 42, 5)}), "age", "gender")


@case
def keras_json_single_output() -> CurveFile:
    n = 25
    history = {"loss": list(falling(n)), "accuracy": list(1 - falling(n, 0.8, 0.1)), "val_loss": list(falling(n, 2.1, 0.3)), "val_accuracy": [0.8] * n}
    return _case("history.json", json.dumps(history), "loss")


@case
def keras_json_multi_output_overfits_one() -> CurveFile:
    n = 40
    history = {"loss": list(falling(n)), "a_loss": list(falling(n)), "b_loss": list(falling(n, 1, 0.1)), "val_a_loss": list(falling(n, 2, 0.3)), "val_b_loss": list(valley(n, 1.0, 0.4, 1.1))}
    return _case("history.json", json.dumps(history), "a", "b", b=OVER)


@case
def keras_wrapped_history_with_params() -> CurveFile:
    n = 20
    text = json.dumps({"history": {"x_loss": list(falling(n)), "y_loss": list(level(n))}, "params": {"epochs": n}, "epoch": list(range(n))})
    return _case("history.json", text, "x", "y", y=FLAT)


@case
def keras_decimal_commas() -> CurveFile:
    n = 30
    text = csv({"epoch": range(n), "out_a_loss": falling(n), "val_out_a_loss": falling(n, 2, 0.3)}, ";").replace(".", ",")
    return _case("log.csv", text, "out_a")


# ----- W&B


@case
def wandb_export_with_min_and_max() -> CurveFile:
    n = 80
    columns: dict[str, Any] = {"Step": range(0, 10 * n, 10)}
    for metric, values in (("train/loss_depth", falling(n)), ("train/loss_seg", falling(n, 1, 0.1, seed=8))):
        for end in ("", "__MIN", "__MAX"):
            columns[f"lively-sun-3 - {metric}{end}"] = values
    return _case("wandb_export.csv", csv(columns), "depth", "seg")


@case
def wandb_quoted_single_loss_rises() -> CurveFile:
    n = 60
    values = rising(n)
    rows = "".join(f'"{i}","{v}","{v}","{v}"\n' for i, v in enumerate(values))
    return _case("wandb.csv", '"Step","super-run-12 - loss","super-run-12 - loss__MIN","super-run-12 - loss__MAX"\n' + rows, "loss", states={"loss": "rising diverged"}, loss=UP)


@case
def wandb_history_with_empty_held_out() -> CurveFile:
    n = 60
    return _case("history.csv", csv({"_step": range(0, 10 * n, 10), "_runtime": range(n), "train/loss_depth": falling(n), "train/loss_seg": level(n), "val/loss_depth": [None] * n, "val/loss_seg": [None] * n}), "depth", "seg", seg=FLAT)


@case
def wandb_history_jsonl_nested_nulls() -> CurveFile:
    n = 100
    rows = [{"_step": i, "train": {"loss_a": falling(n)[i], "loss_b": falling(n, 5, 1)[i]}, "val": {"loss_a": falling(n)[i] if i % 10 == 9 else None, "loss_b": NAN}} for i in range(n)]
    return _case("history.jsonl", jsonl(rows), "a", "b")


# ----- transformers


@case
def trainer_state_healthy() -> CurveFile:
    n, log = 50, []
    for i, v in enumerate(falling(n, 3.5, 1.9)):
        log.append({"epoch": i / 10, "grad_norm": 1.0, "learning_rate": 5e-5, "loss": v, "step": 10 * (i + 1)})
        if i % 10 == 9:
            log.append({"epoch": i / 10, "eval_loss": 3.4 - 0.25 * (i // 10), "eval_runtime": 3.0, "eval_samples_per_second": 100.0, "step": 10 * (i + 1)})
    log.append({"epoch": 5.0, "step": 500, "total_flos": 1e15, "train_loss": 2.2, "train_runtime": 100.0})
    return _case("trainer_state.json", json.dumps({"best_metric": None, "epoch": 5.0, "global_step": 500, "is_world_process_zero": True, "log_history": log}, indent=2), "loss")


@case
def trainer_state_overfits() -> CurveFile:
    log: list[dict[str, float]] = []
    evals = valley(16, 2.0, 1.2, 2.6)
    for i, v in enumerate(falling(80, 2.2, 0.1)):
        log.append({"epoch": i / 5, "loss": v, "step": 10 * (i + 1)})
        if i % 5 == 4:
            log.append({"epoch": i / 5, "eval_loss": evals[i // 5], "step": 10 * (i + 1)})
    return _case("trainer_state.json", json.dumps({"log_history": log}), "loss", loss=OVER)


@case
def transformers_printed_dictionaries() -> CurveFile:
    lines = [f"{{'loss': {v:.4f}, 'grad_norm': 2.13, 'learning_rate': 4.9e-05, 'epoch': {i / 10}}}" for i, v in enumerate(falling(40, 3, 1))]
    return _case("train.log", "loading weights\n" + "\n".join(lines) + "\ndone\n", "loss")


# ----- reinforcement learning


def _ppo(returns: Values, **more: Any) -> dict[str, Any]:
    n = len(returns)
    rng = np.random.default_rng(0)
    return {"time/iterations": range(1, n + 1), "rollout/ep_rew_mean": returns, "rollout/ep_len_mean": level(n, 200), "time/fps": level(n, 900), "time/total_timesteps": range(2048, 2048 * (n + 1), 2048), "train/approx_kl": level(n, 0.01, 0.2), "train/clip_fraction": level(n, 0.1, 0.2), "train/entropy_loss": np.linspace(-1.4, -0.6, n), "train/explained_variance": np.linspace(0, 0.9, n), "train/learning_rate": [3e-4] * n, "train/loss": rng.normal(0.1, 0.3, n), "train/policy_gradient_loss": rng.normal(-0.01, 0.004, n), "train/value_loss": falling(n, 50, 10, noise=0.2), **more}


@case
def sb3_ppo_learns() -> CurveFile:
    n = 80
    return _case("progress.csv", csv(_ppo(-falling(n, 200, -200, noise=0.1))), "return")


@case
def sb3_ppo_value_loss_grows_with_the_returns() -> CurveFile:
    n = 80
    return _case("progress.csv", csv(_ppo(500 - falling(n, 480, 20, noise=0.05), **{"train/value_loss": rising(n, 0.5, 60, 0.3)})), "return")


@case
def sb3_ppo_return_stays() -> CurveFile:
    n = 100
    return _case("progress.csv", csv(_ppo(level(n, -150, 0.05))), "return", **{"return": FLAT})


@case
def sb3_dqn_explodes() -> CurveFile:
    n = 100
    columns = {"time/episodes": range(4, 4 * n + 4, 4), "rollout/ep_rew_mean": level(n, -180, 0.1), "rollout/exploration_rate": np.linspace(1, 0.05, n), "time/total_timesteps": range(400, 400 * (n + 1), 400), "train/loss": exploding(n, 0.5, 1e11), "train/n_updates": range(100, 100 * (n + 1), 100)}
    return _case("progress.csv", csv(columns), "return", **{"return": frozenset({"flat-task", "diverged"}), "loss": BLOWN})


@case
def sb3_monitor_learns() -> CurveFile:
    rng = np.random.default_rng(3)
    n = 300
    returns = np.linspace(20, 400, n) + 40 * rng.standard_normal(n)
    rows = "".join(f"{r:.3f},{int(abs(r))},{i * 1.5:.3f}\n" for i, r in enumerate(returns))
    return _case("monitor.csv", '#{"t_start": 1700000000.1, "env_id": "CartPole-v1"}\nr,l,t\n' + rows, "return")


@case
def sb3_monitor_stays() -> CurveFile:
    rng = np.random.default_rng(4)
    rows = "".join(f"{r:.3f},20,{i}\n" for i, r in enumerate(rng.normal(-200, 60, 400)))
    return _case("0.monitor.csv", '#{"t_start": 1700000000.1, "env_id": "LunarLander-v2"}\nr,l,t\n' + rows, "return", **{"return": FLAT})


@case
def cleanrl_q_values_explode() -> CurveFile:
    n = 120
    columns = {"global_step": range(0, 100 * n, 100), "charts/episodic_return": level(n, 10, 0.3), "losses/td_loss": exploding(n, 0.1, 1e12), "losses/q_values": exploding(n, 1.0, 1e7)}
    return _case("cleanrl.csv", csv(columns), "return", **{"td": BLOWN, "q": BLOWN, "return": frozenset({"flat-task", "diverged"})})


@case
def sac_healthy() -> CurveFile:
    n = 150
    rng = np.random.default_rng(7)
    columns = {"step": range(0, 1000 * n, 1000), "episode_reward": 3000 - falling(n, 3000, 200, noise=0.1), "actor_loss": -np.linspace(2, 300, n), "critic_loss": rising(n, 0.5, 15, 0.3), "alpha_loss": rng.normal(0, 0.5, n), "alpha": np.linspace(0.2, 0.05, n)}
    return _case("train.csv", csv(columns), "return")


# ----- counters, gaps, empty columns


@case
def counter_restarts_in_every_epoch() -> CurveFile:
    epochs, k = 12, 20
    n = epochs * k
    a, b, m = falling(n), falling(n, 1.0, 0.15, seed=9), level(n)
    rows = [{"mode": "train", "epoch": i // k + 1, "iter": 50 * (i % k + 1), "lr": 0.02, "loss_cls": a[i], "loss_bbox": b[i], "loss_mask": m[i], "loss": a[i] + b[i] + m[i]} for i in range(n)]
    return _case("20240101.log.json", jsonl([{"env_info": "torch 2"}, *rows]), "cls", "bbox", "mask", mask=FLAT)


@case
def counter_restarts_without_an_epoch() -> CurveFile:
    n = 100
    return _case("log.csv", csv({"batch": [i % 20 for i in range(n)], "loss_a": falling(n), "loss_b": falling(n, 9, 2)}), "a", "b")


@case
def gaps_of_nan() -> CurveFile:
    n = 300
    gap = np.random.default_rng(0).random(n) < 0.3
    b = np.where(gap, NAN, falling(n, 1.0, 0.1))
    return _case("log.csv", csv({"step": range(n), "loss_cls": falling(n), "loss_box": b}), "cls", "box", states={"box": "learns"}, box=frozenset({"bad-targets"}))


@case
def nan_to_the_end() -> CurveFile:
    n = 300
    b = falling(n, 1.0, 0.1)
    b[200:] = NAN
    return _case("log.csv", csv({"step": range(n), "loss_cls": falling(n), "loss_box": b}), "cls", "box", box=BLOWN)


@case
def tasks_sampled_in_turn_as_nan() -> CurveFile:
    n = 300
    turn = np.random.default_rng(1).random(n) < 0.5
    columns = {"step": range(n), "loss_a": np.where(turn, falling(n), NAN), "loss_b": np.where(turn, NAN, falling(n, 1, 0.1))}
    return _case("log.csv", csv(columns), "a", "b")


@case
def held_out_columns_of_na() -> CurveFile:
    n = 50
    return _case("log.csv", csv({"step": range(n), "loss_a": falling(n), "loss_b": falling(n, 3, 1), "val_loss_a": ["NA"] * n, "val_loss_b": ["nan"] * n}), "a", "b")


@case
def loss_of_exactly_zero() -> CurveFile:
    n = 80
    return _case("log.csv", csv({"step": range(n), "loss_a": falling(n), "loss_b": [0.0] * n}), "a", "b", states={"b": "unknown at_floor"}, b=frozenset({"bad-targets"}))


@case
def loss_that_reaches_zero() -> CurveFile:
    n = 80
    a = np.maximum(falling(n, 2, 0, 0.1) - 0.01, 0)
    return _case("log.csv", csv({"step": range(n), "loss_a": a, "loss_b": falling(n)}), "a", "b", states={"a": "learns"})


# ----- shapes


@case
def healthy_noisy_per_batch() -> CurveFile:
    n = 4000
    return _case("log.csv", csv({"iteration": range(n), "loss_a": falling(n, noise=0.4), "loss_b": falling(n, 6.9, 3.0, noise=0.2, seed=4)}), "a", "b")


@case
def healthy_with_warm_restarts() -> CurveFile:
    n = 200
    wave = 1 + 0.4 * (1 - (np.arange(n) % 50) / 50)
    return _case("log.csv", csv({"step": range(n), "loss_a": falling(n) * wave, "loss_b": falling(n, 5, 1) * wave}), "a", "b")


@case
def healthy_negative_log_likelihood() -> CurveFile:
    n = 100
    return _case("log.csv", csv({"epoch": range(n), "train_loss_flow": falling(n, 3, -2, noise=0.02), "valid_loss_flow": falling(n, 3, -1.8, noise=0.02)}), "flow")


@case
def falls_and_rises_again() -> CurveFile:
    n = 100
    return _case("log.csv", csv({"step": range(0, 10 * n, 10), "loss_a": valley(n), "loss_b": falling(n)}), "a", "b", states={"a": "rising diverged"}, a=UP)


@case
def trade_off() -> CurveFile:
    n = 120
    return _case("log.csv", csv({"step": range(n), "loss_a": falling(n, 2, 0.3, 0.5), "loss_b": rising(n, 1, 1.6, 0.02)}), "a", "b", b=frozenset({"conflict", "rising-loss"}))


@case
def blown_up() -> CurveFile:
    n = 100
    return _case("log.csv", csv({"step": range(n), "loss_a": exploding(n), "loss_b": exploding(n, 2, 1e4)}), "a", "b", a=BLOWN, b=BLOWN)


@case
def one_spike_and_recovery() -> CurveFile:
    n = 200
    a = falling(n)
    a[90:93] *= [20, 8, 3]
    return _case("log.csv", csv({"step": range(n), "loss_a": a}), "a", states={"a": "learns"})


# ----- forms


@case
def long_form_csv() -> CurveFile:
    n = 160
    rows = [(i, name, values[i]) for i in range(n) for name, values in (("train/loss_a", falling(n)), ("train/loss_b", level(n)), ("val/loss_a", falling(n, 2, 0.3)), ("lr", [1e-3] * n))]
    return _case("long.csv", "step,name,value\n" + "".join(f"{s},{k},{v}\n" for s, k, v in rows), "a", "b", b=FLAT)


@case
def long_form_with_split() -> CurveFile:
    n = 40
    lines = [f"{i},{split},loss_a,{v}\n" for split, values in (("train", falling(n)), ("val", valley(n, 2, 0.6, 1.9))) for i, v in enumerate(values)]
    return _case("long.csv", "epoch,split,metric,value\n" + "".join(lines), "a", a=OVER)


@case
def plain_log() -> CurveFile:
    n = 30
    a, b = falling(n), falling(n, 1, 0.2)
    return _case("train.log", "".join(f"[2024-05-01 10:00:{i:02}] INFO epoch {i} loss_a={a[i]:.5f} val_loss_a: {a[i] + 0.1:.5f} loss_b={b[i]:.5f} lr=1e-3\n" for i in range(n)), "a", "b")


@case
def plain_log_with_sections() -> CurveFile:
    n = 30
    a, b, v = falling(n), falling(n, 1, 0.1), valley(n, 1.0, 0.4, 1.2)
    text = "".join(f"Epoch {i + 1}/{n}\ntrain: loss_seg: {a[i]:.4f}, loss_depth: {b[i]:.4f}\nval: loss_seg: {a[i]:.4f}, loss_depth: {v[i]:.4f}\n" for i in range(n))
    return _case("out.txt", text, "seg", "depth", depth=OVER)


@case
def plain_log_of_keras() -> CurveFile:
    n = 20
    a, b = falling(n), level(n)
    return _case("keras.log", "".join(f"Epoch {i + 1}/{n}\n100/100 ━━━━━━━━━━━━━━━━━━━━ 3s 20ms/step - a_loss: {a[i]:.4f} - b_loss: {b[i]:.4f} - loss: {a[i] + b[i]:.4f} - val_a_loss: {a[i]:.4f} - val_b_loss: {b[i]:.4f}\n" for i in range(n)), "a", "b", b=FLAT)


@case
def plain_log_of_pytorch_examples() -> CurveFile:
    a = falling(60, 2.3, 0.1)
    return _case("mnist.txt", "".join(f"Train Epoch: {i // 20 + 1} [{i % 20 * 640}/60000 ({i % 20 * 5}%)]\tLoss: {a[i]:.6f}\n" for i in range(60)), "loss")


@case
def plain_log_of_mmdet() -> CurveFile:
    n = 100
    a, b = falling(n), rising(n, 0.3, 1.5)
    return _case("20240101.log", "".join(f"2024-01-01 10:00:00,123 - mmdet - INFO - Epoch [{i // 20 + 1}][{50 * (i % 20 + 1)}/1000]\tlr: 2.000e-02, eta: 1:02:03, time: 0.511, loss_cls: {a[i]:.4f}, loss_bbox: {b[i]:.4f}, loss: {a[i] + b[i]:.4f}\n" for i in range(n)), "cls", "bbox", bbox=UP)


@case
def step_and_epoch_together() -> CurveFile:
    n = 80
    return _case("log.tsv", csv({"epoch": [i // 8 for i in range(n)], "global_step": range(0, 50 * n, 50), "loss/x": falling(n), "loss/y": falling(n, 8, 2)}, "\t"), "x", "y")


@case
def held_out_only() -> CurveFile:
    n = 30
    return _case("val.csv", csv({"epoch": range(n), "val_loss_a": falling(n), "val_loss_b": level(n)}), "a", "b", b=FLAT)


@case
def losses_by_other_names() -> CurveFile:
    n = 50
    return _case("log.csv", csv({"epoch": range(n), "train_rmse": falling(n), "val_rmse": falling(n, 2, 0.3)}), "rmse")


@case
def columns_that_only_speak_of_losses() -> CurveFile:
    n = 50
    return _case("log.csv", csv({"step": range(n), "loss_a": falling(n), "loss_b": falling(n, 3, 1), "loss_weight_a": [0.5] * n, "loss_scale": [65536.0] * n, "best_val_loss": np.minimum.accumulate(falling(n))}), "a", "b")


@case
def gan() -> CurveFile:
    n = 200
    return _case("gan.csv", csv({"step": range(n), "loss_G": rising(n, 0.7, 3.0, 0.3), "loss_D": falling(n, 1.4, 0.4, noise=0.3)}), states={"g": "unknown", "d": "unknown"})


@case
def variational_autoencoder() -> CurveFile:
    n = 100
    return _case("vae.csv", csv({"epoch": range(n), "recon_loss": falling(n, 200, 80), "kl_loss": 25 - falling(n, 24, 1)}), "recon")


@case
def event_exports_of_tensorboard() -> CurveFile:
    n = 60

    def export(values: Values) -> str:
        return csv({"Wall time": [1.7e9 + i for i in range(n)], "Step": range(0, 5 * n, 5), "Value": values})

    return _case("", {"run-v0-tag-train_loss_a.csv": export(falling(n)), "run-v0-tag-train_loss_b.csv": export(level(n)), "run-v0-tag-val_loss_a.csv": export(falling(n, 2, 0.3))}, "a", "b", b=FLAT)


@case
def json_exports_of_tensorboard() -> CurveFile:
    n = 60

    def export(values: Values) -> str:
        return json.dumps([[1.7e9 + i, 5 * i, v] for i, v in enumerate(values)])

    return _case("", {"run-v0-tag-loss_a.json": export(falling(n)), "run-v0-tag-loss_b.json": export(rising(n))}, "a", "b", b=UP)


@case
def one_file_per_split() -> CurveFile:
    n = 40
    return _case("", {"train.csv": csv({"epoch": range(n), "loss_a": falling(n), "loss_b": falling(n)}), "val.csv": csv({"epoch": range(n), "loss_a": falling(n, 2, 0.3), "loss_b": valley(n)})}, "a", "b", b=OVER)


# ----- other tools


@case
def yolo_results_with_padded_names() -> CurveFile:
    n = 60
    names = "epoch, train/box_loss, train/cls_loss, train/dfl_loss, metrics/precision(B), metrics/mAP50(B), val/box_loss, val/cls_loss, val/dfl_loss, lr/pg0".split(",")
    columns = [range(1, n + 1), falling(n, 2, 0.9), falling(n, 3, 0.6), falling(n, 1.9, 1.1), level(n, 0.5), level(n, 0.5), falling(n, 2, 1.0), valley(n, 3.0, 1.1, 2.4), falling(n, 1.9, 1.2), [0.01] * n]
    rows = zip(*columns, strict=True)
    text = ",".join(f"{name:>24}" for name in names) + "\n" + "".join(",".join(f"{v:>24.5f}" for v in row) + "\n" for row in rows)
    return _case("results.csv", text, "box", "cls", "dfl", cls=OVER)


@case
def detectron_metrics_json_of_lines() -> CurveFile:
    n = 150
    rows = [{"data_time": 0.01, "iteration": 20 * i + 19, "loss_box_reg": falling(n, 0.8, 0.2)[i], "loss_cls": falling(n)[i], "loss_rpn_cls": falling(n, 0.5, 0.05)[i], "lr": 0.02, "total_loss": falling(n, 3.3, 0.5)[i]} for i in range(n)]
    return _case("metrics.json", jsonl(rows), "box_reg", "cls", "rpn_cls")


@case
def nnunet_log() -> CurveFile:
    n = 40
    train, val = -0.9 + falling(n, 0.9, 0.05), -0.85 + falling(n, 0.85, 0.07)
    text = "".join(f"2024-02-02 10:{i:02}:01.123456: Epoch {i}\n2024-02-02 10:{i:02}:01.2: Current learning rate: 0.01\n2024-02-02 10:{i:02}:30.1: train_loss {train[i]:.4f}\n2024-02-02 10:{i:02}:30.2: val_loss {val[i]:.4f}\n2024-02-02 10:{i:02}:30.3: Pseudo dice [0.8, 0.7]\n" for i in range(n))
    return _case("training_log.txt", text, "loss")


@case
def mlflow_long_form() -> CurveFile:
    n = 120
    rows = "".join(f"abc123,{key},{v},{1700000000000 + i},{i}\n" for key, values in (("loss_a", falling(n)), ("loss_b", rising(n)), ("lr", [0.1] * n)) for i, v in enumerate(values))
    return _case("metrics.csv", "run_id,key,value,timestamp,step\n" + rows, "a", "b", b=UP)


@case
def clearml_scalars() -> CurveFile:
    n = 120
    x = list(range(n))
    series = {"loss_a": {"train": {"x": x, "y": list(falling(n))}, "val": {"x": x, "y": list(falling(n, 2, 0.3))}}, "loss_b": {"train": {"x": x, "y": list(level(n))}}}
    return _case("scalars.json", json.dumps(series), "a", "b", b=FLAT)


@case
def comet_metrics() -> CurveFile:
    n = 120
    rows = [{"metricName": name, "metricValue": str(v), "step": i, "epoch": None, "timestamp": 1} for name, values in (("train_loss_a", falling(n)), ("train_loss_b", falling(n, 5, 1))) for i, v in enumerate(values)]
    return _case("comet.json", json.dumps({"metrics": rows}), "a", "b")


@case
def fastai_csv() -> CurveFile:
    n = 15
    rows = "".join(f"{i},{falling(n)[i]},{valley(n, 2, 0.7, 1.7)[i]},{0.5},00:{10 + i}\n" for i in range(n))
    return _case("history.csv", "epoch,train_loss,valid_loss,accuracy,time\n" + rows, "loss", loss=OVER)


@case
def ocr_log() -> CurveFile:
    n = 100
    a, b = falling(n, 3, 0.3), level(n, 2.0)
    text = "".join(f"[2023/01/01 10:{i // 60:02}:{i % 60:02}] ppocr INFO: epoch: [{i // 10 + 1}/10], global_step: {10 * (i + 1)}, lr: 0.001000, loss: {a[i] + b[i]:.4f}, loss_ctc: {a[i]:.4f}, loss_sar: {b[i]:.4f}, avg_reader_cost: 0.1 s, eta: 1:02:03\n" for i in range(n))
    return _case("train.log", text, "ctc", "sar", sar=FLAT)


@case
def rllib_progress() -> CurveFile:
    n = 80
    base = "info/learner/default_policy/learner_stats"
    columns = {"episode_reward_mean": 200 - falling(n, 180, 5, noise=0.1), "episode_reward_max": [200.0] * n, "training_iteration": range(1, n + 1), "timesteps_total": range(4000, 4000 * (n + 1), 4000), f"{base}/total_loss": rising(n, 5, 12, 0.2), f"{base}/policy_loss": level(n, -0.02, 0.4), f"{base}/vf_loss": rising(n, 5, 60, 0.2), f"{base}/entropy": np.linspace(0.69, 0.4, n)}
    return _case("progress.csv", csv(columns), "return")


@case
def spinning_up_progress() -> CurveFile:
    n = 60
    columns = {"Epoch": range(n), "AverageEpRet": level(n, -1200, 0.08), "StdEpRet": level(n, 100), "MaxEpRet": level(n, -900), "EpLen": [200] * n, "TotalEnvInteracts": range(4000, 4000 * (n + 1), 4000), "LossPi": level(n, -0.01, 0.5), "LossV": falling(n, 5000, 900, noise=0.2)}
    return _case("progress.txt", csv(columns, "\t"), "return", **{"return": FLAT})


@case
def sb3_printed_tables() -> CurveFile:
    n = 50
    r = 450 - falling(n, 430, 20, noise=0.05)
    block = "-" * 44 + "\n| rollout/                |              |\n|    ep_len_mean          | {0:<12.4g} |\n|    ep_rew_mean          | {0:<12.4g} |\n| time/                   |              |\n|    fps                  | 900          |\n|    iterations           | {1:<12} |\n|    total_timesteps      | {2:<12} |\n| train/                  |              |\n|    approx_kl            | 0.0123       |\n|    entropy_loss         | -0.56        |\n|    policy_gradient_loss | -0.0156      |\n|    value_loss           | {3:<12.4g} |\n" + "-" * 44 + "\n"
    return _case("ppo.log", "Using cpu device\n" + "".join(block.format(r[i], i + 1, 2048 * (i + 1), 5 + i) for i in range(n)), "return")


@case
def keras_csv_named_log() -> CurveFile:
    n = 12
    return _case("training.log", csv({"epoch": range(n), "accuracy": level(n, 0.8), "loss": falling(n), "val_accuracy": level(n, 0.7), "val_loss": falling(n, 2, 0.3)}), "loss")


@case
def xgboost_evals_result() -> CurveFile:
    n = 100
    return _case("evals_result.json", json.dumps({"validation_0": {"rmse": list(falling(n, 5, 1))}, "validation_1": {"rmse": list(falling(n, 5, 1.5))}}), "0_rmse", "1_rmse")


@case
def xgboost_printed() -> CurveFile:
    n = 100
    a, b = falling(n, 5, 0.2), valley(n, 5, 2.0, 3.4)
    return _case("xgb.log", "".join(f"[{i}]\ttrain-rmse:{a[i]:.5f}\teval-rmse:{b[i]:.5f}\n" for i in range(n)), "rmse", rmse=OVER)


@case
def catboost_folder() -> CurveFile:
    n = 100
    return _case("", {"learn_error.tsv": csv({"iter": range(n), "RMSE": falling(n)}, "\t"), "test_error.tsv": csv({"iter": range(n), "RMSE": falling(n, 2, 0.4)}, "\t")}, "error_rmse")


@case
def list_of_numbers() -> CurveFile:
    return _case("loss_curve.json", json.dumps(list(falling(60))), "curve", states={"curve": "learns"})


@case
def timm_summary() -> CurveFile:
    n = 100
    return _case("summary.csv", csv({"epoch": range(n), "train_loss": falling(n, 6.9, 2.5), "eval_loss": falling(n, 6.9, 1.4), "eval_top1": level(n, 60), "eval_top5": level(n, 80), "lr": level(n, 0.1)}), "loss")


@case
def megatron_log() -> CurveFile:
    n = 200
    a = falling(n, 10.4, 2.8)
    text = "".join(f" iteration {10 * (i + 1):8}/  500000 | consumed samples: {5120 * i:12} | elapsed time per iteration (ms): 5012.3 | learning rate: 1.5E-04 | global batch size:   512 | lm loss: {a[i]:.6E} | sop loss: {0.69 + 0.001 * (i % 3):.6E} | loss scale: 65536.0 | grad norm: 1.234 | number of skipped iterations:   0 |\n" for i in range(n))
    return _case("out.log", text, "lm", "sop", sop=FLAT)


@case
def tqdm_bars() -> CurveFile:
    n = 30
    a = falling(n)
    text = "".join(f"Epoch {i}: 100%|██████████| 100/100 [00:10<00:00,  9.5it/s, loss_seg={a[i]:.3f}, loss_depth={2 * a[i]:.3f}, v_num=3]\r" for i in range(n))
    return _case("bars.txt", text + "\n", "seg", "depth")


@case
def bars_between_figures() -> CurveFile:
    n = 30
    a, v = falling(n), valley(n, 2, 0.7, 1.9)
    return _case("log.txt", "".join(f"Epoch: {i:02} | Epoch Time: 0m 12s\n\tTrain Loss: {a[i]:.3f} | Train Acc: 80.12%\n\t Val. Loss: {v[i]:.3f} |  Val. Acc: 70.50%\n" for i in range(n)), "loss", loss=OVER)


@case
def fairseq_log() -> CurveFile:
    n = 40
    a = falling(n, 12, 4)
    text = "".join(f"2023-01-01 10:00:00 | INFO | train | epoch {i + 1:03} | loss {a[i]:.3f} | nll_loss {a[i] - 1:.3f} | ppl {2 ** a[i]:.2f} | wps 1000 | num_updates {100 * (i + 1)} | lr 0.0005 | gnorm 1.2\n2023-01-01 10:00:01 | INFO | valid | epoch {i + 1:03} | valid on 'valid' subset | loss {a[i] + 0.1:.3f} | nll_loss {a[i] - 0.9:.3f} | ppl 100 | num_updates {100 * (i + 1)}\n" for i in range(n))
    return _case("train.log", text, "nll")


@case
def uncertainty_weighting() -> CurveFile:
    n = 120
    a, b = falling(n), falling(n, 30, 5)
    return _case("log.csv", csv({"step": range(n), "loss_a": a, "loss_b": b, "weighted_loss_a": a * np.linspace(1, 9, n), "weighted_loss_b": b / 50, "log_var_a": -np.linspace(0, 2, n), "total_loss": a + b / 50}), "a", "b")


@case
def preference_tuning() -> CurveFile:
    n = 100
    log = [{"step": 10 * i, "epoch": i / 50, "loss": float(v), "rewards/chosen": 0.1 * i, "rewards/rejected": -0.1 * i, "rewards/margins": 0.2 * i, "rewards/accuracies": 0.8, "logps/chosen": -100.0} for i, v in enumerate(falling(n, 0.69, 0.2))]
    return _case("trainer_state.json", json.dumps({"log_history": log}), "loss")


@case
def two_runs_in_one_export() -> CurveFile:
    n = 120
    return _case("wandb.csv", csv({"Step": range(n), "good-run-1 - loss": falling(n), "bad-run-2 - loss": rising(n)}), "good-run-1/loss", "bad-run-2/loss", **{"bad-run-2/loss": UP})


@case
def split_last_in_the_name() -> CurveFile:
    n = 40
    return _case("log.csv", csv({"epoch": range(n), "loss_depth_train": falling(n), "loss_depth_val": falling(n, 2, 0.3), "loss_seg_train": falling(n), "loss_seg_val": valley(n)}), "depth", "seg", seg=OVER)


@case
def tasks_as_rows() -> CurveFile:
    n = 60
    rows = "".join(f"{i},{task},{values[i]}\n" for i in range(n) for task, values in (("depth", falling(n)), ("seg", level(n))))
    return _case("log.csv", "epoch,task,loss\n" + rows, "depth", "seg", seg=FLAT)


@case
def fine_tuning_at_a_low_level() -> CurveFile:
    n = 200
    return _case("log.csv", csv({"step": range(n), "train_loss": falling(n, 1.9, 1.6, noise=0.05)}), "loss", states={"loss": "slow learns"})


@case
def grokking_held_out_late() -> CurveFile:
    n = 200
    val = np.concatenate([level(120, 3.0), falling(80, 3.0, 0.05)])
    return _case("log.csv", csv({"step": range(0, 100 * n, 100), "train_loss": falling(n, 3, 0.01, 0.05), "val_loss": val}), "loss")


@case
def plateau_then_fall() -> CurveFile:
    n = 200
    a = np.concatenate([level(120, 2.3, 0.005), falling(80, 2.3, 0.3)])
    return _case("log.csv", csv({"step": range(n), "loss_a": a, "loss_b": falling(n)}), "a", "b")
