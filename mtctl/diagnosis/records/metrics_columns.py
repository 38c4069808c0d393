"""Which columns of a metrics file are the steps, and which are losses or returns of which task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from mtctl.errors import MtctlError
from mtctl.text import show_text
from mtctl.yaml.mistakes import closest

Kind = Literal["loss", "return", "value", "unjudged"]
"""`value`: of a value function, whose loss grows with the returns and is judged only for blowing up.
`unjudged`: a policy's, an opponent's or a regulariser's, which need not fall for learning to go well."""

STEP: Final = "step"
"""The name by which a user says which column counts the steps: `--tasks step=COLUMN,…`."""
COUNTERS: Final = (
    *("step", "steps", "global_step", "trainer_global_step", "current_step", "iteration", "iter", "it"),
    *("iterations", "update", "updates", "n_updates", "batch", "minibatch", "batches"),
    *("total_timesteps", "timesteps", "timesteps_total", "timestep", "num_timesteps", "total_steps"),
    *("env_steps", "frames", "training_iteration", "episode", "episodes", "round", "epoch", "epochs"),
)
"""Names of columns that count, the finest first."""
LOSS: Final = frozenset({"loss", "losses"})
TRAINING: Final = frozenset({"train", "training", "trn", "tr", "learn"})
HELD_OUT: Final = frozenset(
    {
        "val",
        "valid",
        "validation",
        "validate",
        "eval",
        "evaluation",
        "test",
        "testing",
        "dev",
        "heldout",
        "vld",
    }
)
_SPACES: Final = {"metrics", "metric", "scalars", "logs", "charts", "history", "trainer", "values", "value"}
"""What loggers put before or after a name."""
_VARIANTS: Final = {
    "step",
    "epoch",
    "iter",
    "batch",
    "running",
    "smoothed",
    "smooth",
    "avg",
    "average",
    "mean",
    "ema",
    "raw",
    "unweighted",
}
"""What loggers add to the name of a column that is logged more than once."""
_TOTALS: Final = {
    "total",
    "sum",
    "all",
    "combined",
    "overall",
    "weighted",
    "joint",
    "final",
    "log",
    *_VARIANTS,
}
"""What the rest of a name is made of in a loss of all tasks together."""
_NO_LOSS: Final = {
    *("weight", "weights", "scale", "scaler", "grad", "gradient", "coef", "coeff", "std", "var", "variance"),
    *(
        "min",
        "max",
        "best",
        "lr",
        "lambda",
        "count",
        "ratio",
        "share",
        "delta",
        "patience",
        "weighted",
        "scaled",
    ),
}
"""Words in names of columns that speak of a loss and are none."""
_MEASURES: Final = {
    *("mse", "rmse", "mae", "nll", "bce", "ce", "xent", "crossentropy", "logloss", "mlogloss", "perplexity"),
    *("ppl", "error", "err", "objective", "cost", "l1", "l2", "huber", "deviance"),
}
"""Other names of what is to fall, where no column is called a loss."""
_SCORES: Final = {
    *("acc", "accuracy", "f1", "auc", "precision", "recall", "iou", "miou", "map", "psnr", "ssim", "bleu"),
    *("rouge", "r2", "score", "lr", "time", "runtime", "top1", "top5", "dice", "samples", "second", "rate"),
}
"""Names of what is to rise, or of what is no result."""
_RETURNS: Final = {"rew", "reward", "return", "returns", "rewards", "ret"}
_EPISODES: Final = {
    "ep",
    "episode",
    "episodic",
    "rollout",
    "mean",
    "avg",
    "charts",
    "train",
    "eval",
    "average",
    "test",
}
_PLAYING: Final = {
    *("rollout", "episodic", "actor", "critic", "td", "surrogate", "clipfrac", "rew", "qf1", "qf2", "qf"),
    *("reward", "return", "returns"),
}
"""Words that only logs of reinforcement learning have."""
_POLICY: Final = {
    "policy",
    "actor",
    "surrogate",
    "pg",
    "pi",
    "entropy",
    "ent",
    "alpha",
    "temperature",
    "kl",
    "clip",
}
_VALUE: Final = {
    "value",
    "critic",
    "td",
    "q",
    "qf",
    "qf1",
    "qf2",
    "q1",
    "q2",
    "vf",
    "v",
    "bellman",
    "baseline",
}
_Q_VALUES: Final = {"q", "qf", "qf1", "qf2", "q1", "q2"}
_GENERATOR: Final = {"g", "gen", "generator"}
_DISCRIMINATOR: Final = {"d", "dis", "disc", "discriminator"}
_ADVERSARIAL: Final = {"adv", "adversarial", "gan", "critic", *_GENERATOR, *_DISCRIMINATOR}
_REGULARISER: Final = {
    *("kl", "kld", "reg", "regularization", "regularizer", "penalty", "commit", "commitment", "decay"),
    *("balance", "balancing", "z"),
}
_MONITOR: Final = {"r", "l", "t"}
"""Columns of Stable-Baselines3's monitor.csv: return, length, time."""
_BOUNDS: Final = re.compile(r"__(MIN|MAX)$")
"""What Weights & Biases exports beside each column."""
_WORDS: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[Ll]oss)(?=\d)")
_SHOWN: Final = 20
_MOST_TASKS: Final = 500
"""Tasks of the largest models that anybody diagnoses; a file with more has other things in its columns."""


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """Where the curves of a task stand.

    Args:
        column: its training loss, or what else is judged.
        held_out: its held-out loss, where there is one.
        kind: how it is judged.
        only_held_out: whether `column` is of held-out data itself.
    """

    column: str
    held_out: str | None = None
    kind: Kind = "loss"
    only_held_out: bool = False


