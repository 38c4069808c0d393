"""One task of a user's model: its loss, row by row, its best constant, and the unit that its head answers in.

A standardised task answers ŷ = c + s·z, z the head's output: c is the constant that is best on the training
targets, s their standard deviation (1 where outputs and targets differ in shape, as for classes). Where the
shapes agree, z is learned from (y − c)/s by the task's own loss, in that unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.contract import Cause
from mtctl.problems.python.batches import Rows, row_count, selected, shape_of, target_of, tensors
from mtctl.problems.python.builder import call
from mtctl.problems.python.training import Task
from mtctl.problems.supervised.answers import Choices

Reduction = Literal["mean", "sum", "elements", "batch"]
"""What a task's loss of a batch is: the mean of its rows' losses, their sum, their mean weighted by how many
targets each row has (as of padded sequences), or nothing that rows have."""
_ALIKE: Final = 1e-3
"""Relative difference up to which a loss counts as the mean, or the sum, of its rows' losses: float32."""
_IGNORED: Final = -100
"""The class that torch's cross-entropy leaves out."""
_FITTED: Final = 8192
"""Training rows, at most, that a best constant is fitted to."""


class Pair(NamedTuple):
    """Outputs [N, …] of a task's head and targets [N, …], without the rows that have no target."""

    output: Tensor
    target: Tensor


class WrongClass(NamedTuple):
    """A target that is none of a task's classes.

    Args:
        row: of the batch, from 0.
        value: of the target.
        classes: how many there are, counted from 0.
    """

    row: int
    value: int
    classes: int

    def cause(self, batch: str) -> Cause:
        """Return what is said of it, and what to do about it."""
        last = self.classes - 1
        found = (
            f"target {self.value} in row {self.row} of {batch}, which is none of its {self.classes} classes, "
            f"0 to {last}"
        )
        if self.value < 0:
            remedy = (
                f"if {self.value} marks rows without a target, let the loss leave them out, "
                f"`ignore_index={self.value}`, or say which rows have one: mtctl.Task(…, mask=…)"
            )
        else:
            remedy = (
                f"count classes from 0 to {last}, or give the head an output for each class, "
                f"{self.value + 1} or more"
            )
        return Cause(found, remedy)


