"""A run: a pure function of (resolved recipe, seed, directory). Launchers only decide where runs execute."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from mtctl.balancing.build import build as build_chain
from mtctl.balancing.chain import learned_parameters
from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.fit import Balancing, Observer, fit
from mtctl.engine.metrics import MetricsFile
from mtctl.engine.processor import use_one_thread
from mtctl.engine.prolong import replace_records, restated, settle
from mtctl.engine.provenance import now, peak_memory_mb, versions
from mtctl.engine.scores import definition_hash, evaluation_document, summary
from mtctl.engine.signals import SignalLog
from mtctl.engine.start import Note, Past, Say, check_target, recall
from mtctl.errors import MtctlError
from mtctl.problems.build import build as build_problem
from mtctl.problems.contract import Record
from mtctl.recipes.loading import dump, recipe_hash
from mtctl.recipes.recipe import Recipe

Status = Literal["running", "completed", "interrupted", "failed"]


def execute(
    recipe: Recipe,
    seed: int,
    directory: Path,
    *,
    command: str,
    resume: bool = False,
    force: bool = False,
    observers: Sequence[Observer] = (),
    stop: Callable[[], bool] = lambda: False,
    say: Say = lambda _: None,
) -> Status:
    """Train one run into its directory; return how it ended.

    Nothing that is there changes until everything is known to be in order: the problem is built, and what a
    run to resume goes on from has been loaded.

    Args:
        recipe: resolved.
        seed: decides everything that the recipe leaves to chance.
        directory: results/<name>/seed<k>; must be new or empty, unless `resume` or `force` say otherwise.
        command: what the user typed, kept in the run.
        resume: go on from the last checkpoint; a run that stopped before its first one starts again. A
            completed one gets the evaluation that it lacks, or goes on if the recipe asks for more units.
        force: replace a run that is there; files in its directory that no run writes stay.
        observers: see every record after it has been written.
        stop: asked at the end of each unit; True saves and stops.
        say: told what the user should know of the run's beginning.

    Raises:
        MtctlError: the directory is taken, the recipe differs from the one to resume, training diverged, …
    """
    use_one_thread()
    place = RunDirectory(directory)
    with explained(directory):
        check_target(place, recipe, resume=resume, force=force)
        place.acquire()
        try:
            # Again, as another process may have made a run here before the lock was ours.
            recipe = check_target(place, recipe, resume=resume, force=force)
            run = _Run(recipe, seed, place, command, observers)
            if not run.start(say, resume=resume and place.used):
                return "completed"
            return run.train(stop)
        finally:
            place.release()


class _Run:
    """One run from its first unit, or from its last checkpoint, to its end."""

    def __init__(
        self, recipe: Recipe, seed: int, place: RunDirectory, command: str, observers: Sequence[Observer]
    ) -> None:
        self._recipe, self._seed, self._place = recipe, seed, place
        self._command, self._observers = command, observers
        self._problem = build_problem(recipe, seed)
        self._chain = build_chain(recipe.chain, self._problem.tasks)
        self._balancing = Balancing(self._chain, len(self._problem.tasks), seed)
        self._best: float | None = None
        self._seconds = {"training": 0.0, "evaluation": 0.0}
        self._started = now()
        self._mark = time.perf_counter()
        self._metrics: MetricsFile
        self._begun = True
        self._evaluated = False
        self._earlier: tuple[int, ...] = ()

    def start(self, say: Say, *, resume: bool) -> bool:
        """Get ready to train; return whether anything is left to do."""
        past = recall(self._place, self._recipe, self._seed, self._problem, say) if resume else None
        if past is not None:
            return self._take_up(past, say)
        self._begin(say)
        return True

    def _begin(self, say: Say) -> None:
        """Start from the first unit, in the place of an earlier run if there is one.

        run.json is replaced first, in one go: this is the earlier run until then, and the new one after.
        """
        self._begun = False
        self._describe("running")
        if kept := self._place.clear():
            say(Note("kept", f"kept what no run writes: {', '.join(kept)}"))
        self._prepare(keep=0)
        self._begun = True

    def _take_up(self, past: Past, say: Say) -> bool:
        """Go on from what a run has done; return whether anything is left to do."""
        problem, content = self._problem, past.content
        self._load(content["training"])
        done, prolonged = problem.done >= problem.units, past.units != problem.units
        self._evaluated, self._earlier = done and past.evaluated, past.earlier
        if past.moved:
            say(Note("moved", f"has its data at {past.moved} now"))
        if self._evaluated and past.complete and not prolonged:
            say(Note("idle", "is complete already; nothing to resume"))
            if past.moved:
                self._place.prepare(dump(self._recipe), self._command)
            return False
        settle(self._place, content["recipe_hash"])
        if prolonged:
            say(Note("prolonged", f"is to have {problem.units:,} {problem.unit}s instead of {past.units:,}"))
            return self._prolong(past)
        if done:
            lacked = "to say so" if past.evaluated else "its final evaluation, which is made now"
            say(Note("evaluating", f"was trained to its end already, and lacked {lacked}"))
        self._prepare(keep=past.covered)
        return True

    def _prolong(self, past: Past) -> bool:
        records = self._place.metrics.read_bytes()[: past.covered]
        longer = restated(records, self._problem, past.units)
        self._describe("running")
        if longer != records:
            replace_records(self._place, past.content, longer, recipe_hash(self._recipe))
        self._prepare(keep=len(longer))
        return True

    def _load(self, training: Mapping[str, Any]) -> None:
        self._problem.load_state_dict(training["problem"])
        self._balancing.load_state_dict(training["balancing"])
        self._best = training["best"]
        self._seconds = dict(training["seconds"])
        self._started = training["started"]

    def _prepare(self, keep: int) -> None:
        self._place.prepare(dump(self._recipe), self._command)
        self._metrics = MetricsFile(self._place.metrics, keep)

    def train(self, stop: Callable[[], bool]) -> Status:
        problem = self._problem
        log = SignalLog(
            problem.tasks,
            shared=problem.parameter_count().shared > 0,
            every=self._recipe.monitor.every,
            inspect=problem.inspect,
        )
        self._describe("running")
        try:
            fit(problem, self._balancing, log, [self], stop)
            if problem.done >= problem.units and not self._evaluated:
                self._evaluate_finally()
            status: Status = "completed" if problem.done >= problem.units else "interrupted"
            self._save()
            self._describe(status)
        except (MtctlError, OSError) as error:
            with suppress(OSError):  # of a disk that is full, say
                self._describe("failed", error=str(error))
            raise
        finally:
            self._metrics.close()
        return status

    def unit_ended(self, record: Record) -> None:
        """Write the record, then evaluate and save where due, then let the observers see it."""
        self._metrics.write(record)
        self._spend("training")
        done, every = self._problem.done, self._recipe.evaluation.every
        records = [record]
        if every and done % every == 0:
            records.append(self._evaluate())
        if done % self._recipe.checkpoints.every == 0:
            self._save()
            checkpoint.save(self._place.checkpoint(f"ep{done:04d}"), self._content(training=None))
            self._describe("running")
        for observer in self._observers:
            for seen in records:
                observer.unit_ended(seen)

    def _evaluate(self) -> Record:
        items, _ = self._recipe.evaluated
        scores = self._problem.evaluate(items, "monitor")
        tasks = {task: summary(scored, self._problem.score) for task, scored in scores.items()}
        average = statistics.fmean(task["mean"] for task in tasks.values())
        budget = self._problem.budget()
        record: Record = {
            "kind": "evaluation",
            self._problem.unit: self._problem.done,
            **{key: budget[key] for key in ("environment_steps", "updates") if key in budget},
            "tasks": tasks,
            "average": average,
        }
        self._metrics.write(record)
        if self._best is None or self._is_better(average, self._best):
            self._best = average
            checkpoint.save(self._place.checkpoint(layout.BEST), self._content(training=None))
        self._spend("evaluation")
        return record

    def _is_better(self, average: float, best: float) -> bool:
        return average > best if self._problem.score.higher_is_better else average < best

    def _evaluate_finally(self) -> None:
        _, items = self._recipe.evaluated
        scores = self._problem.evaluate(items, "held_out")
        document = evaluation_document(scores, layout.LAST, self._problem.done, self._problem)
        self._place.write(layout.EVALUATION, document)
        self._spend("evaluation")

    def _spend(self, phase: str) -> None:
        moment = time.perf_counter()
        self._seconds[phase] += moment - self._mark
        self._mark = moment

    def _save(self) -> None:
        training = {
            "problem": self._problem.state_dict(),
            "balancing": self._balancing.state_dict(),
            "best": self._best,
            "seconds": dict(self._seconds),
            "started": self._started,
            "metrics_bytes": self._metrics.sync(),
        }
        checkpoint.save(self._place.checkpoint(layout.LAST), self._content(training))

    def _content(self, training: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "recipe_hash": recipe_hash(self._recipe),
            "definition_hash": definition_hash(self._problem.definition),
            "seed": self._seed,
            "done": self._problem.done,
            "policy": self._problem.policy_state(),
            "training": training,
        }

    def _describe(self, status: Status, error: str | None = None) -> None:
        problem = self._problem
        count = problem.parameter_count()
        learned = learned_parameters(self._chain, len(problem.tasks))
        self._place.write(
            layout.RUN,
            {
                "schema": layout.SCHEMA,
                "status": status,
                "name": self._recipe.name,
                "seed": self._seed,
                "command": self._command,
                "recipe_hash": recipe_hash(self._recipe),
                "problem": self._recipe.problem.kind,
                "tasks": list(problem.tasks),
                "score": asdict(problem.score),
                "definition": dict(problem.definition),
                "definition_hash": definition_hash(problem.definition),
                "parameters": {"total": count.total + learned, "shared": count.shared, "balancer": learned},
                "unit": problem.unit,
                "item": problem.item,
                "budget": {
                    "units": problem.units,
                    "done": problem.done,
                    "environment_steps": None,
                    **problem.budget(),
                    **({"earlier": list(self._earlier)} if self._earlier else {}),
                },
                "seconds": {"total": sum(self._seconds.values()), **self._seconds},
                "peak_memory_mb": peak_memory_mb(),
                "started": self._started,
                "ended": None if status == "running" else now(),
                "versions": versions(),
                "error": None if error is None else {"message": error},
                **({} if self._begun else {"begun": False}),
            },
        )
