"""The registry of Q-networks: what builds one, by the agent's `network`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.flat import FlatNetwork
from mtctl.problems.lander.network import QNetwork, Workspace
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS

Build = Callable[[], FlatNetwork]
"""Returns a fresh network; those of one agent have one shape."""


def closed_form(agent: DQNAgent, tasks: int, generator: torch.Generator) -> Build:
    """Return what builds the ReLU networks with a hand-written backward pass."""
    workspace = Workspace()
    return lambda: QNetwork(
        tasks,
        (OBSERVATIONS, *agent.hidden, ACTIONS),
        encoding=agent.task_encoding,
        embedding_dim=agent.embedding_dim,
        independent=agent.network == "independent",
        layer_norm=agent.layer_norm,
        dueling=agent.dueling,
        generator=generator,
        workspace=workspace,
    )


NETWORKS: Final[Mapping[str, Callable[[DQNAgent, int, torch.Generator], Build]]] = {
    "shared": closed_form,
    "independent": closed_form,
}
"""Each gets the agent, the number of tasks, and the generator of initial values."""
