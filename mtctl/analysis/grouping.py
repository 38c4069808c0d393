"""Runs grouped into methods: one recipe, several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mtctl.analysis.evaluation import Outcomes, merge_outcomes
from mtctl.analysis.scores import LeftOut, ScoredRun
from mtctl.analysis.selection import Selection
from mtctl.analysis.tuning import declared
from mtctl.errors import MtctlError
from mtctl.history.formats import RecordedTuning
from mtctl.statistics import mean_of

DEFAULT_BASELINES = ("shared_aware", "windows_documented")
"""Built-in recipes that others set out to beat: a plain shared network, and the documented loop."""
_HASH_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Group:
    """One recipe's runs in the order of their seeds, cut to the tasks and items that are compared."""

    label: str
    """The recipe's name, with a piece of its hash where several recipes have that name."""
    runs: tuple[ScoredRun, ...]
    tasks: tuple[str, ...]
    items: int

    def scores(self, task: str) -> list[float]:
        """Return a mean per seed."""
        return [entry.mean(task, self.items) for entry in self.runs]

    def averages(self) -> dict[int, float]:
        """Return the mean over tasks by seed."""
        columns = zip(*(self.scores(task) for task in self.tasks), strict=True)
        return {entry.run.seed: mean_of(means) for entry, means in zip(self.runs, columns, strict=True)}

    @property
    def tuning(self) -> RecordedTuning | None:
        """Return how the recipe was tuned; None where it does not say."""
        return declared(entry.run for entry in self.runs)

    @property
    def selections(self) -> list[Selection]:
        """Return how each seed's best checkpoint was selected; nothing where final policies are compared."""
        return [entry.selection for entry in self.runs if entry.selection is not None]

    def outcomes(self, task: str) -> Outcomes:
        """Count what became of all seeds' items of a task."""
        return merge_outcomes(entry.outcomes(task, self.items) for entry in self.runs)


def group_runs(scored: Sequence[ScoredRun], tasks: tuple[str, ...], items: int) -> list[Group]:
    """Group runs by recipe, in the order in which the recipes appear.

    Recipes of one name that differ are kept apart: the same name with another hash is another method.
    """
    recipes: dict[tuple[str, str], list[ScoredRun]] = {}
    for entry in scored:
        recipes.setdefault((entry.run.name, entry.run.recipe_hash), []).append(entry)
    labels = method_labels(recipes)
    return [
        Group(
            label=labels[recipe],
            runs=tuple(sorted(runs, key=lambda entry: entry.run.seed)),
            tasks=tasks,
            items=items,
        )
        for recipe, runs in recipes.items()
    ]


def method_labels(recipes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return what each recipe's method is called: its name, with a piece of its hash among namesakes.

    Args:
        recipes: name and hash of each, in any number of copies.
    """
    distinct = list(dict.fromkeys(recipes))
    names = [name for name, _ in distinct]
    return {
        (name, recipe_hash): name if names.count(name) == 1 else f"{name}@{recipe_hash[:_HASH_SHOWN]}"
        for name, recipe_hash in distinct
    }


def find_baseline(groups: Sequence[Group], wanted: str | None, left_out: Sequence[LeftOut]) -> Group:
    """Return the group that others are compared with.

    Args:
        groups: all groups.
        wanted: a label or a recipe's name; None for a default baseline if one is there, else the first group.
        left_out: runs that could not be used, to explain a baseline that has none left.

    Raises:
        MtctlError: if the name is unknown, ambiguous, or belongs to runs that were left out.
    """

    def named(name: str) -> list[Group]:
        return [group for group in groups if name in (group.label, group.runs[0].run.name)]

    if wanted is None:
        plain = [group for name in DEFAULT_BASELINES for group in named(name)]
        return (plain or groups)[0]
    candidates = named(wanted)
    if len(candidates) == 1:
        return candidates[0]
    labels = [group.label for group in groups]
    if candidates:
        options = ", ".join(group.label for group in candidates)
        raise MtctlError(
            f"--baseline {wanted} is the name of several recipes", hint=f"choose one of: {options}"
        )
    if stopped := [entry for entry in left_out if entry.run.name == wanted]:
        raise MtctlError(
            f"--baseline {wanted} has no run that can be compared: {stopped[0].run.path} {stopped[0].reason}",
            hint=stopped[0].remedy,
        )
    close = get_close_matches(wanted, labels, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise MtctlError(
        f"--baseline {wanted} is not among the methods", hint=f"{meant}choose from: {', '.join(labels)}"
    )
