"""Records as scalars: where each figure goes, and what has no place there."""

from __future__ import annotations

from typing import Any

from mtctl.engine.logs.scalars import Names
from tests.history.runs_factory import epochs, records

EPISODES = Names("episode", "return")
EPOCHS = Names("epoch", "skill %")


def test_an_episode_is_placed_at_its_environment_steps() -> None:
    first, second, *_ = records(tasks=("standard", "windy"))
    assert EPISODES.point(first) == (
        93,
        {
            "train/episode": 1.0,
            "train/updates": 0.0,
            "train/return/standard": -123.4,
            "train/steps/standard": 93.0,
            "train/epsilon": 1.0,
        },
    )
    step, scalars = EPISODES.point(second)
    assert step == 186
    assert {tag: scalars[tag] for tag in scalars if tag not in EPISODES.point(first)[1]} == {
        "train/loss/standard": 1.5,
        "weights/shared/standard": 1.0,
        "gradients/norm/standard": 0.5,
        "gradients/share/standard": 1.0,
        "train/replay_rows/standard": 93.0,
        "train/replay_rows/windy": 0.0,
    }


def test_an_evaluation_is_named_by_its_score() -> None:
    *_, last = records(tasks=("standard", "windy"))
    assert EPISODES.point(last) == (
        279,
        {
            "eval/return/standard": 1.0,
            "eval/success_rate/standard": 0.0,
            "eval/steps/standard": 70.0,
            "eval/average": 1.0,
        },
    )


def test_an_epoch_is_placed_at_its_updates() -> None:
    epoch, evaluation = epochs(1)
    step, scalars = EPOCHS.point(epoch)
    assert (step, scalars["train/epoch"], scalars["train/updates"]) == (6, 1.0, 6.0)
    assert scalars["weights/own/ptr"] == 1.0
    assert {tag for tag in scalars if tag.startswith("train/dead_units")} == {"train/dead_units/type"}
    step, scalars = EPOCHS.point(evaluation)
    assert (step, scalars["eval/skill %/ptr"], scalars["eval/pointer_error/ptr"]) == (6, 12.5, 15.692)


def test_pairs_and_conflicts_are_of_gradients() -> None:
    epoch: dict[str, Any] = epochs(1)[0]
    measured = {"cosine": {"type|ptr": -0.5}, "cosine_sd": {"type|ptr": 0.25}, "conflict_rate": 1.0}
    _, scalars = EPOCHS.point(epoch | {"signals": epoch["signals"] | measured})
    assert {tag: scalars[tag] for tag in scalars if tag.startswith("gradients/")} == {
        "gradients/cosine/type|ptr": -0.5,
        "gradients/cosine_sd/type|ptr": 0.25,
        "gradients/conflict_rate": 1.0,
    }


def test_a_loss_in_original_units_stands_before_the_one_that_a_method_saw() -> None:
    epoch: dict[str, Any] = epochs(1)[0]
    tasks = epoch["tasks"] | {"ptr": {"loss": 0.006}}
    _, scalars = EPOCHS.point(epoch | {"tasks": tasks})
    assert (scalars["train/loss/ptr"], scalars["train/loss/type"]) == (0.006, 1.0)
