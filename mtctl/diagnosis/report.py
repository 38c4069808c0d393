"""What a diagnosis says: how each task does, what was found and how surely, what was tried, what helped.

Everything here is plain data, in the order in which a reader wants it; screens and JSON are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mtctl.diagnosis.codes import Code
from mtctl.problems import kinds
from mtctl.statistics import Estimate

if TYPE_CHECKING:
    from mtctl.problems.kind import Kind

    KnownCode = Code
else:
    KnownCode = Code | str  # in a document of a later version

Severity = Literal["error", "warning", "info"]
"""`error`: a task does not learn, or something is wired wrongly. `warning`: it costs a task something.
`info`: worth knowing."""
Confidence = Literal["certain", "measured", "likely", "possible"]
"""`certain`: read off the wiring or the data. `measured`: an experiment removed the cause, and the task
learned. `likely`: signals say so, no experiment was made. `possible`: only curves say so."""
State = Literal["learns", "at_floor", "slow", "flat", "rising", "diverged", "unknown"]
"""`at_floor`: does not move because there is little left to learn. `slow`: moves, but not far enough in the
budget. `rising`: the loss rises, from the start or from its lowest point."""
Outcome = Literal["passed", "found", "not_run"]
Verdict = Literal["helps", "without_inputs", "no_effect", "harms", "unclear", "failed"]
"""`without_inputs`: the loss is lower, and other rows' inputs give the same: the task learned to do
without them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One figure that a finding rests on.

    Args:
        name: what was measured, e.g. "share of the trunk's gradient".
        value: the figure; text where it is not a number.
        unit: of the figure, e.g. "%", "updates"; "" for a ratio.
        against: what it was compared with, e.g. "below 1 %" or "as is 15.59".
    """

    name: str
    value: float | str
    unit: str = ""
    against: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found out.

    Args:
        code: stable name of the cause; `mtctl.diagnosis.explanations` says what it means.
        task: whose; None if it is about the run as a whole.
        severity: how bad.
        confidence: how sure.
        summary: one sentence.
        evidence: the figures.
        cure: the change of the recipe that removed the cause in an experiment, by dotted key; empty where
            none did.
    """

    code: KnownCode
    task: str | None
    severity: Severity
    confidence: Confidence
    summary: str
    evidence: tuple[Evidence, ...] = ()
    cure: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at, or was not.

    Args:
        name: what, e.g. "parameters in the optimizer".
        outcome: what came of it.
        detail: the result in a few words, or the reason why it was not run.
    """

    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TaskState:
    """How one task does in the budget, as is, from the first seed.

    Args:
        task: its name.
        state: the verdict.
        first: loss before the first update, or in the first record, original units; of a task that is played,
            its return.
        last: the same at the end of the budget.
        change: (last − first)/first.
        constant: loss of the best constant prediction; None where that is not known.
        skill: 1 − last/constant; of what is played, the final policies' part of the way from random play to a
            good policy, where it was measured; None likewise.
        steps: updates, or environment steps, until skill reached the threshold; None if it did not while it
            was watched.
        trend: relative change of the loss over the last third of the budget; None with too few records.
        measures: further figures in the task's own units, e.g. "start_mae".
        classes: whether its targets are classes; None where that is not known.
        unit: its targets' best constant and standard deviation, where both are numbers.
    """

    task: str
    state: State
    first: float
    last: float
    change: float
    constant: float | None = None
    skill: float | None = None
    steps: float | None = None
    trend: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    classes: bool | None = None
    unit: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Symptom:
    """The documented check: one task's loss is FLAT while another's is IMPROVING (see thresholds.py).

    Args:
        present: whether that is so.
        flat: tasks whose loss moved by less than FLAT.
        improving: tasks whose loss improved by more than IMPROVING.
        updates: after how many updates: the check depends on it, whatever the number of epochs.
    """

    present: bool
    flat: tuple[str, ...]
    improving: tuple[str, ...]
    updates: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """A counterfactual training, paired with the run as is: same seed, initial weights and order of the data.

    Args:
        name: what was changed, e.g. "countdown alone".
        task: the task that it is about.
        steps: updates, or environment steps of what is played, until the task's skill reached the threshold;
            None: not while it was watched.
        watched: updates, or environment steps, that it was watched for.
        speedup: steps as is / steps here; a lower bound where the run as is never got there; None where this
            one did not.
        skill: at the end of the budget; None where the training was stopped before.
    """

    name: str
    task: str
    steps: float | None
    watched: int
    speedup: float | None
    skill: float | None


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the recipe that may help.

    Args:
        name: stable, e.g. "standardise".
        title: in a few words, e.g. "standardised countdown head".
        overrides: `-o` arguments that make the change.
        documented: which of the documented fixes it is, e.g. "fix 3"; "" for ours.
        changes_model: whether old checkpoints no longer fit.
        changes: the same change as values, for `Recipe.revised`.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    documented: str = ""
    changes_model: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a remedy did, paired by seed with the run as is.

    Args:
        remedy: what was tried.
        verdict: what came of it for the stuck task.
        loss: the stuck task's held-out loss at the end, original units, over seeds; of what is played, its
            final policy's mean return.
        improvement: by how much that is better than as is, paired by seed: positive is better.
        skill: the stuck task's, over seeds.
        others: for each other task, the change of its skill (with − as is), paired: negative is a cost.
        failure: why it could not be trained, for `failed`.
        blind: the held-out loss that answers without any input reach, where that is less than a constant's.
    """

    remedy: Remedy
    verdict: Verdict
    loss: Estimate | None = None
    improvement: Estimate | None = None
    skill: Estimate | None = None
    others: Mapping[str, Estimate] = field(default_factory=dict)
    failure: str = ""
    blind: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was diagnosed.

    Args:
        kind: "recipe", "run" or "metrics".
        name: the recipe's name, or the path as the user wrote it.
        problem: the kind of problem; "" for a metrics file from elsewhere.
        unit: "epoch", "episode", "step".
        units: how many, in the budget.
        updates: in the budget.
        seeds: that were trained.
        tasks: names.
    """

    kind: Literal["recipe", "run", "metrics"]
    name: str
    problem: str
    unit: str
    units: int
    updates: int | None
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]

    @property
    def played(self) -> Kind[Any] | None:
        """The kind of problem where it is one that is played; None where losses say how tasks do."""
        kind = kinds.KINDS.get(self.problem)
        return kind if kind is not None and kind.played else None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that a diagnosis says.

    Args:
        subject: what was diagnosed.
        states: how each task does.
        symptom: the documented check; None where it makes no sense.
        signals: for each signal (see engine/layout.py), e.g. "gradient_share", its figures by task.
        findings: the most important first.
        checks: what was looked at, and what was not.
        experiments: counterfactual trainings.
        trials: remedies, the best first; empty without verification.
        smallest: the smallest part of the winner that keeps most of its gain; None where all of it is needed.
        stuck: the task that the trials are about.
        notes: what else a reader should know, e.g. where a documented story does not hold.
        seconds: wall-clock.
        recipe: the resolved recipe that was diagnosed, as YAML, with its own length: what a remedy changes;
            None where there is none, as in documents of earlier versions.
    """

    subject: Subject
    states: tuple[TaskState, ...]
    symptom: Symptom | None
    signals: Mapping[str, Mapping[str, float | None]]
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    experiments: tuple[Experiment, ...] = ()
    trials: tuple[Trial, ...] = ()
    smallest: Trial | None = None
    stuck: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    recipe: str | None = None

    @property
    def winner(self) -> Trial | None:
        """The best remedy that helps, or None if none does."""
        return next((trial for trial in self.trials if trial.verdict == "helps"), None)
