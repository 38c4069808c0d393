"""What a checkpoint holds, against what a run can take: every value of its kind, and all of it or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem

_LONGEST: Final = 200
"""Characters of a value in a message."""
_HUGE: Final = 10**40
"""Python refuses to print thousands of digits."""


def require_facts(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose facts are of another kind than those that `save` writes."""
    _require(content, _FACTS, path)
    for place, value in _tensors(content["policy"], "policy"):
        if not value.isfinite().all():
            raise _misfit(path, f"{place} is not finite, as after a training that diverged")


def require_training(path: Path, training: Mapping[str, Any]) -> None:
    """Refuse one whose state of training lacks something, is of another kind, or holds NaN.

    An infinity can be one of a squared gradient, which Adam can go on with.
    """
    _require(training, _TRAINING, path, "training.")
    for place, value in _tensors(training, "training"):
        if value.isnan().any():
            raise _misfit(path, f"{place} is not a number, as after a training that diverged")


def fill_policy(path: Path, content: Mapping[str, Any], problem: Problem) -> None:
    """Load a checkpoint's policy into its problem.

    Raises:
        MtctlError: it does not fit.
    """
    _fill(path, "policy", content["policy"], problem.load_policy_state, problem.policy_state)


def fill_training(path: Path, content: Mapping[str, Any], problem: Problem, balancing: _Stateful) -> None:
    """Load a checkpoint's state of training into a run's problem and its balancing.

    Raises:
        MtctlError: it does not fit, or its parts are not of one moment.
    """
    training = content["training"]
    for name, part in (("problem", problem), ("balancing", balancing)):
        _fill(path, f"training.{name}", training[name], part.load_state_dict, part.state_dict)
    if type(problem.done) is not int or problem.done != content["done"]:
        found = f"training.problem is after {problem.unit} {_shown(problem.done)}, done is {content['done']}"
        raise _misfit(path, found)
    for name, spent in problem.budget().items():
        if not _is_count(spent):
            raise _misfit(
                path, f"training.problem has {_shown(spent)} {name}, expected a whole number from 0"
            )


def _fill(path: Path, place: str, stored: Any, load: Callable[[Any], None], state: Callable[[], Any]) -> None:
    """Load a part of a checkpoint, and see that what was loaded is what stands there.

    Loaders copy numbers into tensors that are there already, where one number fits any shape and any type.

    Args:
        path: the checkpoint.
        place: of the part in it.
        stored: the part.
        load: takes it.
        state: returns what has been loaded, in the form in which it is saved.

    Raises:
        MtctlError: the part does not fit this run. What was filled is then of no use.
    """
    try:
        load(stored)
        difference = _difference(stored, state(), place)
    except MtctlError:
        raise
    except Exception as error:  # a loader may raise anything about what it was not made for
        reason = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
        reason = f"{reason} is missing" if isinstance(error, KeyError) else reason
        raise _misfit(path, f"{place} does not fit this run: {reason}") from error
    if difference is not None:
        raise _misfit(path, difference)


def _difference(stored: Any, loaded: Any, place: str) -> str | None:
    """Return where a loaded state is not what was stored; keys that a loader adds are defaults of its own."""
    match stored, loaded:
        case Tensor(), Tensor():
            if stored.dtype != loaded.dtype or stored.shape != loaded.shape:
                return f"{place} is {_shown(stored)}, and this run has {_shown(loaded)} there"
            return None if _bits(stored) == _bits(loaded) else f"{place} does not fit into this run"
        case dict(), dict():
            for key, value in stored.items():
                if key not in loaded:
                    return f"{place}.{key} does not exist in this run"
                if difference := _difference(value, loaded[key], f"{place}.{key}"):
                    return difference
            return None
        case (list(), list()) | (tuple(), tuple()):
            if len(stored) != len(loaded):
                return f"{place} is {_shown(stored)}, and this run has {_shown(loaded)} there"
            pairs = enumerate(zip(stored, loaded, strict=True))
            return next(
                filter(None, (_difference(one, other, f"{place}.{index}") for index, (one, other) in pairs)),
                None,
            )
        case _:
            same = type(stored) is type(loaded) and (stored == loaded or stored != stored)  # noqa: PLR0124 NaN
            return None if same else f"{place} is {_shown(stored)}, and this run has {_shown(loaded)} there"


def _bits(value: Tensor) -> bytes:
    # Even of one number, whose stride may be anything, and which counts as contiguous whatever it is.
    flat = value.detach().cpu().flatten().clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes()


def _shown(value: Any) -> str:
    match value:
        case Tensor():
            return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        case dict():
            return "a mapping"
        case list() | tuple():
            return f"a list of {len(value)}"
        case int() if abs(value) > _HUGE:
            return "a huge number"
        case _:
            return repr(value)[:_LONGEST]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_seconds(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"training", "evaluation"}
        and all(type(seconds) is float and 0 <= seconds < math.inf for seconds in value.values())
    )


def _require(content: Mapping[str, Any], facts: Mapping[str, _Fact], path: Path, place: str = "") -> None:
    for name, (holds, expected) in facts.items():
        if name not in content:
            if name in _LATER:
                continue
            raise _misfit(path, f"{place}{name} is missing")
        if not holds(content[name]):
            raise _misfit(path, f"{place}{name} is {_shown(content[name])}, expected {expected}")


def _misfit(path: Path, what: str) -> MtctlError:
    return MtctlError(
        f"{path}: the checkpoint cannot be used: {what}",
        hint="restore the run's own checkpoint, use another with --checkpoint, or train again with --force",
    )


def _tensors(value: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of floating point numbers with their places."""
    match value:
        case Tensor() if value.is_floating_point():
            yield place, value
        case dict():
            for name, inner in value.items():
                yield from _tensors(inner, f"{place}.{name}")
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _tensors(inner, f"{place}.{index}")


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


_Fact = tuple[Callable[[Any], bool], str]
_FACTS: Final[Mapping[str, _Fact]] = {
    "recipe_hash": (_is_text, "text"),
    "definition_hash": (_is_text, "text"),
    "seed": (_is_count, "a whole number from 0"),
    "done": (_is_count, "a whole number from 0"),
    "policy": (lambda value: isinstance(value, dict), "a mapping"),
    "training": (lambda value: value is None or isinstance(value, dict), "a mapping or nothing"),
}
"""What a checkpoint has besides its schema number."""
_TRAINING: Final[Mapping[str, _Fact]] = {
    "problem": (lambda value: isinstance(value, dict), "a mapping"),
    "balancing": (lambda value: isinstance(value, dict), "a mapping"),
    "best": (lambda value: value is None or type(value) is float, "a number or nothing"),
    "seconds": (_is_seconds, "seconds of training and evaluation"),
    "started": (_is_text, "text"),
    "metrics_bytes": (_is_count, "a whole number from 0"),
    "open": (lambda value: type(value) is bool, "true or false"),
}
"""What it has of training."""
_LATER: Final = frozenset({"open"})
"""What checkpoints of earlier versions lack."""
