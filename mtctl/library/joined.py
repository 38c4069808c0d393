"""Losses and per-task gradients of a batch that several processes share: those of the joined batch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients.backward import accumulate
from mtctl.balancing.gradients.gathered import Gathered, as_gradient
from mtctl.balancing.gradients.products import real_rows
from mtctl.library.balancer import Balancer
from mtctl.library.gradients import LossGradients
from mtctl.library.ranks import Ranks, attempt
from mtctl.library.sharing import Layer, Parameters, Sharing

_ALIKE: Final = 1e-6
"""By how much sums over the memories of two balancers may differ, relative: machines round differently."""


class JoinedGradients(LossGradients):
    """`LossGradients` of the joined batch; every process makes its own, and they ask the same in turn.

    With nᵢʳ the rows of task i on process r and aᵢʳ = nᵢʳ / Σᵣ nᵢʳ, losses are Σᵣ aᵢʳ·Lᵢʳ and gradients
    Σᵣ aᵢʳ·∇Lᵢʳ. Passes are made of this process's losses; what they bring is weighted with a and added up
    before anybody looks at it.

    Args:
        ranks: the processes.
        rows: nᵢʳ of this process, by task; 1 for those that are left out.
        others: as for `LossGradients`; `losses` may be empty.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        ranks: Ranks,
        rows: Mapping[str, float],
        sharing: Sharing,
        shared: Parameters | None = None,
        last_shared: Parameters | None = None,
        retain_graph: bool = False,
    ) -> None:
        for name, given in (("shared", shared), ("last_shared", last_shared)):
            _refuse_strangers(ranks, given or (), f"{name}: ")
        super().__init__(
            tasks,
            losses,
            sharing=sharing,
            shared=None if shared is None else _in_order(ranks, shared),
            last_shared=None if last_shared is None else _in_order(ranks, last_shared),
            retain_graph=retain_graph,
        )
        self._ranks = ranks
        self._joint: dict[Tensor, Gathered] = {}
        self._factors = torch.zeros(len(tasks), dtype=torch.float64)
        self._complete = True
        self.rows = torch.tensor(
            [rows.get(task, 1.0) if task in losses else 0.0 for task in tasks], dtype=torch.float64
        )

    def look(self) -> bool:
        """Find what this process's losses share; say whether that is news to the others."""
        if not self._given and self._parts.opaque is not None:
            raise self._not_told_apart(self._parts.opaque)
        self._sharing.see(self._losses, self._parts.shared)
        return self._sharing.has_news

    def join(self, rows: Tensor, losses: Tensor, limits: Tensor) -> None:
        """Take in all processes' [processes, T] rows, losses and largest weights."""
        total = rows.sum(0)
        self.active = total > 0
        parts = rows / total.where(self.active, 1)
        self.losses, self.limits = (parts * losses).sum(0), limits.amin(0)
        self._factors, self._complete = parts[self._ranks.rank], bool(((rows > 0) == self.active).all())

    def joined(self, make: Callable[[], Tensor]) -> Tensor:
        """Return [T] float64 means over the joined batch; `make` returns this process's."""
        zeros = torch.zeros(len(self.tasks), dtype=torch.float64, device=self._ranks.device)
        (found,) = self._ranks.sums([zeros], 1, lambda: [(make() * self._factors).unsqueeze(0)])
        return zeros.cpu() if found is None else found[0].cpu()

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products; at features, rows of other processes add theirs."""
        if space == "features" and space not in self.gramians:
            if not self._complete:
                raise BalanceError(
                    "`layer: features`: a process has a task in this step that another one lacks, so that "
                    "their features differ",
                    hint="`layer: last_shared` and `layer: all_shared` allow it",
                )
            own, pairs = super().gramian, torch.outer(self._factors, self._factors)
            like = pairs.to(self._ranks.device)
            (found,) = self._ranks.sums([like], 1, lambda: [(own(space) * pairs).reshape(1, -1)])
            self.gramians[space] = (like if found is None else found.view_as(like)).cpu()
        return super().gramian(space)

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms on each task's own parameters; NaN for a task without any."""
        shared = set(self.parameters("all_shared"))
        owned = [
            (task, one)
            for task in range(len(self.tasks))
            for one in self._sharing.own(task)
            if one not in shared
        ]
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        if not owned:
            return norms
        found = self._ranks.sums([one for _, one in owned], 1, lambda: self._of_heads(owned))
        squares: dict[int, float] = {}
        for (task, _), gradient in zip(owned, found, strict=True):
            if gradient is not None:
                square = float(torch.linalg.vector_norm(gradient, dtype=torch.float64)) ** 2
                squares[task] = squares.get(task, 0.0) + square
        for task, square in squares.items():
            norms[task] = math.sqrt(square)
        return norms

    @property
    def leaves(self) -> list[Tensor]:
        """All parameters that are trained, whichever process's losses reach them."""
        return [*self._ranks.trained]

    @property
    def nothing_shared_yet(self) -> bool:
        """Whether no process has seen what tasks share so far, but steps with other tasks may show it."""
        if self._given or self._sharing.found:
            return False
        return not (len(self.tasks) > 1 and bool(self.active.all()))

    @property
    def unshared(self) -> tuple[int, ...]:
        """Tasks whose loss is known to depend on no shared parameter."""
        if not self.gramians:
            return ()
        shared = set(self.parameters("all_shared"))
        active = self.active.nonzero().flatten().tolist()
        return tuple(task for task in active if self._sharing.apart(task, shared))

    def _found(self) -> Parameters:
        return tuple(self._sharing.found)

    def _last_layer(self, shared: Parameters) -> Parameters:
        return self._sharing.last(self._losses, shared, agree=self._agreed)

    def _agreed(self, propose: Callable[[], Layer]) -> Layer:
        """Return what the process with the most tasks proposes."""

        def proposal() -> str:
            layer = propose()
            return json.dumps(
                [len(self._losses), [self._ranks.places[one] for one in layer.parameters], layer.reason]
            )

        proposals = [json.loads(one) for one in self._ranks.texts(proposal)]
        _, places, reason = max(proposals, key=lambda one: int(one[0]))
        return Layer(tuple(self._ranks.parameters[place] for place in places), reason)

    def _looking(self) -> JoinedGradients:
        looking = super()._looking()
        looking._joint = dict(self._joint)
        return looking

    def _differentiate(self, space: Space) -> Sequence[Gathered]:
        parameters, own = self.parameters(space), super()._differentiate
        missing = [one for one in dict.fromkeys(parameters) if one not in self._joint]
        if missing:
            tasks = self.active.nonzero().flatten().tolist()
            sums = self._ranks.sums(
                missing,
                len(tasks),
                lambda: self._rows(dict(zip(parameters, own(space), strict=True)), missing, tasks),
            )
            for one, rows in zip(missing, sums, strict=True):
                self._joint[one] = Gathered(len(tasks))
                if rows is not None:
                    self._joint[one].extend(tasks, as_gradient(rows, (len(tasks), *one.shape), one.dtype))
        return [self._joint[one] for one in parameters]

    def _rows(
        self, found: Mapping[Tensor, Gathered], missing: Sequence[Tensor], tasks: Sequence[int]
    ) -> list[Tensor | None]:
        """Return this process's part of these tasks' gradients, [tasks, numbers] each."""
        rows: list[Tensor | None] = []
        for one in missing:
            gathered = found[one]
            self._gathered.pop(one, None)
            if not gathered.tasks:
                rows.append(None)
                continue
            _refuse_sparse(self._ranks, one, gathered.gradient(gathered.tasks[0]))
            values = real_rows(gathered.rows(tasks))
            rows.append(values * self._factors[list(tasks)].to(values).unsqueeze(1))
        return rows

    def _of_heads(self, owned: Sequence[tuple[int, Tensor]]) -> list[Tensor | None]:
        found = []
        for task, one in owned:
            gradient = self._passes.own.get(one) if self._losses else None
            if gradient is not None:
                _refuse_sparse(self._ranks, one, gradient)
                gradient = real_rows(gradient.unsqueeze(0)) * float(self._factors[task])
            found.append(gradient)
        return found

    def _combine_tasks(self, shared: Tensor, own: Tensor) -> None:
        rest = [one for one in self._ranks.trained if one not in self._joint]
        sums = self._ranks.sums(rest, 1, lambda: self._own_sums(shared, own, rest))
        gradients = {
            one: as_gradient(found[0], one.shape, one.dtype).to(one.dtype)
            for one, found in zip(rest, sums, strict=True)
            if found is not None
        }
        trunk = self._joint.keys() if torch.equal(shared, own) else {*self.parameters("all_shared")}
        for one, gathered in self._joint.items():
            if gathered.tasks:
                gradients[one] = gathered.weighted(shared if one in trunk else own).to(one.dtype)
        self._ranks.rest()
        accumulate(gradients)

    def _own_sums(self, shared: Tensor, own: Tensor, rest: Sequence[Tensor]) -> list[Tensor | None]:
        """Return this process's part of the weighted sums, [1, numbers] each."""
        if not self._losses:
            return [None] * len(rest)
        shared, own = shared * self._factors, own * self._factors
        if torch.equal(shared, own) and not self._halfway:
            leaves = [one for one in super().leaves if one not in self._joint]
            found = self._pull(own, leaves, more=False)
        else:
            found = self._sums(shared, own)
        _refuse_strangers(self._ranks, found, "")
        for one, gradient in found.items():
            _refuse_sparse(self._ranks, one, gradient)
        return [real_rows(found[one].unsqueeze(0)) if one in found else None for one in rest]

    def _sums_below(self, weights: Tensor, leaves: Sequence[Tensor], *, more: bool) -> dict[Tensor, Tensor]:
        return super()._sums_below(weights, [one for one in leaves if one not in self._joint], more=more)


