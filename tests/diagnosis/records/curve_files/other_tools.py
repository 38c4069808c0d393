"""Curves of tools that have forms of their own."""

from __future__ import annotations

import json

import numpy as np

from tests.diagnosis.records.curve_files.written import (
    FLAT,
    OVER,
    UP,
    CurveFile,
    csv,
    falling,
    jsonl,
    level,
    rising,
    valley,
    written,
)


def yolo_results_with_padded_names() -> CurveFile:
    n = 60
    losses = ["box_loss", "cls_loss", "dfl_loss"]
    names = ["epoch", *(f" train/{loss}" for loss in losses), " metrics/precision(B)", " metrics/mAP50(B)"]
    names += [*(f" val/{loss}" for loss in losses), " lr/pg0"]
    columns = [
        range(1, n + 1),
        falling(n, 2, 0.9),
        falling(n, 3, 0.6),
        falling(n, 1.9, 1.1),
        level(n, 0.5),
        level(n, 0.5),
        falling(n, 2, 1.0),
        valley(n, 3.0, 1.1, 2.4),
        falling(n, 1.9, 1.2),
        [0.01] * n,
    ]
    rows = zip(*columns, strict=True)
    text = (
        ",".join(f"{name:>24}" for name in names)
        + "\n"
        + "".join(",".join(f"{v:>24.5f}" for v in row) + "\n" for row in rows)
    )
    return written("results.csv", text, "box", "cls", "dfl", cls=OVER)


def detectron_metrics_json_of_lines() -> CurveFile:
    n = 150
    rows = [
        {
            "data_time": 0.01,
            "iteration": 20 * i + 19,
            "loss_box_reg": falling(n, 0.8, 0.2)[i],
            "loss_cls": falling(n)[i],
            "loss_rpn_cls": falling(n, 0.5, 0.05)[i],
            "lr": 0.02,
            "total_loss": falling(n, 3.3, 0.5)[i],
        }
        for i in range(n)
    ]
    return written("metrics.json", jsonl(rows), "box_reg", "cls", "rpn_cls")


def nnunet_log() -> CurveFile:
    n = 40
    train, val = -0.9 + falling(n, 0.9, 0.05), -0.85 + falling(n, 0.85, 0.07)
    text = "".join(
        f"2024-02-02 10:{i:02}:01.123456: Epoch {i}\n"
        f"2024-02-02 10:{i:02}:01.2: Current learning rate: 0.01\n"
        f"2024-02-02 10:{i:02}:30.1: train_loss {train[i]:.4f}\n"
        f"2024-02-02 10:{i:02}:30.2: val_loss {val[i]:.4f}\n"
        f"2024-02-02 10:{i:02}:30.3: Pseudo dice [0.8, 0.7]\n"
        for i in range(n)
    )
    return written("training_log.txt", text, "loss")


def mlflow_long_form() -> CurveFile:
    n = 120
    rows = "".join(
        f"abc123,{key},{v},{1700000000000 + i},{i}\n"
        for key, values in (("loss_a", falling(n)), ("loss_b", rising(n)), ("lr", [0.1] * n))
        for i, v in enumerate(values)
    )
    return written("metrics.csv", "run_id,key,value,timestamp,step\n" + rows, "a", "b", b=UP)


def clearml_scalars() -> CurveFile:
    n = 120
    x = list(range(n))
    series = {
        "loss_a": {"train": {"x": x, "y": list(falling(n))}, "val": {"x": x, "y": list(falling(n, 2, 0.3))}},
        "loss_b": {"train": {"x": x, "y": list(level(n))}},
    }
    return written("scalars.json", json.dumps(series), "a", "b", b=FLAT)


def comet_metrics() -> CurveFile:
    n = 120
    rows = [
        {"metricName": name, "metricValue": str(v), "step": i, "epoch": None, "timestamp": 1}
        for name, values in (("train_loss_a", falling(n)), ("train_loss_b", falling(n, 5, 1)))
        for i, v in enumerate(values)
    ]
    return written("comet.json", json.dumps({"metrics": rows}), "a", "b")


def fastai_csv() -> CurveFile:
    n = 15
    rows = "".join(f"{i},{falling(n)[i]},{valley(n, 2, 0.7, 1.7)[i]},{0.5},00:{10 + i}\n" for i in range(n))
    return written("history.csv", "epoch,train_loss,valid_loss,accuracy,time\n" + rows, "loss", loss=OVER)


def ocr_log() -> CurveFile:
    n = 100
    a, b = falling(n, 3, 0.3), level(n, 2.0)
    text = "".join(
        f"[2023/01/01 10:{i // 60:02}:{i % 60:02}] ppocr INFO: epoch: [{i // 10 + 1}/10], "
        f"global_step: {10 * (i + 1)}, lr: 0.001000, loss: {a[i] + b[i]:.4f}, loss_ctc: {a[i]:.4f}, "
        f"loss_sar: {b[i]:.4f}, avg_reader_cost: 0.1 s, eta: 1:02:03\n"
        for i in range(n)
    )
    return written("train.log", text, "ctc", "sar", sar=FLAT)


