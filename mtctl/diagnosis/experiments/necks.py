"""Where all that a task knows of a row passes through few numbers, found by exchange.

At one place of the network after the other, what a module reads or returns, every row gets the numbers of
another row. Where each answer then is the other row's, nothing reaches it beside these numbers (cf.
interchange interventions: Geiger et al., "Causal Abstractions of Neural Networks", 2021). How many they are
is their rank over the rows: copies, or sums, of a number are no further ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mtctl.diagnosis.thresholds import RANK, RANKED_ROWS, SAME_ANSWER
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.supervised.problem import Supervised


class Place(NamedTuple):
    """What a module reads, or what it returns, by the module's name."""

    module: str
    reads: bool

    def __str__(self) -> str:
        name = f"`{self.module}`" if self.module else "the model"
        return f"what {name} {'reads' if self.reads else 'returns'}"


@dataclass(frozen=True, slots=True)
class Neck:
    """A place that all answers of some tasks depend on alone, and that is narrower than one before it.

    Args:
        place: where it is.
        numbers: of a row that pass there.
        before: a place that it depends on, where more pass.
        before_numbers: how many.
        asked: how many numbers each of those tasks answers, by task; of classes, one less than there are.
    """

    place: Place
    numbers: int
    before: Place
    before_numbers: int
    asked: Mapping[str, int]


@torch.no_grad()
def necks(problem: Supervised[Any]) -> list[Neck]:
    """Return the places where no more numbers pass than are answered from them, the narrowest first."""
    answers = problem.answers("monitor")
    if not answers.apart:
        return []
    seen = passed(problem, "monitor", RANKED_ROWS)
    ranks = {place: _rank(torch.cat(parts)) for place, parts in seen.items()}
    asked = {task: _asked(problem, task, answers.parts[0][0].get(task)) for task in problem.tasks}
    most = min(sum(asked.values()), RANKED_ROWS // 2)
    found = []
    for place, rank in sorted(ranks.items(), key=lambda entry: entry[1]):
        if not 0 < rank <= most:
            continue
        through = {task: asked[task] for task in _depending(problem, place, answers) if asked[task]}
        if rank > sum(through.values()) or _is_answer(answers, place, rank, through, seen):
            continue
        if (before := _before(problem, place, ranks, seen)) is not None:
            found.append(Neck(place, rank, before, ranks[before], through))
    return found


@torch.no_grad()
def passed(problem: Supervised[Any], split: SeedList, rows: int | None = None) -> dict[Place, list[Tensor]]:
    """Return the numbers [N, …] that pass at every place, call by call, in the order of the network.

    Args:
        problem: whose network answers.
        split: the rows that it answers.
        rows: of each call, at most.
    """
    seen: dict[Place, list[Tensor]] = {}

    def remember(place: Place, given: Tensor) -> None:
        seen.setdefault(place, []).append(given[:rows].detach().clone())

    with _watching(problem.network, remember):
        problem.answers(split)
    return seen


@contextmanager
def _watching(network: nn.Module, look: Callable[[Place, Tensor], Tensor | None]) -> Iterator[None]:
    """Show all numbers that pass; what is returned takes their place."""
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(_reading(Place(name, reads=True), look)))
        handles.append(module.register_forward_hook(_returning(Place(name, reads=False), look)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _reading(place: Place, look: Callable[[Place, Tensor], Tensor | None]) -> Callable[..., Any]:
    def hook(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not given or not _of_rows(given[0]):
            return None
        changed = look(place, given[0])
        return None if changed is None else (changed, *given[1:])

    return hook


def _returning(place: Place, look: Callable[[Place, Tensor], Tensor | None]) -> Callable[..., Any]:
    def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        return look(place, output) if _of_rows(output) else None

    return hook


def _of_rows(given: Any) -> bool:
    return isinstance(given, Tensor) and given.is_floating_point() and given.dim() > 1


def _rank(numbers: Tensor) -> int:
    """Return how many independent numbers rows [N, …] hold."""
    rows = _flat(numbers)[:RANKED_ROWS]
    values = torch.linalg.svdvals(rows - rows.mean(0))
    return int((values > RANK * rows.abs().max() * len(rows) ** 0.5).sum()) if values.isfinite().all() else 0


def _asked(problem: Supervised[Any], task: str, output: Tensor | None) -> int:
    """Return how many numbers of a row a task answers; of classes [N, C, …], C − 1 for each."""
    if output is None:
        return 0
    numbers = output[0].numel()
    if problem.is_of_classes(task) and output.dim() > 1 and output.shape[1] > 1:
        return numbers - numbers // output.shape[1]
    return numbers


def _depending(problem: Supervised[Any], place: Place, answers: Answers[Any]) -> list[str]:
    """Return the tasks that depend on a place alone: other rows' numbers give the other rows' answers."""
    with _exchanged(problem, place):
        others = problem.answers("monitor").parts
    return [task for task in problem.tasks if all(map(_follows(task), answers.parts, others))]


def _follows(task: str) -> Callable[[Any, Any], bool]:
    def follows(before: Any, after: Any) -> bool:
        if task not in before[0] or task not in after[0]:
            return False
        own, other = before[0][task], after[0][task]
        if len(own) < 2:
            return True
        spread = float(own.double().std(0).max())
        return spread > 0 and float((own.roll(1, 0) - other).abs().max()) <= SAME_ANSWER * spread

    return follows


@contextmanager
def _exchanged(problem: Supervised[Any], place: Place) -> Iterator[None]:
    """Give every row the numbers of the row before it, at one place."""
    with _watching(problem.network, lambda at, given: given.roll(1, 0) if at == place else None):
        yield


def _before(
    problem: Supervised[Any],
    place: Place,
    ranks: Mapping[Place, int],
    seen: Mapping[Place, list[Tensor]],
) -> Place | None:
    """Return the last place before another that it depends on and where more numbers pass."""
    order = list(ranks)
    own = torch.cat(seen[place])
    for earlier in reversed(order[: order.index(place)]):
        if ranks[earlier] <= ranks[place]:
            continue
        with _exchanged(problem, earlier):
            changed = torch.cat(passed(problem, "monitor", RANKED_ROWS)[place])
        if not torch.equal(own, changed):
            return earlier
    return None


def _is_answer(
    answers: Answers[Any],
    place: Place,
    rank: int,
    through: Mapping[str, int],
    seen: Mapping[Place, list[Tensor]],
) -> bool:
    """Say whether what passes is what the only task answers, in another unit at most."""
    if len(through) != 1:
        return False
    ((task, asked),) = through.items()
    outputs = [raw[task][:RANKED_ROWS] for raw, _ in answers.parts if task in raw]
    if rank < asked or len(outputs) != len(seen[place]):
        return False
    numbers, answer = (_flat(torch.cat(list(some))) for some in (seen[place], outputs))
    if len(numbers) != len(answer):
        return False
    known = torch.cat([numbers, torch.ones(len(numbers), 1, dtype=numbers.dtype)], 1)
    left = answer - known @ torch.linalg.lstsq(known, answer).solution
    return float(left.abs().max()) <= SAME_ANSWER * float(answer.std(0).max())


def _flat(numbers: Tensor) -> Tensor:
    """Return numbers [N, …] as [N, F]."""
    return numbers.reshape(len(numbers), -1).double()
