"""What the name of a column says: whether it counts, whose loss it is, and of which split.

Columns are known by the words in their names; the lists of words are what tools write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

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
    (
        *("val", "valid", "validation", "validate", "vld", "eval", "evaluation", "test", "testing", "dev"),
        "heldout",
    )
)
MEASURES: Final = frozenset(
    (
        *("mse", "rmse", "mae", "nll", "bce", "ce", "xent", "crossentropy", "logloss", "mlogloss", "ppl"),
        *("perplexity", "error", "err", "objective", "cost", "l1", "l2", "l", "huber", "deviance"),
    )
)
"""Other names of what is to fall, where no column is called a loss."""
SPACES: Final = {"metrics", "metric", "scalars", "logs", "charts", "history", "trainer", "log"}
"""What loggers put before or after a name."""
VARIANTS: Final = {
    *("step", "epoch", "iter", "batch", "running", "smoothed", "smooth", "avg", "average", "mean", "ema"),
    *("raw", "unweighted"),
}
"""What loggers add to the name of a column that is logged more than once."""
NO_LOSS: Final = {
    *("weight", "weights", "weighted", "scale", "scaled", "scaler", "grad", "coef", "coeff", "std", "var"),
    *(
        "variance",
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
        "norm",
    ),
}
"""Words in names of columns that speak of a loss and are none."""
_CERTAINLY_NONE: Final = {"min", "max", "best", "grad", "scale"}
_TOTALS: Final = {
    *("total", "sum", "all", "combined", "overall", "weighted", "joint", "final", *SPACES, *VARIANTS),
}
"""What the rest of a name is made of in a loss of all tasks together."""
_VALUES: Final = {"value", "values"}
_BOUNDS: Final = re.compile(r"__(MIN|MAX)$")
"""What Weights & Biases exports beside each column."""
_WORDS: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[Ll]oss)(?=\d)")


@dataclass(frozen=True, slots=True)
class ColumnName:
    """What the name of a loss says.

    Args:
        column: the name.
        run: the training that it is of, in exports of several: `RUN - loss`.
        task: whose loss it is; "" for that of all together.
        held_out: whether it is of held-out data.
        words: of the name.
    """

    column: str
    run: str
    task: str
    held_out: bool
    words: frozenset[str]


def words_of(name: str) -> list[str]:
    """Return the words of a name, in small letters: trainLoss and train/loss are the same."""
    return [word.lower() for word in _WORDS.split(name) if word]


def counter_of(name: str) -> str | None:
    """Return which counter a column is, as COUNTERS calls it; None if it counts nothing."""
    last = name.rsplit("/", 1)[-1].rsplit(" - ", 1)[-1]
    return next((word for part in (name, last) if (word := "_".join(words_of(part))) in COUNTERS), None)


def losses(names: Iterable[str], *, held_out: bool) -> list[ColumnName]:
    """Return the columns that are losses, of training or of held-out data."""
    parsed = [name for name in map(parsed_loss, dict.fromkeys(names)) if name and name.held_out == held_out]
    strict = [name for name in parsed if not name.words & NO_LOSS]
    return strict or [name for name in parsed if not name.words & _CERTAINLY_NONE]


def parsed_loss(column: str, loss: frozenset[str] = LOSS) -> ColumnName | None:
    """Return what the name of a loss says; None of another column.

    Args:
        column: the name.
        loss: words of which one makes it a loss.
    """
    if _BOUNDS.search(column) or counter_of(column):
        return None
    run, _, name = column.rpartition(" - ")
    words = words_of(name)
    if not loss & set(words):
        return None
    rest = [word for word in words if word not in LOSS | TRAINING | HELD_OUT]
    while rest and rest[0] in SPACES | VARIANTS:
        rest = rest[1:]
    while rest and (rest[-1] in SPACES | VARIANTS or (rest[-1] in _VALUES and words[-1] in _VALUES)):
        rest = rest[:-1]
    task = "" if set(rest) <= _TOTALS else "_".join(rest)
    return ColumnName(column, run, task, bool(HELD_OUT & set(words)), frozenset(words))


def column_by_task(
    names: Iterable[ColumnName], count: Callable[[str], int]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the column of each task, and the columns of tasks that several columns look like.

    Args:
        names: of losses.
        count: returns how many values a column has: where one is logged per step and per epoch, that with
            more values counts.
    """
    groups: dict[tuple[str, str], list[ColumnName]] = {}
    for name in names:
        groups.setdefault((name.run, name.task), []).append(name)
    several_runs = len({run for run, _ in groups}) > 1
    columns: dict[str, str] = {}
    unclear: dict[str, list[str]] = {}
    for (run, task), same in groups.items():
        if task and len({_bare(name.column) for name in same}) > 1:
            unclear[task] = [name.column for name in same]
        plainest = sorted(same, key=lambda name: len(name.words))
        key = f"{run}/{task or 'loss'}" if several_runs else task
        best = plainest[0] if len(same) == 1 else max(plainest, key=lambda name: count(name.column))
        columns[key] = best.column
    return columns, unclear


def _bare(column: str) -> tuple[str, ...]:
    """Return a name's words without what loggers add for a second column of the same."""
    return tuple(word for word in words_of(column) if word not in VARIANTS | TRAINING | SPACES)