def rllib_progress() -> CurveFile:
    n = 80
    base = "info/learner/default_policy/learner_stats"
    columns = {
        "episode_reward_mean": 200 - falling(n, 180, 5, noise=0.1),
        "episode_reward_max": [200.0] * n,
        "training_iteration": range(1, n + 1),
        "timesteps_total": range(4000, 4000 * (n + 1), 4000),
        f"{base}/total_loss": rising(n, 5, 12, 0.2),
        f"{base}/policy_loss": level(n, -0.02, 0.4),
        f"{base}/vf_loss": rising(n, 5, 60, 0.2),
        f"{base}/entropy": np.linspace(0.69, 0.4, n),
    }
    return written("progress.csv", csv(columns), "return")


def spinning_up_progress() -> CurveFile:
    n = 60
    columns = {
        "Epoch": range(n),
        "AverageEpRet": level(n, -1200, 0.08),
        "StdEpRet": level(n, 100),
        "MaxEpRet": level(n, -900),
        "EpLen": [200] * n,
        "TotalEnvInteracts": range(4000, 4000 * (n + 1), 4000),
        "LossPi": level(n, -0.01, 0.5),
        "LossV": falling(n, 5000, 900, noise=0.2),
    }
    return written("progress.txt", csv(columns, "\t"), "return", named={"return": FLAT})


def sb3_printed_tables() -> CurveFile:
    n = 50
    r = 450 - falling(n, 430, 20, noise=0.05)
    block = (
        "-" * 44 + "\n"
        "| rollout/                |              |\n"
        "|    ep_len_mean          | {0:<12.4g} |\n"
        "|    ep_rew_mean          | {0:<12.4g} |\n"
        "| time/                   |              |\n"
        "|    fps                  | 900          |\n"
        "|    iterations           | {1:<12} |\n"
        "|    total_timesteps      | {2:<12} |\n"
        "| train/                  |              |\n"
        "|    approx_kl            | 0.0123       |\n"
        "|    entropy_loss         | -0.56        |\n"
        "|    policy_gradient_loss | -0.0156      |\n"
        "|    value_loss           | {3:<12.4g} |\n" + "-" * 44 + "\n"
    )
    return written(
        "ppo.log",
        "Using cpu device\n" + "".join(block.format(r[i], i + 1, 2048 * (i + 1), 5 + i) for i in range(n)),
        "return",
    )


def keras_csv_named_log() -> CurveFile:
    n = 12
    return written(
        "training.log",
        csv(
            {
                "epoch": range(n),
                "accuracy": level(n, 0.8),
                "loss": falling(n),
                "val_accuracy": level(n, 0.7),
                "val_loss": falling(n, 2, 0.3),
            }
        ),
        "loss",
    )


def xgboost_evals_result() -> CurveFile:
    n = 100
    return written(
        "evals_result.json",
        json.dumps(
            {
                "validation_0": {"rmse": list(falling(n, 5, 1))},
                "validation_1": {"rmse": list(falling(n, 5, 1.5))},
            }
        ),
        "0_rmse",
        "1_rmse",
    )


def xgboost_printed() -> CurveFile:
    n = 100
    a, b = falling(n, 5, 0.2), valley(n, 5, 2.0, 3.4)
    return written(
        "xgb.log",
        "".join(f"[{i}]\ttrain-rmse:{a[i]:.5f}\teval-rmse:{b[i]:.5f}\n" for i in range(n)),
        "rmse",
        rmse=OVER,
    )


def catboost_folder() -> CurveFile:
    n = 100
    return written(
        "",
        {
            "learn_error.tsv": csv({"iter": range(n), "RMSE": falling(n)}, "\t"),
            "test_error.tsv": csv({"iter": range(n), "RMSE": falling(n, 2, 0.4)}, "\t"),
        },
        "error_rmse",
    )


def list_of_numbers() -> CurveFile:
    return written("loss_curve.json", json.dumps(list(falling(60))), "curve", states={"curve": "learns"})


def timm_summary() -> CurveFile:
    n = 100
    return written(
        "summary.csv",
        csv(
            {
                "epoch": range(n),
                "train_loss": falling(n, 6.9, 2.5),
                "eval_loss": falling(n, 6.9, 1.4),
                "eval_top1": level(n, 60),
                "eval_top5": level(n, 80),
                "lr": level(n, 0.1),
            }
        ),
        "loss",
    )


def megatron_log() -> CurveFile:
    n = 200
    a = falling(n, 10.4, 2.8)
    text = "".join(
        f" iteration {10 * (i + 1):8}/  500000 | consumed samples: {5120 * i:12} "
        "| elapsed time per iteration (ms): 5012.3 | learning rate: 1.5E-04 | "
        f"global batch size:   512 | lm loss: {a[i]:.6E} | sop loss: {0.69 + 0.001 * (i % 3):.6E} "
        "| loss scale: 65536.0 | grad norm: 1.234 | number of skipped iterations:   0 |\n"
        for i in range(n)
    )
    return written("out.log", text, "lm", "sop", sop=FLAT)


