from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.spaces.utils import flatten
from gymnasium.vector.utils import batch_space

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.observations import ObservationLayout

SPACES: list[Space[Any]] = [
    spaces.Box(-1, 1, (3,)),
    spaces.Box(0, 255, (2, 2), dtype=np.uint8),
    spaces.Box(-np.inf, np.inf, (), dtype=np.float64),
    spaces.Dict({"goal": spaces.Box(0, 1, (2,)), "at": spaces.Dict({"x": spaces.Box(0, 1, (2, 1))})}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_rows_hold_what_gymnasium_flattens(space: Space[Any]) -> None:
    layout = ObservationLayout(space)
    space.seed(0)
    sample = space.sample()
    row = np.empty(layout.size, np.float32)
    layout.write(sample, row)
    np.testing.assert_array_equal(row, np.asarray(flatten(space, sample), np.float32))
    assert layout.box.contains(row)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_batches_are_rows_of_single_observations(space: Space[Any]) -> None:
    layout = ObservationLayout(space)
    batched = batch_space(space, 3)
    batched.seed(1)
    sample = batched.sample()
    rows = layout.flat(sample)
    assert rows.shape == (3, layout.size)
    assert rows.dtype == np.float32
    row = np.empty(layout.size, np.float32)
    layout.write(pick(sample, 2), row)
    np.testing.assert_array_equal(rows[2], row)


def pick(sample: Any, copy: int) -> Any:
    return {key: pick(one, copy) for key, one in sample.items()} if isinstance(sample, dict) else sample[copy]


def test_bounds_beyond_float32_are_none() -> None:
    layout = ObservationLayout(spaces.Box(-1e300, 1e300, (1,), dtype=np.float64))
    assert (layout.box.low[0], layout.box.high[0]) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Dict({"goal": spaces.Discrete(3)}), r"observation\.goal: Discrete is not supported"),
        (
            spaces.Dict({"a": spaces.Tuple((spaces.Box(0, 1, (1,)),))}),
            r"observation\.a: Tuple is not supported",
        ),
        (spaces.MultiBinary(3), "observation: MultiBinary is not supported"),
        (spaces.Dict({"a": spaces.Box(0, 1, (2, 0))}), r"observation\.a: .* has no elements"),
        (spaces.Dict({}), "observation: there is nothing in it"),
    ],
)
def test_what_is_not_supported_is_named_with_its_place(space: Space[Any], message: str) -> None:
    with pytest.raises(MtctlError, match=message) as found:
        ObservationLayout(space)
    assert found.value.hint
