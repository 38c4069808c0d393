"""The two lines for anyone's own training loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from torch import Tensor, distributed

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.contract import Space
from mtctl.balancing.errors import BalanceError, NonFiniteError
from mtctl.catalogue.settings import Spec
from mtctl.library.balancer import Balancer
from mtctl.library.gradients import LossGradients
from mtctl.library.joined import JoinedGradients, Made, join
from mtctl.library.ranks import Ranks
from mtctl.library.report import Report
from mtctl.library.scaling import Scale, Unscaled, spoil
from mtctl.library.sharing import checked
from mtctl.library.watcher import Watcher

SPACES: Final[tuple[Space, ...]] = ("all_shared", "features", "last_shared")
"""Where gradients may have been measured, the most telling first."""
_UNKNOWN: Final = "no shared parameter is known yet, so gradients are not balanced"


def balance(
    losses: Mapping[str, Tensor | None],
    shared: Iterable[Tensor] | None = None,
    balancer: Balancer | Spec | Chain = "equal",
    *,
    last_shared: Iterable[Tensor] | None = None,
    measure: bool = False,
    retain_graph: bool = False,
    scale: Scale | None = None,
    monitor: Watcher | None = None,
    ranks: Ranks | None = None,
    rows: Mapping[str, float] | None = None,
) -> Report:
    """Add the balanced gradient of several losses to `.grad`, in place of `loss.backward()`.

        shared parameters  .grad += Σᵢ wᵢ·∇Lᵢ,   all others  .grad += Σᵢ vᵢ·∇Lᵢ

    with wᵢ the method's weights, and vᵢ = wᵢ for methods that weigh whole losses, vᵢ = 1 for those that
    combine gradients (PCGrad, CAGrad, …).

    >>> import torch, mtctl
    >>> trunk, left, right = torch.nn.Linear(4, 8), torch.nn.Linear(8, 1), torch.nn.Linear(8, 1)
    >>> parameters = [*trunk.parameters(), *left.parameters(), *right.parameters()]
    >>> optimizer = torch.optim.Adam(parameters)
    >>> balancer = mtctl.Balancer("pcgrad")                     # once, next to the optimizer
    >>> for _ in range(3):
    ...     features = trunk(torch.randn(16, 4)).relu()
    ...     losses = {"left": left(features).square().mean(), "right": right(features).abs().mean()}
    ...     optimizer.zero_grad()
    ...     report = mtctl.balance(losses, balancer=balancer)   # in place of loss.backward()
    ...     optimizer.step()
    >>> sorted(report.weights)
    ['left', 'right']

    Shared are the parameters that the losses of at least two tasks reach through the autograd graph, in this
    step or in earlier ones; the rest of a loss's parameters are its own. Leave a task's loss out, or None,
    where a step has no data of it: it then has no part in the step, and its state rests. As long as no step
    has shown two tasks with a parameter in common, methods on gradients rest and a loss counts as it is, with
    weight 1; give `shared` to have them from the first step on. Where a later step shows that more is shared,
    or a task that does not depend on the last shared layer, averages of norms and angles begin anew.

    Call this several times before `optimizer.step()` to accumulate gradients; the method then balances, and
    counts, each part by itself.

    With a GradScaler, hand in what would have had its `.backward()` called: `scaler.scale(loss)` for each
    loss. The factor that all losses were multiplied with last is found and taken out before the method sees
    losses and gradients, so that scaling changes nothing that is learned; the report is without it, `.grad`
    is with it. A step that overflows leaves an infinite `.grad`, which `scaler.step(optimizer)` skips, and
    the method rests: see `Report.overflowed`. A factor that is not one tensor for all, such as a number, is
    not found: name it by `scale`.

    One pass through the model serves all methods, so that dropout, BatchNorm and recurrent layers see nothing
    unusual. Methods on gradients cost one backward pass through the shared parameters for each task; heads
    are passed once. Inner products of complex gradients are Re⟨g, h⟩. Gradients of sparse embeddings stay
    sparse.

    Hooks: gradients reach `.grad` by torch's own accumulation. Hooks on a parameter, `register_hook` and
    `register_post_accumulate_grad_hook`, are called once in each call, as by `loss.backward()`, with the
    balanced gradient; so optimizers in the backward pass work. Methods look at gradients before such hooks
    change them. Hooks on tensors and modules inside the shared part are called in every pass through it, with
    one task's gradient or a weighted sum: what they do to it is done once to each, and a hook that is not
    linear, such as one that clips, clips each task's. `retain_grad()` there adds up all these passes.

    What torch.compile makes one operation of, trunk and heads together, does not show what is shared: name
    `shared`, or compile the trunk alone. Methods on gradients pass a compiled trunk backwards more than once:
    set `torch._functorch.config.donated_buffer = False` before compiling, if torch asks for it. Where several
    processes train together (DistributedDataParallel), `ranks` makes every one of them take the step of one
    process on the joined batch: see `Ranks`. Without it only weights that are fixed beforehand give exact
    gradients, and all else is refused.

    Args:
        losses: scalars by task name, in any order.
        shared: the shared parameters; found if left out.
        balancer: a `Balancer`; or what it is made from, for methods that need no memory, such as "equal".
        last_shared: where methods such as GradNorm measure; if left out, the last operation of the forward
            pass on a shared matrix that the loss of every task so far depends on, or else all shared
            parameters. The report says which it was.
        measure: also measure norms and angles of the tasks' gradients where the method does not, for the
            report alone: one more backward pass through the shared parameters for each task. `.grad`, hooks
            and random state are as without.
        retain_graph: keep the graph for further backward passes.
        scale: what every loss was multiplied with against underflow: a number, a tensor of one element, or
            the `torch.amp.GradScaler` itself, against which the losses are then checked. If left out, the
            tensor that all losses were multiplied with last, if there is one; 1.0 says that it is a weight.
        monitor: a `Monitor`, which records the step; in the steps that it chooses gradients are measured.
        ranks: the processes that share the batch; each calls this with its own losses, and an empty mapping
            if it has none.
        rows: with `ranks`, over how many rows of this process's batch each loss is the mean. If left out, a
            task counts alike on every process that has it, as in DistributedDataParallel.

    Returns:
        Losses, weights, and what was learned of the gradients.

    Raises:
        BalanceError: a loss or setting is unusable; the message names the task. No `.grad` has been touched.
        ConvergenceError: a method's inner minimisation was not solved; neither has it then.
    """
    keeper = balancer if isinstance(balancer, Balancer) else Balancer(balancer)
    asked = _Asked(keeper, losses, shared, last_shared, scale, retain_graph=retain_graph, measure=measure)
    gradients, scaled_by = _of_one(asked, rows) if ranks is None else _of_several(asked, ranks, rows)
    shown = Unscaled(gradients, scaled_by or 1.0)
    step = _Step(keeper, balancer, measure=measure, watched=monitor is not None and monitor.wants_gradients)
    present = {task: loss for task, loss in losses.items() if loss is not None}
    with _full_precision(present.values()):
        if monitor is not None:
            monitor.see(keeper.tasks, present, shown.losses, scale=shown.scale)
        report = _unscaled(step, shown) if scaled_by is None else _scaled(step, shown)
    report = replace(report, scale=scaled_by)
    if monitor is not None:
        monitor.step(report)
    return report


def look(
    losses: Mapping[str, Tensor],
    balancer: Balancer,
    weights: Mapping[str, float],
    *,
    scale: Scale | None = None,
) -> Report:
    """Return what a step whose losses are weighted by the user shows; no `.grad` and no hook is touched.

    Args:
        losses: scalars by task name, each with a graph, which stays for the step itself.
        balancer: remembers what is shared.
        weights: that the user multiplies losses with; 1 where none is given.
        scale: see `balance`.

    Raises:
        BalanceError: a loss is unusable; the message names the task.
    """
    present = _present(losses)
    tasks = balancer.admit(losses)
    scaled_by = balancer.scaling.of(present, scale, len(tasks))
    gradients = LossGradients(tasks, _single(present), sharing=balancer.sharing, retain_graph=True)
    shown = Unscaled(gradients, scaled_by or 1.0)
    given = torch.tensor([weights.get(task, 1.0) for task in tasks], dtype=torch.float64)
    with _full_precision(present.values()):
        reason = _measured(shown, strict=False)
        report = _report(balancer, shown, Decision(given, given))
    return replace(report, scale=scaled_by, reason=reason or report.reason)


@contextmanager
def _full_precision(losses: Iterable[Tensor]) -> Iterator[None]:
    """Leave autocast, which would round sums and passes to half precision."""
    with ExitStack() as modes:
        for device in {loss.device.type for loss in losses}:
            if torch.is_autocast_enabled(device):
                modes.enter_context(torch.autocast(device, enabled=False))
        yield


class _Asked(NamedTuple):
    """What `balance` was asked for: its arguments."""

    keeper: Balancer
    losses: Mapping[str, Tensor | None]
    shared: Iterable[Tensor] | None
    last_shared: Iterable[Tensor] | None
    scale: Scale | None
    retain_graph: bool
    measure: bool


def _of_one(asked: _Asked, rows: Mapping[str, float] | None) -> tuple[LossGradients, float | None]:
    """Return the gradients of one process's losses, and what these were multiplied with."""
    keeper, present = asked.keeper, _present(asked.losses)
    if rows is not None:
        raise BalanceError(
            "rows: they weigh processes against each other", hint="balance(…, ranks=…, rows=…)"
        )
    tasks = keeper.admit(asked.losses)
    scaled_by = keeper.scaling.of(present, asked.scale, len(tasks))
    gradients = LossGradients(
        tasks,
        _single(present),
        sharing=keeper.sharing,
        shared=checked("shared", asked.shared),
        last_shared=checked("last_shared", asked.last_shared),
        retain_graph=asked.retain_graph,
    )
    _refuse_ranks(keeper, measure=asked.measure)
    return gradients, scaled_by