def tqdm_bars() -> CurveFile:
    n = 30
    a = falling(n)
    text = "".join(
        f"Epoch {i}: 100%|██████████| 100/100 [00:10<00:00,  9.5it/s, "
        f"loss_seg={a[i]:.3f}, loss_depth={2 * a[i]:.3f}, v_num=3]\r"
        for i in range(n)
    )
    return written("bars.txt", text + "\n", "seg", "depth")


def bars_between_figures() -> CurveFile:
    n = 30
    a, v = falling(n), valley(n, 2, 0.7, 1.9)
    return written(
        "log.txt",
        "".join(
            f"Epoch: {i:02} | Epoch Time: 0m 12s\n"
            f"\tTrain Loss: {a[i]:.3f} | Train Acc: 80.12%\n"
            f"\t Val. Loss: {v[i]:.3f} |  Val. Acc: 70.50%\n"
            for i in range(n)
        ),
        "loss",
        loss=OVER,
    )


def fairseq_log() -> CurveFile:
    n = 40
    a = falling(n, 12, 4)
    text = "".join(
        f"2023-01-01 10:00:00 | INFO | train | epoch {i + 1:03} | loss {a[i]:.3f} "
        f"| nll_loss {a[i] - 1:.3f} | ppl {2 ** a[i]:.2f} | num_updates {100 * (i + 1)} | lr 0.0005\n"
        f"2023-01-01 10:00:01 | INFO | valid | epoch {i + 1:03} | valid on 'valid' subset "
        f"| loss {a[i] + 0.1:.3f} | nll_loss {a[i] - 0.9:.3f} | ppl 100 | num_updates {100 * (i + 1)}\n"
        for i in range(n)
    )
    return written("train.log", text, "nll")


def uncertainty_weighting() -> CurveFile:
    n = 120
    a, b = falling(n), falling(n, 30, 5)
    return written(
        "log.csv",
        csv(
            {
                "step": range(n),
                "loss_a": a,
                "loss_b": b,
                "weighted_loss_a": a * np.linspace(1, 9, n),
                "weighted_loss_b": b / 50,
                "log_var_a": -np.linspace(0, 2, n),
                "total_loss": a + b / 50,
            }
        ),
        "a",
        "b",
    )


def preference_tuning() -> CurveFile:
    n = 100
    log = [
        {
            "step": 10 * i,
            "epoch": i / 50,
            "loss": float(v),
            "rewards/chosen": 0.1 * i,
            "rewards/rejected": -0.1 * i,
            "rewards/margins": 0.2 * i,
            "rewards/accuracies": 0.8,
            "logps/chosen": -100.0,
        }
        for i, v in enumerate(falling(n, 0.69, 0.2))
    ]
    return written("trainer_state.json", json.dumps({"log_history": log}), "loss")


def two_runs_in_one_export() -> CurveFile:
    n = 120
    return written(
        "wandb.csv",
        csv({"Step": range(n), "good-run-1 - loss": falling(n), "bad-run-2 - loss": rising(n)}),
        "good-run-1/loss",
        "bad-run-2/loss",
        named={"bad-run-2/loss": UP},
    )


def split_last_in_the_name() -> CurveFile:
    n = 40
    return written(
        "log.csv",
        csv(
            {
                "epoch": range(n),
                "loss_depth_train": falling(n),
                "loss_depth_val": falling(n, 2, 0.3),
                "loss_seg_train": falling(n),
                "loss_seg_val": valley(n),
            }
        ),
        "depth",
        "seg",
        seg=OVER,
    )


def tasks_as_rows() -> CurveFile:
    n = 60
    rows = "".join(
        f"{i},{task},{values[i]}\n"
        for i in range(n)
        for task, values in (("depth", falling(n)), ("seg", level(n)))
    )
    return written("log.csv", "epoch,task,loss\n" + rows, "depth", "seg", seg=FLAT)


def fine_tuning_at_a_low_level() -> CurveFile:
    n = 200
    return written(
        "log.csv",
        csv({"step": range(n), "train_loss": falling(n, 1.9, 1.6, noise=0.05)}),
        "loss",
        states={"loss": "slow learns"},
    )


def grokking_held_out_late() -> CurveFile:
    n = 200
    val = np.concatenate([level(120, 3.0), falling(80, 3.0, 0.05)])
    return written(
        "log.csv",
        csv({"step": range(0, 100 * n, 100), "train_loss": falling(n, 3, 0.01, 0.05), "val_loss": val}),
        "loss",
    )


def plateau_then_fall() -> CurveFile:
    n = 200
    a = np.concatenate([level(120, 2.3, 0.005), falling(80, 2.3, 0.3)])
    return written("log.csv", csv({"step": range(n), "loss_a": a, "loss_b": falling(n)}), "a", "b")