@dataclass(frozen=True, slots=True)
class _Name:
    """What a column's name says.

    Args:
        column: the name.
        run: the training that it is of, in exports of several.
        task: whose loss it is; "" for that of all together.
        held_out: whether it is of held-out data.
        words: of the name.
    """

    column: str
    run: str
    task: str
    held_out: bool
    words: frozenset[str]


def counter_of(name: str) -> str | None:
    """Return which counter a column is, as COUNTERS calls it; None if it counts nothing."""
    whole, last = "_".join(_words(name)), "_".join(_words(name.rsplit("/", 1)[-1].rsplit(" - ", 1)[-1]))
    return next((word for word in (whole, last) if word in COUNTERS), None)


def choose(
    names: Sequence[str],
    wanted: Mapping[str, str] | None,
    place: str,
    repeated: Mapping[str, int],
    count: Callable[[str], int],
) -> dict[str, TaskColumns]:
    """Return the columns of each task, by their names or as the user says.

    Args:
        names: all columns.
        wanted: column by task; None or nothing: all that look like losses or returns.
        place: the file, for messages.
        repeated: columns that are there more than once, with how often.
        count: returns how many values a column has.

    Raises:
        MtctlError: a column is not there or there twice, or none looks like a task's loss.
    """
    for name in (wanted or {}).values():
        require_column(name, names, place)
    held_out = _by_task(_losses(names, held_out=True), count)
    if wanted:
        tasks = {task: TaskColumns(column) for task, column in wanted.items()}
        tasks = {
            task: replace(columns, held_out=_beside(columns.column, task, held_out))
            for task, columns in tasks.items()
        }
    else:
        tasks = _found(names, place, count, held_out)
    if len(tasks) > _MOST_TASKS:
        raise MtctlError(
            f"{place} has {len(tasks):,} columns like a task's loss; at most {_MOST_TASKS} are read",
            hint="name those that matter: --tasks x=COLUMN,y=COLUMN",
        )
    if not tasks:
        raise MtctlError(
            f"{place} has no column that looks like a loss, such as `loss_x` or `train/x_loss`",
            hint=f"name them: --tasks x=COLUMN,y=COLUMN; columns: {_listed(names)}",
        )
    for columns in tasks.values():
        for column in filter(None, (columns.column, columns.held_out)):
            if column in repeated:
                text = f"{place} has {repeated[column]} columns `{show_text(column)}`"
                raise MtctlError(text, hint="give every column a different name")
    return tasks