class Made(NamedTuple):
    """What a process brings to a step.

    Args:
        gradients: of its losses.
        scale: what these were multiplied with; None if they were not.
        tracks: whether the step needs to know what is shared.
        counted: whether the user says how many rows each task has.
    """

    gradients: JoinedGradients
    scale: float | None
    tracks: bool
    counted: bool


def join(ranks: Ranks, keeper: Balancer, make: Callable[[], Made]) -> tuple[JoinedGradients, float | None]:
    """Return the gradients of the joined batch, and what all losses were multiplied with.

    Args:
        ranks: the processes.
        keeper: the balancer, which knows all tasks.
        make: returns what this process brings. If it fails, all processes do.

    Raises:
        BalanceError: a process failed, or they do not fit together.
    """
    tasks = len(keeper.tasks)

    def telling() -> tuple[Made, Tensor]:
        made = make()
        return made, _told(ranks, keeper, made)

    both, failure = attempt(telling)
    nothing = torch.zeros(6 + 3 * tasks, dtype=torch.float64)
    everyone = ranks.gathered(nothing if both is None else both[1], failure)
    assert both is not None  # else it has failed, and `gathered` has said so
    made, _ = both
    news, scale = _checked(everyone[:, :6])
    made.gradients.join(*everyone[:, 6:].view(ranks.size, 3, tasks).unbind(1))
    if not made.gradients.active.any():
        raise BalanceError("losses: no process has a loss in this step", hint="leave such a step out")
    if news:
        _exchange(ranks, made.gradients, keeper.sharing, tasks)
    return made.gradients, scale


