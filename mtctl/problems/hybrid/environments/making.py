"""Copies of an environment by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import gymnasium

from mtctl.errors import MtctlError
from mtctl.problems.hybrid.environments.copies import Copies
from mtctl.problems.hybrid.environments.foreign import Foreign
from mtctl.problems.hybrid.environments.moving import Moving
from mtctl.problems.hybrid.environments.registration import IDS
from mtctl.problems.hybrid.environments.sliding import Sliding
from mtctl.problems.hybrid.environments.topology import Topology
from mtctl.text import show_text

_STACKED: Final[Mapping[str, Callable[..., Copies]]] = {
    "moving": Moving,
    "sliding": Sliding,
    "topology": Topology,
}
"""What steps all its copies in one go."""


MOST_COPIES: Final = 64
"""Of an environment that steps its copies one after the other: more would only take memory and be stepped
until the last of them ends."""


def copies_for(environment: str, episodes: int) -> int:
    """Return how many copies are to play so many episodes: one each where stepping them together is fast."""
    return episodes if draws_nothing(environment) else min(episodes, MOST_COPIES)


def draws_nothing(environment: str) -> bool:
    """Say whether an environment has no pictures."""
    return {identifier: own for own, identifier in IDS.items()}.get(environment, environment) in _STACKED


def make_copies(environment: str, copies: int, options: Mapping[str, Any] | None = None) -> Copies:
    """Return copies of an environment.

    Args:
        environment: `moving`, `sliding`, `topology` or `lander_hybrid`, or an id of gymnasium's, `Id-v0` or
            `package:Id-v0`.
        copies: N.
        options: keyword arguments for the environment.

    Raises:
        MtctlError: there is no such environment, or it cannot be made so.
    """
    chosen = options or {}
    name = {identifier: short for short, identifier in IDS.items()}.get(environment, environment)
    if name in _STACKED:
        try:
            return _STACKED[name](copies, **chosen)
        except (TypeError, ValueError) as error:
            raise MtctlError(f"environment {name}: {error}", hint="correct its options") from error
    own = get_close_matches(name, IDS, n=1)
    if own and ":" not in name and name not in IDS and name not in gymnasium.registry:
        raise MtctlError(
            f"there is no environment {show_text(name)}",
            hint=f"did you mean `{own[0]}`? built in are {', '.join(IDS)}; others go by gymnasium's id",
        )
    return Foreign(IDS.get(name, name), copies, chosen)
