from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.problems.hybrid.environments.topology import DELETE, KEEP, Topology, best_return
from mtctl.problems.hybrid.spaces import ActionLayout
from tests.problems.hybrid.environments import scalar
from tests.problems.hybrid.pilots import first_episodes, grow, random_actions, random_pilot


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64 - 1),
    nodes=st.integers(2, 12),
    bias=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.0, 0.5)),
    generator=st.integers(0, 2**32),
)
def test_every_step_is_what_a_scalar_implementation_gives(
    seed: int, nodes: int, bias: tuple[float, ...], generator: int
) -> None:
    copies, rng, episode = Topology(2, nodes=nodes), np.random.default_rng(generator), 0
    copies.reset([seed, 1])
    peer = scalar.Tree(nodes, 20, seed, episode)
    for _ in range(45):
        choice = rng.choice(3, size=(2, nodes), p=np.array(bias) / sum(bias))
        spawn = rng.uniform([-1, 0, 0, 0], 1, (2, nodes, 4))
        copies.step({"choice": choice, "spawn": spawn})
        reward, ending = peer.step(choice[0].tolist(), spawn[0].tolist())
        assert copies.rewards[0] == pytest.approx(reward, abs=1e-9)
        np.testing.assert_allclose(copies.final_observations[0], peer.observation(), atol=1e-6)
        assert copies.terminated[0] == (ending is not None)
        assert copies.success[0] == (ending == "thriving")
        if ending is not None:
            assert copies.outcomes[copies.outcome[0]] == ending
            episode += 1
            peer = scalar.Tree(nodes, 20, seed, episode)
        np.testing.assert_allclose(copies.observations[0], peer.observation(), atol=1e-6)
        assert copies.active["choice"][0].tolist() == [node is not None for node in peer.slots]


@pytest.mark.parametrize(("nodes", "steps"), [(16, 20), (2, 40), (5, 40), (11, 30), (128, 25), (16, 3)])
def test_the_best_return_is_reached_by_meeting_every_demand(nodes: int, steps: int) -> None:
    copies = Topology(5, nodes=nodes, steps=steps)
    played = first_episodes(copies, grow, np.arange(5))
    assert copies.best_return == best_return(nodes, steps)
    np.testing.assert_allclose(
        played.returns, best_return(nodes, steps), rtol=1e-6
    )  # demands are seen in float32
    assert set(played.lengths) == {steps}


def test_the_default_trees_best_return() -> None:
    assert best_return(16, 20) == (2 + 4 + 8) / 16 + 17


def test_the_optimum_is_above_a_script_without_parameters_and_that_above_chance() -> None:
    copies = Topology(500)
    seeds = np.arange(500)
    best = first_episodes(copies, grow, seeds)
    script = first_episodes(copies, lambda seen: grow(seen, demands=False), seeds)
    chance = first_episodes(copies, random_pilot(copies), seeds)
    assert set(best.outcomes) == {"thriving"}
    assert set(script.outcomes) == {"stunted"}
    assert set(chance.outcomes) == {"stunted", "died_out"}
    assert best.returns.mean() == pytest.approx(17.875)
    assert 0.2 < script.returns.mean() < 0.7
    assert chance.returns.mean() < 0.0


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_no_actions_get_more_than_the_best_return(generator: int) -> None:
    copies, rng = Topology(20), np.random.default_rng(generator)
    mistakes = rng.uniform(0, 0.3)

    def careless(seen: np.ndarray) -> dict[str, np.ndarray]:
        acted = grow(seen)
        wrong = rng.random(acted["choice"].shape) < mistakes
        acted["choice"] = np.where(wrong, rng.integers(0, 3, wrong.shape), acted["choice"])
        return acted

    assert copies.best_return is not None
    assert first_episodes(copies, careless, np.arange(20)).returns.max() <= copies.best_return + 1e-6


def test_padded_nodes_have_no_part_in_the_action() -> None:
    copies = Topology(3, nodes=4)
    layout = ActionLayout(copies.action_space, copies.uses)
    copies.reset([0, 1, 2])
    actions = random_actions(layout, 3, np.random.default_rng(0))
    actions.discrete[:, 0] = [KEEP, 1, DELETE]
    masks = layout.masks(actions, copies.active)
    assert masks.discrete.tolist() == [[True, False, False, False]] * 3
    assert masks.continuous.sum(axis=1).tolist() == [0, 4, 0]  # only the root that spawns needs parameters
    copies.step(layout.assemble(actions))
    assert copies.active["spawn"][1, :, 0].tolist() == [True, True, False, False]
    assert copies.outcomes[copies.outcome[2]] == "died_out"
    assert copies.active["choice"][2].tolist() == [True, False, False, False]  # of the next episode


@pytest.mark.parametrize(("nodes", "steps"), [(1, 20), (129, 20), (16, 0)])
def test_a_size_without_a_known_best_return_is_refused(nodes: int, steps: int) -> None:
    with pytest.raises(ValueError, match="there must be"):
        Topology(1, nodes=nodes, steps=steps)
