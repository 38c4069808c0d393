"""Gradients of named losses on whatever model they come from, added to `.grad`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from mtctl.balancing.contract import Space
from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients import products
from mtctl.balancing.gradients.arriving import Apart, Arriving
from mtctl.balancing.gradients.gathered import Gathered, added
from mtctl.balancing.gradients.heads import through_heads
from mtctl.balancing.gradients.products import Rows
from mtctl.library import graph
from mtctl.library.accumulation import accumulate, hooks_wait
from mtctl.library.sharing import Parameters, Sharing

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class _Heads:
    """What comes back through the heads.

    Args:
        own: of leaves that one task alone reaches, the task and its gradient.
        common: of common leaves that heads read themselves, what comes of each task that does.
        arriving: the tasks' gradients where the common part of their graphs begins, at such leaves too.
    """

    own: dict[Tensor, tuple[int, Tensor]]
    common: dict[Tensor, dict[int, Tensor]]
    arriving: tuple[Arriving, ...]

    def alone(self, leaf: Tensor) -> Rows | None:
        """Return the one row of such a leaf; None of others."""
        if leaf not in self.own:
            return None
        gathered = Gathered(1)
        gathered.add(*self.own[leaf])
        return gathered.rows


def _in_full_precision(
    method: Callable[Concatenate[LossGradients, Inputs], Output],
) -> Callable[Concatenate[LossGradients, Inputs], Output]:
    """Make a method work outside of autocast, which would round sums and passes to half precision."""

    @wraps(method)
    def outside(self: LossGradients, /, *args: Inputs.args, **kwargs: Inputs.kwargs) -> Output:
        with ExitStack() as modes:
            for device in {loss.device.type for loss in self._losses.values()}:
                if torch.is_autocast_enabled(device):
                    modes.enter_context(torch.autocast(device, enabled=False))
            return method(self, *args, **kwargs)

    return outside


class LossGradients:
    """Losses and per-task gradients, by as few backward passes as the questions need.

    A head is passed once, down to where the tasks' graphs meet. Below that, per-task gradients cost one pass
    for each task, and a weighted sum one pass in all. Where nothing is asked, `combine` is the plain backward
    pass of the weighted sum of losses.

    Args:
        tasks: names of the T tasks.
        losses: differentiable scalars of the tasks that are present, by name.
        sharing: what is known of shared parameters; used where these are not given.
        shared: the shared parameters.
        last_shared: the last shared layer's.
        retain_graph: whether to leave the graph for further passes.

    Attributes:
        losses: [T] float64, detached; 0 for absent tasks.
        limits: [T] float64, the largest weight in the precision of each loss.
        active: [T] bool; False for absent tasks.
        importance: [T] float64 1: losses are as their owner has weighted them.
        gramians: [T, T] float64 inner products of the per-task gradients, by the spaces asked about so far.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        sharing: Sharing,
        shared: Parameters | None = None,
        last_shared: Parameters | None = None,
        retain_graph: bool = False,
    ) -> None:
        if torch.is_inference_mode_enabled():
            raise BalanceError(
                "gradients cannot be balanced within torch.inference_mode()",
                hint="balance outside of it, or under torch.no_grad()",
            )
        self.active = torch.tensor([task in losses for task in tasks])
        self.losses = torch.zeros(len(tasks), dtype=torch.float64)
        self.importance = torch.ones(len(tasks), dtype=torch.float64)
        self.gramians: dict[Space, Tensor] = {}
        self._tasks = tasks
        self._losses = {place: losses[task] for place, task in enumerate(tasks) if task in losses}
        self.limits = torch.full_like(self.losses, torch.inf)
        for place, loss in self._losses.items():
            self.losses[place] = loss.detach()
            self.limits[place] = torch.finfo(loss.dtype).max
        self._sharing, self._shared, self._last = sharing, shared, last_shared
        self._given, self._last_given = shared is not None, last_shared is not None
        self._retain = retain_graph
        # Whether a method asked about gradients, and what it was told: per-task gradients of common leaves.
        self._asked = False
        self._gathered: dict[Tensor, Gathered] = {}

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        return self.gramian(space).diagonal().sqrt()

    @_in_full_precision
    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`.

        Raises:
            BalanceError: no shared parameter is known.
        """
        if space in self.gramians:
            return self.gramians[space]
        self._asked = True
        if space == "features":
            parts = [here.gramian(len(self.active)) for here in self._at_features()]
            self.gramians[space] = torch.stack(parts).sum(0)
            return self.gramians[space]
        parameters = self.parameters(space)
        # To know all that is common is to leave no pass for `combine`.
        wanted = set(parameters if space == "last_shared" else self._parts.common)
        missing = [leaf for leaf in self._parts.common if leaf in wanted and leaf not in self._gathered]
        complete = all(leaf in self._gathered or leaf in wanted for leaf in self._parts.common)
        self._gathered |= self._gather(missing, self._heads, retain=self._retain or not complete)
        self.gramians[space] = self._products(parameters, self._gathered, self._heads)
        return self.gramians[space]

    @_in_full_precision
    def measure(self) -> None:
        """Find the Gramian on all shared parameters for the report alone.

        `combine` then does what it would have done without: its passes, its hooks, its last digits.
        """
        if "all_shared" in self.gramians:
            return
        parameters = self.parameters("all_shared")
        heads = self._heads if self._asked else self._pass_heads(retain=True)
        among = set(self._parts.common)
        missing = [leaf for leaf in parameters if leaf in among and leaf not in self._gathered]
        gathered = self._gathered | self._gather(missing, heads, retain=True)
        self.gramians["all_shared"] = self._products(parameters, gathered, heads)

    def _products(self, parameters: Parameters, gathered: Mapping[Tensor, Gathered], heads: _Heads) -> Tensor:
        """Return the Gramian of per-task gradients that are known."""
        blocks = [gathered[one].rows if one in gathered else heads.alone(one) for one in parameters]
        return products.gramian([block for block in blocks if block is not None], len(self.active))

    def _at_features(self) -> Sequence[Arriving]:
        """Return the tasks' gradients where their graphs meet."""
        if self._parts.opaque is not None:
            raise _opaque(self._parts.opaque, "there are no features to measure at")
        if self._parts.uncut:
            uncut = self._tasks[list(self._losses)[self._parts.uncut[0]]]
            raise BalanceError(
                f"task `{uncut}`: there are no features to measure at: it also uses what they are made from",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._heads.arriving

    def parameters(self, space: Space) -> Parameters:
        """Return the parameters of a space; those behind features are all.

        Raises:
            BalanceError: no shared parameter is known.
        """
        if self._shared is None:
            if self._parts.opaque is not None:
                raise _opaque(self._parts.opaque, "shared parameters cannot be told from the tasks' own")
            self._sharing.see(self._losses, self._parts.shared)
            self._shared = tuple(self._sharing.found)
        if self._given and self.active.all() and set(self._shared).isdisjoint(self.leaves):
            raise BalanceError(
                f"shared: no loss depends on any of the {len(self._shared)} parameters given",
                hint="name parameters of the model that made the losses: balance(…, "
                "shared=list(model.trunk.parameters()))",
            )
        if not self._shared:
            raise BalanceError(
                "no parameter is reached by more than one loss of this step, so that nothing is shared",
                hint="name what tasks share: balance(…, shared=list(model.trunk.parameters()))",
            )
        if space != "last_shared":
            return self._shared
        if self._last is None:
            self._last = self._sharing.last(self._losses, self._shared)
        return self._last

    @property
    def nothing_shared_yet(self) -> bool:
        """Whether what tasks share is not known so far, but steps with other tasks may show it."""
        if self._given or self._sharing.found or (len(self._losses) > 1 and bool(self.active.all())):
            return False
        if self._parts.opaque is not None:
            return False  # and never will be: asking says so
        self._sharing.see(self._losses, self._parts.shared)
        return not self._sharing.found

    def reason(self, space: Space) -> str:
        """Return how the parameters of a space were chosen."""
        if space == "last_shared":
            return "the last shared layer, given" if self._last_given else self._sharing.reason
        if space == "features":
            return "the features: what heads read, where the tasks' graphs meet"
        how = "given" if self._given else "found"
        return f"all {len(self.parameters(space))} shared parameters, {how}"

    @property
    def unshared(self) -> tuple[int, ...]:
        """Tasks whose loss is known to depend on no shared parameter; none as long as nothing was asked."""
        if not self.gramians:
            return ()
        shared = set(self.parameters("all_shared"))
        parts = zip(self._losses, self._parts.own, self._parts.edges, strict=True)
        return tuple(task for task, own, edges in parts if not edges and not shared.intersection(own))

    @cached_property
    def leaves(self) -> list[Tensor]:
        """Return all parameters that the losses reach."""
        return [*self._parts.common, *(leaf for own in self._parts.own for leaf in own)]

    @_in_full_precision
    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Add Σᵢ sharedᵢ·∇Lᵢ to the `.grad` of shared parameters and Σᵢ ownᵢ·∇Lᵢ to that of all others.

        Args:
            shared: [T] weights.
            own: [T] weights.
        """
        if torch.equal(shared, own) and not self._asked:
            pairs = zip(self._of(own), self._losses.values(), strict=True)
            weights = [torch.full_like(loss, weight) for weight, loss in pairs]
            torch.autograd.backward(list(self._losses.values()), weights, retain_graph=self._retain)
            return
        is_shared = set(self.parameters("all_shared"))
        found = self._pull_rest(shared, own, is_shared)
        for leaf, (task, gradient) in self._heads.own.items():
            found[leaf] = float((shared if leaf in is_shared else own)[task]) * gradient
        for leaf in list(self._gathered):
            gathered = self._gathered.pop(leaf)  # so that its memory is free for the next
            if gathered.rows is not None:
                found[leaf] = gathered.weighted(shared if leaf in is_shared else own, leaf)
        accumulate(found)

    def _pull_rest(self, shared: Tensor, own: Tensor, is_shared: set[Tensor]) -> dict[Tensor, Tensor]:
        """Return the weighted sums on common leaves that nothing was asked about, by one pass or two."""
        left = [leaf for leaf in self._parts.common if leaf not in self._gathered]
        alike = torch.equal(shared, own)
        groups = [(shared, [leaf for leaf in left if alike or leaf in is_shared])]
        groups += [] if alike else [(own, [leaf for leaf in left if leaf not in is_shared])]
        found: dict[Tensor, Tensor] = {}
        for place, (weights, leaves) in enumerate(groups):
            retain = self._retain or any(rest for _, rest in groups[place + 1 :])
            by_task = dict(zip(self._losses, self._of(weights), strict=True))
            found |= self._pull(by_task, leaves, self._heads, retain=retain)
        for leaf in found:
            found[leaf] = found[leaf].clone()  # some are one tensor, or views
        return found

    @cached_property
    def _parts(self) -> graph.Parts:
        found = graph.split(list(self._losses.values()))
        if found.hidden:
            raise BalanceError(
                "checkpoints with use_reentrant=True hide their parameters from the losses' graphs",
                hint="torch.utils.checkpoint.checkpoint(…, use_reentrant=False)",
            )
        return found

    @cached_property
    def _features(self) -> tuple[GradientEdge, ...]:
        """Where the common part of the losses' graphs begins."""
        edges = {(edge.node, edge.output_nr): edge for ends in self._parts.edges for edge in ends}
        return tuple(edges.values())

    @cached_property
    def _heads(self) -> _Heads:
        """What came back through the heads, for the method."""
        return self._pass_heads(retain=self._retain)

    def _pass_heads(self, *, retain: bool) -> _Heads:
        own: list[Sequence[Tensor]] = [()] * len(self.active)
        for task, leaves in zip(self._losses, self._parts.own, strict=True):
            own[task] = leaves
        with _passing(leaf for leaves in own for leaf in leaves):
            heads = through_heads(self._losses, own, self._features, retain=retain)
        return _Heads(
            {
                leaf: (task, gradient)
                for task, gradients in heads.own.items()
                for leaf, gradient in zip(own[task], gradients, strict=True)
                if gradient is not None
            },
            {
                leaf: dict(zip(here.tasks, here.parts, strict=True))
                for edge, here in zip(self._features, heads.arriving, strict=True)
                if isinstance(here, Apart) and (leaf := graph.leaf(edge.node)) is not None
            },
            heads.arriving,
        )

    def _pull(
        self, weights: Mapping[int, float], leaves: Sequence[Tensor], heads: _Heads, *, retain: bool
    ) -> dict[Tensor, Tensor]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ on leaves of the common part, by one pass through it."""
        here = [
            (edge, part)
            for edge, part in zip(self._features, heads.arriving, strict=True)
            if weights.keys() & set(part.tasks) and not isinstance(part, Apart)
        ]
        found: Sequence[Tensor | None] = [None] * len(leaves)
        if leaves and here:
            with _passing(leaves):
                found = torch.autograd.grad(
                    [edge for edge, _ in here],
                    leaves,
                    [_weighted(part, weights, len(self.active)) for _, part in here],
                    retain_graph=retain,
                    allow_unused=True,
                )
        pulled = {leaf: one for leaf, one in zip(leaves, found, strict=True) if one is not None}
        for leaf in leaves:
            for task, part in heads.common.get(leaf, {}).items():
                if task in weights:
                    more = weights[task] * part if weights[task] != 1 else part
                    pulled[leaf] = added(pulled[leaf], more) if leaf in pulled else more
        return pulled

    def _gather(self, leaves: Sequence[Tensor], heads: _Heads, *, retain: bool) -> dict[Tensor, Gathered]:
        """Return the per-task gradients on leaves of the common part, by one pass for each task."""
        tasks = [task for task in self._losses if any(task in here.tasks for here in heads.arriving)]
        found = {leaf: Gathered(len(tasks)) for leaf in leaves}
        for task in tasks if leaves else []:
            gradients = self._pull({task: 1.0}, leaves, heads, retain=retain or task != tasks[-1])
            while gradients:
                leaf, gradient = gradients.popitem()
                found[leaf].add(task, gradient)
                del gradient  # before the next pass makes its own
        return found

    def _of(self, weights: Tensor) -> list[float]:
        """Return the weights of the tasks that are present."""
        return [float(weights[task]) for task in self._losses]


def _weighted(part: Arriving, weights: Mapping[int, float], tasks: int) -> Tensor:
    """Return Σᵢ wᵢ·gᵢ at a feature; a single task's without the others, which may not be finite."""
    if len(weights) == 1:
        ((task, weight),) = weights.items()
        return part.rows([task])[0] * weight
    by_task = torch.zeros(tasks, dtype=torch.float64)
    for task, weight in weights.items():
        by_task[task] = weight
    return part.weighted(by_task)


@contextmanager
def _passing(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Make a backward pass that looks and does not touch; of what torch refuses, say what helps."""
    with hooks_wait(parameters):
        try:
            yield
        except RuntimeError as error:
            if "donated buffers" not in str(error):
                raise
            raise BalanceError(
                "the compiled model passes backwards once only: torch.compile gave its memory away",
                hint="set torch._functorch.config.donated_buffer = False before the model is compiled",
            ) from error


def _opaque(node: Node, problem: str) -> BalanceError:
    compiled = node.name() == graph.COMPILED
    what = (
        "torch.compile made one operation of several tasks"
        if compiled
        else f"{node.name()} is of several tasks"
    )
    also = "; or compile the trunk alone: model.trunk = torch.compile(model.trunk)" if compiled else ""
    return BalanceError(
        f"{what}, which does not show what each loss depends on: {problem}",
        hint=f"name what tasks share: balance(…, shared=list(model.trunk.parameters())){also}",
    )
