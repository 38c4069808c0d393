"""Several processes that train one model together, each on its part of every batch."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mtctl.balancing.errors import BalanceError
from mtctl.library.balancer import Balancer

Made = TypeVar("Made")

_SAMPLE: Final = 64
"""Numbers of each parameter that are compared at the start: other first weights show in any of them."""
_FAILED: Final = -1
"""In place of the length of a text that a process could not make."""


class Ranks:
    """The processes that train one model together, as DistributedDataParallel does; make it once.

    Handed to `balance`, every process takes the step that one process would take on the joined batch:

        Lᵢ = Σᵣ nᵢʳ·Lᵢʳ / Σᵣ nᵢʳ,      ∇Lᵢ = Σᵣ nᵢʳ·∇Lᵢʳ / Σᵣ nᵢʳ

    with Lᵢʳ the mean loss of task i over the nᵢʳ rows that process r has of it. Methods see these losses and
    gradients, and nothing of one process's own, so that weights, memories and parameters stay the same
    everywhere. A process whose batch lacks a task leaves the task out, and one that has none at all hands in
    no loss: nᵢʳ = 0.

    >>> model = DistributedDataParallel(net)                                  # doctest: +SKIP
    >>> balancer, ranks = mtctl.Balancer("pcgrad"), mtctl.Ranks(model)        # doctest: +SKIP
    >>> mtctl.balance(losses, balancer=balancer, ranks=ranks)                 # doctest: +SKIP

    This is asked for, and not switched on by an initialised process group: such a group may be there for
    other reasons, and what communicates unasked hangs where one process alone calls it.

    The model may be wrapped in DistributedDataParallel or not. Its own reduction is left out in `balance`,
    for the gradients that arrive in `.grad` are reduced already, and is there for every other backward pass.
    BatchNorm sees the rows of its own process unless it is SyncBatchNorm, as always.

    What a step sends, beside a few numbers for each task, with T tasks, P_s shared and P_o other parameters:

        methods on losses                       P_s + P_o numbers in one all-reduce, as without mtctl
        methods on gradients                    T·P_s in one all-reduce, then P_o in another
          with `layer: last_shared`             T times the last shared layer, then the rest of P_s + P_o
          with `layer: features`                T·T, then P_s + P_o

    Numbers go in their own precision, float16 and bfloat16 as float32. A buffer of that size is the memory
    that it takes.

    Args:
        *models: every module whose parameters losses depend on: the model, and a criterion that is trained,
            say. In the same order on all processes.
        group: of processes; if left out, that of DistributedDataParallel, or all processes.

    Raises:
        BalanceError: no process group; a model whose parameters are spread over processes (FSDP, DTensor), of
            which none has all that gradients are compared on; or processes whose models differ.
    """

    def __init__(self, *models: nn.Module, group: distributed.ProcessGroup | None = None) -> None:
        if not (distributed.is_available() and distributed.is_initialized()):
            raise BalanceError(
                "ranks: no process group is initialised",
                hint='torch.distributed.init_process_group("gloo") or ("nccl"), under torchrun; in one '
                "process leave `ranks` out",
            )
        for model in models:
            _refuse(model)
        inside = (module for model in models for module in model.modules())
        self._wrappers = [module for module in inside if isinstance(module, DistributedDataParallel)]
        self._group = group if group is not None or not self._wrappers else self._wrappers[0].process_group
        self.size, self.rank = distributed.get_world_size(self._group), distributed.get_rank(self._group)
        if self.rank < 0:
            raise BalanceError("ranks: this process is not in the group", hint="only its processes balance")
        named = [pair for model in models for pair in model.named_parameters()]
        self.parameters: tuple[Tensor, ...] = tuple(dict.fromkeys(parameter for _, parameter in named))
        if not self.parameters:
            raise BalanceError("ranks: no parameters", hint="mtctl.Ranks(model)")
        self.places: dict[Tensor, int] = {parameter: place for place, parameter in enumerate(self.parameters)}
        gpu = "nccl" in str(distributed.get_backend(self._group))
        self.device = self.parameters[0].device if gpu else torch.device("cpu")
        self._met: WeakSet[Balancer] = WeakSet()
        self._compare(named)

    def __repr__(self) -> str:
        """Return which process of how many this is."""
        return f"Ranks(process {self.rank} of {self.size}, {len(self.parameters)} parameters)"

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """The parameters that are not frozen, in order."""
        return tuple(one for one in self.parameters if one.requires_grad)

    def sums(
        self, likes: Sequence[Tensor], rows: int, make: Callable[[], Sequence[Tensor | None]]
    ) -> list[Tensor | None]:
        """Return what all processes make, added up by one all-reduce for each precision and device.

        Args:
            likes: a tensor for each result, which tells how many numbers it has, where and how precise.
            rows: of each result.
            make: returns for each result this process's [rows, numbers], reals (see `real_rows`), or None for
                nothing. If it fails, all processes do.

        Returns:
            [rows, numbers] for each result, in float32 or better; None where no process has anything.

        Raises:
            BalanceError: another process failed; or whatever this one's `make` raised.
        """
        made, failure = attempt(make)
        values = made or [None] * len(likes)
        found: list[Tensor | None] = [None] * len(likes)
        failures = 0.0
        for (device, dtype), places in self._kinds(likes).items():
            sizes = [rows * _numbers(likes[place]) for place in places]
            marks = [values[place] is not None for place in places]
            buffer = torch.zeros(sum(sizes) + len(marks) + 1, dtype=dtype, device=device)
            buffer[sum(sizes) :] = torch.tensor([*marks, failure is not None])
            parts = [part.view(rows, part.numel() // rows) for part in buffer[: sum(sizes)].split(sizes)]
            for place, part in zip(places, parts, strict=True):
                if (value := values[place]) is not None:
                    part.copy_(value)
            distributed.all_reduce(buffer, group=self._group)
            *makers, failed = buffer[sum(sizes) :].tolist()
            failures += failed
            for place, part, count in zip(places, parts, makers, strict=True):
                found[place] = part if count else None
        if failures:
            raise failure or self._other()
        return found

    def gathered(self, values: Tensor, failure: Exception | None) -> Tensor:
        """Return [processes, n] every process's numbers [n] float64.

        Raises:
            BalanceError: a process failed; or `failure`, if it was this one.
        """
        own = torch.cat([values, torch.tensor([failure is not None])]).to(self.device)
        found = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(found, own, group=self._group)
        everyone = torch.stack(found).cpu()
        if failed := everyone[:, -1].nonzero().flatten().tolist():
            raise failure or self._other(failed[0])
        return everyone[:, :-1]

    def most(self, values: Tensor) -> Tensor:
        """Return the largest of what the processes have at each place of equal tensors."""
        found = values.to(self.device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._group)
        return found.cpu()

    def texts(self, make: Callable[[], str]) -> list[str]:
        """Return the texts of all processes, in order; if one cannot make its text, all fail."""
        made, failure = attempt(make)
        text = (made or "").encode()
        length = torch.tensor([_FAILED if failure else len(text)], device=self.device)
        lengths = [torch.empty_like(length) for _ in range(self.size)]
        distributed.all_gather(lengths, length, group=self._group)
        long = [int(one) for one in lengths]
        if _FAILED in long:
            raise failure or self._other(long.index(_FAILED))
        padded = torch.zeros(max(long), dtype=torch.uint8)
        padded[: len(text)] = torch.frombuffer(bytearray(text or b"\0"), dtype=torch.uint8)[: len(text)]
        found = [torch.empty_like(padded, device=self.device) for _ in range(self.size)]
        distributed.all_gather(found, padded.to(self.device), group=self._group)
        read = zip(found, long, strict=True)
        return [bytes(one[:size].tolist()).decode() for one, size in read]

    def meet(self, balancer: Balancer, names: Callable[[], Sequence[str]]) -> None:
        """Make sure that a balancer is everywhere the same, and knows all tasks: once for each.

        Args:
            balancer: whose tasks become those that any process has, in order, if none were given.
            names: returns the tasks of this process's losses.

        Raises:
            BalanceError: the processes' balancers differ.
        """
        if balancer in self._met:
            return
        told = self.texts(lambda: json.dumps([balancer.settings, balancer.tasks or [*names()]]))
        settings, tasks = zip(*map(json.loads, told), strict=True)
        if (odd := _odd(settings)) is not None:
            raise BalanceError(
                f"balancer: process {odd} has {settings[odd]}, process 0 has {settings[0]}",
                hint="make it with the same settings on every process",
            )
        balancer.admit([*dict.fromkeys(task for own in tasks for task in own)])
        self._met.add(balancer)

    def rest(self) -> None:
        """Keep DistributedDataParallel from reducing the gradients that come next, once more."""
        for wrapper in self._wrappers:
            wrapper.reducer._reset_state()

    def _kinds(self, likes: Sequence[Tensor]) -> dict[tuple[torch.device, torch.dtype], list[int]]:
        """Return which results go into one buffer; one buffer if there are none, for failures."""
        kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
        for place, like in enumerate(likes):
            dtype = torch.promote_types(like.dtype.to_real(), torch.float32)
            kinds.setdefault((like.device, dtype), []).append(place)
        return kinds or {(self.device, torch.float32): []}

    def _other(self, process: int | None = None) -> BalanceError:
        what = "another process" if process is None else f"process {process}"
        return BalanceError(f"{what} could not make this step", hint="its own message says why")

    def _compare(self, named: Sequence[tuple[str, Tensor]]) -> None:
        """Refuse models that are not the same on all processes."""
        told = self.texts(lambda: json.dumps(list(map(list, _described(named)))))
        models = [json.loads(one) for one in told]
        for process, model in enumerate(models):
            if model == models[0]:
                continue
            if [one[:2] for one in model] != [one[:2] for one in models[0]]:
                raise BalanceError(
                    f"ranks: the model of process {process} has other parameters than that of process 0",
                    hint="build the same model everywhere, with parameters in the same order",
                )
            name = next(one[0] for one, first in zip(model, models[0], strict=True) if one != first)
            raise BalanceError(
                f"ranks: `{name}` has other numbers on process {process} than on process 0",
                hint="wrap the model in DistributedDataParallel, which copies them, or build it after "
                "torch.manual_seed(…)",
            )


def attempt(make: Callable[[], Made]) -> tuple[Made | None, Exception | None]:
    """Return what is made, or why it is not: to be raised once no process waits for this one any more."""
    try:
        return make(), None
    except Exception as error:  # noqa: BLE001
        return None, error


def _described(named: Sequence[tuple[str, Tensor]]) -> Iterator[tuple[str, list[int], int]]:
    """Yield a parameter's name, shape and what tells its numbers from others."""
    for name, parameter in named:
        sample = parameter.detach().reshape(-1)[:_SAMPLE].cpu()
        numbers = sample.to(torch.complex128 if sample.is_complex() else torch.float64).numpy()
        yield name, [*parameter.shape], zlib.crc32(numbers.tobytes())


