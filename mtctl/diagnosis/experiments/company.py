"""What the other tasks do to one that learns without them: drown it, oppose it, or something unknown."""

from __future__ import annotations

from collections.abc import Callable

from mtctl.balancing.fixed import Equal
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.laboratory import Laboratory
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.thresholds import OPPOSED, PULLED_APART, SMALL_SHARE
from mtctl.problems.supervised.interventions import RAW, Balanced, Intervention

Helps = Callable[[str, Intervention], Evidence | None]
"""Trains with an intervention, by name; returns what came of it if that helps the task."""


def blame(
    laboratory: Laboratory, task: str, costs: str, proof: tuple[Evidence, ...], helps: Helps
) -> Finding:
    """Return what the others do to a task.

    A conflict is accused only where equal weights do not help, a dominance only where the task's share of the
    gradient is small or equal shares help. What neither explains is said to be unknown.

    Args:
        laboratory: makes the experiments.
        task: whose.
        costs: a sentence's end: what company costs the task.
        proof: the figures of the training without the others.
        helps: tells whether a change of the balancer helps.
    """
    small = drowned(laboratory, task)
    balanced = [method.kind for method in laboratory.recipe.chain] != [Equal().kind]
    raw = helps("with equal weights", RAW) if balanced else None
    other, cosine = most_opposed(laboratory, task)
    angle = Evidence(f"mean cosine with {other}'s gradient", cosine, "", f"opposed below {OPPOSED:g}")
    if raw is None and cosine <= OPPOSED:
        return _conflict(laboratory, task, other, costs, (*proof, angle))
    equal = (
        None if raw is not None and not small else helps("with equal gradient shares", laboratory.equal(task))
    )
    if small or (equal is not None and raw is None):
        cured = [evidence for evidence in (equal, raw) if evidence is not None]
        cure = laboratory.equal(task) if equal is not None else RAW if raw is not None else None
        return _dominance(laboratory, task, costs, (*proof, *cured), cure)
    if raw is not None:
        return _settings(laboratory, task, costs, (*proof, raw))
    if cosine < PULLED_APART:
        return _conflict(laboratory, task, other, costs, (*proof, angle))
    return _unknown(task, costs, (*proof, *_shares(laboratory, task), angle))


def drowned(laboratory: Laboratory, task: str) -> bool:
    """Say whether a task's share of the trunk's gradient is far below a fair one."""
    share, fair = laboratory.joint.signal("gradient_share", task), 1 / len(laboratory.joint.problem.tasks)
    return share is not None and share <= SMALL_SHARE * fair


def most_opposed(laboratory: Laboratory, task: str) -> tuple[str, float]:
    """Return the other task whose gradient has the lowest mean cosine with this one's, and that cosine."""
    joint = laboratory.joint
    cosines = {other: joint.cosine(task, other) or 0.0 for other in joint.problem.tasks if other != task}
    other = min(cosines, key=lambda name: cosines[name])
    return other, cosines[other]


def _dominance(
    laboratory: Laboratory, task: str, costs: str, evidence: tuple[Evidence, ...], cure: Balanced | None
) -> Finding:
    text = f"the other tasks' gradients drown {task} in the trunk: without them {costs}"
    changes = {} if cure is None else laboratory.recipe.changes(cure)
    figures = (*evidence, *_shares(laboratory, task))
    return Finding(Code.MULTIPLIER_DOMINANCE, task, "error", "measured", text, figures, changes)


def _shares(laboratory: Laboratory, task: str) -> tuple[Evidence, ...]:
    joint, evidence = laboratory.joint, []
    if (share := joint.signal("gradient_share", task)) is not None:
        evidence.append(Evidence("share of the trunk's gradient", 100 * share, "%"))
    if (multiplier := joint.signal("own_weight", task)) is not None:
        largest = max(joint.signal("own_weight", name) or 0.0 for name in joint.problem.tasks)
        evidence.append(Evidence("multiplier ∂total/∂loss", multiplier, "", f"largest {largest:.4g}"))
    return tuple(evidence)


def _conflict(
    laboratory: Laboratory, task: str, other: str, costs: str, evidence: tuple[Evidence, ...]
) -> Finding:
    text = (
        f"{task}'s gradient opposes {other}'s: they pull the shared parameters in opposite directions; "
        f"without the other tasks {costs}"
    )
    cure = laboratory.recipe.changes(Balanced("pcgrad"))
    return Finding(Code.CONFLICT, task, "error", "measured", text, evidence, cure)


def _settings(laboratory: Laboratory, task: str, costs: str, evidence: tuple[Evidence, ...]) -> Finding:
    kinds = " + ".join(method.kind for method in laboratory.recipe.chain)
    text = f"the weights of {kinds} hold {task} back: without them, or the other tasks, {costs}"
    cure = laboratory.recipe.changes(RAW)
    return Finding(Code.BALANCER_SETTINGS, task, "error", "measured", text, evidence, cure)


def _unknown(task: str, costs: str, evidence: tuple[Evidence, ...]) -> Finding:
    text = (
        f"the other tasks hold {task} back: without them {costs}. Why is unknown: neither the shares nor the "
        "angles of the gradients explain it"
    )
    return Finding(Code.INTERFERENCE, task, "error", "measured", text, evidence)