def _of_several(
    asked: _Asked, ranks: Ranks, rows: Mapping[str, float] | None
) -> tuple[JoinedGradients, float | None]:
    """Return the gradients of all processes' losses, and what these were multiplied with."""
    keeper, given = asked.keeper, asked.losses
    if not isinstance(ranks, Ranks):
        raise BalanceError(
            f"ranks: expected mtctl.Ranks, found {type(ranks).__name__}", hint="ranks=mtctl.Ranks(model)"
        )

    def names() -> list[str]:
        scalars(given)  # or says what is wrong with them
        return [*given]

    def made() -> Made:
        present = scalars(given)
        counts = _counts(keeper, present, rows)
        present = {task: loss for task, loss in present.items() if counts.get(task) != 0}
        _refuse_without_graph(present)
        keeper.admit(given)
        scaled_by = keeper.scaling.of(present, asked.scale, len(keeper.tasks)) if present else None
        gradients = JoinedGradients(
            keeper.tasks,
            _single(present),
            ranks=ranks,
            rows=counts,
            sharing=keeper.sharing,
            shared=checked("shared", asked.shared),
            last_shared=checked("last_shared", asked.last_shared),
            retain_graph=asked.retain_graph,
        )
        return Made(gradients, scaled_by, keeper.looks_at_gradients or asked.measure, rows is not None)

    ranks.meet(keeper, names)
    return join(ranks, keeper, made)


