"""Balancing methods in recipes: what each needs, and values by task that name exactly the tasks."""

from __future__ import annotations

from typing import get_args

import pytest

from mtctl.balancing.contract import AdaptiveMethod
from mtctl.balancing.registry import KINDS, AnyMethod
from mtctl.recipes.loading import dump, load
from tests.recipes.samples import MINIMAL, Refusal, Write

EACH = "{standard: 1, windy: 2, heavy: 3}"
#: Keys that give a value for each task, with the other keys that they need.
BY_TASK = [
    ("manual", "weights", ""),
    ("gradnorm", "theoretical_losses", "initial_loss: theoretical, "),
    ("running_mean", "base_weights", ""),
    ("running_mean", "sizes", "size_exponent: 0.5, "),
    ("batch_scale", "base_weights", ""),
    ("batch_scale", "sizes", "size_exponent: 0.5, "),
    ("encodec", "base_weights", ""),
    ("adaptive_scaling", "base_weights", ""),
    ("stch", "base_weights", "form: linear, "),
    ("stch", "ideal", "form: linear, "),
    ("famo", "ideal", ""),
]


def balancer(text: str) -> str:
    return MINIMAL.replace("{kind: equal}", text)


def test_every_method_is_known_by_its_kind() -> None:
    assert len(KINDS) == len(get_args(AnyMethod))
    assert all(get_args(part.model_fields["kind"].annotation) == (kind,) for kind, part in KINDS.items())


def test_every_key_by_task_is_covered_here() -> None:
    keys = {
        (kind, name)
        for kind, part in KINDS.items()
        for name, field in part.model_fields.items()
        if "dict[" in str(field.annotation)
    }
    assert keys == {(kind, key) for kind, key, _ in BY_TASK}


@pytest.mark.parametrize(("kind", "key", "others"), BY_TASK)
def test_values_by_task_are_announced_and_loaded(write: Write, kind: str, key: str, others: str) -> None:
    recipe = load(write("mine.yaml", balancer(f"{{kind: {kind}, {others}{key}: {EACH}}}")))
    (method,) = recipe.chain
    assert dict(method.per_task_values())[key] == {"standard": 1, "windy": 2, "heavy": 3}
    assert load(write("again.yaml", dump(recipe))) == recipe


@pytest.mark.parametrize(("kind", "key", "others"), BY_TASK)
def test_values_by_task_name_exactly_the_tasks(refusal: Refusal, kind: str, key: str, others: str) -> None:
    missing = refusal(balancer(f"[{{kind: equal}}, {{kind: {kind}, {others}{key}: {{windy: 1}}}}]"))
    assert f"`{key}` has no value for `standard`, `heavy`" in missing
    misspelt = refusal(balancer(f"{{kind: {kind}, {others}{key}: {EACH.replace('heavy', 'heavvy')}}}"))
    assert "`heavvy` is not a task of this recipe" in misspelt
    assert "did you mean `heavy`?" in misspelt


@pytest.mark.parametrize("kind", KINDS)
def test_weights_can_be_used_again_wherever_they_change(write: Write, kind: str) -> None:
    part = KINDS[kind]
    assert ("every" in part.model_fields) == (kind not in ("equal", "manual"))
    if issubclass(part, AdaptiveMethod):
        recipe = load(write("mine.yaml", balancer(f"{{kind: {kind}, every: 5}}")))
        (method,) = recipe.chain
        assert isinstance(method, AdaptiveMethod)
        assert method.every == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{kind: pcgrad, every: 0}", "`every: 0` must be at least 1"),
        ("{kind: running_mean, momentum: 1}", "`momentum: 1` must be below 1"),
        ("{kind: running_mean, size_exponent: 0.5}", "`size_exponent` needs `sizes`"),
        (f"{{kind: batch_scale, sizes: {EACH}}}", "`sizes` count with a `size_exponent` only"),
        ("{kind: batch_scale, form: literal}", "the z-score of a loss among the tasks' losses"),
        ("{kind: encodec, base_weights: {standard: 0, windy: 0, heavy: 0}}", "every weight is 0"),
        (f"{{kind: stch, base_weights: {EACH}}}", "`base_weights` needs `form: linear`"),
        (f"{{kind: stch, ideal: {EACH}}}", "`ideal` needs `form: linear`"),
        ("{kind: imtl_l, limit: 301}", "`limit: 301` must be at most 300"),
        (
            "{kind: adaptive_scaling, min_scale: 6, preset: conservative}",
            "`min_scale` (6) is above `max_scale` (5)",
        ),
        (
            "{kind: adaptive_scaling, preset: balanced, max_scale: 0.01}",
            "`min_scale` (0.1) is above `max_scale` (0.01)",
        ),
        ("{kind: adaptive_scaling, preset: off, target: 2}", "`target` has no effect with `preset: off`"),
        (
            "{kind: adaptive_scaling, preset: off, mode: equalise}",
            "`mode` has no effect with `preset: off`",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_once(refusal: Refusal, text: str, said: str) -> None:
    message = refusal(balancer(text))
    assert message.startswith("mine.yaml is not a valid recipe (1 problem)")
    assert message.count(said) == 1
