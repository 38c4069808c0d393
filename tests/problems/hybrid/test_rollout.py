from __future__ import annotations

import numpy as np
import pytest
import torch

from mtctl.problems.hybrid.normalisation import RewardScale, RunningMoments
from mtctl.problems.hybrid.rollout import Step, advantages, followed, gathered, minibatches


def steps(count: int = 7, copies: int = 3, seed: int = 0) -> list[Step]:
    rng = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    return [
        Step(
            numbers(copies, 2),
            {"discrete": torch.full((copies, 1), place)},
            {},
            {"discrete": numbers(copies)},
            numbers(copies),
            numbers(copies),
            numbers(copies),
            torch.rand(copies, generator=rng) < 0.3,
        )
        for place in range(count)
    ]


def naive(played: list[Step], copy: int, gamma: float, decay: float) -> list[float]:
    """A_t = Σ_k (γλ)^k δ_{t+k} up to the end of the episode, one by one."""
    found = []
    for start in range(len(played)):
        total, factor = 0.0, 1.0
        for step in played[start:]:
            delta = step.rewards[copy] + gamma * step.following[copy] - step.values[copy]
            total += factor * float(delta)
            if step.ended[copy]:
                break
            factor *= gamma * decay
        found.append(total)
    return found


@pytest.mark.parametrize(("gamma", "decay"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0)])
def test_advantages_are_discounted_sums_of_errors_within_an_episode(gamma: float, decay: float) -> None:
    played = steps()
    found = advantages(played, gamma, decay)
    for copy in range(3):
        assert found[:, copy].tolist() == pytest.approx(naive(played, copy, gamma, decay), abs=1e-5)
    rows = gathered(played, gamma, decay)
    torch.testing.assert_close(rows.returns, rows.advantages + rows.values)
    torch.testing.assert_close(rows.advantages, found.flatten())
    assert torch.equal(rows.observations, torch.cat([step.observations for step in played]))


def test_values_of_what_follows_are_the_next_steps_unless_an_episode_ended() -> None:
    played = steps(3, 4)
    last = torch.full((4,), 7.0)
    found = followed(played, last)
    for place, step in enumerate(found):
        later = last if place == 2 else played[place + 1].values
        for copy in range(4):
            expected = played[place].following if played[place].ended[copy] else later
            assert step.following[copy] == expected[copy]


def test_an_epoch_sees_every_row_once() -> None:
    rows = gathered(steps(8, 4), 0.99, 0.95)
    seen = list(minibatches(rows, 8, torch.Generator().manual_seed(0)))
    assert [len(each.advantages) for each in seen] == [8, 8, 8, 8]
    assert sorted(torch.cat([each.advantages for each in seen]).tolist()) == sorted(rows.advantages.tolist())
    for each in seen:
        for place, worth in enumerate(each.advantages.tolist()):
            row = rows.advantages.tolist().index(worth)
            assert torch.equal(each.observations[place], rows.observations[row])
            assert torch.equal(each.kept["discrete"][place], rows.kept["discrete"][row])


def test_running_moments_are_those_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(5, 3, (size, 4)) for size in (1, 7, 40, 3)]
    moments = RunningMoments(4)
    for batch in batches:
        moments.see(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(moments.mean.numpy(), everything.mean(0))
    np.testing.assert_allclose(moments.variance.numpy(), everything.var(0))
    scaled = moments.scaled(torch.from_numpy(everything).float())
    np.testing.assert_allclose(scaled.numpy().mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.numpy().std(0), 1, atol=1e-4)
    other = RunningMoments(4)
    other.load_state_dict(moments.state_dict())
    assert torch.equal(other.scaled(torch.ones(1, 4)), moments.scaled(torch.ones(1, 4)))


def test_rewards_are_scaled_by_the_spread_of_returns() -> None:
    scale, gamma = RewardScale(2, 0.9), 0.9
    rng = np.random.default_rng(0)
    running, seen = np.zeros(2), []
    for _ in range(3):
        rewards, ended = rng.normal(1, 2, (20, 2)), rng.random((20, 2)) < 0.1
        for step, last in zip(rewards, ended, strict=True):
            running = running * gamma + step
            seen.append(running)
            running = np.where(last, 0.0, running)
        found = scale.scaled(torch.from_numpy(rewards).float(), torch.from_numpy(ended))
        expected = np.clip(rewards / np.sqrt(np.concatenate(seen).var() + 1e-8), -10, 10)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
