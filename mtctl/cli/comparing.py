"""What the verbs that compare runs have in common: the flags that choose what is compared, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.cli import completion
from mtctl.engine import layout
from mtctl.errors import MtctlError

if TYPE_CHECKING:
    from mtctl.analysis.comparison import Comparison
    from mtctl.history.summary import SummaryReader


class Match(StrEnum):
    """What a budget counts."""

    STEPS = "steps"
    UPDATES = "updates"
    TIME = "time"


class Checkpoint(StrEnum):
    """Whose scores are compared."""

    LAST = "last"
    BEST = "best"


class Reference(StrEnum):
    """Figures of others."""

    PUBLISHED = "published"


Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        envvar=layout.RESULTS_VARIABLE,
        help="Run directories, or folders of them, such as results/*.",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
BaselineOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The method that all others are compared with. "
        "[default: shared_aware or windows_documented, else the first]",
    ),
]
MatchOption = Annotated[
    Match | None,
    typer.Option(
        help="Compare at the largest budget that every run reached, on evaluations during training."
    ),
]
CheckpointOption = Annotated[
    Checkpoint,
    typer.Option(help="Compare final policies, or best checkpoints after `mtctl eval --checkpoint best`."),
]
PartialOption = Annotated[
    bool,
    typer.Option("--include-partial", help="Include runs that are not completed, as they are now."),
]
MismatchOption = Annotated[
    bool,
    typer.Option(
        "--allow-mismatch",
        help="Compare runs that measure different things, on the tasks that they have in common.",
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE",
        help="Measure the time to reach this score. "
        "[default: the score of success, else the baseline's last]",
    ),
]
ReferenceOption = Annotated[
    Reference | None, typer.Option(help="Show published figures in a table of their own.")
]
BootstrapSeedOption = Annotated[
    int, typer.Option(min=0, metavar="N", help="Seed of the bootstrap intervals.")
]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is compared, and how; see `mtctl.analysis.comparison.compare`.

    Raises:
        MtctlError: flags that have no meaning, or none together.
    """

    paths: list[Path]
    baseline: str | None = None
    match: Match | None = None
    include_partial: bool = False
    allow_mismatch: bool = False
    threshold: float | None = None
    bootstrap_seed: int = 0
    checkpoint: Checkpoint = Checkpoint.LAST

    def __post_init__(self) -> None:
        if self.threshold is not None and not isfinite(self.threshold):
            raise MtctlError(f"--threshold {self.threshold}: expected a finite number, such as 200")
        if self.match is not None and self.checkpoint is not Checkpoint.LAST:
            raise MtctlError(
                f"--match compares evaluations during training, but --checkpoint {self.checkpoint} "
                "held-out ones",
                hint="leave out one of them",
            )


def compared(choice: Choice, read: SummaryReader | None = None) -> Comparison:
    """Compare runs; where they measure different things, show what differs and refuse.

    Args:
        choice: what is compared with what.
        read: returns what a run recorded while it trained; read here if left out.

    Raises:
        MtctlError: the runs cannot be compared.
    """
    import gc

    from mtctl.analysis import comparison, matching, mismatch
    from mtctl.history.summary import recorded_summary
    from mtctl.screens.compare import mismatch_table
    from mtctl.terminal.console import err

    gc.freeze()  # what was imported stays: no need to look through it again and again while records are read
    try:
        made = comparison.compare(
            choice.paths,
            choice.baseline,
            allow_mismatch=choice.allow_mismatch,
            include_partial=choice.include_partial,
            match=None if choice.match is None else matching.Budget(choice.match.value),
            threshold=choice.threshold,
            seed=choice.bootstrap_seed,
            checkpoint=choice.checkpoint.value,
            read=read or recorded_summary,
        )
    except mismatch.MismatchError as error:
        err().print(mismatch_table(error.mismatches), crop=False)
        raise
    if choice.threshold is not None and not any(method.reaching for method in made.methods):
        raise MtctlError(
            "--threshold has no effect: no run was evaluated during training",
            hint="leave it out, or train with `-o evaluation.every=N`",
        )
    return made
