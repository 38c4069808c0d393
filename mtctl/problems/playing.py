"""What a diagnosis asks of a problem that is played: what to try, and how far returns can get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from mtctl.problems.recipe import Recipe

R = TypeVar("R", bound="Recipe")

Aspect = Literal[
    "alone",
    "weights",
    "encoding",
    "rate",
    "discount",
    "target",
    "replay",
    "exploration",
    "reward_scale",
    "batches",
    "learner",
    "network",
    "clip",
    "ratio",
    "together",
    "length",
]
"""What an alternative changes, `together` several; the name of the cause that it proves follows from it."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A change of a recipe that shows, by training, what keeps a task from learning.

    Args:
        aspect: what it changes.
        title: in a few words, e.g. "discount 0.99".
        changes: new values by dotted key, for `Recipe.revised`.
    """

    aspect: Aspect
    title: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a task's mean returns are held against: skill is (return − random)/(reached − random).

    Args:
        random: of a policy that draws its actions at random.
        reached: of one that does the task well.
    """

    random: float
    reached: float


@dataclass(frozen=True, slots=True)
class Playing(Generic[R]):
    """How recipes of a kind of problem are diagnosed by experiment.

    Args:
        units: of training in an experiment, unless the user says how many.
        episodes: that score a policy, of each task.
        seconds: after which no further training is begun, unless the user says so.
        alternatives: yield what to try on a recipe for a task, one aspect each; what the recipe says already
            is left out.
        references: return those of the tasks that have some.
    """

    units: int
    episodes: int
    seconds: float
    alternatives: Callable[[R, str], Iterator[Alternative]]
    references: Callable[[R], Mapping[str, Reference]]


def otherwise(recipe: Recipe, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usual values, by dotted key, that a recipe has otherwise.

    A mapping counts as usual where all that it names is so.
    """
    values = recipe.model_dump(mode="json")
    return {key: value for key, value in usual.items() if not _says(_at(values, key), value)}


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _says(found: Any, usual: Any) -> bool:
    if isinstance(usual, Mapping):
        return isinstance(found, dict) and all(_says(found.get(key), each) for key, each in usual.items())
    return bool(found == usual)
