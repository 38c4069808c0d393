"""A `kind` that may be left out: the lander's agent."""

from __future__ import annotations

from mtctl.recipes.loading import dump, load, recipe_hash
from tests.recipes.samples import MINIMAL, Write


def test_the_lander_needs_no_kind_of_agent(write: Write) -> None:
    said, silent = (
        load(write("said.yaml", MINIMAL)),
        load(write("silent.yaml", MINIMAL.replace("{kind: dqn}", "{}"))),
    )
    assert said == silent
    assert dump(said) == dump(silent)
    assert "agent:\n  kind: dqn\n  network: shared\n" in dump(said)
    assert recipe_hash(said) == recipe_hash(silent)
