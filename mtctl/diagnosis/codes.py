"""The stable names of what a diagnosis finds; explanations.py says what each means."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The name of a cause, as in `Finding.code`."""

    BAD_TARGETS = "bad-targets"
    DIVERGED = "diverged"
    DETACHED_TASK = "detached-task"
    NOT_IN_OPTIMIZER = "not-in-optimizer"
    FROZEN_TRUNK = "frozen-trunk"
    DEAD_HEAD = "dead-head"
    UNLEARNABLE = "unlearnable"
    IGNORES_INPUT = "ignores-input"
    TARGET_OUT_OF_REACH = "target-out-of-reach"
    MULTIPLIER_DOMINANCE = "multiplier-dominance"
    CONFLICT = "conflict"
    BUDGET_TOO_SMALL = "budget-too-small"
    LEARNING_RATE = "learning-rate"
    REDUCTION_BIAS = "reduction-bias"
    AT_NOISE_FLOOR = "at-noise-floor"
    SLOW = "slow"
    WEIGHTS_COLLAPSED = "weights-collapsed"
    REPLAY_STARVATION = "replay-starvation"
    SUCCESS_OUT_OF_REACH = "success-out-of-reach"
    FLAT_TASK = "flat-task"
    RISING_LOSS = "rising-loss"
    OVERFITTING = "overfitting"
    WRONG_GRADIENT = "wrong-gradient"
    INTERFERENCE = "interference"
    BALANCER_SETTINGS = "balancer-settings"
    REGULARISATION = "regularisation"
    CAPACITY = "capacity"
    NOISY_LABELS = "noisy-labels"
    SHIFTED_LABELS = "shifted-labels"
    BELOW_POTENTIAL = "below-potential"
    RATIO_NOT_ONE = "ratio-not-one"
    POLICY_JUMPS = "policy-jumps"
    ENTROPY_COLLAPSED = "entropy-collapsed"
    HEAD_STARVED = "head-starved"