def _told(ranks: Ranks, keeper: Balancer, made: Made) -> Tensor:
    """Return what the other processes need to know before a step."""
    gradients = made.gradients
    empty = not gradients.rows.any()
    frozen = sum(
        place * one.numel() for place, one in enumerate(ranks.parameters, 1) if not one.requires_grad
    )
    head = [
        *keeper.fingerprint,
        float(frozen),
        math.nan if empty else made.scale or 0.0,
        math.nan if empty else float(made.counted),
        float(made.tracks and gradients.look()),
    ]
    return torch.cat(
        [
            torch.tensor(head, dtype=torch.float64),
            gradients.rows,
            gradients.losses,
            gradients.limits,
        ]
    )


def _checked(heads: Tensor) -> tuple[bool, float | None]:
    """Return whether there is news of what is shared, and the scale.

    Raises:
        BalanceError: processes differ where they must not.
    """
    draws, memory, frozen, scales, counted, news = heads.unbind(1)
    if (draws != draws[0]).any() or not torch.allclose(memory, memory[0], rtol=_ALIKE, atol=0):
        raise BalanceError(
            "balancer: its memory or its random numbers differ between processes",
            hint="make it with the same seed on every process, load the same state_dict() on all of them, "
            "and call it equally often",
        )
    if (frozen != frozen[0]).any():
        raise BalanceError(
            "ranks: processes have frozen different parameters",
            hint="call requires_grad_() alike on every process",
        )
    for name, values, hint in (
        ("scale: losses are scaled", scales, "balance(…, scale=scaler) on every process, empty ones too"),
        ("rows: they are given", counted, "give `rows` on every process, or on none"),
    ):
        known = values[~values.isnan()]
        if (known != known[:1]).any():
            raise BalanceError(f"{name} differently by different processes", hint=hint)
    known = scales[~scales.isnan()]
    return bool(news.any()), float(known[0]) or None if len(known) else None


