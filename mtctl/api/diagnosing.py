"""The options of `mtctl diagnose` and `mtctl.diagnose`: their checks and defaults, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mtctl.api.seeds import parse_seeds, seed_numbers
from mtctl.api.targets import Kind, columns_of, recipes_of, refuse_for_problem
from mtctl.errors import MtctlError

if TYPE_CHECKING:
    from mtctl.api.recipes import GivenRecipe, Overrides
    from mtctl.diagnosis.plan import Announce
    from mtctl.diagnosis.report import Diagnosis
    from mtctl.problems.kind import Kind as ProblemKind
    from mtctl.problems.recipe import Recipe

_SEEDS: Final = (0, 1, 2)
"""The fewest that give an interval worth reading."""
_PLAYERS_SEEDS: Final = (0, 1, 2, 3)
"""Of what is played: as many, and the one that changes are chosen by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be asked of a diagnosis, as `mtctl.diagnose` says; None, or nothing, where it is left out.

    Args:
        seeds: may be the text of `--seeds` too.
        columns: may be the text of `--tasks` too.
    """

    epochs: int | None = None
    episodes: int | None = None
    overrides: Overrides = ()
    task: str | None = None
    seeds: str | int | Iterable[int] | None = None
    jobs: int | None = None
    verify: bool | None = None
    budget: float | None = None
    columns: str | Mapping[str, str] | None = None

    def flags(self) -> list[str]:
        """Return the options that were given, by their names on the command line."""
        given = {
            "--epochs": self.epochs is not None,
            "--episodes": self.episodes is not None,
            "-o": bool(self.overrides),
            "--task": self.task is not None,
            "--seeds": self.seeds is not None,
            "--jobs": self.jobs is not None,
            "--verify": self.verify is True,
            "--no-verify": self.verify is False,
            "--budget": self.budget is not None,
            "--tasks": self.columns is not None,
        }
        return [flag for flag, is_given in given.items() if is_given]

    def read(self, kind: Kind, paths: Sequence[Path]) -> Diagnosis:
        """Diagnose a run, or the curves of metrics files."""
        if kind is Kind.RUN:
            from mtctl.diagnosis.records import run as records

            return records.diagnose_run(paths[0])
        from mtctl.diagnosis.records import curves

        return curves.diagnose_metrics(
            paths, columns_of(self.columns) if isinstance(self.columns, str) else self.columns
        )

    def trainings(
        self, given: GivenRecipe, complete: Callable[[Recipe], Recipe], flags: Iterable[str]
    ) -> Trainings:
        """Return what is trained to diagnose a recipe: every option has its value.

        Args:
            given: a recipe, or what names one.
            complete: returns a recipe with the tasks that its code names, which is run for that.
            flags: that were given, those of the command line alone too.

        Raises:
            MtctlError: the recipe is wrong, or an option does not fit it.
        """
        from mtctl.api.recipes import override_arguments
        from mtctl.problems.kinds import kind_of
        from mtctl.yaml.mistakes import suggestion

        units = self.epochs if self.episodes is None else self.episodes
        verify = True if self.verify is None else self.verify
        overrides = override_arguments(self.overrides)
        whole, recipe = recipes_of(given, overrides, units, complete, verify=verify)
        refuse_for_problem(whole, flags)
        problem, tasks = kind_of(whole), whole.scored
        if self.task is not None and self.task not in tasks:
            raise MtctlError(
                f"--task {self.task}: {whole.name} has no such task", hint=suggestion(self.task, tasks)
            )
        seeds, budget = self._seeds(problem, verify=verify), self.budget
        if problem.playing is not None and verify and budget is None:
            budget = problem.playing().seconds
        return Trainings(whole, recipe, seeds, verify, self.task, self.jobs or 1, budget)

    def _seeds(self, problem: ProblemKind[Any], *, verify: bool) -> list[int]:
        once = problem.playing is not None and not verify
        if self.seeds is None:
            return list(_SEEDS[:1] if once else _SEEDS if problem.playing is None else _PLAYERS_SEEDS)
        typed = isinstance(self.seeds, str)
        seeds = parse_seeds(self.seeds) if isinstance(self.seeds, str) else seed_numbers(self.seeds)
        if once and len(seeds) > 1:
            said, one = ("--seeds ", " is written 3..3") if typed else ("seeds=", ": seeds=[3]")
            raise MtctlError(
                f"{said}{self.seeds}: without proof, {problem.title} is trained once", hint=f"one seed{one}"
            )
        return seeds


@dataclass(frozen=True, slots=True)
class Trainings:
    """What is trained to diagnose a recipe.

    Args:
        whole: the recipe with its own length.
        recipe: the same with the length that is looked at.
        seeds: distinct.
        verify: whether causes and remedies are proven by training.
        task: the only one that is examined; all if None.
        jobs: how many run in parallel.
        budget: seconds after which no further experiment is begun; no end if None.
    """

    whole: Recipe
    recipe: Recipe
    seeds: list[int]
    verify: bool
    task: str | None
    jobs: int
    budget: float | None

    def proof(self) -> str:
        """Say what is trained to prove causes and remedies."""
        from mtctl.problems.kinds import kind_of
        from mtctl.text import in_time

        kind = kind_of(self.recipe)
        if kind.playing is None:
            return "remedies"
        length = f"trainings of {self.recipe.units:,} {kind.unit}s"
        return length if self.budget is None else f"{length} within {in_time(self.budget)} (--budget)"

    def diagnose(self, say: Callable[[str], None], announce: Announce) -> Diagnosis:
        """Train, and return what was found.

        Args:
            say: gets a line about what is being done.
            announce: gets what is still to come, as soon as it is known.
        """
        from mtctl.diagnosis.experiments import diagnose as diagnosing

        return diagnosing.diagnose_recipe(
            self.recipe,
            seeds=self.seeds,
            verify=self.verify,
            task=self.task,
            jobs=self.jobs,
            seconds=self.budget,
            shortened=self.recipe.units < self.whole.units,
            say=say,
            announce=announce,
        )