def _counts(
    keeper: Balancer, present: Mapping[str, Tensor], rows: Mapping[str, float] | None
) -> Mapping[str, float]:
    """Return the numbers of rows that the user gives for a step's losses."""
    if rows is None:
        return {}
    for task in rows.keys() - set(keeper.tasks):
        raise BalanceError(f"rows: there is no task `{task}`", hint=f"tasks: {', '.join(keeper.tasks)}")
    for task in present:
        count = rows.get(task)
        if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count < math.inf:
            raise BalanceError(
                f"rows: expected the number of rows of task `{task}`, found {count!r}",
                hint='balance(…, rows={"depth": len(depth_target), …})',
            )
    return rows


def _single(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {task: loss.reshape(()) if loss.dim() else loss for task, loss in losses.items()}


class _Step(NamedTuple):
    """How a step is made.

    Args:
        keeper: the balancer.
        asked: what the user gave as one.
        measure: whether the user asks for norms and angles.
        watched: whether a monitor does, which takes what can be had.
    """

    keeper: Balancer
    asked: object
    measure: bool
    watched: bool


def _unscaled(step: _Step, shown: Unscaled) -> Report:
    """Weigh, and add to `.grad`."""
    keeper, asked = step.keeper, step.asked
    decision = keeper.weigh(shown)
    if keeper is not asked and keeper.remembers:
        raise BalanceError(
            f"{keeper.name} needs the steps before, but every call would start again",
            hint=f"make it once, before the loop: balancer = mtctl.Balancer({asked!r})",
        )
    reason = ""
    if step.measure or step.watched:
        reason = _measured(shown, strict=step.measure)
    elif keeper.looks_at_gradients and shown.gradients.nothing_shared_yet:
        reason = _UNKNOWN
    report = _report(keeper, shown, decision)
    shown.gradients.combine(decision.shared, decision.own)
    return replace(report, reason=reason or report.reason)


def _measured(shown: Unscaled, *, strict: bool) -> str:
    """Measure for the report; return why gradients on shared parameters could not be, "" if they were.

    Raises:
        BalanceError: they could not be, where this is strict.
    """
    try:
        if shown.gradients.nothing_shared_yet:
            return _UNKNOWN
        shown.gradients.measure()
    except BalanceError as error:
        if strict:
            raise
        return error.message
    return ""


def _scaled(step: _Step, shown: Unscaled) -> Report:
    """Make a step with scaled losses. If that overflows, the whole `.grad` becomes infinite."""
    keeper = step.keeper
    memory, nobody = keeper.memory(), torch.zeros_like(shown.losses)
    try:
        report = _unscaled(step, shown)
        if shown.gradients.finite():
            return report
    except NonFiniteError:
        if shown.scale <= 1 and not shown.losses.isfinite().all():
            raise  # a smaller scale does not help
        report = _report(keeper, shown, Decision(nobody, nobody))
        shown.gradients.combine(nobody + 1, nobody + 1)  # hooks and the graph see a step like any other
    spoil(shown.gradients.leaves)
    keeper.skip(memory)
    weights = dict.fromkeys(report.weights, 0.0)
    return replace(report, weights=weights, own_weights=weights, overflowed=True)


def scalars(losses: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Return the losses of tasks that are not absent.

    Raises:
        BalanceError: they are no mapping, or one of them is no real number.
    """
    if not isinstance(losses, Mapping):
        raise BalanceError(
            f"losses: expected losses by task name, found {type(losses).__name__}",
            hint='balance({"a": loss_a, "b": loss_b}, …)',
        )
    present = {task: loss for task, loss in losses.items() if loss is not None}
    for task, loss in present.items():
        _refuse(task, loss)
    return present


def _present(losses: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Return the losses of tasks that are not absent, of which there is one, with graphs."""
    present = scalars(losses)
    if not present:
        raise BalanceError("losses: no task has a loss in this step", hint="leave such a step out")
    _refuse_without_graph(present)
    return present


def _refuse_without_graph(losses: Mapping[str, Tensor]) -> None:
    for task, loss in losses.items():
        if not loss.requires_grad:
            raise BalanceError(
                f"task `{task}`: its loss depends on no parameter that requires a gradient",
                hint="look for .detach(), .item(), torch.no_grad() or frozen parameters; an absent loss is "
                "None",
            )


def _refuse(task: str, loss: object) -> None:
    if not isinstance(loss, Tensor):
        raise BalanceError(f"task `{task}`: expected a Tensor, got {type(loss).__name__}")
    if loss.numel() != 1:
        shape = "×".join(map(str, loss.shape))
        raise BalanceError(
            f"task `{task}`: expected a loss of one element, got {loss.numel()} ({shape})",
            hint="reduce it, for example with .mean()",
        )
    if loss.is_complex():
        raise BalanceError(
            f"task `{task}`: expected a real loss, got a complex number",
            hint="reduce it to a real number, for example with .abs().square().mean()",
        )


def _refuse_ranks(keeper: Balancer, *, measure: bool) -> None:
    """Refuse what would be decided by one process's share of the batch."""
    ranks = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
    if ranks > 1 and (measure or not keeper.fixed):
        what = f"{keeper.name}, measured" if keeper.fixed else keeper.name
        raise BalanceError(
            f"{what}: this is one of {ranks} processes, and each would balance by its own part of the batch",
            hint="let them balance the joined batch: ranks = mtctl.Ranks(model), once, and balance(…, "
            "ranks=ranks) on every process",
        )


def _report(keeper: Balancer, shown: Unscaled, decision: Decision) -> Report:
    there, gradients = shown.active, shown.gradients
    tasks = [task for task, active in zip(keeper.tasks, there.tolist(), strict=True) if active]

    def by_task(values: Tensor) -> dict[str, float]:
        return dict(zip(tasks, values[there].tolist(), strict=True))

    space = next((one for one in SPACES if one in gradients.gramians), None)
    own = gradients.measured_own
    return Report(
        keeper.name,
        by_task(shown.losses),
        by_task(decision.shared),
        by_task(decision.own),
        space,
        None if space is None else shown.gramian(space)[there][:, there],
        None if own is None else by_task(own / shown.scale),
        () if space is None else gradients.parameters(space),
        "" if space is None else gradients.reason(space),
        tuple(keeper.tasks[task] for task in gradients.unshared),
    )
