"""What the records of a policy with several heads tell: its probabilities, its steps and its heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.report import Evidence, Finding, Severity, TaskState
from mtctl.diagnosis.thresholds import (
    CLIPPED,
    DECIDED,
    HEAD_SHARE,
    JUMPED,
    JUMPS,
    RATIO_OFF,
    percent,
)
from mtctl.history.history import History

CONTINUOUS = "continuous"
_FEWEST = 10  # iterations that tell something


def _told(share: float) -> str:
    """Return a share as text, to three digits."""
    return f"{100 * share:.3g} %"


def ratios_start_at_one(history: History) -> Ruling:
    """Find heads whose new probability differs from the old one before anything was learned."""
    name = "ratios start at 1"
    worst = {task: history.figure("ratio off at start", task).values for task in history.tasks}
    if not any(map(len, worst.values())):
        return not_run(name, "ratios are not recorded")
    findings = []
    for task, values in worst.items():
        if len(values) and (most := float(values.max())) > RATIO_OFF:
            text = (
                f"{task}: before the first update of a rollout, the ratio of new to old probability is off "
                f"from 1 by up to {most:.2g}"
            )
            evidence = (Evidence("|ratio − 1|, largest", most, "", f"at most {RATIO_OFF:g}"),)
            findings.append(Finding(Code.RATIO_NOT_ONE, task, "error", "certain", text, evidence))
    return ruling(name, findings, "both probabilities are of the same action")


def steps_bounded(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find heads whose policy moves further in an iteration than a clipped step is meant to.

    Where returns rise all the same this is told, and no warning: the KL of many parts together is larger.
    """
    severity: Severity = "info" if all(state.state == "learns" for state in states) else "warning"
    name = "the policy moves in small steps"
    findings = []
    for task in history.tasks:
        values = history.figure("kl", task).values
        if len(values) < _FEWEST:
            continue
        share = float((values > JUMPED).mean())
        if share > JUMPS:
            text = f"{task}: in {_told(share)} of the iterations the policy moved by a KL above {JUMPED:g}"
            evidence = (
                Evidence("KL, median", float(np.median(values)), "nats"),
                Evidence("iterations above", share, "", f"at most {percent(JUMPS)}"),
            )
            findings.append(Finding(Code.POLICY_JUMPS, task, severity, "likely", text, evidence))
    return ruling(name, findings, f"KL at most {JUMPED:g}")


def clip_leaves_room(history: History, moved_on: Sequence[Finding]) -> Ruling:
    """Find heads most of whose rows are beyond the clip, though their policy moves in small steps.

    Args:
        history: of the training.
        moved_on: findings that explain ratios far from 1; heads that have one are left out.
    """
    name = "the clip leaves room"
    explained = {finding.task for finding in moved_on}
    findings = []
    for task in history.tasks:
        values = history.figure("clipped", task).values
        if len(values) < _FEWEST or task in explained:
            continue
        typical = float(np.median(values))
        if typical > CLIPPED:
            text = f"{task}: {_told(typical)} of the rows are beyond the clip, and learn no further"
            evidence = (Evidence("rows beyond the clip, median", typical, "", f"at most {percent(CLIPPED)}"),)
            findings.append(Finding(Code.CLIP_BINDS, task, "warning", "likely", text, evidence))
    return ruling(name, findings, "for most rows")


def parameters_used(history: History) -> Ruling:
    """Find continuous parameters that no action of the run has used."""
    name = "every parameter is used"
    words = history.ending("never used", CONTINUOUS)
    if len(history.units) < _FEWEST or CONTINUOUS not in history.tasks:
        return not_run(name, f"needs {_FEWEST} iterations with continuous parameters")
    findings = []
    if len(words) == len(history.units):  # what is used once is no longer recorded
        text = f"{CONTINUOUS}: no action of the run has used {words[-1]}"
        evidence = (Evidence("iterations", float(len(words))),)
        findings.append(Finding(Code.UNUSED_PARAMETER, CONTINUOUS, "warning", "certain", text, evidence))
    return ruling(name, findings, "by some action")


def undecided_long_enough(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find choices that were made up before the returns had improved."""
    name = "choices stay open while it learns"
    values = history.figure("entropy", "discrete").values
    if len(values) < _FEWEST:
        return not_run(name, f"needs {_FEWEST} iterations with discrete choices")
    closed = float(np.median(values[-max(1, len(values) // 5) :])) / max(float(values[0]), 1e-9)
    flat = [state for state in states if state.state == "flat"]
    findings = []
    if closed < DECIDED and flat:
        text = f"discrete: entropy fell to {_told(closed)} of its first value, and returns do not improve"
        evidence = (
            Evidence("entropy at first", float(values[0]), "nats"),
            Evidence("entropy, last fifth", float(values[-1]), "nats", f"{percent(DECIDED)} or more"),
        )
        findings.append(Finding(Code.ENTROPY_COLLAPSED, "discrete", "error", "likely", text, evidence))
    return ruling(name, findings, f"entropy at {_told(closed)} of its first value")


def heads_share(history: History) -> Ruling:
    """Find heads that the shared layers learn next to nothing from."""
    name = "both heads shape the shared layers"
    findings = []
    measured = 0
    for task in history.tasks:
        shares = history.signal("gradient_share", task).values
        if len(history.tasks) < 2 or len(shares) < 3:
            continue
        measured += 1
        typical = float(np.median(shares[len(shares) // 2 :]))
        if typical < HEAD_SHARE:
            severity: Severity = "warning"
            text = f"{task}: {_told(typical)} of the weighted gradient in the shared layers is this head's"
            evidence = (
                Evidence("share, median of the second half", typical, "", f"{percent(HEAD_SHARE)} or more"),
            )
            findings.append(Finding(Code.HEAD_STARVED, task, severity, "likely", text, evidence))
    if not measured:
        return not_run(name, "needs two heads and three records of their gradients")
    return ruling(name, findings, "no head is below its share")
