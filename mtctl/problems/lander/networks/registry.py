"""The registry of Q-networks: what builds one, by the agent's `architecture`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import MLP
from mtctl.problems.lander.networks.closed_form import QNetwork, Workspace
from mtctl.problems.lander.networks.flat import FlatNetwork
from mtctl.problems.lander.networks.multi_head import MultiHeadNetwork
from mtctl.problems.lander.networks.residual import ResidualNetwork
from mtctl.problems.lander.networks.soft_modular import SoftModularNetwork
from mtctl.problems.lander.networks.varshare import VarShareNetwork
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values

NETWORKS: Final[Mapping[str, Callable[[DQNAgent, Any, int, Values, torch.Generator], FlatNetwork]]] = {
    "multi_head": MultiHeadNetwork,
    "soft_modular": SoftModularNetwork,
    "residual": ResidualNetwork,
    "varshare": VarShareNetwork,
}
"""By `kind`, all but the closed form. Each gets the agent, its architecture, the number of tasks, what
outputs mean, and the generator of initial values."""


def builder(
    agent: DQNAgent, tasks: int, values: Values, generator: torch.Generator
) -> Callable[[], FlatNetwork]:
    """Return what builds an agent's networks, fresh ones of one shape.

    Args:
        agent: the recipe's.
        tasks: T.
        values: what outputs mean.
        generator: where initial values come from.
    """
    if not isinstance(agent.architecture, MLP):
        network = NETWORKS[agent.architecture.kind]
        return lambda: network(agent, agent.architecture, tasks, values, generator)
    workspace = Workspace()
    return lambda: QNetwork(
        tasks,
        (OBSERVATIONS, *agent.hidden, ACTIONS * values.width),
        encoding=agent.task_encoding,
        embedding_dim=agent.embedding_dim,
        independent=agent.network == "independent",
        layer_norm=agent.layer_norm,
        dueling=agent.dueling,
        values=values,
        generator=generator,
        workspace=workspace,
    )
