"""A kind of problem: everything that others ask about it before a problem is built, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from mtctl.problems.score import Figures, Score
from mtctl.statistics import mean_of

if TYPE_CHECKING:
    from mtctl.problems.code import Code
    from mtctl.problems.contract import Problem
    from mtctl.problems.playing import Playing
    from mtctl.problems.recipe import Recipe
    from mtctl.problems.stack import Stack

R = TypeVar("R", bound="Recipe")


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A run that others have published.

    Args:
        method: the publication's name of the method, as recipes write it.
        scores: mean score by task.
        parameters: trainable numbers.
        differs: what to know before it is compared with anything.
    """

    method: str
    scores: Mapping[str, float]
    parameters: int
    differs: str

    @property
    def average(self) -> float:
        """The mean over tasks."""
        return mean_of(list(self.scores.values()))


@dataclass(frozen=True, slots=True)
class Published:
    """What others have published about the same problem.

    Args:
        rows: a run each, all of the same tasks.
        items: items (episodes, windows) of each task that a score is the mean of.
        protocol: how the scores were measured, in a few words.
        notes: return what keeps the rows from being compared with measured figures of these tasks.
    """

    rows: tuple[PublishedRow, ...]
    items: int
    protocol: str
    notes: Callable[[tuple[str, ...]], list[str]]


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """What is known of all problems of one kind.

    Args:
        name: `problem.kind` in recipes.
        title: what sentences call it, e.g. "the lander".
        load_recipe: return the class that its recipes are checked by. Whoever only reads runs does without.
        build: return the problem of a recipe, freshly initialised from a seed. It imports the problem's
            module when it is called, so that reading recipes needs no torch.
        unit: what progress is counted in, e.g. "epoch".
        item: what an evaluation scores one by one, e.g. "window".
        score: what an evaluation measures.
        figures: what the records of its units say of each task.
        steps_per_unit: environment steps of a short unit and of a long one; None where nothing is played.
        glance: units that `mtctl diagnose` trains unless it is told how many.
        playing: return how recipes are diagnosed by experiment; None where nothing is played.
        without_success: tasks in which no item can succeed, and why.
        published: what others have published about it.
        complete: return a recipe with what only code that it names can tell, such as which tasks there are.
        code: return the versions of the user's files that trainings of a recipe run, as they are now.
        stack: return an empty stack, for runs that are trained together as one program.
        stacked: the dotted keys of what runs of one stack have in common.
        no_stack: why there is no such program for it; None where there is.
    """

    name: str
    title: str
    load_recipe: Callable[[], type[R]]
    build: Callable[[R, int], Problem]
    unit: str
    item: str
    score: Score
    figures: Figures
    steps_per_unit: tuple[int, int] | None
    glance: int
    playing: Callable[[], Playing[R]] | None = None
    without_success: Mapping[str, str] = field(default_factory=dict)
    published: Published | None = None
    complete: Callable[[R], R] = lambda recipe: recipe
    code: Callable[[R], Code] = lambda recipe: {}
    stack: Callable[[], Stack] | None = None
    stacked: tuple[str, ...] = ()
    no_stack: str | None = None

    @property
    def recipe(self) -> type[R]:
        """The class that its recipes are checked by."""
        return self.load_recipe()

    @property
    def played(self) -> bool:
        """Whether units are played in environments; if not, data are learned from."""
        return self.steps_per_unit is not None
