"""Who learns: `agent:` in a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from mtctl.part import (
    LATER,
    FiniteFloat,
    Fraction,
    Misfit,
    NonNegativeFloat,
    Part,
    PositiveFloat,
    PositiveInt,
)
from mtctl.problems.lander.architectures import MLP, AnyArchitecture


class Priority(Part):
    """Proportional prioritised replay: rows with large errors are drawn more often (Schaul et al., 2016).

        P(i) ∝ (|δᵢ| + ε)^α,   loss of row i times wᵢ = (N·P(i))^(−β) / max w

    δᵢ is the row's TD error when it was last learned from; new rows get the largest priority so far, 1 at
    first; N rows and the largest w are those of each task's buffer and batch, or of the one buffer and batch
    (arXiv 1511.05952).
    """

    alpha: Fraction = 0.6
    """How much priorities count; 0.6 as in the source. 0: every row is as likely as any."""
    beta: Fraction = 0.4
    """How much the factors make up for it at first; 0.4 as in the source. It rises linearly to 1: all."""
    environment_steps: PositiveInt | None = None
    """Environment steps of all tasks until β is 1; null: the training episodes of the whole run."""
    epsilon: PositiveFloat = 1e-6
    """In units of value (as scaled by `reward_scale`): a row without an error is still drawn now and then."""

    @property
    def depends_on_budget(self) -> bool:
        """Whether β rises over the whole run: a run with more episodes is another one from the start."""
        return self.environment_steps is None and self.beta < 1


class Replay(Part):
    """Experience replay: one buffer per task, or one for all."""

    kind: Literal["per_task", "mixed"] = "per_task"
    """`per_task`: every update sees `batch_size` rows of EACH task. `mixed`: `batch_size` rows in all, of
    which a task has its share; that is what its loss counts, and what a balancing method sees."""
    capacity: PositiveInt = 100_000
    """Transitions in all; per-task buffers get an equal share each (100,000 / 3 = 33,333)."""
    learning_starts: PositiveInt = 256
    """Transitions before the first update: in each task's buffer (`per_task`) or in the one buffer (`mixed`).
    256 = four batches, so that short runs learn too. The published study documents 2,000; its code began
    at 64."""
    priority: Annotated[Priority | None, LATER] = None
    """Which rows are drawn: by priority, or null: every row is as likely as any, as published."""
    mirrored: Annotated[bool, LATER] = False
    """Show every second row of a batch as in a mirror, left for right: the lander's world is symmetric, so
    that each transition teaches twice (Lin et al., 2020, arXiv 1909.10707). Off, as published."""


_DECAY: Final = 0.995
"""The study's."""


class Exploration(Part):
    """ε-greedy: ε = max(end, start · decay^n) after n episodes.

    With a `length`, ε reaches `end` at n = length: `exponential` start · (end/start)^(n/length), `linear`
    start + (end − start) · n/length (over environment steps, as Mnih et al., 2015).
    """

    start: Fraction = 1.0
    """ε of the first episode: the share of random actions."""
    end: Fraction = 0.01
    """ε that is never gone below."""
    decay: Annotated[float, Field(gt=0, le=1)] = _DECAY
    """Factor per episode where there is no `length`; with 0.995, ε reaches 0.01 at episode 919."""
    counts: Literal["all_episodes", "own_episodes", "all_steps", "own_steps"] = "all_episodes"
    """What n counts: episodes or environment steps, of any task (one agent), or of the task that is played
    (independent agents). Steps need a `length`."""
    shape: Annotated[Literal["exponential", "linear"], LATER] = "exponential"
    """How ε falls. `linear` needs a `length`."""
    length: Annotated[PositiveInt | None, LATER] = None
    """n at which ε reaches `end`, in what is counted; null: `decay` decides."""

    def misfits(self) -> Iterator[Misfit]:
        if self.end > self.start:
            yield Misfit(("end",), f"`end` ({self.end}) is above `start` ({self.start})")
        if self.length is None:
            if self.shape == "linear":
                yield Misfit(("shape",), "`shape: linear` needs a `length`: when ε reaches `end`")
            if self.counts.endswith("steps"):
                text = f"`counts: {self.counts}` needs a `length`: after how many steps ε reaches `end`"
                yield Misfit(("counts",), text)
            return
        if self.decay != _DECAY:
            yield Misfit(("decay",), "`decay` has no effect where `length` is set: leave it out")
        if self.shape == "exponential" and self.end == 0:
            yield Misfit(
                ("end",), "an exponential fall never reaches 0: set `end` above 0, or `shape: linear`"
            )