class Objective:
    """What one task minimises.

    Args:
        name: of the task.
        task: of the user.
        place: among the tasks of the user's model.
        tasks: how many there are.
        standardised: whether its head answers in units of its targets.
    """

    def __init__(self, name: str, task: Task, place: int, tasks: int, *, standardised: bool) -> None:
        self.name, self._task = name, task
        self._place, self._tasks = place, tasks
        self.standardised = standardised
        self.constant: Tensor | None = None
        self.scale: Tensor | None = None
        self.reduction: Reduction = "mean"
        self.misfit = ""
        """What is wrong with the shapes of outputs and targets, if anything is."""
        self.in_unit = False
        """Whether outputs and targets are numbers of one unit, as in a regression: not so with logits."""
        self._batched = True
        self.shape: torch.Size | None = None
        """Of the head's answer for a row, once that is known."""
        self._ignored = {_IGNORED: True}
        """Whether the loss leaves out a class that there is not, by its number."""

    # ----- outputs and targets

    def target(self, rows: Rows) -> Tensor | None:
        """Return the targets of a batch; None where it has none of this task."""
        target = target_of(self.name, self._task, self._place, self._tasks, rows.batch)
        if target is None:
            return None
        if not isinstance(target, Tensor):
            raise MtctlError(
                f"the target of `{self.name}` is {shape_of(target)}, expected a tensor",
                hint="let the loader yield tensors, or make one: target=lambda batch: torch.tensor(…)",
            )
        return target.reshape(1) if not target.dim() else target

    def pair(self, output: Tensor, rows: Rows) -> Pair | None:
        """Return outputs and targets of the rows that have a target; None where no row has one."""
        target = self.target(rows)
        if target is None:
            return None
        self._refuse_misfits(output, target)
        if rows.first is not None:
            output, target = output[: rows.first], target[: rows.first]
        present = self._present(target, rows)
        if present is None:
            return Pair(output, target)
        return Pair(output[present], target[present]) if present.any() else None

    def _refuse_misfits(self, output: Tensor, target: Tensor) -> None:
        if output.device != target.device:
            raise MtctlError(
                f"`{self.name}`: outputs are on {output.device}, targets on {target.device}",
                hint="leave targets where the loader yields them: mtctl moves batches to the model's device",
            )
        if not output.dim() or len(output) != len(target):
            raise MtctlError(
                f"`{self.name}`: outputs {list(output.shape)}, targets {list(target.shape)}: rows differ",
                hint="the first dimension of both is the rows of the batch",
            )

    def _present(self, target: Tensor, rows: Rows) -> Tensor | None:
        """Return [N] which rows have a target; None where all have."""
        if self._task.mask is not None:
            mask: Tensor = selected(self._task.mask, rows.batch, f"the mask of `{self.name}`")
            present = mask.bool().reshape(-1)[: len(target)]
        else:
            present = self._known(target).any(1)
        return None if bool(present.all()) else present

    # ----- losses

    def minimised(self, pair: Pair) -> Tensor:
        """Return the scalar that is minimised on a batch, in the unit that the head answers in."""
        if not self.standardised or self.constant is None:
            return self._loss(*pair)
        if self.in_unit and self._same_shape(pair):
            assert self.scale is not None
            return self._loss(pair.output, (pair.target - self.constant) / self.scale)
        return self._loss(self.constant + pair.output, pair.target)

    def answered(self, output: Tensor) -> Tensor:
        """Return what a head's output says, in the targets' own unit."""
        if not self.standardised or self.constant is None:
            return output
        assert self.scale is not None
        return self.constant + self.scale * output

    def loss(self, pair: Pair) -> Tensor:
        """Return the loss of a batch in the targets' own unit."""
        return self._loss(self.answered(pair.output), pair.target)

    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        if (outside := self._outside(output, target)) is not None and outside.any():
            return (
                output * torch.nan
            ).sum()  # as other targets that are wrong; torch would fail, or end CUDA
        loss = call(f"the loss of `{self.name}`", self._task.loss, output, target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = shape_of(loss) if isinstance(loss, Tensor) else type(loss).__name__
            raise MtctlError(
                f"the loss of `{self.name}` is {found}, expected a scalar tensor",
                hint="reduce it over the rows: loss.mean()",
            )
        return loss.reshape(())

    def row_losses(self, pair: Pair) -> Tensor:
        """Return the rows' losses [N] in the targets' own unit; [1] where rows have none of their own."""
        return self._rows(Pair(self.answered(pair.output), pair.target))

    def _rows(self, pair: Pair) -> Tensor:
        if self.reduction == "batch":
            return self._loss(*pair).reshape(1)
        outside = self._outside(*pair)
        if outside is not None and outside.any():
            losses = pair.output.new_full((len(outside),), torch.nan)
            if not outside.all():
                losses[~outside] = self._rows(_without(pair, outside)).to(losses)
            return losses
        if self._batched:
            losses = torch.func.vmap(self._of_row, randomness="same")(*pair)
        else:
            losses = torch.stack([self._of_row(*row) for row in zip(*pair, strict=True)])
        return losses * self._weights(pair.target) if self.reduction == "elements" else losses

    def _of_row(self, output: Tensor, target: Tensor) -> Tensor:
        return self._task.loss(output.unsqueeze(0), target.unsqueeze(0)).reshape(())

    @torch.no_grad()
    def learn_reduction(self, pair: Pair) -> None:
        """Find out what the loss of a batch is to the losses of its rows."""
        if (outside := self._outside(*pair)) is not None and not outside.all():
            pair = _without(pair, outside)
        whole = float(self._loss(*pair))
        self.reduction = "mean"
        for batched in (True, False):
            self._batched = batched
            try:
                rows = self._rows(pair)
            except Exception:  # noqa: BLE001, S112 - a loss may do anything; rows need not have one
                continue
            reductions: tuple[tuple[Reduction, Tensor], ...] = (
                ("mean", rows.mean()),
                ("sum", rows.sum()),
                ("elements", (rows * self._weights(pair.target)).mean()),
            )
            for reduction, value in reductions:
                if abs(float(value) - whole) <= _ALIKE * max(abs(whole), 1e-12):
                    self.reduction = reduction
                    return
        self.reduction = "batch"

    @torch.no_grad()
    def refuse_broadcast(self, pair: Pair) -> None:
        """Note whether the loss compares every answer with every row's target, as of [N, 1] with [N].

        Answers that are the targets show it: their loss is then not that of their rows.
        """
        output, target = pair
        if output.shape == target.shape or output.numel() != target.numel() or len(target) < 2:
            return
        if not target.is_floating_point():
            return
        exact = target.reshape(output.shape)
        whole = float(self._loss(exact, target))
        rows = torch.stack([self._of_row(*row) for row in zip(exact, target, strict=True)])
        alike = (abs(float(found) - whole) <= _ALIKE * abs(whole) for found in (rows.mean(), rows.sum()))
        if not any(alike):
            self.misfit = (
                f"`{self.name}`: outputs {list(output.shape)} and targets {list(target.shape)} broadcast: "
                "the loss compares every answer with every row's target, so give both the same shape"
            )

    def choices(self, pair: Pair) -> Choices | None:
        """Return what answers would lose on each class; None where targets are no classes.

        Outputs [N, C, …] of classes [N, …], or one logit for a row that is of a class, 1, or is not, 0.
        """
        output, target = self.answered(pair.output), pair.target
        if self.in_unit or self.reduction == "batch":
            return None
        if not target.is_floating_point() and target.dtype != torch.bool:
            if output.dim() != target.dim() + 1 or output.shape[2:] != target.shape[1:]:
                return None
            classes = output.shape[1]
            output, target = output.movedim(1, -1).reshape(-1, classes), target.reshape(-1)
            known = (target >= 0) & (target < classes)
        elif output.numel() == target.numel() == len(target) and bool(((target == 0) | (target == 1)).all()):
            classes, known = 2, torch.ones(len(target), dtype=torch.bool, device=target.device)
        else:
            return None
        output, target = output[known], target[known]
        try:
            losses = [self._rows(Pair(output, torch.full_like(target, label))) for label in range(classes)]
        except Exception:  # noqa: BLE001 - a loss of the user's, which may need whole sequences
            return None
        return Choices(torch.stack(losses, 1).cpu(), target.reshape(-1).long().cpu())

    # ----- the best constant

    def fit(self, targets: Tensor, output: Tensor) -> None:
        """Find the constant that is best on training targets, and their standard deviation.

        Args:
            targets: [N, …] of training rows.
            output: [n, …] of the head, whose shape the constant has.
        """
        self.shape = shape = output.shape[1:]
        targets = targets[~self._unusable(targets)][:_FITTED]
        same = targets.shape[1:] == shape and targets.is_floating_point()
        self.in_unit = same and self._least_at_targets(targets)
        starts = [torch.zeros(shape, device=output.device)]
        if self.in_unit:
            finite = torch.where(targets.isfinite(), targets, torch.nan)
            starts += [finite.nanmean(0).nan_to_num(), finite.nanmedian(0).values.nan_to_num()]
            spread = (finite - starts[1]).square().nanmean(0).sqrt()
            self.scale = torch.where(spread > 0, spread, 1.0).nan_to_num(1.0).float()
        else:
            self.scale = torch.ones((), device=output.device)
            starts += self._log_shares(targets, shape)
        self.constant = self._fitted(starts, targets)
        if self.constant is None and (whole := self._known(targets).all(1)).any():
            self.constant = self._fitted(starts, targets[whole])

    @torch.no_grad()
    def _least_at_targets(self, targets: Tensor) -> bool:
        """Say whether answers that are the targets are the best ones: of logits, larger ones are better."""
        known = targets[self._known(targets).all(1)]
        if not len(known):
            return True
        step = (float(known.std()) if known.numel() > 1 else 0.0) or 1.0
        try:
            exact, *moved = (float(self._loss(known + by, known)) for by in (0.0, step, -step))
            both = float(self._loss(known + step * (known - known.mean()).sign(), known))
        except MtctlError:
            return True
        return exact < min(*moved, both)

    @staticmethod
    def _log_shares(targets: Tensor, shape: torch.Size) -> list[Tensor]:
        """Return the logarithms of the classes' shares, where outputs [C, …] are of classes [N, …]."""
        if targets.is_floating_point() or not shape:
            return []
        known = targets[(targets >= 0) & (targets < shape[0])].long()
        counts = torch.bincount(known.flatten(), minlength=shape[0]).float().clamp(min=0.5)
        log = (counts / counts.sum()).log()
        return [log.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).to(targets.device)]

    def _fitted(self, starts: Sequence[Tensor], targets: Tensor) -> Tensor | None:
        """Return the constant of least loss: the best start, moved by L-BFGS where that lowers it."""

        def loss_of(constant: Tensor) -> Tensor:
            loss = self._loss(constant.expand(len(targets), *constant.shape), targets)
            return loss / len(targets) if self.reduction == "sum" else loss

        try:
            with torch.no_grad():
                scored = [(float(loss_of(start)), start) for start in starts]
            scored = [(loss, start) for loss, start in scored if loss == loss]  # noqa: PLR0124 - NaN
            if not scored:
                return None
            least, best = min(scored, key=lambda entry: entry[0])
            with torch.enable_grad():
                moved = best.detach().clone().float().requires_grad_()
                optimizer = torch.optim.LBFGS([moved], max_iter=100, line_search_fn="strong_wolfe")

                def closure() -> float:
                    optimizer.zero_grad()
                    loss = loss_of(moved)
                    loss.backward()
                    return float(loss.detach())

                optimizer.step(closure)
            with torch.no_grad():
                return moved.detach() if float(loss_of(moved.detach())) < least else best.detach()
        except MtctlError:
            raise
        except Exception:  # noqa: BLE001 - a loss that has no gradient at a constant, or is none of a constant
            return None

    def distance(self, targets: Tensor) -> float:
        """Return how far a head has to travel: RMS distance of targets from its first answers, in its unit.

        First answers are about 0, or about the constant of a standardised task. NaN for other targets.
        """
        assert self.scale is not None
        if self.constant is None or not self.in_unit:
            return float("nan")
        gap = (targets - self.constant) / self.scale if self.standardised else targets
        return float(gap[gap.isfinite()].double().square().mean().sqrt())

    def constant_losses(self, targets: Tensor) -> Tensor:
        """Return the losses [N] of the best constant on targets [N, …], in their own unit."""
        assert self.constant is not None
        return self._rows(Pair(self.constant.expand(len(targets), *self.constant.shape), targets))

    @torch.no_grad()
    def constant_losses_of(self, rows: Rows) -> Tensor:
        """Return the losses of the best constant on the rows of a batch that have a target."""
        assert self.constant is not None
        target = self.target(rows)
        if target is None:
            return torch.empty(0)
        pair = self.pair(self.constant.expand(len(target), *self.constant.shape), rows)
        return torch.empty(0) if pair is None else self._rows(pair)

    def wrong(self, targets: Tensor) -> Tensor:
        """Return [N] which training targets are infinite, partly missing, or no class that there is."""
        unusable = self._unusable(targets)
        if not targets.is_floating_point():
            return unusable
        known = self._known(targets)
        partly = known.any(1) & ~known.all(1) & ~unusable
        return unusable | (partly & ~self._bears(targets, partly))

    def wrong_class(self, rows: Rows) -> WrongClass | None:
        """Return the first target of a batch that is no class; None where there is none."""
        target = self.target(rows)
        if target is None or self.shape is None:
            return None
        target = target[: rows.first]
        present = self._present(target, rows)
        outside = self._unusable(target) if present is None else self._unusable(target) & present
        if target.is_floating_point() or not outside.any():
            return None
        row, classes = int(outside.nonzero()[0]), self.shape[0]
        numbers = target[row].flatten()
        wrong = ((numbers < 0) | (numbers >= classes)) & self._known(target[row : row + 1])[0]
        return WrongClass(row, int(numbers[wrong][0]), classes)

    def _unusable(self, targets: Tensor) -> Tensor:
        """Return [N] which targets are infinite, or no class that there is."""
        if targets.is_floating_point():
            return _flat(targets).isinf().any(1)
        outside = None
        if self.shape is not None:
            outside = self._outside(torch.zeros(1, device=targets.device).expand(1, *self.shape), targets)
        none = torch.zeros(len(targets), dtype=torch.bool, device=targets.device)
        return none if outside is None else outside

    def _outside(self, output: Tensor, target: Tensor) -> Tensor | None:
        """Return [N] which rows have a class that there is not; None where targets are no classes.

        Args:
            output: [n, C, …].
            target: [N, …].
        """
        if target.is_floating_point() or target.dtype == torch.bool or output.dim() < 2:
            return None
        if output.shape[2:] != target.shape[1:]:
            return None
        flat, classes = _flat(target), output.shape[1]
        outside = (flat < 0) | (flat >= classes)
        for number in flat[outside].unique().tolist() if bool(outside.any()) else ():
            if self._leaves_out(output, target, number):
                outside &= flat != number
        return outside.any(1)

    @torch.no_grad()
    def _leaves_out(self, output: Tensor, target: Tensor, number: int) -> bool:
        """Say whether the loss leaves out a class that there is not, as with `ignore_index`."""
        if number not in self._ignored:
            row = torch.full_like(target[:1], number, device="cpu")
            try:
                self._task.loss(output[:1].detach().cpu(), row)  # on the CPU a wrong class is an error
                self._ignored[number] = True
            except Exception:  # noqa: BLE001 - a loss of the user's
                self._ignored[number] = False
        return self._ignored[number]

    def _known(self, targets: Tensor) -> Tensor:
        """Return [N, numbers of a row] which targets are not missing."""
        flat = _flat(targets)
        if flat.is_floating_point():
            return ~flat.isnan()
        left_out = [number for number, ignored in self._ignored.items() if ignored]
        return ~torch.isin(flat, torch.tensor(left_out, device=flat.device))

    def _weights(self, targets: Tensor) -> Tensor:
        """Return [N] how many targets each row has, over their mean."""
        known = self._known(targets).sum(1).float()
        return known / known.mean()

    def _bears(self, targets: Tensor, partly: Tensor) -> Tensor:
        """Return [N] whether the loss is finite on targets that are partly missing."""
        borne = torch.zeros_like(partly)
        if self.constant is None or not partly.any():
            return borne
        losses = self.constant_losses(targets[partly])
        return borne.masked_scatter(partly, losses.isfinite().expand(int(partly.sum())))

    def _same_shape(self, pair: Pair) -> bool:
        return pair.output.shape == pair.target.shape and pair.target.is_floating_point()


def _without(pair: Pair, rows: Tensor) -> Pair:
    """Return a pair without some rows [N]."""
    return Pair(pair.output[~rows], pair.target[~rows])


def _flat(targets: Tensor) -> Tensor:
    """Return targets as [N, numbers of a row]."""
    return targets.flatten(1) if targets.dim() > 1 else targets[:, None]


def rows_of(rows: Rows) -> int:
    """Return how many rows of a batch count."""
    count = row_count(rows.batch) or max((len(t) for t in tensors(rows.batch) if t.dim()), default=1)
    return count if rows.first is None else min(count, rows.first)
