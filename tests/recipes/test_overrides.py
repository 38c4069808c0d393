from __future__ import annotations

import itertools

import pytest

from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.errors import MtctlError
from mtctl.recipes.loading import load
from tests.recipes.samples import MINIMAL, Refusal, Write, lander


def test_values_are_read_like_yaml() -> None:
    recipe = lander(
        "gradnorm_blind",
        [
            "agent.lr=1e-3",
            "problem.tasks=[standard, heavy]",
            "agent.replay={capacity: 5000}",
            "name=no",
            "agent.double=true",
        ],
    )
    assert recipe.agent.lr == 1e-3
    assert recipe.problem.tasks == ("standard", "heavy")
    assert recipe.agent.replay.capacity == 5000
    assert recipe.name == "no"
    assert recipe.agent.double is True


def test_nothing_after_the_equals_sign_is_null() -> None:
    assert lander("gradnorm_blind", ["agent.gradient_clip=10"]).agent.gradient_clip == 10.0
    assert lander("gradnorm_blind", ["agent.gradient_clip="]).agent.gradient_clip is None


def test_keys_that_the_file_leaves_out_are_added(write: Write) -> None:
    recipe = lander(write("mine.yaml", MINIMAL), ["agent.replay.capacity=7000", "evaluation.every=0"])
    assert recipe.agent.replay.capacity == 7000
    assert recipe.evaluation.every == 0


def test_only_the_first_equals_sign_splits(refusal: Refusal) -> None:
    assert "`name: a=b` is not allowed" in refusal(MINIMAL, "name=a=b")


def test_an_index_leads_into_a_chain() -> None:
    recipe = lander("gradnorm_pcgrad_blind", ["balancer.0.alpha=0.5", "balancer.1.reduction=mean"])
    first, second = recipe.chain
    assert isinstance(first, GradNorm)
    assert isinstance(second, PCGrad)
    assert (first.alpha, second.reduction) == (0.5, "mean")


def test_an_index_leads_into_a_plain_list() -> None:
    assert lander("gradnorm_blind", ["agent.hidden.1=64"]).agent.hidden == (256, 64)


def test_another_kind_leaves_nothing_of_the_old_one() -> None:
    recipe = lander("gradnorm_blind", ["balancer.kind=pcgrad"])
    assert recipe.balancer == PCGrad()


def test_the_same_kind_keeps_the_rest() -> None:
    assert lander("gradnorm_blind", ["balancer.kind=gradnorm"]) == lander("gradnorm_blind")


def test_the_kind_of_a_part_that_has_only_one_shape_keeps_the_rest() -> None:
    replay = lander("published/gradnorm_blind", ["agent.replay.kind=mixed"]).agent.replay
    assert (replay.kind, replay.capacity, replay.learning_starts) == ("mixed", 100_000, 64)


def test_a_chain_can_replace_a_method() -> None:
    recipe = lander("gradnorm_blind", ["balancer=[{kind: gradnorm}, {kind: pcgrad}]"])
    assert [method.kind for method in recipe.chain] == ["gradnorm", "pcgrad"]


def test_a_mapping_replaces_a_chain() -> None:
    assert lander("gradnorm_pcgrad_blind", ["balancer={kind: pcgrad}"]).balancer == PCGrad()


def test_the_order_of_different_keys_means_nothing() -> None:
    arguments = [
        "balancer.alpha=0",
        "balancer.kind=gradnorm",
        "balancer.weight_floor=0",
        "balancer={lr: 0.1}",
    ]
    results = [lander("pcgrad_blind", order) for order in itertools.permutations(arguments)]
    assert results[0].balancer == GradNorm(alpha=0, weight_floor=0, lr=0.1)
    assert all(result == results[0] for result in results)


def test_the_last_of_one_key_wins() -> None:
    assert lander("gradnorm_blind", ["agent.lr=1", "agent.lr=2"]).agent.lr == 2.0


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (
            "balancer.alhpa=2",
            "  --> -o  unknown key `alhpa`\n"
            "     │ -o balancer.alhpa=2\n"
            "     │             ^^^^^ known here: kind",
        ),
        (
            "agent.loss=mes",
            "  --> -o  `loss: mes` is not allowed\n"
            "     │ -o agent.loss=mes\n"
            "     │               ^^^ did you mean `mse`? choose from: mse, huber",
        ),
        (
            "problem.tasks=[heavy, windi]",
            "  --> -o  `windi` in `tasks` is not allowed\n"
            "     │ -o problem.tasks=[heavy, windi]\n"
            "     │                          ^^^^^ did you mean `windy`?",
        ),
        (
            "problem.tasks=[heavy",
            "  --> -o  not valid YAML: a bracket is not closed here\n"
            "     │ -o problem.tasks=[heavy\n"
            "     │                        ^ separate",
        ),
        (
            "agent.lr",
            "  --> -o  `agent.lr` is not an override\n"
            "     │ -o agent.lr\n"
            "     │    ^^^^^^^^ write `key.path=value`",
        ),
        ("=1", "`=1` is not an override"),
        ("agent..lr=1", "`agent..lr=1` is not an override"),
        ("", "`` is not an override"),
        ("name.first=1", "there is no `first` inside `mine`"),
        ("agent.hidden=[1]\nb", "not valid YAML"),
        ("name={first: a}", "`name` must be text"),
        (".".join("a" * 5000) + "=1", "more than 32 levels of nesting"),
        ("extends=pcgrad_blind", "`extends` works in a file only"),
    ],
)
def test_what_is_wrong_is_underlined_in_the_argument(refusal: Refusal, argument: str, said: str) -> None:
    message = refusal(MINIMAL, argument)
    assert message.startswith("mine.yaml is not a valid recipe (1 problem)\n")
    assert said in message


@pytest.mark.parametrize("key", ["2", "-1", "kind", "0x0", "９", "9" * 5000])
def test_a_list_is_entered_by_index_only(refusal: Refusal, key: str) -> None:
    message = refusal("extends: gradnorm_pcgrad_blind", f"balancer.{key}=1")
    assert "a list of 2 has no entry `" in message
    assert "its entries are 0 to 1" in message


def test_every_wrong_argument_is_reported(refusal: Refusal) -> None:
    message = refusal(MINIMAL, "agent.lrr=1", "nonsense", "agent.lr=x", "agent.gamma=[")
    assert message.startswith("mine.yaml is not a valid recipe (4 problems)")


def test_a_part_may_be_named_by_its_kind() -> None:
    named = load("windows_fixed", ["balancer=uncertainty"])
    assert named == load("windows_fixed", ["balancer={kind: uncertainty}"])
    with_lr = load("windows_fixed", ["balancer.lr=0.5", "balancer=uncertainty"])
    assert with_lr == load("windows_fixed", ["balancer={kind: uncertainty, lr: 0.5}"])
    with pytest.raises(MtctlError, match="did you mean `uncertainty`"):
        load("windows_fixed", ["balancer=uncertanty"])
