from __future__ import annotations

from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.uncertainty import Uncertainty
from tests.recipes.samples import MINIMAL, Write, lander


def test_mappings_are_merged_and_lists_replaced(write: Write) -> None:
    write("parent.yaml", MINIMAL + "evaluation: {every: 7, episodes: 3}\n")
    child = write(
        "child.yaml",
        "extends: parent.yaml\nname: child\n"
        "agent: {hidden: [32], replay: {capacity: 9000}}\nevaluation: {every: 9}\n",
    )
    recipe = lander(child)
    assert recipe.name == "child"
    assert recipe.agent.hidden == (32,)
    assert (recipe.agent.replay.capacity, recipe.agent.replay.learning_starts) == (9000, 256)
    assert (recipe.evaluation.every, recipe.evaluation.episodes) == (9, 3)


def test_null_replaces(write: Write) -> None:
    write("parent.yaml", MINIMAL.replace("kind: dqn", "kind: dqn, gradient_clip: 10"))
    assert lander("parent.yaml").agent.gradient_clip == 10
    assert (
        lander(write("child.yaml", "extends: parent.yaml\nagent: {gradient_clip: null}")).agent.gradient_clip
        is None
    )


def test_a_method_keeps_its_keys_unless_its_kind_changes(write: Write) -> None:
    write("parent.yaml", MINIMAL.replace("kind: equal", "kind: gradnorm, alpha: 0.7, lr: 0.3"))
    tuned = lander(write("tuned.yaml", "extends: parent.yaml\nbalancer: {lr: 0.1}"))
    assert tuned.balancer == GradNorm(alpha=0.7, lr=0.1)
    again = lander(write("again.yaml", "extends: parent.yaml\nbalancer: {kind: gradnorm, lr: 0.1}"))
    assert again.balancer == tuned.balancer
    # `lr` is a key of both, and means another optimizer.
    other = lander(write("other.yaml", "extends: parent.yaml\nbalancer: {kind: uncertainty}"))
    assert other.balancer == Uncertainty()


def test_a_nested_union_behaves_alike(write: Write) -> None:
    write("parent.yaml", MINIMAL.replace("kind: dqn", "kind: dqn, target: {kind: episodes, every: 20}"))
    target = lander(
        write("child.yaml", "extends: parent.yaml\nagent: {target: {kind: updates}}")
    ).agent.target
    assert target.kind == "updates"
    assert target.every == 1000


def test_a_chain_and_a_method_replace_each_other(write: Write) -> None:
    chain = lander(write("chain.yaml", "extends: gradnorm_blind\nbalancer: [{kind: pcgrad}]"))
    assert chain.balancer == (PCGrad(),)
    one = lander(write("one.yaml", "extends: gradnorm_pcgrad_blind\nbalancer: {kind: pcgrad}"))
    assert one.balancer == PCGrad()


def test_grandparents_come_first(write: Write) -> None:
    write("a.yaml", MINIMAL.replace("kind: dqn", "kind: dqn, lr: 1, gamma: 0.1, batch_size: 1"))
    write("b.yaml", "extends: a.yaml\nagent: {gamma: 0.2, batch_size: 2}")
    agent = lander(write("c.yaml", "extends: b.yaml\nagent: {batch_size: 3}")).agent
    assert (agent.lr, agent.gamma, agent.batch_size) == (1.0, 0.2, 3)