def _odd(values: Sequence[object]) -> int | None:
    """Return the first that differs from the one at place 0."""
    return next((place for place, value in enumerate(values) if value != values[0]), None)


def _numbers(like: Tensor) -> int:
    """Return how many real numbers a tensor holds."""
    return like.numel() * (2 if like.is_complex() else 1)


def _refuse(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise BalanceError(f"ranks: expected modules, found {type(model).__name__}", hint="Ranks(model)")
    if sharded := _sharded(model):
        raise BalanceError(
            f"ranks: {sharded}: each process holds a part of the parameters, and passes the model backwards "
            "once, so that the tasks' gradients cannot be compared exactly",
            hint="use DistributedDataParallel; or, under FSDP, weights that are fixed beforehand: "
            'balancer="equal", without `ranks`',
        )
    for module in model.modules():
        for option in ("static_graph", "mixed_precision"):
            if isinstance(module, DistributedDataParallel) and getattr(module, option):
                raise BalanceError(
                    f"ranks: DistributedDataParallel with {option} counts on one backward pass a step",
                    hint=f"leave {option} out; torch.autocast works",
                )


def _sharded(model: nn.Module) -> str:
    """Return what spreads a model's parameters over processes; "" if nothing does."""
    # Whoever uses these has imported them; mtctl need not.
    fsdp, tensors = sys.modules.get("torch.distributed.fsdp"), sys.modules.get("torch.distributed.tensor")
    kinds = tuple(
        kind
        for name in ("FullyShardedDataParallel", "FSDPModule")
        if (kind := getattr(fsdp, name, None)) is not None
    )
    for module in model.modules():
        if isinstance(module, kinds):
            return str(next(kind.__name__ for kind in kinds if isinstance(module, kind)))
    spread = getattr(tensors, "DTensor", None)
    for name, parameter in model.named_parameters():
        if spread is not None and isinstance(parameter, spread):
            return f"`{name}` is a DTensor"
    return ""
