"""Copies of any environment that is registered with gymnasium.

An environment may say more about itself by attributes: `uses` (see `uses.Uses`), `outcomes` (names of how an
episode can end, one of which is `info["outcome"]` at its end) and `solved`. `info["success"]`, or
`is_success`, at the end of an episode says whether it ended well, and `info["active"]` in any step which
elements of the next action mean something. `info["action_mask"]`, from `reset` on, says which options of its
choices are allowed (see `options`). All of it may be left out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector.utils import batch_space, create_empty_array, iterate

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.environments.copies import RUNNING, Copies, Integers
from mtctl.problems.hybrid.environments.draws import bits
from mtctl.problems.hybrid.observations import ObservationLayout
from mtctl.problems.hybrid.options import MaskError, allowed_options
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions
from mtctl.text import show_text

Environment = gymnasium.Env[Any, Any]

_UNNAMED: Final = ("terminated", "truncated")
"""How an episode can end where the environment does not name it."""
_SEED_SHIFT: Final = np.uint64(33)  # leaves the 31 bits that every environment takes as a seed


class Foreign(Copies):
    """Copies of a registered environment, stepped one after the other.

    Each episode begins with a seed of its own, so that an interrupted training goes on by playing the
    actions of the episodes under way again: state_dict holds these. (Gymnasium's own SyncVectorEnv seeds the
    first episode only, and an error does not say in which copy it arose.)

    Args:
        environment: gymnasium's id, `Id-v0` or `package:Id-v0`, whose package is imported first.
        copies: N.
        options: keyword arguments for the environment.

    Attributes:
        environments: the copies.

    Raises:
        MtctlError: there is no such environment or package, it cannot be made, or its spaces are not
            supported.
    """

    def __init__(self, environment: str, copies: int, options: Mapping[str, Any] | None = None) -> None:
        self.name = environment
        self.environments = [_make(environment, options or {}) for _ in range(copies)]
        first = self.environments[0]
        self._layout = ObservationLayout(first.observation_space)
        super().__init__(copies, self._layout.box, first.action_space)
        self.uses = getattr(first.unwrapped, "uses", {})
        self.solved = getattr(first.unwrapped, "solved", None)
        self.outcomes = tuple(getattr(first.unwrapped, "outcomes", _UNNAMED))
        self._actions = ActionLayout(first.action_space, self.uses, place=f"{environment}: uses")
        self._batch = batch_space(first.action_space, copies)
        self._options = len(allowed_options(first.action_space, None))
        self._played: list[FlatActions] = []

    def picture(self) -> npt.NDArray[np.uint8]:
        found = self.environments[0].render()
        return found if isinstance(found, np.ndarray) else super().picture()

    def close(self) -> None:
        """Close all copies."""
        super().close()
        for environment in self.environments:
            environment.close()

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return what decides the future, among it the actions of the episodes under way [T, N, …]."""
        running = np.where(self.ended, 0, self.lengths)
        played = self._played[len(self._played) - int(running.max()) :]
        empty = self._actions.flatten(create_empty_array(self.action_space, self.copies))
        stacked = {
            field: np.stack([getattr(one, field) for one in (empty, *played)])[1:]
            for field in FlatActions._fields
        }
        return super().state_dict() | stacked

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from where `state_dict` was taken.

        Raises:
            MtctlError: an environment does something else now.
        """
        super().load_state_dict(state)
        stacked = (state[field] for field in FlatActions._fields)
        self._played = [FlatActions(*step) for step in zip(*stacked, strict=True)]
        for copy in range(self.copies):
            self._play_again(copy)

    def _begin(self, rows: Integers) -> None:
        if len(rows) == self.copies:
            self._played.clear()
        for copy in rows.tolist():
            self._begin_one(copy, self.observations[copy])

    def _begin_one(self, copy: int, row: npt.NDArray[np.float32]) -> None:
        seed = int((bits(self._seeds[copy], self._episodes[copy]) >> _SEED_SHIFT)[0])
        try:
            observation, info = self.environments[copy].reset(seed=seed)
            self._layout.write(observation, row)
            self._note_active(copy, info)
            if self.allowed is None and self._options and "action_mask" in info:
                self.allowed = np.ones((self.copies, self._options), np.bool_)
            self._note_allowed(copy, info)
        except MtctlError:
            raise
        except Exception as error:
            raise _failed(f"{self.name}, copy {copy}, reset with seed {seed}", error) from error
        if not np.isfinite(row).all():
            raise MtctlError(
                f"environment {self.name}, copy {copy}: reset(seed={seed}) shows what is not finite",
                hint="mend the environment",
            )

    def _advance(self, actions: Any) -> None:
        running = int(np.max(self.lengths))
        del self._played[: len(self._played) - running + 1]
        self._played.append(self._actions.flatten(actions))
        self.outcome[:] = RUNNING
        self.success[:] = False
        for copy, action in enumerate(iterate(self._batch, actions)):
            reward, terminated, truncated, info = self._step_one(copy, action, self.final_observations[copy])
            self.rewards[copy] = reward
            self.terminated[copy] = terminated
            self.truncated[copy] = truncated and not terminated
            if terminated or truncated:
                self._note_ending(copy, info)

    def _step_one(
        self, copy: int, action: Any, row: npt.NDArray[np.float32]
    ) -> tuple[float, bool, bool, Mapping[str, Any]]:
        """Step one copy and write what it shows into its row; return what else it says."""
        try:
            observation, reward, terminated, truncated, info = self.environments[copy].step(action)
            self._layout.write(observation, row)
            self._note_active(copy, info)
            if not (terminated or truncated):  # nothing is chosen any more where an episode has ended
                self._note_allowed(copy, info)
            return float(reward), bool(terminated), bool(truncated), info
        except MtctlError:
            raise
        except Exception as error:
            place = (
                f"{self.name}, copy {copy}, step {self.lengths[copy]} of its episode {self._episodes[copy]}"
            )
            raise _failed(place, error) from error

    def _note_ending(self, copy: int, info: Mapping[str, Any]) -> None:
        self.success[copy] = bool(info.get("success", info.get("is_success", False)))
        name = _UNNAMED[int(self.truncated[copy])]
        if self.outcomes != _UNNAMED:
            name = info.get("outcome", name)
        if name not in self.outcomes:
            raise MtctlError(
                f'environment {self.name}, copy {copy}: info["outcome"] = {show_text(str(name))} is unknown',
                hint=f"name one of its outcomes: {show_text(', '.join(self.outcomes))}",
            )
        self.outcome[copy] = self.outcomes.index(name)

    def _note_active(self, copy: int, info: Mapping[str, Any]) -> None:
        for path, flags in info.get("active", {}).items():
            if path not in self.active:
                self.active[path] = np.ones((self.copies, *np.shape(flags)), np.bool_)
            self.active[path][copy] = flags

    def _note_allowed(self, copy: int, info: Mapping[str, Any]) -> None:
        if self.allowed is not None:
            self.allowed[copy] = allowed_options(self.action_space, info.get("action_mask"))
        elif self._options and "action_mask" in info:
            raise MaskError("it is given by step, and was not by reset")

    def _play_again(self, copy: int) -> None:
        """Bring one copy to where it was by the actions of its episode."""
        row = np.zeros_like(self.observations[copy])
        self._begin_one(copy, row)
        steps = 0 if self.ended[copy] else int(self.lengths[copy])
        for actions in self._played[len(self._played) - steps :]:
            self._step_one(copy, self._actions.assemble_one(actions, copy), row)
        if not np.array_equal(row, self.observations[copy]):
            raise MtctlError(
                f"environment {self.name}, copy {copy}: the same seed and actions lead elsewhere now",
                hint="the run cannot go on: everything must follow from the seed and the actions",
            )


def _make(identifier: str, options: Mapping[str, Any]) -> Environment:
    package, _, name = identifier.rpartition(":")
    if package:
        _import(package, identifier)
    if name not in gymnasium.registry:
        raise _unknown(name, package)
    try:
        with redirect_stdout(sys.stderr):
            # Gymnasium's checker would only warn, in every step, of what is an error here.
            return gymnasium.make(name, **{"disable_env_checker": True, **options})
    except Exception as error:
        raise _failed(f"{identifier}, being made", error) from error


def _import(package: str, identifier: str) -> None:
    try:
        with redirect_stdout(sys.stderr):  # packages greet, and stdout may be JSON
            _put_current_folder_last()
            importlib.import_module(package)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{package}.".startswith(f"{error.name}.")
        if not missing:
            raise _failed(f"{identifier}, import of {package}", error) from error
        raise MtctlError(
            f"environment {show_text(identifier)}: there is no package {show_text(package)}",
            hint="install it into this Python's environment, or correct the name before the colon",
        ) from error


def _put_current_folder_last() -> None:
    """Make files of the current folder importable, as `python -m` does; installed packages come first."""
    folder = str(Path.cwd())
    if not {folder, ""} & set(sys.path):
        sys.path.append(folder)


def _unknown(name: str, package: str) -> MtctlError:
    known: Sequence[str] = sorted(gymnasium.registry)
    match = get_close_matches(name, known, n=1)
    guess = f"did you mean `{match[0]}`? " if match else ""
    registered = f", also after importing {show_text(package)}" if package else ""
    return MtctlError(
        f"no environment {show_text(name)} is registered with gymnasium{registered}",
        hint=f"{guess}`package:{show_text(name)}` imports the package that registers it first",
    )


def _failed(place: str, error: BaseException) -> MtctlError:
    if isinstance(error, MaskError):
        return MtctlError(
            f'environment {show_text(place)}: info["action_mask"]: {show_text(str(error))}',
            hint="allow one option of every choice, in the form that action_space.sample(mask) takes",
        )
    reason = show_text(f"{type(error).__name__}: {error}".removesuffix(": "))
    return MtctlError(
        f"environment {show_text(place)}: {reason}",
        hint="the environment, or what it needs, raised this: mend it there, or check its options",
    )
