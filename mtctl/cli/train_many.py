"""Several runs side by side: a process each, one table over all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final

from mtctl.cli.train_one import print_runs
from mtctl.engine import layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.interrupt import stop_on_signals
from mtctl.engine.launch.local import Job, exit_code, launch
from mtctl.engine.start import check_target
from mtctl.following.progress import Plan, Progress, Tail
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import dump
from mtctl.screens.live import LINES_OF_SEVERAL, Dues
from mtctl.screens.train import line, runs_screen
from mtctl.terminal.console import err, redraws
from mtctl.text import command_line

_ANSWERS: Final = (
    "stopping: every run ends its episode or epoch and saves everything; Ctrl-C again leaves these, and "
    "saves all before them",
    "stopping now: every run saves everything up to the end of its last complete episode or epoch",
    "leaving at once",
)
"""What a request to stop does, by its number."""


class _Watched:
    """A job and what its metrics file tells."""

    def __init__(self, job: Job, recipe: Recipe, seed: int) -> None:
        self.job = job
        self._plan = Plan.of_recipe(recipe, seed)
        self._said = self._delayed = False
        self._begin()

    def _begin(self) -> None:
        self.progress = Progress(self._plan)
        self._tail = Tail(self.job.directory / layout.METRICS, self.progress)
        self._dues = Dues(self.progress, LINES_OF_SEVERAL)

    @property
    def status(self) -> str:
        if self.job.process is None:
            return "waiting"
        if self.job.code is None:
            return "running"
        return "done" if self.job.code == 0 else "stopped" if self.job.stopped else "failed"

    def follow(self) -> None:
        if not self._written:
            return
        self._tail.follow()
        if self._tail.lost:  # the run has put other records in the place of those that were there
            self._begin()
            self._tail.follow()

    @property
    def _written(self) -> bool:
        """Whether the metrics file is this job's: until run.json is new, it is an earlier run's."""
        if self.job.started is None or self.job.code == 0:
            return self.job.code == 0
        try:
            fresh = (self.job.directory / layout.RUN).stat().st_mtime >= self.job.started
        except FileNotFoundError:
            return False
        return fresh and RunDirectory(self.job.directory).told.get("begun") is not False

    def news(self) -> list[str]:
        """Return the lines that have become due: progress, and once, how it ended."""
        news = []
        if self.job.delay and not self._delayed:
            self._delayed = True
            news.append(f"{self.job.label}  {self.job.delay}")
        if self._dues.due():
            news.append(f"{self.job.label}  {line(self.progress)}")
        if self.job.code is not None and not self._said:
            self._said = True
            news.append(self.ending)
        return news

    @property
    def notes(self) -> list[str]:
        """What it said about its beginning: sentences that begin with its directory."""
        return [line for line in self.job.log.splitlines() if line.startswith(f"{self.job.directory} ")]

    @property
    def ending(self) -> str:
        """How the run ended; a failure with its error, without the lines of progress before it."""
        if self.status != "failed":
            return "\n".join([*self.notes, f"{self.job.label}  {self.status}"])
        return f"{self.job.label}  failed: {self.job.error}"


def train_many(
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    results_dir: Path,
    command: str,
    parallel: int,
    *,
    resume: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train every recipe with every seed; return the exit code for all.

    All targets are checked before the first run starts, so that a mistake costs nothing.
    """
    with explained(results_dir):
        for recipe in recipes:
            for seed in seeds:
                place = RunDirectory(_directory(results_dir, recipe, seed))
                check_target(place, recipe, resume=resume, force=force)
                place.probe()
    flags = [flag for flag, given in (("--resume", resume), ("--force", force)) if given]
    console = err()
    with tempfile.TemporaryDirectory(prefix="mtctl-") as scratch:
        watched = []
        for recipe in recipes:
            # Resolved once, so that editing the file while runs wait does not change them.
            resolved = Path(scratch) / f"{recipe.name}.yaml"
            resolved.write_text(dump(recipe), encoding="utf-8")
            for seed in seeds:
                single = ["--seed", str(seed), "--results-dir", str(results_dir), "--command", command]
                job = Job(
                    f"{recipe.name}/seed{seed}",
                    _directory(results_dir, recipe, seed),
                    ["train", str(resolved), *single, *flags, "--quiet"],
                )
                watched.append(_Watched(job, recipe, seed))
        stopped = _run(watched, parallel, live=not quiet and redraws(console))
    jobs = [one.job for one in watched]
    stopped = stopped and any(job.code != 0 for job in jobs)
    failed = [job for job in jobs if job.code not in (0, None) and not (stopped and job.stopped)]
    if as_json:
        print_runs([job.directory for job in jobs if (job.directory / layout.RUN).is_file()])
    if stopped:
        console.print("stopped; go on with the same command and --resume", soft_wrap=True)
    if failed:
        names = ", ".join(job.label for job in failed)
        console.print(f"{len(failed)} of {len(jobs)} runs failed: {names}", style="red", soft_wrap=True)
    elif not stopped:
        following = command_line(["mtctl", "compare", str(results_dir)])
        console.print(f"✔ {len(jobs)} runs done      next: `{following}`", soft_wrap=True)
    return int(exit_code(jobs, stopped=stopped))


def _directory(results_dir: Path, recipe: Recipe, seed: int) -> Path:
    return results_dir / recipe.name / f"seed{seed}"


def _run(watched: Sequence[_Watched], parallel: int, *, live: bool) -> bool:
    """Launch and show; return whether the user has stopped it."""
    from rich.live import Live
    from rich.text import Text

    console = err()

    def say(request: int) -> None:
        console.print(_ANSWERS[min(request, len(_ANSWERS)) - 1], soft_wrap=True)

    screen = Live(console=console, auto_refresh=False) if live else None

    def watch() -> None:
        for one in watched:
            one.follow()
            for text in one.news() if screen is None else ():
                console.print(Text(text), soft_wrap=True)
        if screen is not None:
            screen.update(runs_screen([(one.progress, one.status) for one in watched]), refresh=True)

    # The third request is raised, once all have ended.
    with suppress(KeyboardInterrupt), stop_on_signals(say) as stop, screen or nullcontext():
        launch([one.job for one in watched], parallel, watch, stop)
    stopped = stop() > 0
    for one in watched if screen is not None else ():
        if one.status == "failed" or one.notes:
            console.print(Text(one.ending), soft_wrap=True)
    return stopped
