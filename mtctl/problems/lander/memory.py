"""How much memory an agent takes at least, from its shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mtctl.problems.amounts import Amount, larger
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS

TRANSITION: Final = 2 * OBSERVATIONS + 4
"""Numbers of a transition in replay: see replay.py."""
_FLOAT: Final = 4


def amounts(agent: DQNAgent, tasks: int) -> Iterator[Amount]:
    """Yield what an agent of so many tasks holds at one time."""
    yield Amount(
        "agent.replay.capacity",
        f"{agent.replay.capacity:,} transitions",
        agent.replay.capacity * TRANSITION * _FLOAT,
    )
    codes = agent.codes(tasks)
    copies = tasks if agent.network == "independent" else 1
    # Online and target network with a gradient of each task, and Adam's two moments.
    copied = (4 * copies + 2 * tasks + 2) * _FLOAT
    hidden = "agent.hidden", f"layers of {' and '.join(f'{units:,}' for units in agent.hidden[:3])} units"
    outputs = ACTIONS * agent.width
    sizes = (OBSERVATIONS, *agent.hidden, outputs)
    shared, own = agent.architecture.numbers(sizes, 0)
    yield Amount(*hidden, (shared + tasks * own) * copied)
    told = "agent.embedding_dim", f"{codes:,} inputs that tell the task"
    yield Amount(*larger(told, codes, hidden, agent.hidden[0]), codes * agent.hidden[0] * copied)
    every_task = agent.replay.kind == "per_task" and agent.learn == "all_tasks"
    rows = agent.batch_size * (tasks if every_task else 1)
    units = TRANSITION + 2 * sum(agent.hidden) + outputs
    batches = "agent.batch_size", f"batches of {rows:,} rows"
    yield Amount(*larger(batches, rows, hidden, units), rows * units * _FLOAT)
