from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.hybrid.environments.foreign import Foreign
from mtctl.problems.hybrid.environments.making import make_copies
from mtctl.problems.hybrid.spaces import ActionLayout
from mtctl.problems.hybrid.uses import Uses

USES: Uses = {"go": {1: ("power",)}}


class Counting(gymnasium.Env[Any, Any]):
    """Counts its steps, and ends after `length` of them; goes wrong on request."""

    outcomes = ("done", "lost")
    uses = USES
    memory = 0.0

    def __init__(self, length: int = 3, fault: str = "") -> None:
        self.observation_space = spaces.Dict({"n": spaces.Box(0, 1e6, (1,)), "seed": spaces.Box(0, 1, ())})
        self.action_space = spaces.Dict({"go": spaces.Discrete(2), "power": spaces.Box(0, 1, (1,))})
        self.length, self.fault, self.steps = length, fault, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.drawn = 0, float(self.np_random.random())
        if self.fault == "reset":
            raise RuntimeError("no power")
        if self.fault == "old reset":
            return self.seen()  # type: ignore[return-value]
        return self.seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.steps += 1
        if self.fault == "raise" and self.steps == 2:
            raise ZeroDivisionError
        if self.fault == "forgetful":
            Counting.memory += 1
        reward = np.nan if self.fault == "reward" and self.steps == 2 else 1.0
        ended = self.steps == self.length
        if self.fault == "old step":
            return self.seen(), reward, ended, {}  # type: ignore[return-value]
        if self.fault == "word":
            reward = "much"  # type: ignore[assignment]
        name = "unheard of" if self.fault == "outcome" else "lost"
        return (
            self.seen(),
            reward,
            ended,
            self.fault == "both" and ended,
            {"outcome": name, "is_success": True},
        )

    def seen(self) -> dict[str, Any]:
        count = np.array([self.steps + (Counting.memory if self.fault == "forgetful" else 0)], np.float32)
        if self.fault == "observation" and self.steps == 2:
            count[0] = np.inf
        if self.fault == "shape":
            count = np.zeros(2, np.float32)
        if self.fault == "words":
            return {"n": np.array(["many"]), "seed": np.float32(self.drawn)}
        if self.fault == "key":
            return {"n": count}
        return {"n": count, "seed": np.float32(self.drawn)}


def make(**options: Any) -> Counting:
    return Counting(**options)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register("tests/Counting-v0", entry_point=make)
    gymnasium.register("tests/Brief-v0", entry_point=make, max_episode_steps=2)
    yield
    del gymnasium.registry["tests/Counting-v0"], gymnasium.registry["tests/Brief-v0"]


def acting(copies: int = 2) -> dict[str, Any]:
    return {"go": np.zeros(copies, np.int64), "power": np.zeros((copies, 1), np.float32)}


def refusal(make: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(MtctlError) as found:
        make()
    return found.value.message, found.value.hint or ""


def test_endings_and_final_observations_are_kept_apart_from_beginnings() -> None:
    copies = Foreign("tests/Counting-v0", 2)
    first = copies.reset([1, 2])[:, 1].copy()
    for _ in range(3):
        observations, rewards, terminated, truncated = copies.step(acting())
    assert rewards.tolist() == [1, 1]
    assert (terminated.tolist(), truncated.tolist()) == ([True] * 2, [False] * 2)
    assert copies.final_observations[:, 0].tolist() == [3, 3]
    assert copies.final_observations[:, 1].tolist() == first.tolist()
    assert observations[:, 0].tolist() == [0, 0]
    assert len({*first.tolist(), *observations[:, 1].tolist()}) == 4  # every episode has a seed of its own
    assert [copies.outcomes[one] for one in copies.outcome] == ["lost", "lost"]
    assert copies.success.all()
    assert copies.uses == Counting.uses


def test_gymnasiums_time_limit_is_a_truncation_and_a_termination_comes_first() -> None:
    copies = make_copies("tests/Brief-v0", 2)
    copies.reset([1, 2])
    copies.step(acting())
    copies.step(acting())
    assert (copies.terminated.tolist(), copies.truncated.tolist()) == ([False] * 2, [True] * 2)
    both = Foreign("tests/Counting-v0", 2, {"fault": "both"})
    both.reset([1, 2])
    for _ in range(3):
        both.step(acting())
    assert (both.terminated.tolist(), both.truncated.tolist()) == ([True] * 2, [False] * 2)


def test_environments_that_name_no_endings_get_two() -> None:
    copies = Foreign("CartPole-v1", 1, {"max_episode_steps": 5})
    copies.reset([0])
    for _ in range(5):
        copies.step(np.ones(1, np.int64))
    assert copies.outcomes == ("terminated", "truncated")
    assert copies.outcomes[copies.outcome[0]] == "truncated"
    assert not copies.success[0]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("observation", "environment tests/Counting-v0, copy 0, step 2 of its episode 0: number 0 .* is inf"),
        ("reward", "environment tests/Counting-v0, copy 0, step 2 of its episode 0: the reward is nan"),
        ("raise", "environment tests/Counting-v0, copy 0, step 2 of its episode 0: ZeroDivisionError"),
        ("reset", "environment tests/Counting-v0, copy 0, reset with seed .*: RuntimeError: no power"),
        ("shape", r"reset with seed .*: ValueError: observation.n has shape \(2,\), and its space \(1,\)"),
        ("words", "reset with seed .*: ValueError: could not convert string to float"),
        ("key", "reset with seed .*: KeyError: 'seed'"),
        ("old reset", "reset with seed .*: TypeError: "),
        ("old step", "copy 0, step 1 of its episode 0: ValueError: not enough values to unpack"),
        ("word", "copy 0, step 1 of its episode 0: ValueError: could not convert string to float: 'much'"),
        ("outcome", r'environment tests/Counting-v0, copy 0: info\["outcome"\] = unheard of'),
    ],
)
def test_what_goes_wrong_is_named_with_environment_copy_and_step(fault: str, message: str) -> None:
    copies = Foreign("tests/Counting-v0", 2, {"fault": fault})

    def play() -> None:
        copies.reset([1, 2])
        for _ in range(3):
            copies.step(acting())

    with pytest.raises(MtctlError, match=message) as found:
        play()
    assert found.value.code is ExitCode.USAGE
    assert found.value.hint


