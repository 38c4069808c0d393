from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.environments.moving import Moving
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions
from mtctl.problems.hybrid.uses import Uses
from tests.problems.hybrid.pilots import random_actions

SPACE = spaces.Dict(
    {
        "go": spaces.Discrete(3, start=1),
        "lamps": spaces.MultiBinary(2),
        "node": spaces.MultiDiscrete([2, 2]),
        "power": spaces.Box(0, 1, (1,)),
        "spawn": spaces.Box(0, 1, (2, 2)),
        "turn": spaces.Box(-1, 1, ()),
    }
)
USES: Uses = {
    "go": {1: ("power",), 2: ("power", "turn")},
    "node[0]": {1: ("spawn[0]",)},
    "node[1]": {0: ("spawn[1,0]",), 1: ("spawn[1]",)},
    "lamps[1]": {1: ("turn",)},
}


def test_an_option_uses_what_is_named_for_it() -> None:
    moving = Moving(1)
    layout = ActionLayout(moving.action_space, moving.uses)
    names = [part.path for part in layout.parts if part.kind == "continuous"]
    flat = FlatActions(np.array([[0], [1], [2]]), np.zeros((3, 0), np.int8), np.zeros((3, 2)))
    used = layout.masks(flat).continuous
    assert names == ["action.acceleration", "action.turn"]
    assert used.tolist() == [[True, False], [False, True], [False, False]]


def test_without_uses_everything_counts() -> None:
    masks = ActionLayout(SPACE).masks(random_actions(ActionLayout(SPACE), 5, np.random.default_rng(0)))
    assert all(mask.all() for mask in masks)
    assert [mask.shape for mask in masks] == [(5, 3), (5, 2), (5, 6)]


@given(st.integers(0, 2**32))
def test_masks_say_for_each_copy_what_its_choices_use(seed: int) -> None:
    layout = ActionLayout(SPACE, USES)
    flat = random_actions(layout, 8, np.random.default_rng(seed))
    masks = layout.masks(flat)
    for copy in range(8):
        action = layout.assemble_one(flat, copy)
        go, node, lamps = int(action["go"]), action["node"], action["lamps"]
        expected = [
            go in {1, 2},
            node[0] == 1,
            node[0] == 1,
            True,
            node[1] == 1,
            go == 2 and lamps[1] == 1,  # named for two choices: both must use it
        ]
        assert masks.continuous[copy].tolist() == expected


def test_what_is_not_active_does_not_count() -> None:
    layout = ActionLayout(SPACE, USES)
    flat = FlatActions(np.array([[1, 1, 1]] * 2), np.ones((2, 2), np.int8), np.zeros((2, 6)))
    spawn = np.array([[[True, False], [True, True]]] * 2)
    node = np.array([[True, False], [True, True]])
    masks = layout.masks(flat, {"spawn": spawn, "node": node})
    assert masks.discrete.tolist() == [[True, True, False], [True, True, True]]
    # node[1] is not active in copy 0, so that spawn[1] does not count either
    assert masks.continuous.tolist() == [
        [True, True, False, False, False, True],
        [True, True, False, True, True, True],
    ]
    with pytest.raises(MtctlError, match="active: there is no part nodes"):
        layout.masks(flat, {"nodes": node})


def test_a_copy_that_may_do_nothing_at_all_is_refused() -> None:
    layout = ActionLayout(spaces.Dict({"node": spaces.MultiDiscrete([2, 2])}))
    flat = FlatActions(np.zeros((2, 2), np.int64), np.zeros((2, 0), np.int8), np.zeros((2, 0)))
    with pytest.raises(MtctlError, match="active: copy 1 has no element left to act with"):
        layout.masks(flat, {"node": np.array([[True, False], [False, False]])})


BAD: list[tuple[Any, str, str]] = [
    ({"goo": {1: ("turn",)}}, "here: there is no choice goo", "did you mean `go`?"),
    ({"turn": {1: ("power",)}}, "here: turn is continuous", "choices are: go, node, lamps"),
    ({"node": {1: ("power",)}}, "here: node holds 2 choices", r"such as node\[0\]"),
    ({"go": {0: ("power",)}}, "here.go: there is no option 0", "its options are 1 to 3"),
    ({"go": {"1": ("power",)}}, "here.go: there is no option 1", "its options are 1 to 3"),
    ({"go": {1: ("pwoer",)}}, "here.go.1: there is no parameter pwoer", "did you mean `power`?"),
    (
        {"go": {1: ("lamps",)}},
        "here.go.1: lamps is a choice",
        "parameters are: power, spawn, turn",
    ),
    ({"go": {1: (), 2: ()}}, "here.go: no option uses a parameter", "name the parameters"),
    (
        {"go": {1: ("turn",)}, "action.go": {2: ("power",)}},
        "the choice is named twice",
        "name it once",
    ),
]


@pytest.mark.parametrize(("uses", "message", "hint"), BAD, ids=[message for _, message, _ in BAD])
def test_what_does_not_exist_is_named_with_its_place(uses: Any, message: str, hint: str) -> None:
    with pytest.raises(MtctlError, match=message) as found:
        ActionLayout(SPACE, uses, place="here")
    assert found.value.hint is not None
    assert re.search(hint, found.value.hint)


def test_parts_of_tuples_and_of_single_spaces_can_be_named() -> None:
    pair = spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (2,))))
    for choice, parameter in (("[0]", "[1]"), ("action[0]", "action[1]")):
        layout = ActionLayout(pair, {choice: {1: (parameter,)}})
        flat = FlatActions(np.array([[0], [1]]), np.zeros((2, 0), np.int8), np.zeros((2, 2)))
        assert layout.masks(flat).continuous.tolist() == [[False, False], [True, True]]
