from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector.utils import batch_space, iterate
from hypothesis import given
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions
from tests.problems.hybrid.pilots import random_actions

COUNT = 4


def floats(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    low, width = draw(st.integers(-1000, 1000)) / 7, draw(st.integers(1, 1000)) / 3
    dtype: Any = draw(st.sampled_from([np.float32, np.float64]))
    return spaces.Box(low, low + width, draw(shapes), dtype=dtype)


@st.composite
def several(draw: st.DrawFn) -> spaces.MultiDiscrete:
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    sizes, starts = (draw(st.lists(st.integers(1, 5), min_size=9, max_size=9)) for _ in range(2))
    count = int(np.prod(shape))
    return spaces.MultiDiscrete(np.reshape(sizes[:count], shape), start=np.reshape(starts[:count], shape) - 3)


discrete = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3))
binary = st.builds(spaces.MultiBinary, st.integers(1, 4) | st.just([2, 3]))
leaves: st.SearchStrategy[Space[Any]] = boxes() | several() | discrete | binary
actions = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3).map(spaces.Dict)
        | st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple)
    ),
    max_leaves=6,
)


@given(actions, st.integers(0, 2**32))
def test_actions_that_are_put_together_lie_in_the_space_and_come_apart_again(
    space: Space[Any], seed: int
) -> None:
    layout = ActionLayout(space)
    flat = random_actions(layout, COUNT, np.random.default_rng(seed))
    batch = layout.assemble(flat)
    assert batch_space(space, COUNT).contains(batch)
    again = layout.flatten(batch)
    np.testing.assert_array_equal(again.discrete, flat.discrete)
    np.testing.assert_array_equal(again.binary, flat.binary)
    np.testing.assert_allclose(again.continuous, flat.continuous, rtol=1e-6, atol=1e-4)
    for copy, action in enumerate(iterate(batch_space(space, COUNT), batch)):
        one = layout.assemble_one(flat, copy)
        assert space.contains(one)
        assert same(one, action)


@given(actions, st.integers(0, 2**31))
def test_gymnasiums_own_actions_come_apart_and_together_again(space: Space[Any], seed: int) -> None:
    batched = batch_space(space, COUNT)
    batched.seed(seed)
    sample = batched.sample()
    layout = ActionLayout(space)
    flat = layout.flatten(sample)
    assert data_equivalence(layout.assemble(flat), sample, exact=True)
    assert (flat.discrete >= 0).all()
    assert (flat.discrete < np.array(layout.sizes, np.int64)).all()
    assert (flat.continuous >= layout.low).all()
    assert (flat.continuous <= layout.high).all()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return np.array_equal(one, other)


def test_parts_have_paths_and_places() -> None:
    space = spaces.Dict(
        {
            "go": spaces.Discrete(3, start=1),
            "tool": spaces.Tuple(
                (spaces.MultiBinary(2), spaces.MultiDiscrete([2, 4]), spaces.Box(-1, 1, (2, 2)))
            ),
            "turn": spaces.Box(0, floats([1, 5])),
        }
    )
    layout = ActionLayout(space)
    assert [(part.path, part.kind, part.columns) for part in layout.parts] == [
        ("action.go", "discrete", slice(0, 1)),
        ("action.tool[0]", "binary", slice(0, 2)),
        ("action.tool[1]", "discrete", slice(1, 3)),
        ("action.tool[2]", "continuous", slice(0, 4)),
        ("action.turn", "continuous", slice(4, 6)),
    ]
    assert layout.sizes == (3, 2, 4)
    assert (layout.binaries, layout.dimensions) == (2, 6)
    assert layout.low.tolist() == [-1, -1, -1, -1, 0, 0]
    assert layout.high.tolist() == [1, 1, 1, 1, 1, 5]
    assert layout.parts[3].elements()[1:3] == ("action.tool[2][0,1]", "action.tool[2][1,0]")
    assert layout.parts[0].elements() == ("action.go",)
    flat = FlatActions(np.array([[2, 0, 3]]), np.array([[0, 1]], np.int8), np.arange(6.0)[None] / 5)
    action = layout.assemble_one(flat, 0)
    assert action["go"] == 3
    assert action["tool"][1].tolist() == [0, 3]
    assert action["tool"][2].tolist() == [[0.0, pytest.approx(0.2)], [pytest.approx(0.4), pytest.approx(0.6)]]


@given(st.floats(-1e9, 1e9))
def test_what_lies_beyond_a_bound_is_put_onto_it(value: float) -> None:
    space = spaces.Box(-0.1, 0.3, (2,))
    flat = FlatActions(np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int8), np.array([[value, 0.2]]))
    action = ActionLayout(space).assemble_one(flat, 0)
    assert space.contains(action)
    assert action[1] == np.float32(0.2)


BAD = [
    (spaces.Sequence(spaces.Discrete(2)), "action.tool[2]: Sequence is not supported"),
    (spaces.Text(4), "action.tool[2]: Text is not supported"),
    (spaces.OneOf([spaces.Discrete(2)]), "action.tool[2]: OneOf is not supported"),
    (spaces.Box(-np.inf, 1, (2,)), "action.tool[2][0]: the Box has no lower bound (-inf)"),
    (
        spaces.Box(floats([0, 0]), floats([1, np.inf])),
        "action.tool[2][1]: the Box has no upper bound (inf)",
    ),
    (spaces.Box(-3.4e38, 3.4e38, ()), "action.tool[2]: the Box has no lower bound"),
    (spaces.Box(0, floats([[1, 0]])), "action.tool[2][0,1]: the Box has no room between its bounds"),
    (spaces.Box(0, 255, (2,), dtype=np.uint8), "action.tool[2]: a Box of uint8 is not supported"),
    (spaces.Box(0, 1, (0,)), "action.tool[2]: Box of shape (0,) has no elements"),
]


@pytest.mark.parametrize(("space", "message"), BAD, ids=[text for _, text in BAD])
def test_what_is_not_supported_is_named_with_its_place(space: Space[Any], message: str) -> None:
    good = spaces.Discrete(2)
    with pytest.raises(MtctlError, match=re.escape(message)) as found:
        ActionLayout(spaces.Dict({"tool": spaces.Tuple((good, good, space))}))
    assert found.value.hint


def test_spaces_without_parts_or_with_ambiguous_paths_are_refused() -> None:
    with pytest.raises(MtctlError, match=r"action: Dict.* has no parts"):
        ActionLayout(spaces.Dict({}))
    one = spaces.Discrete(2)
    with pytest.raises(MtctlError, match=r"action\.a\.b: two parts"):
        ActionLayout(spaces.Dict({"a": spaces.Dict({"b": one}), "a.b": one}))