def test_a_checkpoint_of_an_environment_that_does_not_repeat_itself_is_refused() -> None:
    copies = Foreign("tests/Counting-v0", 1, {"fault": "forgetful"})
    copies.reset([1])
    copies.step(acting(1))
    state = copies.state_dict()
    message, hint = refusal(lambda: copies.load_state_dict(state))
    assert message.endswith("copy 0: the same seed and actions lead elsewhere now")
    assert "seed" in hint


def test_only_the_actions_of_episodes_under_way_are_kept() -> None:
    copies = Foreign("tests/Counting-v0", 2)
    copies.reset([1, 2])
    for _ in range(4):
        copies.step(acting())
    assert copies.state_dict()["discrete"].shape == (1, 2, 1)
    copies.step(acting())
    assert copies.state_dict()["continuous"].shape == (2, 2, 1)
    copies.step(acting())
    assert copies.state_dict()["discrete"].shape == (0, 2, 1)


def test_names_that_do_not_exist_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message, hint = refusal(lambda: Foreign("tests/Countin-v0", 1))
    assert message == "no environment tests/Countin-v0 is registered with gymnasium"
    assert "did you mean `tests/Counting-v0`?" in hint
    message, hint = refusal(lambda: Foreign("no_such_package:Id-v0", 1))
    assert message == "environment no_such_package:Id-v0: there is no package no_such_package"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import no_such_package\n", encoding="utf-8")
    message, _ = refusal(lambda: Foreign("needs_more:Id-v0", 1))
    reason = "ModuleNotFoundError: No module named 'no_such_package'"
    assert message == f"environment needs_more:Id-v0, import of needs_more: {reason}"
    (tmp_path / "gives_up.py").write_text("raise SystemExit('no licence')\n", encoding="utf-8")
    message, _ = refusal(lambda: Foreign("gives_up:Id-v0", 1))
    assert message == "environment gives_up:Id-v0, import of gives_up: SystemExit: no licence"
    (tmp_path / "brings_none.py").write_text("", encoding="utf-8")
    message, _ = refusal(lambda: Foreign("brings_none:Id-v0", 1))
    assert message == "no environment Id-v0 is registered with gymnasium, also after importing brings_none"


def test_a_package_is_imported_for_its_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    register = "gymnasium.register('tests/Own-v0', 'gymnasium.envs.classic_control:PendulumEnv')"
    text = f"import gymnasium\nprint('hello')\n{register}\n"
    (tmp_path / "brings_one.py").write_text(text, encoding="utf-8")
    copies = make_copies("brings_one:tests/Own-v0", 2)
    assert copies.reset([1, 2]).shape == (2, 3)
    assert ActionLayout(copies.action_space).dimensions == 1
    assert capsys.readouterr() == ("", "hello\n")
    del gymnasium.registry["tests/Own-v0"]


def test_options_that_do_not_fit_are_named() -> None:
    message, _ = refusal(lambda: Foreign("tests/Counting-v0", 1, {"colour": "red"}))
    assert message.startswith("environment tests/Counting-v0, being made: TypeError: ")
    assert "colour" in message
