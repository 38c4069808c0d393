"""What a step's balancing did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import cosines


@dataclass(frozen=True, slots=True)
class Report:
    """The losses, weights and gradients of one step, of the tasks that were present. All plain numbers.

    What is about gradients is None where neither the method nor `measure=True` asked for them: nothing is
    computed for the report alone.

    Args:
        method: the balancing method, or methods.
        losses: before weighting.
        weights: of the gradients on shared parameters.
        own_weights: of the gradients on all other parameters.
        space: where gradients were measured: "last_shared", "all_shared" or "features".
        gramian: [n, n] float64 inner products of the n present tasks' gradients there.
        own_norms: of the gradients on each task's own parameters, NaN for a task without any; only measured
            (`measure=True`, or by a monitor).
        parameters: those that they were measured on.
        reason: how these were chosen, or why there are none although they were asked for.
        unshared: tasks whose loss depends on no shared parameter: nothing balances them.
        scale: what the losses were multiplied with against underflow, None without; all numbers here are
            those without it.
        overflowed: whether scaled losses or gradients were not finite: weights are 0, `.grad` is infinite, so
            that a GradScaler skips the step, and the balancer rests.
    """

    method: str
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    own_weights: Mapping[str, float]
    space: Space | None = None
    gramian: Tensor | None = None
    own_norms: Mapping[str, float] | None = None
    parameters: tuple[Tensor, ...] = ()
    reason: str = ""
    unshared: tuple[str, ...] = ()
    scale: float | None = None
    overflowed: bool = False

    @property
    def norms(self) -> dict[str, float] | None:
        """‖∇Lᵢ‖ of each task, before weighting."""
        if self.gramian is None:
            return None
        return dict(zip(self.losses, self.gramian.diagonal().sqrt().tolist(), strict=True))

    @property
    def cosines(self) -> dict[tuple[str, str], float] | None:
        """Cosine of the angle between the gradients of each pair of tasks; NaN where one of them is 0."""
        if self.gramian is None:
            return None
        angles, tasks = cosines(self.gramian).tolist(), list(self.losses)
        return {
            (first, second): angles[i][j]
            for i, first in enumerate(tasks)
            for j, second in enumerate(tasks[i + 1 :], i + 1)
        }

    @property
    def conflicts(self) -> tuple[tuple[str, str], ...] | None:
        """The pairs of tasks whose gradients point against each other: cosine below 0."""
        found = self.cosines
        return None if found is None else tuple(pair for pair, cosine in found.items() if cosine < 0)

    def __str__(self) -> str:
        """Return a small table."""
        names = [*self.losses]
        columns = {"loss": self.losses, "weight": self.weights}
        if self.own_weights != self.weights:
            columns["own weight"] = self.own_weights
        if (norms := self.norms) is not None:
            columns["gradient norm"] = norms
        width = max(map(len, ["task", *names]))
        lines = [f"{self.method}", f"{'task':<{width}}  " + "  ".join(f"{one:>13}" for one in columns)]
        for name in names:
            cells = "  ".join(f"{column[name]:>13.4g}" for column in columns.values())
            lines.append(f"{name:<{width}}  {cells}")
        for first, second in self.conflicts or ():
            lines.append(f"{first} and {second} conflict")
        if self.reason:
            lines.append(f"gradients on {self.reason}" if self.space else self.reason)
        lines += [f"{task} depends on no shared parameter" for task in self.unshared]
        if self.overflowed:
            lines.append(
                f"overflow at a scale of {self.scale:g}: the step is skipped, and the balancer is unchanged"
            )
        elif self.scale is not None:
            lines.append(f"losses and `.grad` are multiplied by {self.scale:g}; these figures are not")
        return "\n".join(lines)
