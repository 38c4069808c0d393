from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtctl.analysis.significance import MOST_SEEDS, POWER, holm, paired_p_value, seeds_needed

p_values = st.lists(st.floats(0, 1), max_size=8)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000).map(lambda each: each / 8), min_size=2, max_size=20))
def test_the_p_value_is_scipys(differences: list[float]) -> None:
    found = paired_p_value(differences)
    if len(set(differences)) == 1:
        assert found == (0.0 if differences[0] else 1.0)
    else:
        assert found == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=1e-9)


def test_one_difference_has_no_p_value() -> None:
    assert paired_p_value([3.0]) is None
    assert paired_p_value([]) is None


def test_holm_pinned() -> None:
    """Holm's procedure by hand: 0.01·4, 0.015·3, 0.03·2, and 0.04 after the larger one before it."""
    assert holm([0.04, 0.01, 0.03, 0.015]) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(p_values, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_sequential_procedure_rejects(p_values: list[float], alpha: float) -> None:
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if (len(p_values) - rank) * p_values[index] > alpha:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(holm(p_values)) if value <= alpha} == rejected


@given(p_values)
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for own, found in zip(p_values, adjusted, strict=True):
        assert own <= found <= min(1.0, len(p_values) * own) or found == pytest.approx(own)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[index] for index in order] == sorted(adjusted)


def power(n: int, effect: float, level: float) -> float:
    """Return the chance that a t test with n differences finds an effect in standard deviations."""
    critical = stats.t.ppf((1 + level) / 2, n - 1)
    return float(stats.nct.sf(critical, n - 1, effect * n**0.5))


@settings(deadline=None, max_examples=50)
@given(st.floats(0.12, 2.0), st.sampled_from([0.95, 0.99]))
def test_as_many_seeds_have_the_power_asked_for(effect: float, level: float) -> None:
    """The exact answer is by the noncentral t distribution."""
    found = seeds_needed(10 * effect, 10.0, level)
    assert found is not None
    exact = next(n for n in range(2, MOST_SEEDS) if power(n, effect, level) >= POWER)
    assert abs(found - exact) <= 1


def test_too_many_seeds_are_not_counted() -> None:
    assert seeds_needed(0.0, 1.0, 0.95) is None
    assert seeds_needed(0.0, 0.0, 0.95) is None
    assert seeds_needed(0.05, 1.0, 0.95) is None
    assert seeds_needed(1.0, 0.0, 0.95) == 2
    assert seeds_needed(1e-300, 1e100, 0.95) is None