class FixedScale(Part):
    """Rewards are multiplied by one factor."""

    kind: Literal["fixed"]
    factor: PositiveFloat = 1.0
    """In units of value per unit of reward. The lander's discounted returns span about −376 to 172: 0.01
    brings values near 1, where Adam and a Huber loss of δ = 1 expect them."""


class ReturnScale(Part):
    """Rewards of each task are divided by the largest |return| that the task has shown so far.

        rᵢ ← rᵢ · largest / max |Gᵢ|,   Gᵢ = discounted return from any step of a training episode to its end

    Learning waits until every task that is learned has ended an episode. Where a network is not told the
    task, tasks' values are then in different units on the same observations.

    Source: Nauman et al., Bigger, Regularized, Categorical, 2025 (arXiv 2505.23150).
    """

    kind: Literal["running_return"]
    largest: PositiveFloat = 10.0
    """Where the largest |return| is brought to; 10 as in the source, whose values lie in ±10."""


RewardScale = Annotated[FixedScale | ReturnScale, Field(discriminator="kind")]


class Categorical(Part):
    """Each action's outputs are a distribution over returns, learned by cross-entropy.

        zⱼ = low + j · (high − low)/(atoms − 1),   p(o, a) = softmax of the outputs,   Q = Σⱼ zⱼ·pⱼ(o, a)
        loss  −Σⱼ mⱼ · ln pⱼ(o, a),   m the target distribution on the same atoms

    The target is R + β·z under the next action's distribution p⁻(o', a*), brought onto the atoms by
    `projection`; `double` chooses a* as ever, and advantage learning moves the whole target down by its gap.
    The next action, what is played and the gaps go by Q. Priorities follow KL(m ‖ p) (Hessel et al., 2018,
    arXiv 1710.02298). `loss` and `huber_delta` have no part in it.

    What lies beyond low or high is clipped: `low` and `high` are in units of value as scaled by
    `reward_scale`, and have to hold the returns that occur. Every run records which share of the targets'
    probability was clipped (`clipped_targets`; of their means with `hl_gauss`), and says so once when it is
    large.
    """

    atoms: Annotated[int, Field(ge=2, le=1000)] = 101
    """Values that a return can have, equally spaced; 101 as in BRC (Nauman et al., 2025)."""
    low: FiniteFloat = -10.0
    """The lowest of them; −10 as in BRC, whose rewards are scaled so that returns lie in ±10."""
    high: FiniteFloat = 10.0
    """The highest."""
    projection: Literal["c51", "hl_gauss", "published_defect"] = "c51"
    """`c51`: each atom of the target is shared by the two atoms beside it (Bellemare et al., 2017, arXiv
    1707.06887). `hl_gauss`: the target's mean as a normal distribution, cut at the ends (Imani & White, 2018;
    Farebrother et al., 2024, arXiv 2403.03950). `published_defect`: c51, but what falls exactly on an atom is
    lost, as in the lander study's code, whose crashes (−100) and landings (+100) all did: terminal rewards
    were never learned. It is there to reproduce that study, and for nothing else."""
    sigma: PositiveFloat = 0.75
    """Standard deviation of `hl_gauss`, in distances between atoms; 0.75 as in Farebrother et al. Used with
    `projection: hl_gauss` only."""

    def misfits(self) -> Iterator[Misfit]:
        if not self.low < self.high:
            yield Misfit(("low",), f"`low` ({self.low:g}) has to be below `high` ({self.high:g})")


class ConstantRate(Part):
    """The learning rate is constant."""

    kind: Literal["constant"]


class FallingRate(Part):
    """The learning rate falls from `lr` to `final · lr`, and stays there.

    With x from 0 at the start to 1 at the end of the fall: `linear` lr · (1 − (1 − final)·x) (Defazio et al.,
    2023, arXiv 2310.07831), `cosine` lr · (final + (1 − final)·(1 + cos πx)/2) (Loshchilov & Hutter, 2017,
    arXiv 1608.03983).
    """

    kind: Literal["linear", "cosine"]
    final: Fraction = 0.0
    """What is left at the end, as a fraction of `lr`; 0, so that the last policy is no accident of its last
    steps."""
    episodes: PositiveInt | None = None
    """Length of the fall in training episodes of all tasks; null, without `environment_steps` as well: the
    whole run."""
    environment_steps: PositiveInt | None = None
    """Length of the fall in environment steps of all tasks, in place of `episodes`."""

    @property
    def depends_on_budget(self) -> bool:
        """Whether its length is that of the run: a run with more episodes is another one from the start."""
        return self.episodes is None and self.environment_steps is None

    def misfits(self) -> Iterator[Misfit]:
        if self.episodes is not None and self.environment_steps is not None:
            text = "give the length of the fall once: `episodes` or `environment_steps`"
            yield Misfit(("environment_steps",), text)


