"""What cannot fit into memory is refused with the figures, without asking for any of it; what fits is not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems import sizes
from mtctl.problems.sizes import doubt, require_memory
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.recipes.samples import WINDOWS, Write

GB = 10**9


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "memory", lambda: 24 * GB)
    monkeypatch.setattr(sizes, "available", lambda: 20 * GB)


def refusal(recipe: str | Path, *overrides: str) -> str:
    with pytest.raises(MtctlError) as caught:
        require_memory(load(recipe, overrides))
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("name", builtin.names())
def test_every_built_in_recipe_fits_into_a_small_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "memory", lambda: GB)
    monkeypatch.setattr(sizes, "available", lambda: GB)
    require_memory(load(name))
    assert doubt(load(name)) is None


@pytest.mark.parametrize(
    ("recipe", "override", "says"),
    [
        ("equal_aware", "agent.replay.capacity=1000000000", "1,000,000,000 transitions would take 80 GB"),
        ("equal_aware", "agent.hidden=[1000000000]", "layers of 1,000,000,000 units would take 2."),
        ("equal_aware", "agent.hidden=[1000000, 1000000]", "layers of 1,000,000 and 1,000,000 units would"),
        ("equal_aware", "agent.embedding_dim=1000000000", "1,000,000,000 inputs that tell the task would"),
        ("equal_aware", "agent.batch_size=1000000000", "batches of 3,000,000,000 rows would take"),
        ("shared_blind", "agent.batch_size=1000000000", "batches of 1,000,000,000 rows would take"),
        ("independent", "agent.hidden=[100000, 100000]", "layers of 100,000 and 100,000 units would take"),
        ("equal_aware", "evaluation.episodes=1000000000", "1,000,000,000 episodes of a task would"),
        ("equal_aware", "evaluation.final_episodes=1000000000", "1,000,000,000 episodes of a task would"),
        ("windows_raw", "model.hidden=1000000000", "1,000,000,000 units in each direction would take 128 EB"),
        ("windows_raw", "model.projection=1000000000", "a projection to 1,000,000,000 would take"),
        ("windows_raw", "problem.data.windows=1000000000", "1,000,000,000 windows would take 19"),
        ("windows_raw", "problem.data.validation=1000000000", "1,000,000,000 windows would take 19"),
        ("windows_raw", "problem.data.held_out=1000000000", "1,000,000,000 windows would take 19"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_with_what_it_would_take(recipe: str, override: str, says: str) -> None:
    message = refusal(recipe, override)
    assert f"{recipe}: {override.partition('=')[0]}: {says}" in message
    assert message.endswith("; this machine has 24 GB")


def test_several_that_are_too_much_together_are_all_named() -> None:
    message = refusal("equal_blind", "agent.replay.capacity=200000000", "evaluation.final_episodes=150000000")
    assert "agent.replay.capacity: 200,000,000 transitions would take 16 GB" in message
    assert (
        "evaluation.final_episodes: 150,000,000 episodes of a task would take 15 GB: 31 GB together"
        in message
    )


def test_what_fits_is_not_refused_and_what_is_not_free_is_warned_of() -> None:
    for capacity, warned in ((249_000_000, False), (290_000_000, True)):
        recipe = load("equal_blind", [f"agent.replay.capacity={capacity}"])
        require_memory(recipe)
        assert (doubt(recipe) is not None) == warned
    assert "agent.replay.capacity: 290,000,000 transitions would take 23.2 GB, and 20 GB are free" in str(
        doubt(load("equal_blind", ["agent.replay.capacity=290000000"]))
    )
    refusal("equal_blind", "agent.replay.capacity=310000000")


def test_a_machine_that_does_not_say_what_it_has_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "memory", lambda: None)
    monkeypatch.setattr(sizes, "available", lambda: None)
    recipe = load("equal_blind", ["agent.replay.capacity=1000000000"])
    require_memory(recipe)
    assert doubt(recipe) is None


def test_a_data_file_counts_with_its_size(write: Write, tmp_path: Path) -> None:
    with (tmp_path / "windows.csv").open("wb") as file:
        file.truncate(40 * GB)
    path = write("mine.yaml", WINDOWS)
    message = refusal(path, f"problem.data={{kind: file, path: {tmp_path / 'windows.csv'}}}")
    assert "problem.data.path: " in message
    assert "windows.csv, 40 GB, would take 60 GB; this machine has 24 GB" in message
    require_memory(load(path, ["problem.data={kind: file, path: nowhere.csv}"]))


def test_the_shapes_are_the_problems_own() -> None:
    from mtctl.problems.lander import memory as lander
    from mtctl.problems.lander import replay
    from mtctl.problems.windows import features, memory, network, windows
    from mtctl.problems.windows.parts import WindowsTask

    assert lander.TRANSITION == replay.WIDTH
    assert memory.BARS == windows.LENGTH
    assert len(features.NAMES) == memory.FEATURES
    assert memory.OUTPUTS["type"] == network.CLASSES
    assert tuple(memory.OUTPUTS) == network.HEADS == get_args(WindowsTask)


@pytest.mark.parametrize(
    ("recipe", "overrides", "keys"),
    [
        ("equal_blind", ["agent.replay.capacity=500000"], {"agent.replay.capacity"}),
        ("equal_aware", ["agent.embedding_dim=20000", "agent.replay.capacity=3000"], {"agent.embedding_dim"}),
        ("independent", ["agent.hidden=[700,700]", "agent.replay.capacity=3000"], {"agent.hidden"}),
        ("windows_raw", ["model.hidden=300", "training.batch_size=1"], {"model.hidden", "model.projection"}),
    ],
)
def test_the_estimate_is_of_what_is_held(recipe: str, overrides: list[str], keys: set[str]) -> None:
    import torch

    from mtctl.measuring.memory import peak_memory
    from mtctl.problems.kinds import build

    lander = ["agent.replay.learning_starts=1", "agent.batch_size=1"] if recipe != "windows_raw" else []
    chosen = load(recipe, [*overrides, *lander])

    def step() -> None:
        problem = build(chosen, 0)
        gradients = None
        while gradients is None:
            problem.advance()
            gradients = problem.gradients()
        weights = torch.ones(len(problem.tasks), dtype=torch.float64)
        gradients.combine(weights, weights)
        problem.update()

    counted = sum(part.count for part in chosen.memory() if part.key in keys)
    measured = 1e6 * peak_memory(step)  # tensors alone
    assert 0.4 * measured < counted < measured


def test_settings_whose_product_overflows() -> None:
    with pytest.raises(MtctlError, match=r"`lr` times this factor is above 1e\+38"):
        load("windows_raw", ["training.lr=1e20", "training.head_lr={type: 1e20}"])


@pytest.mark.parametrize("value", ["1e400", "1e308", "1e39", "-1e400", ".inf", ".nan", "1" + "0" * 60])
@pytest.mark.parametrize(
    "key", ["agent.lr", "agent.huber_delta", "agent.gradient_clip", "agent.replay.capacity"]
)
def test_numbers_that_no_network_can_hold(key: str, value: str) -> None:
    with pytest.raises(MtctlError, match=r"must be (finite|at most|above|a whole number)"):
        load("equal_blind", [f"{key}={value}"])
