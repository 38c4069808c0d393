from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import ABSENT, differences, dump, load, recipe_hash
from mtctl.recipes.resolved import text
from mtctl.yaml.nodes import plain
from mtctl.yaml.sources import Source
from mtctl.yaml.syntax import parse


@pytest.mark.parametrize("name", builtin.names())
def test_a_dump_loads_back(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump(recipe), encoding="utf-8")
    again = load(path)
    assert again == recipe
    assert dump(again) == dump(recipe)
    assert recipe_hash(again) == recipe_hash(recipe)
    assert differences(again, recipe) == []


@pytest.mark.parametrize("name", ["1e-3", "010", "0o10", "null", "true", "no", "1.5", "x.y_z-1", "0x1F"])
def test_names_that_look_like_other_things_stay_names(name: str, tmp_path: Path) -> None:
    recipe = load("gradnorm_blind", [f'name="{name}"'])
    path = tmp_path / "recipe.yaml"
    path.write_text(dump(recipe), encoding="utf-8")
    assert load(path).name == name


def test_a_dump_has_every_key_in_the_order_of_the_models() -> None:
    lines = dump(load("gradnorm_pcgrad_blind")).splitlines()
    assert [line.split(":")[0] for line in lines if re.match(r"\w", line)] == list(LanderRecipe.model_fields)
    assert "  - kind: gradnorm" in lines
    assert "    theoretical_losses: null" in lines
    assert "  tasks: [standard, windy, heavy]" in lines


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values)
def test_any_value_is_written_so_that_it_reads_back(value: object) -> None:
    line = text(value)
    assert "\n" not in line
    node = parse(Source("f.yaml", line), [])
    assert (None if node is None else plain(node)) == value


def test_equal_recipes_have_equal_hashes(tmp_path: Path) -> None:
    manual = "balancer={kind: manual, weights: {%s}}"
    one = load("equal_blind", [manual % "standard: 1, windy: 2, heavy: 0.0"])
    other = load("equal_blind", [manual % "heavy: -0.0, windy: 2.0, standard: 1"])
    assert one == other
    assert recipe_hash(one) == recipe_hash(other)


#: Of a recipe at its defaults, when runs of it were first kept: their checkpoints carry it.
FIRST_HASH = "0195e2ec01ef9e35f6cca8d9975e5e908df14a1cb8ce730e257719c411d245e4"

#: Keys that came later, each at a value that is not its default.
LATER = [
    "agent.lr_schedule={kind: linear}",
    "agent.exploration={length: 900}",
    "evaluation.policy=averaged",
    "agent.layer_norm=true",
    "agent.dueling=true",
    "agent.replay.priority={}",
    "evaluation.averaging=0.1",
    "agent.reward_scale={kind: fixed, factor: 0.1}",
]
AT_DEFAULTS = "{name: x, problem: {kind: lander}, agent: {kind: dqn}, balancer: {kind: equal}}"


def test_keys_of_later_versions_count_where_they_are_not_at_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(AT_DEFAULTS, encoding="utf-8")
    assert recipe_hash(load(path)) == FIRST_HASH
    hashes = {recipe_hash(load(path, [override])) for override in LATER}
    assert len(hashes - {FIRST_HASH}) == len(LATER)
    path.write_text(dump(load(path)), encoding="utf-8")
    assert recipe_hash(load(path)) == FIRST_HASH


def test_different_recipes_have_different_hashes() -> None:
    hashes = [recipe_hash(load(name)) for name in builtin.names()]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes)
    assert recipe_hash(load("gradnorm_blind", ["agent.lr=0.0005000001"])) not in hashes


def test_how_a_value_is_written_does_not_change_the_hash() -> None:
    assert recipe_hash(load("gradnorm_blind", ["agent.lr=0.0010"])) == recipe_hash(load("gradnorm_blind"))


def test_differences_name_the_dotted_key_and_both_values() -> None:
    a = load("gradnorm_blind")
    assert differences(a, load("gradnorm_blind", ["agent.lr=1", "problem.tasks=[heavy]"])) == [
        ("problem.tasks", ["standard", "windy", "heavy"], ["heavy"]),
        ("agent.lr", 1e-3, 1.0),
    ]


def test_differences_tell_absent_from_null() -> None:
    a, b = load("gradnorm_blind"), load("pcgrad_blind")
    found = {key: (one, other) for key, one, other in differences(a, b)}
    assert found["balancer.kind"] == ("gradnorm", "pcgrad")
    assert found["balancer.theoretical_losses"] == (None, ABSENT)
    assert found["balancer.reduction"] == (ABSENT, "sum")
    assert set(found) >= {"name", "balancer.alpha"}


def test_differences_number_the_methods_of_a_chain() -> None:
    chain = load("gradnorm_pcgrad_blind")
    assert differences(chain, load("gradnorm_pcgrad_blind", ["balancer.1.reduction=mean"])) == [
        ("balancer.1.reduction", "sum", "mean")
    ]
    assert ("balancer.kind", ABSENT, "gradnorm") in differences(chain, load("gradnorm_blind"))