RateSchedule = Annotated[ConstantRate | FallingRate, Field(discriminator="kind")]


class EpisodeTarget(Part):
    """Hard copy of the online network into the target network every `every` episodes."""

    kind: Literal["episodes"]
    every: PositiveInt = 10
    """Episodes from one copy to the next."""


class StepTarget(Part):
    """Hard copy every `every` updates."""

    kind: Literal["updates"]
    every: PositiveInt = 1000
    """Updates from one copy to the next."""


class SoftTarget(Part):
    """Polyak averaging after every update: target ← (1 − tau)·target + tau·online."""

    kind: Literal["soft"]
    tau: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Share of the online network in each average."""


Target = Annotated[EpisodeTarget | StepTarget | SoftTarget, Field(discriminator="kind")]


class TaskSettings(Part):
    """One task's own settings, where the tasks' networks are independent. A value left out is the agent's."""

    lr: PositiveFloat | None = None
    """Adam's learning rate for this task's network."""
    epsilon_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Needs an `exploration` without a `length`."""
    target_every: PositiveInt | None = None
    """Episodes between hard target copies; needs `target: {kind: episodes}`."""
    learning_starts: PositiveInt | None = None
    """Transitions of this task that are collected before its first update."""


class DQNAgent(Part):
    """Deep Q-network (Mnih et al., 2015) with the options people expect."""

    kind: Literal["dqn"] = "dqn"
    network: Literal["shared", "independent"] = "shared"
    """One network for all tasks, or one for each."""
    task_encoding: Literal["none", "raw_id", "onehot", "embedding"] = "none"
    """How a shared network is told the task: not at all ("blind"), by number (a false order), one-hot, or a
    learned embedding ("aware")."""
    embedding_dim: PositiveInt = 8
    """Width of the learned embedding, drawn from N(0, 0.1²)."""
    architecture: Annotated[AnyArchitecture, LATER] = MLP()
    """What the network looks like; linear layers with ReLU, as published."""
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1, strict=False)] = (256, 128)
    """Units of the hidden layers (ReLU, He-normal initialisation, zero biases)."""
    layer_norm: Annotated[bool, LATER] = False
    """Normalise every hidden layer before its ReLU (Ba et al., 2016, arXiv 1607.06450); off, as published. It
    bounds what one update changes, so that larger learning rates stay stable."""
    dueling: Annotated[bool, LATER] = False
    """Two streams in place of the last hidden layer, of as many units each: one for the value of the state,
    one for what each action is better than the mean of all (Wang et al., 2016, arXiv 1511.06581; without
    their factor on gradients). Off, as published."""
    lr: PositiveFloat = 5e-4
    """Adam's learning rate."""
    weight_decay: Annotated[NonNegativeFloat, LATER] = 0.0
    """Decoupled weight decay of AdamW: every update first takes lr · `weight_decay` of each weight away
    (Loshchilov & Hutter, 2019, arXiv 1711.05101). 0: Adam, as published."""
    lr_schedule: Annotated[RateSchedule, LATER] = ConstantRate(kind="constant")
    """How all learning rates, those of single tasks too, change over the run; constant, as published."""
    gamma: Fraction = 0.99
    """Discount factor per environment step."""
    loss: Literal["mse", "huber"] = "mse"
    """Of the temporal-difference error: its square, or linear beyond `huber_delta`. Without `categorical`
    only."""
    huber_delta: PositiveFloat = 1.0
    """Where the Huber loss turns linear, in units of return (as scaled by `reward_scale`); used with
    `loss: huber` only."""
    categorical: Annotated[Categorical | None, LATER] = None
    """Learn distributions over returns; null: expected returns alone, as published."""
    reward_scale: Annotated[RewardScale, LATER] = FixedScale(kind="fixed")
    """What rewards are multiplied with before they are learned from; 1, as published. Returns in records and
    evaluations are not scaled."""
    gradient_clip: PositiveFloat | None = None
    """Largest Euclidean norm of the combined gradient; null: no clipping."""
    batch_size: PositiveInt = 64
    """Rows per update: of each task with per-task replay, in all with mixed replay."""
    update_every: PositiveInt = 1
    """Environment steps per update."""
    double: bool = False
    """Double DQN (van Hasselt et al., 2016): the online network selects the next action, the target network
    rates it."""
    n_step: PositiveInt = 1
    """Steps of reward before the bootstrap."""
    advantage_learning: Annotated[float, Field(ge=0, lt=1), LATER] = 0.0
    """α of advantage learning (Baird, 1999; Bellemare et al., 2016, arXiv 1512.04860): targets are lowered by
    α · (max Q⁻(o, ·) − Q⁻(o, a)), so that actions that are a little worse than the best become 1/(1 − α)
    times as much worse, and the best stays the best. At 50 steps a second one step changes a return by about
    1 %, which errors of Q hide otherwise. 0, as published; the source has 0.9."""
    learn: Literal["all_tasks", "active_task"] = "all_tasks"
    """Which tasks an update trains: all, or only the one that is played (independent networks only)."""
    replay: Replay = Replay()
    exploration: Exploration = Exploration()
    target: Target = EpisodeTarget(kind="episodes")
    """How the target network follows the online network."""
    per_task: dict[str, TaskSettings] = Field(default_factory=dict)
    """Settings of single tasks by name (independent networks only)."""

    def codes(self, tasks: int) -> int:
        """Return how many extra inputs tell a network which of so many tasks it plays."""
        return {"none": 0, "raw_id": 1, "onehot": tasks, "embedding": self.embedding_dim}[self.task_encoding]

    @property
    def width(self) -> int:
        """Outputs per action."""
        return 1 if self.categorical is None else self.categorical.atoms

    def misfits(self) -> Iterator[Misfit]:
        yield from self._architecture_misfits()
        if self.dueling and self.categorical is not None:
            text = "`dueling` splits expected returns, and `categorical` has distributions: use one of them"
            yield Misfit(("dueling",), text)
        yield from self._independent_misfits() if self.network == "independent" else self._shared_misfits()
        starts, capacity = self.replay.learning_starts, self.replay.capacity
        if starts > capacity:
            yield Misfit(("replay", "learning_starts"), f"`learning_starts` is above `capacity` ({capacity})")

    def _architecture_misfits(self) -> Iterator[Misfit]:
        if isinstance(self.architecture, MLP):
            return
        kind = self.architecture.kind
        if self.network == "independent":
            text = f"`network: independent` needs `architecture: {{kind: mlp}}`, not `{kind}`"
            yield Misfit(("network",), text)
        for name in ("layer_norm", "dueling"):
            if getattr(self, name):
                yield Misfit((name,), f"`{name}` needs `architecture: {{kind: mlp}}`, not `{kind}`")
        if self.weight_decay and self.architecture.own_decay:
            text = f"`{kind}` needs `weight_decay: 0`: {self.architecture.own_decay}"
            yield Misfit(("weight_decay",), text)
        yield from self.architecture.misfits_with(self.hidden, told=self.task_encoding != "none")

    def _independent_misfits(self) -> Iterator[Misfit]:
        if self.task_encoding != "none":
            yield Misfit(("task_encoding",), "independent networks see one task each: use `none`")
        if self.replay.kind != "per_task":
            yield Misfit(("replay", "kind"), "independent networks need `kind: per_task`")
        if self.exploration.length is not None:
            for task, settings in self.per_task.items():
                if settings.epsilon_decay is not None:
                    text = "`epsilon_decay` has no effect where `exploration.length` is set: leave it out"
                    yield Misfit(("per_task", task, "epsilon_decay"), text)
        if self.target.kind != "episodes":
            for task, settings in self.per_task.items():
                if settings.target_every is not None:
                    yield Misfit(
                        ("per_task", task, "target_every"), "`target_every` needs `target: {kind: episodes}`"
                    )

    def _shared_misfits(self) -> Iterator[Misfit]:
        if self.per_task:
            yield Misfit(
                ("per_task",), "`per_task` needs `network: independent`: a shared network has one setting"
            )
        if self.learn == "active_task":
            yield Misfit(("learn",), "`learn: active_task` needs `network: independent`")


Agent = DQNAgent
"""All agents; `kind` is `dqn` where it is left out."""
