"""Which options of a choice an environment allows now: masks as `action_space.sample(mask)` takes them.

Discrete: an array of as many flags as options. MultiDiscrete: such an array for each element, nested as the
elements are. MultiBinary: for each element 0 (it must be 0), 1 (it must be 1) or 2 (either). Dict and Tuple:
masks of their parts. None, or a key that is left out: everything there is allowed. A Box has no mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

Flags = npt.NDArray[np.bool_]

_EITHER = 2


class MaskError(ValueError):
    """A mask does not fit the action, or forbids every option of a choice."""


def allowed_options(space: gymnasium.Space[Any], mask: Any) -> Flags:
    """Return flags of all options [Σ options], those of discrete elements first and 2 a binary one behind.

    Args:
        space: of one copy's action.
        mask: what the environment says.

    Raises:
        MaskError: the mask does not fit the space, or forbids every option of a choice.
    """
    discrete: list[Flags] = []
    binary: list[Flags] = []
    for path, leaf, part in _leaves(space, mask, "action"):
        found = binary if isinstance(leaf, spaces.MultiBinary) else discrete
        for element, flags in _of_leaf(path, leaf, part):
            if not flags.any():
                raise MaskError(f"every option of {element} is forbidden")
            found.append(flags)
    return np.concatenate([np.zeros(0, np.bool_), *discrete, *binary])


def _leaves(
    space: gymnasium.Space[Any], mask: Any, path: str
) -> Iterator[tuple[str, gymnasium.Space[Any], Any]]:
    if isinstance(space, spaces.Dict):
        if mask is not None and not isinstance(mask, Mapping):
            raise MaskError(f"the mask of {path} is no dictionary")
        if unknown := [key for key in mask or () if key not in space.spaces]:
            raise MaskError(f"there is no {path}.{unknown[0]}")
        for key, inner in space.spaces.items():
            yield from _leaves(inner, None if mask is None else mask.get(key), f"{path}.{key}")
    elif isinstance(space, spaces.Tuple):
        parts = [None] * len(space.spaces) if mask is None else mask
        if len(parts) != len(space.spaces):
            raise MaskError(f"the mask of {path} has {len(parts)} parts: expected {len(space.spaces)}")
        for index, (inner, part) in enumerate(zip(space.spaces, parts, strict=True)):
            yield from _leaves(inner, part, f"{path}[{index}]")
    else:
        yield path, space, mask


def _of_leaf(path: str, leaf: gymnasium.Space[Any], mask: Any) -> Iterator[tuple[str, Flags]]:
    """Yield each element's path and flags."""
    if isinstance(leaf, spaces.Discrete):
        yield path, _flags(path, mask, int(leaf.n))
    elif isinstance(leaf, spaces.MultiDiscrete):
        for place in np.ndindex(leaf.shape):
            element = f"{path}[{','.join(map(str, place))}]"
            yield element, _flags(element, _within(mask, place), int(leaf.nvec[place]))
    elif isinstance(leaf, spaces.MultiBinary):
        values = np.full(leaf.shape, _EITHER) if mask is None else np.asarray(mask)
        if values.shape != leaf.shape:
            raise MaskError(f"the mask of {path} has shape {values.shape}: expected {leaf.shape}")
        for place, value in np.ndenumerate(values):
            yield f"{path}[{','.join(map(str, place))}]", np.array([value != 1, value != 0])


def _within(mask: Any, place: tuple[int, ...]) -> Any:
    for index in place:
        if mask is None:
            return None
        mask = mask[index]
    return mask


def _flags(element: str, mask: Any, options: int) -> Flags:
    if mask is None:
        return np.ones(options, np.bool_)
    flags = np.asarray(mask)
    if flags.shape != (options,):
        raise MaskError(f"the mask of {element} has shape {flags.shape}: expected ({options},)")
    return flags.astype(np.bool_)
