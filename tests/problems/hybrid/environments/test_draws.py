from __future__ import annotations

import numpy as np

from mtctl.problems.hybrid.environments.draws import bits, uniform
from tests.problems.hybrid.environments.scalar import bits as scalar_bits


def test_the_word_0_draws_the_first_output_of_splitmix64_from_seed_0() -> None:
    first = scalar_bits(0)
    assert bits([0]).tolist() == [first] == [0xE220A8397B1DCDAF]


def test_words_are_mixed_as_a_scalar_implementation_does() -> None:
    seeds, numbers = [0, 1, 2**64 - 1], np.arange(4)
    found = bits(np.array(seeds, np.uint64)[:, None], 7, numbers)
    assert found.tolist() == [[scalar_bits(seed, 7, number) for number in range(4)] for seed in seeds]


def test_draws_are_uniform_and_unrelated_between_neighbouring_seeds_episodes_and_numbers() -> None:
    n = 200
    draws = uniform(np.arange(n)[:, None, None], np.arange(n)[:, None], np.arange(5))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert np.abs(counts / draws.size - 0.05).max() < 0.002  # 4 standard errors
    for axis in range(3):
        neighbours = np.moveaxis(draws, axis, 0)
        correlation = np.corrcoef(neighbours[1:].ravel(), neighbours[:-1].ravel())[0, 1]
        assert abs(correlation) < 0.01
