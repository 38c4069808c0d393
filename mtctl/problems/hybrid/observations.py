"""Observations of gymnasium as rows of float32."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.spaces import leaves
from mtctl.text import show_text

_SUPPORTED: Final = "supported are Box, and Dict of Box; gymnasium.wrappers can turn others into these"


class ObservationLayout:
    """How observations that are a Box, or a Dict of them to any depth, lie in a row.

    Args:
        space: of one copy.

    Attributes:
        size: d.
        box: the rows' own space, Box [d] of float32.

    Raises:
        MtctlError: a part is not supported.
    """

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self.space = space
        self._leaves = tuple(leaves(space, "observation"))
        boxes = [_box(path, leaf) for path, leaf in self._leaves]
        _require_dicts(space, "observation")
        low = np.concatenate([np.zeros(0), *(box.low.reshape(-1).astype(np.float64) for box in boxes)])
        high = np.concatenate([np.zeros(0), *(box.high.reshape(-1).astype(np.float64) for box in boxes)])
        if not len(low):
            raise MtctlError("observation: there is nothing in it", hint=_SUPPORTED)
        self.size = len(low)
        with np.errstate(over="ignore"):  # bounds beyond float32 are none
            self.box = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def write(self, observation: Any, row: npt.NDArray[np.float32]) -> None:
        """Write one copy's observation into a row [d].

        Raises:
            ValueError: an array has another shape than its space.
        """
        start = 0
        arrays = _arrays(self.space, observation)
        for (path, leaf), array in zip(self._leaves, arrays, strict=True):
            if array.shape != leaf.shape:
                raise ValueError(f"{path} has shape {array.shape}, and its space {leaf.shape}")
            row[start : start + array.size] = array.reshape(-1)
            start += array.size

    def flat(self, observations: Any) -> npt.NDArray[np.float32]:
        """Return rows [N, d] of observations, each of whose arrays has a leading dimension N."""
        arrays = list(_arrays(self.space, observations))
        return np.concatenate([np.reshape(one, (len(one), -1)) for one in arrays], axis=1, dtype=np.float32)


def _box(path: str, leaf: gymnasium.Space[Any]) -> spaces.Box:
    if not isinstance(leaf, spaces.Box):
        raise MtctlError(f"{show_text(path)}: {type(leaf).__name__} is not supported", hint=_SUPPORTED)
    if 0 in leaf.shape:
        raise MtctlError(
            f"{show_text(path)}: Box of shape {leaf.shape} has no elements", hint="leave the part out"
        )
    return leaf


def _require_dicts(space: gymnasium.Space[Any], path: str) -> None:
    if isinstance(space, spaces.Tuple):
        raise MtctlError(f"{show_text(path)}: Tuple is not supported", hint=_SUPPORTED)
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            _require_dicts(inner, f"{path}.{key}")


def _arrays(space: gymnasium.Space[Any], observation: Any) -> list[npt.NDArray[Any]]:
    if isinstance(space, spaces.Dict):
        return [one for key, inner in space.spaces.items() for one in _arrays(inner, observation[key])]
    return [np.asarray(observation)]
