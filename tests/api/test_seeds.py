from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtctl.api.seeds import parse_seeds
from mtctl.errors import MtctlError


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("0..4", [0, 1, 2, 3, 4]),
        ("3..3", [3]),
        ("5", [0, 1, 2, 3, 4]),
        ("0,3,7", [0, 3, 7]),
        (" 2..3 ", [2, 3]),
    ],
)
def test_seeds(seeds: str, expected: list[int]) -> None:
    assert parse_seeds(seeds) == expected


@given(st.text(alphabet="0123456789.,- abc", max_size=8))
def test_any_list_of_seeds_is_distinct_or_refused(text: str) -> None:
    try:
        found = parse_seeds(text)
    except MtctlError as error:
        assert f"--seeds {text}:" in error.message
        return
    assert found
    assert len(set(found)) == len(found)
    assert all(isinstance(seed, int) and seed >= 0 for seed in found)
