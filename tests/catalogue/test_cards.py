"""What is said of every balancing method."""

from __future__ import annotations

import re

import pytest

import mtctl
from mtctl.balancing.registry import KINDS
from mtctl.catalogue.cards import card
from mtctl.catalogue.families import families

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_every_method_is_explained(kind: str) -> None:
    found = card(kind)
    assert found.kind == kind
    assert found.equation
    assert found.summary.endswith(".")
    assert found.helps.endswith(".")
    assert found.fails.endswith(".")
    assert found.source.endswith(".") or kind in ("equal", "manual")
    text = " ".join((found.summary, *found.about, found.helps, found.fails, found.source))
    assert not re.search(r"\b(Args|Raises|Helps|Fails|Source):", text)


@every_kind
def test_every_setting_has_a_default_and_a_meaning(kind: str) -> None:
    settings = card(kind).settings
    assert {setting.name for setting in settings} == KINDS[kind].model_fields.keys() - {"kind"}
    for setting in settings:
        assert bool(setting.default) == (not KINDS[kind].model_fields[setting.name].is_required())
        assert setting.default in (*setting.choices, setting.default)


def test_a_setting() -> None:
    found = {setting.name: setting for setting in card("gradnorm").settings}
    assert next(iter(found)) == "alpha"
    assert list(found)[-1] == "every"
    assert found["alpha"].default == "1.5"
    assert found["alpha"].meaning.startswith("Strength of the pull towards tasks that lag")
    assert found["initial_loss"].choices == ("mean_of_first", "first_batch", "theoretical")
    assert found["theoretical_losses"].default == "null"


@pytest.mark.parametrize(
    ("kind", "cost", "acts_on"),
    [
        ("log", "1 backward pass, of the weighted sum of losses", "whole losses: "),
        ("gradnorm", "1 backward pass, and one per task through its head", "whole losses: "),
        ("pcgrad", "1 backward pass per task through the shared parameters", "gradients on shared "),
        ("db_mtl", "1 backward pass per task through the shared parameters", "whole losses first, "),
    ],
)
def test_costs(kind: str, cost: str, acts_on: str) -> None:
    found = card(kind)
    assert found.cost.startswith(cost)
    assert found.acts_on.startswith(acts_on)
    assert not any(paragraph.startswith("Costs") for paragraph in found.about)


def test_an_unknown_method() -> None:
    with pytest.raises(mtctl.BalanceError, match="no balancing method 'gradnrm'") as error:
        card("gradnrm")
    assert "did you mean `gradnorm`?" in str(error.value.hint)


def test_families_hold_every_method_once() -> None:
    found = [kind for methods in families().values() for kind in methods]
    assert sorted(found) == sorted(KINDS)
    assert families()["Methods that use losses alone."]["gls"].startswith("The geometric mean")
