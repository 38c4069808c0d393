"""The built-in environments' names with gymnasium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import gymnasium

_PACKAGE: Final = "mtctl.problems.hybrid.environments"

IDS: Final[Mapping[str, str]] = {
    "moving": "mtctl/Moving-v0",
    "sliding": "mtctl/Sliding-v0",
    "topology": "mtctl/Topology-v0",
    "lander_hybrid": "mtctl/LanderHybrid-v0",
}
"""Gymnasium's id of each built-in environment, by its name in recipes."""

_ENTRY_POINTS: Final[Mapping[str, str]] = {
    "moving": f"{_PACKAGE}.moving:single",
    "sliding": f"{_PACKAGE}.sliding:single",
    "topology": f"{_PACKAGE}.topology:single",
    "lander_hybrid": f"{_PACKAGE}.lander_hybrid:HybridLander",
}


def register() -> None:
    """Make the built-in environments known to `gymnasium.make`; once is enough, and more does no harm.

    Their modules are imported when an environment is made: without Box2D, only the lander is out of reach.
    """
    for name, identifier in IDS.items():
        if identifier not in gymnasium.registry:
            gymnasium.register(identifier, entry_point=_ENTRY_POINTS[name])
