"""The two lines for anyone's own training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, distributed

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.contract import Space
from mtctl.balancing.errors import BalanceError, NonFiniteError
from mtctl.catalogue.settings import Spec
from mtctl.library.balancer import Balancer
from mtctl.library.gradients import LossGradients
from mtctl.library.report import Report
from mtctl.library.scaling import Scale, Unscaled, spoil
from mtctl.library.sharing import checked

SPACES: Final[tuple[Space, ...]] = ("all_shared", "features", "last_shared")
"""Where gradients may have been measured, the most telling first."""


def balance(
    losses: Mapping[str, Tensor | None],
    shared: Iterable[Tensor] | None = None,
    balancer: Balancer | Spec | Chain = "equal",
    *,
    last_shared: Iterable[Tensor] | None = None,
    measure: bool = False,
    retain_graph: bool = False,
    scale: Scale | None = None,
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
    processes train together (DistributedDataParallel), only weights that are fixed beforehand give exact
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

    Returns:
        Losses, weights, and what was learned of the gradients.

    Raises:
        BalanceError: a loss or setting is unusable; the message names the task. No `.grad` has been touched.
        ConvergenceError: a method's inner minimisation was not solved; neither has it then.
    """
    keeper = balancer if isinstance(balancer, Balancer) else Balancer(balancer)
    present = _present(losses)
    tasks = keeper.admit(losses)
    scaled_by = keeper.scaling.of(present, scale, len(tasks))
    gradients = LossGradients(
        tasks,
        {task: loss.reshape(()) if loss.dim() else loss for task, loss in present.items()},
        sharing=keeper.sharing,
        shared=checked("shared", shared),
        last_shared=checked("last_shared", last_shared),
        retain_graph=retain_graph,
    )
    _refuse_ranks(keeper, measure=measure)
    with _full_precision(present.values()):
        if scaled_by is None:
            return _step(keeper, Unscaled(gradients, 1.0, tasks), balancer, measure)
        memory = keeper.memory()
        report = _scaled(keeper, Unscaled(gradients, scaled_by, tasks), balancer, measure)
    if report.overflowed:
        keeper.skip(memory)
    return replace(report, scale=scaled_by)


@contextmanager
def _full_precision(losses: Iterable[Tensor]) -> Iterator[None]:
    """Leave autocast, which would round sums and passes to half precision."""
    with ExitStack() as modes:
        for device in {loss.device.type for loss in losses}:
            if torch.is_autocast_enabled(device):
                modes.enter_context(torch.autocast(device, enabled=False))
        yield


def _step(keeper: Balancer, shown: Unscaled, asked: object, measure: bool) -> Report:
    """Weigh, and add to `.grad`; `asked` is what the user gave as a balancer."""
    decision = keeper.weigh(shown)
    if keeper is not asked and keeper.remembers:
        raise BalanceError(
            f"{keeper.name} needs the steps before, but every call would start again",
            hint=f"make it once, before the loop: balancer = mtctl.Balancer({asked!r})",
        )
    wanted = measure or keeper.looks_at_gradients
    unknown = wanted and shown.gradients.nothing_shared_yet
    if measure and not unknown:
        shown.gradients.measure()
    report = _report(keeper, shown, decision)
    if unknown:
        report = replace(report, reason="no shared parameter is known yet, so gradients are not balanced")
    shown.gradients.combine(decision.shared, decision.own)
    return report


def _scaled(keeper: Balancer, shown: Unscaled, asked: object, measure: bool) -> Report:
    """Make a step with scaled losses. If that overflows, the whole `.grad` becomes infinite."""
    nobody = torch.zeros_like(shown.losses)
    try:
        report = _step(keeper, shown, asked, measure)
        if shown.gradients.finite():
            return report
    except NonFiniteError:
        if shown.scale <= 1 and not shown.losses.isfinite().all():
            raise  # a smaller scale does not help
        report = _report(keeper, shown, Decision(nobody, nobody))
        shown.gradients.combine(nobody + 1, nobody + 1)  # hooks and the graph see a step like any other
    spoil(shown.gradients.leaves)
    weights = dict.fromkeys(report.weights, 0.0)
    return replace(report, weights=weights, own_weights=weights, overflowed=True)


def _present(losses: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Return the losses of tasks that are not absent."""
    if not isinstance(losses, Mapping):
        raise BalanceError(
            f"losses: expected losses by task name, found {type(losses).__name__}",
            hint='balance({"a": loss_a, "b": loss_b}, …)',
        )
    present = {task: loss for task, loss in losses.items() if loss is not None}
    if not present:
        raise BalanceError("losses: no task has a loss in this step", hint="leave such a step out")
    for task, loss in present.items():
        _refuse(task, loss)
    return present


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
    if not loss.requires_grad:
        raise BalanceError(
            f"task `{task}`: its loss depends on no parameter that requires a gradient",
            hint="look for .detach(), .item(), torch.no_grad() or frozen parameters; an absent loss is None",
        )


def _refuse_ranks(keeper: Balancer, *, measure: bool) -> None:
    """Refuse what would be decided by one process's share of the batch."""
    ranks = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
    if ranks > 1 and (measure or not keeper.fixed):
        what = f"{keeper.name}, measured" if keeper.fixed else keeper.name
        raise BalanceError(
            f"{what}: this is one of {ranks} processes, and each would balance by its own part of the batch",
            hint="balance in one process; with DistributedDataParallel only weights fixed beforehand are "
            'exact: balancer="equal", or mtctl.Balancer("manual", weights={…}), without measure=True',
        )


def _report(keeper: Balancer, shown: Unscaled, decision: Decision) -> Report:
    there, gradients = shown.active, shown.gradients
    tasks = [task for task, active in zip(keeper.tasks, there.tolist(), strict=True) if active]

    def by_task(values: Tensor) -> dict[str, float]:
        return dict(zip(tasks, values[there].tolist(), strict=True))

    space = next((one for one in SPACES if one in gradients.gramians), None)
    return Report(
        keeper.name,
        by_task(shown.losses),
        by_task(decision.shared),
        by_task(decision.own),
        space,
        None if space is None else shown.gramian(space)[there][:, there],
        () if space is None else gradients.parameters(space),
        "" if space is None else gradients.reason(space),
        tuple(keeper.tasks[task] for task in gradients.unshared),
    )
