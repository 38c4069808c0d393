"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mtctl.analysis.comparison import Comparison
from mtctl.diagnosis.report import Diagnosis
from mtctl.history.formats import Run
from mtctl.history.history import HistoryReader
from mtctl.history.runs import read_run
from mtctl.problems.kind import Published


@dataclass(frozen=True)
class Report:
    """A comparison, and what is said around it.

    Args:
        comparison: what is compared.
        study: published figures to be shown beside.
        title: the page's; None for one made of what is compared.
        command: what was typed.
        bootstrap_seed: of the resampling that intervals come from.
        run_diagnoses: what the records of runs say, by method and seed; without methods that have no records.
        file_diagnoses: what was diagnosed elsewhere, by file.
        read: returns what a run recorded.
    """

    comparison: Comparison
    study: Published | None
    title: str | None
    command: str
    bootstrap_seed: int
    run_diagnoses: Mapping[str, Mapping[int, Diagnosis]]
    file_diagnoses: Mapping[Path, Diagnosis]
    read: HistoryReader

    @cached_property
    def runs(self) -> list[Run]:
        """All runs, in the order of the methods and seeds."""
        return [read_run(path) for method in self.comparison.methods for path in method.paths]

    @property
    def heading(self) -> str:
        """The page's title."""
        problem, methods = self.comparison.problem, self.comparison.methods
        what = f"{len(methods)} methods compared" if len(methods) > 1 else methods[0].label
        return self.title or f"{problem}: {what}"

    @property
    def lead(self) -> str:
        """What is compared, in one line."""
        comparison, runs = self.comparison, len(self.runs)
        tasks, better = len(comparison.tasks), "higher" if comparison.score.higher_is_better else "lower"
        return (
            f"{runs:,} run{'s' if runs > 1 else ''} of {comparison.problem} on {tasks} "
            f"task{'s' if tasks > 1 else ''} ({', '.join(comparison.tasks)}); the score is "
            f"{comparison.score.name}, and {better} is better."
        )
