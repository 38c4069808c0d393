"""What the functions return: data, in a few lines where a notebook shows it, in full where it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.evaluation import Summary, summarise
from mtctl.analysis.methods import ComparedMethod
from mtctl.api.cure import cured_recipe
from mtctl.diagnosis.document import document
from mtctl.diagnosis.report import Diagnosis, Finding, TaskState, Trial
from mtctl.errors import MtctlError
from mtctl.history.formats import Evaluation, Run
from mtctl.problems.recipe import Recipe
from mtctl.screens.compare import comparison_tables, mismatch_table, remarks
from mtctl.screens.diagnose import MARKS, diagnosis_screen, headline, summary
from mtctl.screens.evaluation import evaluation_tables, evaluation_title
from mtctl.screens.figures import estimates, interval, number
from mtctl.terminal.console import rendered


@dataclass(frozen=True, repr=False)
class EvaluatedRun:
    """How good a run is on held-out data.

    Args:
        run: what its run.json says, and where it is.
        evaluation: the scores, item by item.
        notes: what else its user should know.
    """

    run: Run
    evaluation: Evaluation
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self.run.path

    @property
    def summary(self) -> Summary:
        """Means, intervals and measures by task."""
        return summarise(self.evaluation, self.run.score)

    @property
    def scores(self) -> dict[str, float]:
        """The mean score of each task."""
        return {row.task: row.scores.mean for row in self.summary.tasks}

    @property
    def average(self) -> float:
        """The mean score over tasks."""
        return self.summary.average

    def __repr__(self) -> str:
        rows = [
            (row.task, number(row.scores.mean), interval(row.scores.interval)) for row in self.summary.tasks
        ]
        rows.append(("average", number(self.average), ""))
        return "\n".join([evaluation_title(self.run, self.evaluation), *_aligned(rows), *self.notes])

    def __str__(self) -> str:
        """Return the tables that `mtctl eval` prints."""
        tables = evaluation_tables(self.summary, evaluation_title(self.run, self.evaluation))
        return "\n\n".join(map(rendered, tables))


@dataclass(frozen=True, repr=False)
class TrainedRun(EvaluatedRun):
    """A run that was trained to its end, and how good it is on held-out data."""

    @property
    def seed(self) -> int:
        """What decided everything that the recipe leaves to chance."""
        return self.run.seed


class TrainedRuns(tuple[TrainedRun, ...]):
    """Runs of one recipe from several seeds, in the order of the seeds."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = [(str(run.path), *_figures(run)) for run in self]
        return "\n".join([f"{len(self)} runs", *_aligned(rows)])


@dataclass(frozen=True, repr=False)
class MethodComparison:
    """Methods side by side.

    Args:
        comparison: everything that is known of them.
    """

    comparison: Comparison

    @property
    def methods(self) -> tuple[ComparedMethod, ...]:
        """The methods, the best average first."""
        return self.comparison.methods

    @property
    def baseline(self) -> str:
        """The label of the method that the others are compared with."""
        return self.comparison.baseline

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the comparison unfair."""
        return self.comparison.warnings

    @property
    def verdicts(self) -> dict[str, str]:
        """What to make of each method, by its label."""
        return {method.label: method.verdict for method in self.methods}

    def __repr__(self) -> str:
        found = self.comparison
        count = len(self.methods)
        head = (
            f"{count} {'method' if count == 1 else 'methods'}: average {found.score.name} over "
            f"{found.items:,} {found.item}s per task"
        )
        averages = estimates([method.average for method in self.methods])
        rows = [
            (method.label, _seeds(len(method.seeds)), average, _difference(method), method.verdict)
            for method, average in zip(self.methods, averages, strict=True)
        ]
        return "\n".join([head, *_aligned(rows), *(f"warning: {text}" for text in self.warnings)])

    def __str__(self) -> str:
        """Return the tables that `mtctl compare` prints, and the remarks below them."""
        differing = self.comparison.mismatches
        first = [mismatch_table(differing)] if differing else []
        tables = [rendered(table) for table in (*first, *comparison_tables(self.comparison))]
        return "\n\n".join([*tables, rendered(*remarks(self.comparison))]).rstrip()


@dataclass(frozen=True, repr=False)
class TargetDiagnosis:
    """Why tasks do not learn, and what helps.

    Args:
        diagnosis: everything that was found.
        recipe: what was diagnosed, with its own length; None where a run or a metrics file was read.
    """

    diagnosis: Diagnosis
    recipe: Recipe | None = None

    @property
    def states(self) -> tuple[TaskState, ...]:
        """How each task does."""
        return self.diagnosis.states

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found out, the most important first."""
        return self.diagnosis.findings

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Remedies and what they did, the best first."""
        return self.diagnosis.trials

    @property
    def winner(self) -> Trial | None:
        """The best remedy that helps, or None if none does."""
        return self.diagnosis.winner

    def cured(self) -> Recipe:
        """Return the recipe with the best remedy, as `--write-recipe` writes it.

        Raises:
            MtctlError: no remedy helped, or there is no recipe.
        """
        if self.recipe is None or self.winner is None:
            raise MtctlError(
                f"{self.diagnosis.subject.name}: there is no remedy that is proven to help"
                if self.recipe is not None
                else f"{self.diagnosis.subject.name} was only read: remedies are tried on recipes"
            )
        return cured_recipe(self.recipe, self.winner.remedy)

    def document(self) -> dict[str, Any]:
        """Return the JSON document that `mtctl diagnose --json` prints."""
        return document(self.diagnosis)

    def __repr__(self) -> str:
        found = [
            f"{MARKS[finding.severity][0]} {finding.code}{f' · {finding.task}' if finding.task else ''} · "
            f"{finding.confidence}: {finding.summary}"
            for finding in self.findings
            if finding.severity != "info"
        ]
        return "\n".join([headline(self.diagnosis), *found, *summary(self.diagnosis)])

    def __str__(self) -> str:
        """Return the screen that `mtctl diagnose` prints."""
        return rendered(*diagnosis_screen(self.diagnosis, []))


def _figures(run: EvaluatedRun) -> Iterator[str]:
    for name, score in {**run.scores, "average": run.average}.items():
        yield f"{name} {number(score)}"


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _difference(method: ComparedMethod) -> str:
    return "" if method.difference is None else number(method.difference.mean, sign=True)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield lines whose first cells begin and whose other cells end at the same place."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join(["", first.ljust(widths[0]), *cells]).rstrip()