def _exchange(ranks: Ranks, gradients: JoinedGradients, sharing: Sharing, tasks: int) -> None:
    """Tell all processes what any of them has seen of what losses depend on."""
    table = torch.zeros(tasks + 1, len(ranks.parameters) + 1, dtype=torch.uint8)
    for task, reached in sharing.reached.items():
        table[task, -1] = 2 if reached is None else 1
        table[task, [ranks.places[one] for one in reached or () if one in ranks.places]] = 1
    table[-1, [ranks.places[one] for one in sharing.found if one in ranks.places]] = 1
    rows = ranks.most(table).tolist()
    sharing.reached = {
        task: None
        if row[-1] == 2
        else {one: None for one, used in zip(ranks.parameters, row[:-1], strict=True) if used}
        for task, row in enumerate(rows[:-1])
        if row[-1]
    }
    users = torch.tensor(rows)[:-1, :-1].clamp(max=1).sum(0).tolist()
    before = zip(ranks.parameters, users, rows[-1][:-1], strict=True)
    sharing.found = {one: None for one, count, found in before if count > 1 or found}
    sharing.told()


def _in_order(ranks: Ranks, parameters: Parameters) -> Parameters:
    return tuple(sorted(parameters, key=ranks.places.__getitem__))


def _refuse_strangers(ranks: Ranks, parameters: Mapping[Tensor, object] | Parameters, where: str) -> None:
    for one in parameters:
        if one not in ranks.places:
            shape = "×".join(map(str, one.shape)) or "one number"
            raise BalanceError(
                f"{where}a loss depends on a tensor ({shape}) that `ranks` does not know",
                hint="name every module that is trained: mtctl.Ranks(model, criterion); inputs should not "
                "require a gradient",
            )


def _refuse_sparse(ranks: Ranks, parameter: Tensor, gradient: Tensor) -> None:
    if gradient.layout != torch.strided:
        shape = "×".join(map(str, parameter.shape))
        raise BalanceError(
            f"ranks: parameter {ranks.places[parameter]} ({shape}) has a sparse gradient, and the rows that "
            "processes touch differ",
            hint="torch.nn.Embedding(…, sparse=False) in several processes",
        )
