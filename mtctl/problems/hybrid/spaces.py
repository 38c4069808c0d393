"""Any action space of gymnasium that a policy of categorical, binary and continuous parts can act in.

    layout = ActionLayout(environment.action_space, uses)
    actions = layout.assemble(FlatActions(discrete, binary, continuous))   # the environment's own structure

Supported are Discrete, MultiDiscrete, MultiBinary and bounded Box of floats, and Dict and Tuple of these to
any depth. A policy sees three stacked arrays, whose columns are the elements of all parts in the space's own
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mtctl.errors import MtctlError
from mtctl.part import LARGEST
from mtctl.problems.hybrid.uses import Uses, look_up, read_uses, used
from mtctl.text import show_text

Kind = Literal["discrete", "binary", "continuous"]
Flags = npt.NDArray[np.bool_]

_SUPPORTED: Final = (
    "supported are Discrete, MultiDiscrete, MultiBinary, bounded Box, and Dict and Tuple of these"
)


class FlatActions(NamedTuple):
    """Actions of N copies.

    Args:
        discrete: indices of options, from 0 on [N, D] int64.
        binary: zeros and ones [N, B] int8.
        continuous: in the environment's own units, within its bounds [N, C] float.
    """

    discrete: npt.NDArray[np.int64]
    binary: npt.NDArray[np.int8]
    continuous: npt.NDArray[np.floating[Any]]

    def rows(self, chosen: slice | npt.NDArray[Any]) -> FlatActions:
        """Return the actions of some copies."""
        return FlatActions(self.discrete[chosen], self.binary[chosen], self.continuous[chosen])


class Masks(NamedTuple):
    """Which elements of actions count: those that do not have no part in log-probabilities and entropies.

    Args:
        discrete: [N, D].
        binary: [N, B].
        continuous: [N, C].
    """

    discrete: Flags
    binary: Flags
    continuous: Flags


@dataclass(frozen=True, slots=True)
class ActionPart:
    """One array of the environment's action.

    Args:
        path: where it stands, such as `action.tool` or `action[1]`.
        kind: what is drawn for it.
        shape: of the array for one copy.
        dtype: of the array.
        columns: its place in the stacked array of its kind.
        starts: the environment's number of each element's first option [size]; discrete only.
        sizes: number of options of each element; discrete only.
        low: lower bounds [size]; continuous only.
        high: upper bounds [size]; continuous only.
    """

    path: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: slice
    starts: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.columns.stop - self.columns.start  # type: ignore[no-any-return]

    def elements(self) -> tuple[str, ...]:
        """Return the path of each element, in the order of the columns: `action.tool[2]`."""
        if not self.shape:
            return (self.path,)
        return tuple(f"{self.path}[{_index(place)}]" for place in np.ndindex(self.shape))


class ActionLayout:
    """How an action space lies in three stacked arrays.

    Args:
        space: of one copy.
        uses: which parameters a choice uses, see `uses.Uses`; by default all always count.
        place: where `uses` stands, for messages.

    Attributes:
        space: as given.
        parts: of the action, in the space's order.
        sizes: number of options of each discrete column [D].
        binaries: B.
        dimensions: C.
        low: lower bounds of continuous columns [C] float64.
        high: upper bounds [C] float64.

    Raises:
        MtctlError: a part is not supported, or `uses` does not fit.
    """

    def __init__(self, space: gymnasium.Space[Any], uses: Uses | None = None, *, place: str = "uses") -> None:
        self.space = space
        self.parts = _parts(space)
        self.sizes = tuple(chain.from_iterable(part.sizes for part in self.parts))
        continuous = self._of("continuous")
        self.binaries = sum(part.size for part in self._of("binary"))
        self.dimensions = sum(part.size for part in continuous)
        self.low = np.array([bound for part in continuous for bound in part.low], np.float64)
        self.high = np.array([bound for part in continuous for bound in part.high], np.float64)
        self._by_path = {part.path: part for part in self.parts}
        self._rules = read_uses(uses or {}, *self._choices(), _addresses(continuous), place)

    @property
    def conditional(self) -> bool:
        """Whether which parameters count depends on the choices."""
        return bool(self._rules)

    @property
    def continuous_elements(self) -> tuple[str, ...]:
        """Paths of the continuous columns [C]."""
        return tuple(chain.from_iterable(part.elements() for part in self._of("continuous")))

    def assemble(self, actions: FlatActions) -> Any:
        """Return N actions in the structure of the space, each array with a leading dimension N.

        It is an element of `gymnasium.vector.utils.batch_space(space, N)`: what lies beyond a bound, be it by
        rounding alone, is put onto it.
        """
        return _structure(self.space, "action", lambda path: self._array(self._by_path[path], actions))

    def assemble_one(self, actions: FlatActions, copy: int) -> Any:
        """Return the action of one copy as an element of the space."""
        rows = actions.rows(slice(copy, copy + 1))

        def element(path: str) -> Any:
            part = self._by_path[path]
            value = self._array(part, rows)[0]
            return np.asarray(value) if part.kind == "continuous" else value

        return _structure(self.space, "action", element)

    def flatten(self, actions: Any) -> FlatActions:
        """Return what `assemble` has made the actions from: copies of the arrays, continuous as float64."""
        arrays = dict(_arrays(self.space, "action", actions))
        count = len(next(iter(arrays.values())))
        flat = FlatActions(
            np.empty((count, len(self.sizes)), np.int64),
            np.empty((count, self.binaries), np.int8),
            np.empty((count, self.dimensions), np.float64),
        )
        for part in self.parts:
            rows = np.reshape(arrays[part.path], (count, part.size))
            stacked: npt.NDArray[Any] = getattr(flat, part.kind)
            stacked[:, part.columns] = rows - np.array(part.starts) if part.kind == "discrete" else rows
        return flat

    def masks(self, actions: FlatActions, active: Mapping[str, Flags] | None = None) -> Masks:
        """Return which elements of these actions count.

        Args:
            actions: of N copies.
            active: by path, which elements mean something at all [N, …]: `Copies.active` from before the
                step.

        Raises:
            MtctlError: nothing of a copy's action counts, or `active` names what does not exist.
        """
        count = len(actions.discrete)
        choices = np.concatenate([actions.discrete, actions.binary], axis=1, dtype=np.int64)
        masks = Masks(
            np.ones((count, len(self.sizes)), np.bool_),
            np.ones((count, self.binaries), np.bool_),
            used(self._rules, choices, self.dimensions),
        )
        if active:
            self._restrict(masks, active)
        return masks

    def _restrict(self, masks: Masks, active: Mapping[str, Flags]) -> None:
        places = {path: (index,) for index, path in enumerate(self._by_path)}
        for path, flags in active.items():
            found = look_up(path, places)
            if found is None:
                raise MtctlError(
                    f"active: there is no part {show_text(path)} in the action",
                    hint=f"parts are: {show_text(', '.join(self._by_path))}",
                )
            part = self.parts[found[0]]
            mask: Flags = getattr(masks, part.kind)
            if (shape := np.shape(flags)[1:]) != part.shape:
                raise MtctlError(
                    f"active: flags of {show_text(path)} have shape {shape}: expected {part.shape}",
                    hint="give one flag for each element of the part",
                )
            mask[:, part.columns] &= np.reshape(flags, (len(mask), part.size))
        choices = np.concatenate([masks.discrete, masks.binary], axis=1)
        for rule in self._rules:
            masks.continuous[:, rule.parameters] &= choices[:, rule.choice, None]
        none = ~(masks.discrete.any(axis=1) | masks.binary.any(axis=1) | masks.continuous.any(axis=1))
        if none.any():
            raise MtctlError(
                f"active: copy {int(np.flatnonzero(none)[0])} has no element left to act with",
                hint="end the episode, or leave one element active",
            )

    def _array(self, part: ActionPart, actions: FlatActions) -> npt.NDArray[Any]:
        columns: npt.NDArray[Any] = getattr(actions, part.kind)[:, part.columns]
        values = columns
        if part.kind == "discrete":
            values = columns + np.array(part.starts)
        elif part.kind == "continuous":
            values = np.clip(columns, np.array(part.low), np.array(part.high))
        return values.reshape(len(values), *part.shape).astype(part.dtype)

    def _of(self, kind: Kind) -> tuple[ActionPart, ...]:
        return tuple(part for part in self.parts if part.kind == kind)

    def _choices(self) -> tuple[dict[str, tuple[int, ...]], list[range]]:
        """Return addresses and options of discrete columns, with those of binary ones behind them."""
        discrete, binary = self._of("discrete"), self._of("binary")
        ranges = [
            range(start, start + size)
            for part in discrete
            for start, size in zip(part.starts, part.sizes, strict=True)
        ]
        behind = _addresses(binary, len(self.sizes))
        return _addresses(discrete) | behind, [*ranges, *(range(2) for _ in range(self.binaries))]


def _parts(space: gymnasium.Space[Any]) -> tuple[ActionPart, ...]:
    ends = {"discrete": 0, "binary": 0, "continuous": 0}
    parts: dict[str, ActionPart] = {}
    for path, leaf in leaves(space, "action"):
        kind, details = _described(path, leaf)
        shape = tuple(leaf.shape or ())
        size = int(np.prod(shape))
        if size == 0:
            raise MtctlError(
                f"{show_text(path)}: {type(leaf).__name__} of shape {shape} has no elements",
                hint="leave the part out",
            )
        if path in parts:
            raise MtctlError(f"{show_text(path)}: two parts have this path", hint="use keys without . and [")
        columns = slice(ends[kind], ends[kind] + size)
        ends[kind] += size
        parts[path] = ActionPart(path, kind, shape, np.dtype(leaf.dtype), columns, **details)
    if not parts:
        raise MtctlError(f"action: {space} has no parts", hint=_SUPPORTED)
    return tuple(parts.values())


def leaves(space: gymnasium.Space[Any], path: str) -> Iterator[tuple[str, gymnasium.Space[Any]]]:
    """Yield what is neither Dict nor Tuple in a space, each with its path."""
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(space, spaces.Tuple):
        for index, inner in enumerate(space.spaces):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, space


def _described(path: str, leaf: gymnasium.Space[Any]) -> tuple[Kind, dict[str, Any]]:
    if isinstance(leaf, spaces.Discrete):
        return "discrete", {"starts": (int(leaf.start),), "sizes": (int(leaf.n),)}
    if isinstance(leaf, spaces.MultiDiscrete):
        starts, sizes = leaf.start.reshape(-1).tolist(), leaf.nvec.reshape(-1).tolist()
        return "discrete", {"starts": tuple(starts), "sizes": tuple(sizes)}
    if isinstance(leaf, spaces.MultiBinary):
        return "binary", {}
    if isinstance(leaf, spaces.Box):
        return "continuous", _bounds(path, leaf)
    raise MtctlError(f"{show_text(path)}: {type(leaf).__name__} is not supported", hint=_SUPPORTED)


def _bounds(path: str, box: spaces.Box) -> dict[str, Any]:
    place = show_text(path)
    if not np.issubdtype(box.dtype, np.floating):
        raise MtctlError(
            f"{place}: a Box of {box.dtype} is not supported",
            hint="declare whole numbers as Discrete or MultiDiscrete, and others as a Box of float32",
        )
    low, high = box.low.reshape(-1).astype(np.float64), box.high.reshape(-1).astype(np.float64)
    for what, number, bad in (
        ("no lower bound", low, ~(low >= -LARGEST)),
        ("no upper bound", high, ~(high <= LARGEST)),
        ("no room between its bounds", high, ~(low < high)),
    ):
        if bad.any():
            element = f"{place}[{_index(np.unravel_index(int(np.argmax(bad)), box.shape))}]"
            value = number[int(np.argmax(bad))]
            raise MtctlError(
                f"{element if box.shape else place}: the Box has {what} ({value})",
                hint="give it finite bounds, low below high: low=…, high=…",
            )
    return {"low": tuple(low.tolist()), "high": tuple(high.tolist())}


def _addresses(parts: tuple[ActionPart, ...], offset: int = 0) -> dict[str, tuple[int, ...]]:
    """Return the columns of each part, of its rows and of its elements, by path."""
    found: dict[str, tuple[int, ...]] = {}
    for part in parts:
        columns = np.arange(part.columns.start, part.columns.stop).reshape(part.shape) + offset
        for depth in range(len(part.shape) + 1):
            for place in np.ndindex(part.shape[:depth]):
                path = f"{part.path}[{_index(place)}]" if place else part.path
                found[path] = tuple(np.reshape(columns[place], -1).tolist())
    return found


def _index(place: tuple[Any, ...]) -> str:
    return ",".join(str(int(one)) for one in place)


def _structure(space: gymnasium.Space[Any], path: str, array: Callable[[str], Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _structure(inner, f"{path}.{key}", array) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_structure(inner, f"{path}[{i}]", array) for i, inner in enumerate(space.spaces))
    return array(path)


def _arrays(space: gymnasium.Space[Any], path: str, actions: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _arrays(inner, f"{path}.{key}", actions[key])
    elif isinstance(space, spaces.Tuple):
        for index, inner in enumerate(space.spaces):
            yield from _arrays(inner, f"{path}[{index}]", actions[index])
    else:
        yield path, np.asarray(actions)
