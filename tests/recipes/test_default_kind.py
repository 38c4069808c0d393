"""A tagged union whose `kind` may be left out: the lander's agent, once there are several."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import pytest
from pydantic import Tag

from mtctl.part import Part, PositiveFloat, kind_or
from mtctl.problems.kinds import KINDS
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.recipes.loading import dump, load, recipe_hash
from tests.recipes.samples import MINIMAL, Refusal, Write


class Actor(Part):
    kind: Literal["actor"]
    rate: PositiveFloat = 0.1


class TwoAgents(LanderRecipe):
    agent: Annotated[  # type: ignore[assignment]
        Annotated[DQNAgent, Tag("dqn")] | Annotated[Actor, Tag("actor")], kind_or("dqn")
    ]

    def misfits(self):  # type: ignore[no-untyped-def]  # those of the lander look into a DQN
        yield from ()


@pytest.fixture
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "lander", replace(KINDS["lander"], load_recipe=lambda: TwoAgents))


def test_the_lander_needs_no_kind_of_agent(write: Write) -> None:
    said, silent = (
        load(write("said.yaml", MINIMAL)),
        load(write("silent.yaml", MINIMAL.replace("{kind: dqn}", "{}"))),
    )
    assert said == silent
    assert dump(said) == dump(silent)
    assert "agent:\n  kind: dqn\n  network: shared\n" in dump(said)
    assert recipe_hash(said) == recipe_hash(silent)


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("{}", DQNAgent()),
        ("{lr: 0.5}", DQNAgent(lr=0.5)),
        ("{kind: dqn}", DQNAgent()),
        ("{kind: actor}", Actor(kind="actor")),
        ("{kind: actor, rate: 0.2}", Actor(kind="actor", rate=0.2)),
    ],
)
def test_kind_selects_and_has_a_default(write: Write, agent: str, expected: Part) -> None:
    recipe = load(write("mine.yaml", MINIMAL.replace("{kind: dqn}", agent)))
    assert recipe.model_dump()["agent"] == expected.model_dump()


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize(
    ("agent", "says"),
    [
        ("{kind: actr}", "did you mean `actor`?"),
        ("{kind: ppo}", "choose from: dqn, actor"),
        ("{rate: 0.2}", "unknown key `rate`"),
        ("{kind: actor, rte: 0.2}", "did you mean `rate`?"),
        ("{lr: -1}", "`lr: -1` must be above 0"),
        ("{target: {kind: sft}}", "did you mean `soft`?"),
        ("dqn", "must be a mapping"),
    ],
)
def test_mistakes_are_explained_as_everywhere(refusal: Refusal, agent: str, says: str) -> None:
    assert says in refusal(MINIMAL.replace("{kind: dqn}", agent))


@pytest.mark.usefixtures("_two")
def test_a_child_of_another_kind_replaces_the_default_one(write: Write) -> None:
    write("parent.yaml", MINIMAL.replace("{kind: dqn}", "{lr: 0.5}"))
    child = load(write("child.yaml", "extends: parent.yaml\nname: child\nagent: {kind: actor}\n"))
    assert child.model_dump()["agent"] == Actor(kind="actor").model_dump()
    kept = load(write("kept.yaml", "extends: parent.yaml\nname: kept\nagent: {kind: dqn, gamma: 0.9}\n"))
    assert kept.model_dump()["agent"] == DQNAgent(lr=0.5, gamma=0.9).model_dump()
    changed = load("kept.yaml", ["agent={kind: actor, rate: 3}"])
    assert changed.model_dump()["agent"] == Actor(kind="actor", rate=3.0).model_dump()
