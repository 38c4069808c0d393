"""What is timed: mtctl's own loop, and its peers. Every side is a function that makes a number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.literal_gradnorm import LiteralGradNorm, Network
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.signals import SignalLog
from mtctl.problems.contract import Record
from mtctl.problems.lander.agents import DQNAgent, Exploration, Replay, StepTarget
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.recipe import LanderProblem, LanderTask
from mtctl.problems.lander.replay import Batch
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS

Side = Callable[[int], None]

TASKS: Final[tuple[LanderTask, ...]] = ("standard", "windy", "heavy")
HIDDEN: Final = (256, 128)
ROWS: Final = 64
SEED: Final = 0
ENDLESS: Final = 10**9
RANDOM: Final = Exploration(start=1.0, end=1.0, decay=1.0)
# Mostly greedy, as the bulk of a run is.
EXPLORATION: Final = 0.05
TARGET_EVERY: Final = 1000
GRADIENT_CLIP: Final = 10.0


class SteppedLander(Lander):
    """The lander problem under the loop of `mtctl train`, for any number of steps.

    Args:
        tasks: names.
        agent: the agent.
        method: the balancing method.
        plays: whether a step plays the environment; if not, it only learns, from replay as it is.
    """

    def __init__(
        self, tasks: tuple[LanderTask, ...], agent: DQNAgent, method: Method, *, plays: bool
    ) -> None:
        super().__init__(LanderProblem(kind="lander", tasks=tasks, episodes_per_task=ENDLESS), agent, SEED)
        self._balancing = Balancing(Chain((method,)), tasks, SEED)
        self._signals = SignalLog(tasks, shared=True)
        self._plays = plays
        self._left = 0
        while not self.replay.ready():
            super().advance()

    def advance(self) -> Record | None:
        record = super().advance() if self._plays else None
        self._left -= 1
        # The loop can be left at the end of a unit only.
        return {"tasks": {}, "extra": {}} if record is None and self._left == 0 else record

    def run(self, steps: int) -> None:
        """Make `steps` steps."""
        self._left = steps
        fit(self, self._balancing, self._signals, (), stop=lambda: self._left == 0)


def updates(method: Method, filled: int) -> SteppedLander:
    """Return mtctl's update: 64 rows of each of three tasks, from replay that a random policy has filled.

    Args:
        method: the balancing method.
        filled: transitions of each task to fill replay with.
    """
    replay = Replay(kind="per_task", learning_starts=filled)
    agent = DQNAgent(kind="dqn", hidden=HIDDEN, batch_size=ROWS, replay=replay, exploration=RANDOM)
    return SteppedLander(TASKS, agent, method, plays=False)


def literal_updates(source: SteppedLander) -> Side:
    """Return the literal GradNorm's update, sampling with the same call from the same replay as `source`."""
    online, target = (Network((OBSERVATIONS, *HIDDEN, ACTIONS)) for _ in range(2))
    for network in (online, target):
        network.load_flat(source.dqn.online.parameters[0])
    literal = LiteralGradNorm(online, target, len(TASKS))

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = source.replay.sample(ROWS).rows.split(ROWS)
            literal.update([Batch(part, (ROWS,)) for part in rows])

    return run


def training_steps(tasks: tuple[LanderTask, ...], method: Method, filled: int) -> SteppedLander:
    """Return mtctl's training step: act, environment, store, sample 64 mixed rows, update.

    Huber loss and gradient clipping are Stable-Baselines3's, which cannot go without.
    """
    agent = DQNAgent(
        kind="dqn",
        hidden=HIDDEN,
        batch_size=ROWS,
        loss="huber",
        gradient_clip=GRADIENT_CLIP,
        replay=Replay(kind="mixed", learning_starts=filled),
        exploration=Exploration(start=EXPLORATION, end=EXPLORATION, decay=1.0),
        target=StepTarget(kind="updates", every=TARGET_EVERY),
    )
    return SteppedLander(tasks, agent, method, plays=True)


def baselines3_steps(filled: int) -> Side:
    """Return Stable-Baselines3's DQN on the standard task, with mtctl's hyperparameters and nothing logged.

    gymnasium's environment checker is left out, which is faster than what `gymnasium.make` gives by default.
    """
    import gymnasium  # noqa: PLC0415 - the peers are needed by this side only
    from stable_baselines3 import DQN  # noqa: PLC0415

    model = DQN(
        "MlpPolicy",
        gymnasium.make("LunarLander-v3", disable_env_checker=True),
        learning_rate=DQNAgent(kind="dqn").lr,
        buffer_size=Replay().capacity,
        learning_starts=filled,
        batch_size=ROWS,
        train_freq=1,
        gradient_steps=1,
        target_update_interval=TARGET_EVERY,
        exploration_initial_eps=EXPLORATION,
        exploration_final_eps=EXPLORATION,
        max_grad_norm=GRADIENT_CLIP,
        policy_kwargs={"net_arch": list(HIDDEN)},
        device="cpu",
        seed=SEED,
    )

    def run(steps: int) -> None:
        model.learn(steps, reset_num_timesteps=False, log_interval=ENDLESS)

    return run