def require_column(name: str, names: Sequence[str], place: str) -> None:
    """Refuse a column that is not there, with the closest that is."""
    if name in names:
        return
    match = closest(name, [known for known in names if known])
    guess = f"did you mean `{show_text(match)}`? " if match else ""
    raise MtctlError(f"{place} has no column `{show_text(name)}`", hint=f"{guess}columns: {_listed(names)}")


def _found(
    names: Sequence[str], place: str, count: Callable[[str], int], held_out: Mapping[str, str]
) -> dict[str, TaskColumns]:
    """Return the tasks of a file by the names of its columns."""
    returns = _returns(names)
    if returns or _is_playing(names):
        return returns | _of_players(names, count)
    training = _by_task(_losses(names, held_out=False), count, place)
    of_tasks = {task: column for task, column in training.items() if task}
    tasks = {task: TaskColumns(column, held_out.get(task)) for task, column in of_tasks.items()}
    if not tasks:
        tasks = {task: TaskColumns(column, only_held_out=True) for task, column in held_out.items() if task}
        if "" in training:
            tasks["loss"] = TaskColumns(training[""], held_out.get(""))
        elif "" in held_out and not tasks:
            tasks["loss"] = TaskColumns(held_out[""], only_held_out=True)
    return _judged(tasks or _by_other_names(names, count))


def _judged(tasks: dict[str, TaskColumns]) -> dict[str, TaskColumns]:
    """Return tasks with those told apart that need not fall beside the others."""
    words = {task: set(_words(task)) for task in tasks}
    every = set().union(*words.values()) if words else set()
    rivals = bool(every & _GENERATOR and every & _DISCRIMINATOR) or bool(every & {"gan", "adversarial"})
    apart = {
        task
        for task, its in words.items()
        if its & _REGULARISER
        or (rivals and its & _ADVERSARIAL and not its - _ADVERSARIAL - {"fake", "real", "loss"})
    }
    if apart == set(tasks) and not rivals:
        return tasks
    return {
        task: replace(columns, kind="unjudged") if task in apart else columns
        for task, columns in tasks.items()
    }


# ----- names of losses


def _losses(names: Iterable[str], *, held_out: bool) -> list[_Name]:
    parsed = [name for name in map(_parsed, dict.fromkeys(names)) if name and name.held_out == held_out]
    strict = [name for name in parsed if not name.words & _NO_LOSS]
    return strict or [name for name in parsed if not name.words & {"min", "max", "best", "grad", "scale"}]


def _parsed(column: str, loss: frozenset[str] = LOSS) -> _Name | None:
    """Return what the name of a loss says; None of another column."""
    if _BOUNDS.search(column) or counter_of(column):
        return None
    run, _, name = column.rpartition(" - ")
    words = _words(name)
    if not loss & set(words):
        return None
    held_out = bool(HELD_OUT & set(words))
    rest = [word for word in words if word not in LOSS | TRAINING | HELD_OUT]
    while rest and rest[0] in _SPACES | _VARIANTS:
        rest = rest[1:]
    while rest and rest[-1] in _SPACES | _VARIANTS:
        rest = rest[:-1]
    task = "" if set(rest) <= _TOTALS | _SPACES else "_".join(rest)
    return _Name(column, run, task, held_out, frozenset(words))


def _by_task(names: Sequence[_Name], count: Callable[[str], int], place: str | None = None) -> dict[str, str]:
    """Return the column of each task; of one that is logged per step and per epoch, that with more values.

    Raises:
        MtctlError: two columns look like the loss of one task, and `place` is given.
    """
    groups: dict[tuple[str, str], list[_Name]] = {}
    for name in names:
        groups.setdefault((name.run, name.task), []).append(name)
    several_runs = len({run for run, _ in groups}) > 1
    columns: dict[str, str] = {}
    for (run, task), same in groups.items():
        key = f"{run}/{task or 'loss'}" if several_runs else task
        if place is not None and task and len({_bare(name.column) for name in same}) > 1:
            both = ", ".join(f"`{show_text(name.column)}`" for name in same)
            raise MtctlError(
                f"{place}: {both} all look like the loss of task `{show_text(task)}`",
                hint=f"name the columns: --tasks {show_text(task)}={show_text(same[0].column)},…",
            )
        plainest = sorted(same, key=lambda name: len(name.words))
        columns[key] = max(plainest, key=lambda name: count(name.column)).column
    return columns


