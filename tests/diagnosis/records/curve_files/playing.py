"""Logs of reinforcement learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtctl.diagnosis.records.trends import Values
from tests.diagnosis.records.curve_files.written import (
    BLOWN,
    FLAT,
    CurveFile,
    csv,
    exploding,
    falling,
    level,
    rising,
    written,
)


def _ppo(returns: Values, **more: Any) -> dict[str, Any]:
    n = len(returns)
    rng = np.random.default_rng(0)
    return {
        "time/iterations": range(1, n + 1),
        "rollout/ep_rew_mean": returns,
        "rollout/ep_len_mean": level(n, 200),
        "time/fps": level(n, 900),
        "time/total_timesteps": range(2048, 2048 * (n + 1), 2048),
        "train/approx_kl": level(n, 0.01, 0.2),
        "train/clip_fraction": level(n, 0.1, 0.2),
        "train/entropy_loss": np.linspace(-1.4, -0.6, n),
        "train/explained_variance": np.linspace(0, 0.9, n),
        "train/learning_rate": [3e-4] * n,
        "train/loss": rng.normal(0.1, 0.3, n),
        "train/policy_gradient_loss": rng.normal(-0.01, 0.004, n),
        "train/value_loss": falling(n, 50, 10, noise=0.2),
        **more,
    }


def sb3_ppo_learns() -> CurveFile:
    n = 80
    return written("progress.csv", csv(_ppo(-falling(n, 200, -200, noise=0.1))), "return")


def sb3_ppo_value_loss_grows_with_the_returns() -> CurveFile:
    n = 80
    return written(
        "progress.csv",
        csv(_ppo(500 - falling(n, 480, 20, noise=0.05), **{"train/value_loss": rising(n, 0.5, 60, 0.3)})),
        "return",
    )


def sb3_ppo_return_stays() -> CurveFile:
    n = 100
    return written("progress.csv", csv(_ppo(level(n, -150, 0.05))), "return", named={"return": FLAT})


def sb3_dqn_explodes() -> CurveFile:
    n = 100
    columns = {
        "time/episodes": range(4, 4 * n + 4, 4),
        "rollout/ep_rew_mean": level(n, -180, 0.1),
        "rollout/exploration_rate": np.linspace(1, 0.05, n),
        "time/total_timesteps": range(400, 400 * (n + 1), 400),
        "train/loss": exploding(n, 0.5, 1e11),
        "train/n_updates": range(100, 100 * (n + 1), 100),
    }
    return written(
        "progress.csv",
        csv(columns),
        "return",
        named={"return": frozenset({"flat-task", "diverged"}), "loss": BLOWN},
    )


def sb3_monitor_learns() -> CurveFile:
    rng = np.random.default_rng(3)
    n = 300
    returns = np.linspace(20, 400, n) + 40 * rng.standard_normal(n)
    rows = "".join(f"{r:.3f},{int(abs(r))},{i * 1.5:.3f}\n" for i, r in enumerate(returns))
    return written(
        "monitor.csv", '#{"t_start": 1700000000.1, "env_id": "CartPole-v1"}\nr,l,t\n' + rows, "return"
    )


def sb3_monitor_stays() -> CurveFile:
    rng = np.random.default_rng(4)
    rows = "".join(f"{r:.3f},20,{i}\n" for i, r in enumerate(rng.normal(-200, 60, 400)))
    return written(
        "0.monitor.csv",
        '#{"t_start": 1700000000.1, "env_id": "LunarLander-v2"}\nr,l,t\n' + rows,
        "return",
        named={"return": FLAT},
    )


def cleanrl_q_values_explode() -> CurveFile:
    n = 120
    columns = {
        "global_step": range(0, 100 * n, 100),
        "charts/episodic_return": level(n, 10, 0.3),
        "losses/td_loss": exploding(n, 0.1, 1e12),
        "losses/q_values": exploding(n, 1.0, 1e7),
    }
    return written(
        "cleanrl.csv",
        csv(columns),
        "return",
        named={"td": BLOWN, "q": BLOWN, "return": frozenset({"flat-task", "diverged"})},
    )


def sac_healthy() -> CurveFile:
    n = 150
    rng = np.random.default_rng(7)
    columns = {
        "step": range(0, 1000 * n, 1000),
        "episode_reward": 3000 - falling(n, 3000, 200, noise=0.1),
        "actor_loss": -np.linspace(2, 300, n),
        "critic_loss": rising(n, 0.5, 15, 0.3),
        "alpha_loss": rng.normal(0, 0.5, n),
        "alpha": np.linspace(0.2, 0.05, n),
    }
    return written("train.csv", csv(columns), "return")


def a_policy_that_becomes_nan() -> CurveFile:
    n = 150
    broken = np.arange(n) > 80
    columns = {
        "rollout/ep_rew_mean": level(n, 20, 0.1),
        "time/total_timesteps": range(0, 200 * n, 200),
        "train/policy_gradient_loss": np.where(broken, np.nan, -0.01),
        "train/value_loss": np.where(broken, np.nan, 5.0),
    }
    return written(
        "progress.csv",
        csv(columns),
        "return",
        named={"return": FLAT, "value": BLOWN, "policy_gradient": BLOWN},
    )


def returns_that_rise_and_fall_again() -> CurveFile:
    returns = np.concatenate([np.linspace(10, 300, 300), np.linspace(300, 5, 300)])
    rows = "".join(f"{value:.2f},10,{i}\n" for i, value in enumerate(returns + level(600, 10, 2)))
    return written("monitor.csv", '#{"env_id": "x"}\nr,l,t\n' + rows, "return", named={"return": FLAT})