def _bare(column: str) -> tuple[str, ...]:
    """Return a name's words without what loggers add for a second column of the same."""
    return tuple(word for word in _words(column) if word not in _VARIANTS | TRAINING | _SPACES)


def _beside(column: str, task: str, held_out: Mapping[str, str]) -> str | None:
    """Return the held-out column of a task that the user named."""
    parsed = _parsed(column)
    if parsed is not None and not parsed.held_out and parsed.task in held_out:
        return held_out[parsed.task]
    return held_out.get(task) if held_out.get(task) != column else None


def _by_other_names(names: Sequence[str], count: Callable[[str], int]) -> dict[str, TaskColumns]:
    """Return tasks where no column is called a loss: by measures of error, or by pairs of train and val."""
    parsed = [name for name in (_parsed(name, frozenset(_MEASURES)) for name in names) if name]
    training, held_out = (
        _by_task([name for name in parsed if name.held_out is split], count) for split in (False, True)
    )
    if training or held_out:
        return {
            task: TaskColumns(training[task], held_out.get(task))
            if task in training
            else TaskColumns(held_out[task], only_held_out=True)
            for task in training | held_out
        }
    splits: dict[str, dict[bool, str]] = {}
    for name in names:
        words = _words(name)
        rest = "_".join(word for word in words if word not in TRAINING | HELD_OUT)
        if rest and set(words) & (TRAINING | HELD_OUT) and not set(words) & _SCORES and not counter_of(rest):
            splits.setdefault(rest, {})[bool(set(words) & HELD_OUT)] = name
    return {task: TaskColumns(pair[False], pair[True]) for task, pair in splits.items() if len(pair) == 2}


# ----- reinforcement learning


def _is_playing(names: Iterable[str]) -> bool:
    words = [set(_words(name)) for name in names]
    return any(its & _PLAYING and not its & {"model"} for its in words) or any(
        {"approx", "kl"} <= its or {"clip", "fraction"} <= its for its in words
    )


def _returns(names: Sequence[str]) -> dict[str, TaskColumns]:
    """Return the columns of returns; those of evaluations only where there are no others."""
    if set(names) >= _MONITOR:
        return {"return": TaskColumns("r", kind="return")}
    found: dict[bool, dict[str, TaskColumns]] = {False: {}, True: {}}
    for name in names:
        words = _words(name.rpartition(" - ")[2])
        its = set(words)
        if not its & _RETURNS or its & (
            LOSS | _NO_LOSS | {"chosen", "rejected", "margins", "accuracies", "model", "normalized"}
        ):
            continue
        rest = "_".join(word for word in words if word not in _RETURNS | _EPISODES | _SPACES | HELD_OUT)
        evaluated = bool(its & HELD_OUT)
        found[evaluated].setdefault(f"return_{rest}" if rest else "return", TaskColumns(name, kind="return"))
    return found[False] or found[True]


def _of_players(names: Sequence[str], count: Callable[[str], int]) -> dict[str, TaskColumns]:
    """Return the losses and action values of a log of reinforcement learning."""
    losses = _by_task(_losses(names, held_out=False), count)
    by_words = {task: set(_words(column)) for task, column in losses.items()}
    policies = any(words & _POLICY for words in by_words.values())
    tasks = {}
    for task, column in losses.items():
        policy = by_words[task] & _POLICY and not by_words[task] & (_VALUE - {"v"})
        kind: Kind = "unjudged" if policy or (not task and policies) else "value"
        tasks[task or "loss"] = TaskColumns(column, kind=kind)
    for name in names:
        words = set(_words(name))
        if words & _Q_VALUES and not words & (LOSS | _NO_LOSS):
            tasks.setdefault(name.rsplit("/", 1)[-1], TaskColumns(name, kind="value"))
    return tasks


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(show_text(name) for name in names[:_SHOWN] if name)
    return f"{shown}, … ({len(names)} in all)" if len(names) > _SHOWN else shown


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.split(name) if word]
