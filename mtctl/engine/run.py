"""A run: a pure function of (resolved recipe, seed, directory). Launchers only decide where runs execute."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final, Literal, Protocol

from mtctl.balancing.chain import Chain, learned_parameters
from mtctl.engine import checkpoint, layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import explained
from mtctl.engine.fit import Balancing, Observer, Wait, steps
from mtctl.engine.interrupt import Stop, Stopped
from mtctl.engine.logs.log import Subject
from mtctl.engine.logs.observer import Logs, require
from mtctl.engine.logs.scalars import Names
from mtctl.engine.metrics import MetricsFile
from mtctl.engine.prolong import replace_records, restated, settle
from mtctl.engine.provenance import now, peak_memory_mb, versions
from mtctl.engine.result import Note, RunError, RunResult, Say, Status, ended_by, silent
from mtctl.engine.scores import definition_hash, evaluate, evaluation_document, summary
from mtctl.engine.signals import SignalLog
from mtctl.engine.spec import RunSpec
from mtctl.engine.start import Past, check_target, recall
from mtctl.engine.stored import fill_training
from mtctl.problems.code import pinned
from mtctl.problems.contract import Noticing, Problem, Record, TaskEvaluation
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import dump, recipe_hash
from mtctl.recipes.resolved import canonical_hash, flattened

SAVE_SECONDS: Final = 60.0
"""Time after which a run is saved at the end of a unit, so that a crash costs no more than that …"""
_SAVING_SHARE: Final = 0.02
"""… unless saving would then take more than this share of the time: large networks, slow disks."""

_IDENTITY: Final = 16
"""Hexadecimal digits of what tells a training from any other in logs."""


def execute(
    spec: RunSpec,
    *,
    observers: Sequence[Observer] = (),
    stop: Callable[[], object] = lambda: False,
    say: Say = silent,
) -> RunResult:
    """Train one run into its directory; return what came of it.

    Nothing that is there changes until everything is known to be in order: the problem is built, and what a
    run to resume goes on from has been loaded. What can be explained and ends the run is an error in the
    result: the directory is taken, the recipe differs from the one to resume, training diverged, …

    Args:
        spec: what to train, and where.
        observers: see every record after it has been written.
        stop: asked at the end of each unit; True saves and stops. A `Stop` can also ask for haste: then the
            unit, or an evaluation, is left in its midst, and the end of the last unit is saved.
        say: told what the user should know of the run.
    """
    with pinned(spec.code):
        going = course(spec, observers=observers, stop=stop, say=say)
        while True:
            try:
                next(going)  # nobody else is waited for
            except StopIteration as end:
                result: RunResult = end.value
                return result


Course = Generator[Wait, None, RunResult]
"""A run under way, which waits for others at every `Wait` and returns what came of it."""


class Balances(Protocol):
    """How a run comes by its `Balancing`."""

    def __call__(self, chain: Chain, tasks: tuple[str, ...], seed: int, /) -> Balancing: ...


def course(
    spec: RunSpec,
    *,
    observers: Sequence[Observer] = (),
    stop: Callable[[], object] = lambda: False,
    say: Say = silent,
    build: Callable[[Recipe, int], Problem] | None = None,
    balances: Balances | None = None,
) -> Course:
    """Train one run as `execute` does, and wait for others at every step.

    Args:
        spec: see `execute`.
        observers: see `execute`.
        stop: see `execute`.
        say: see `execute`.
        build: returns the problem of a recipe and a seed, where others know of it.
        balances: returns how its tasks are balanced, where others know of it.
    """
    notes: list[Note] = []

    def tell(note: Note) -> None:
        notes.append(note)
        say(note)

    try:
        result = yield from _course(
            spec, observers, stop, tell, build or build_problem, balances or Balancing
        )
    except (Stopped, Exception) as error:  # noqa: BLE001 - what is a mistake in mtctl is raised again
        result = ended_by(error)
    return replace(result, notes=tuple(notes))


def _course(
    spec: RunSpec,
    observers: Sequence[Observer],
    stop: Callable[[], object],
    say: Say,
    build: Callable[[Recipe, int], Problem],
    balances: Balances,
) -> Course:
    require(spec.recipe.logging)
    place = RunDirectory(spec.directory)
    with explained(spec.directory):
        check_target(place, spec)
        place.acquire()
        try:
            # Again, as another process may have made a run here before the lock was ours.
            recipe = check_target(place, spec)
            problem = build(recipe, spec.seed)
            run = _Run(replace(spec, recipe=recipe), place, problem, balances, observers, say)
            go_on = run.start(resume=spec.resume and place.used)
            return (yield from run.train(stop)) if go_on else run.result("completed")
        finally:
            place.release()


class _Run:
    """One run from its first unit, or from its last checkpoint, to its end."""

    def __init__(
        self,
        spec: RunSpec,
        place: RunDirectory,
        problem: Problem,
        balances: Balances,
        observers: Sequence[Observer],
        say: Say,
    ) -> None:
        self._say = say
        self._recipe, self._seed, self._command = spec.recipe, spec.seed, spec.command
        self._place, self._observers = place, list(observers)
        self._problem = problem
        self._chain = Chain(self._recipe.chain)
        self._balancing = balances(self._chain, self._problem.tasks, self._seed)
        self._best: float | None = None
        self._seconds = {"training": 0.0, "evaluation": 0.0}
        self._started = now()
        self._clock = time.perf_counter()
        self._open = False
        self._saved: tuple[int, bool] | None = None
        self._save_at = time.monotonic() + SAVE_SECONDS
        self._marked: dict[str, Any] = {}
        self._haste = Stop()
        self._metrics: MetricsFile
        self._begun = True
        self._final: dict[str, Any] | None = None
        self._earlier: tuple[int, ...] = ()

    def start(self, *, resume: bool) -> bool:
        """Get ready to train; return whether anything is left to do."""
        past = recall(self._place, self._recipe, self._seed, self._problem, self._say) if resume else None
        if past is not None:
            return self._take_up(past)
        self._begin()
        return True

    def _begin(self) -> None:
        """Start from the first unit, in the place of an earlier run if there is one.

        run.json is replaced first, in one go: this is the earlier run until then, and the new one after.
        """
        self._begun = False
        self._describe("running")
        self._place.prepare(dump(self._recipe), self._command)
        if kept := self._place.clear():
            self._say(Note("kept", f"kept files that are not a run's: {', '.join(kept)}"))
        self._metrics = MetricsFile(self._place.metrics)
        self._begun = True

    def _take_up(self, past: Past) -> bool:
        """Go on from what a run has done; return whether anything is left to do."""
        problem, content = self._problem, past.content
        path = self._place.checkpoint(layout.LAST)
        fill_training(path, content, problem, self._balancing)
        self._load(content["training"])
        done, prolonged = problem.done >= problem.units, past.units != problem.units
        self._final, self._earlier = past.evaluation if done else None, past.earlier
        if past.moved:
            self._say(Note("moved", f"now has its data at {past.moved}"))
        if self._final is not None and past.complete and not prolonged:
            self._say(Note("idle", "is already complete; there is nothing to resume"))
            if past.moved:
                self._place.prepare(dump(self._recipe), self._command)
            return False
        if past.changed:
            self._say(Note("changed", past.changed))
        settle(self._place, content["recipe_hash"])
        if prolonged:
            self._say(
                Note("prolonged", f"is prolonged from {past.units:,} to {problem.units:,} {problem.unit}s")
            )
            return self._prolong(past)
        if done:
            left = "is now marked as complete" if self._final is not None else "is now evaluated"
            self._say(Note("evaluating", f"was already trained to its end, and {left}"))
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
        self._best = training["best"]
        self._seconds = dict(training["seconds"])
        self._started = training["started"]
        self._open = training.get("open", False)  # those of earlier versions were always closed
        self._saved = self._state

    def _prepare(self, keep: int) -> None:
        self._place.prepare(dump(self._recipe), self._command)
        self._metrics = MetricsFile(self._place.metrics, keep)

    def result(self, status: Status) -> RunResult:
        """Return what came of the run."""
        return RunResult(status, self._final if status == "completed" else None, self._units_saved)

    def train(self, stop: Callable[[], object]) -> Course:
        logs = Logs(self._recipe.logging, self._place.path, self._subject, self._say)
        self._observers.append(logs)
        try:
            self._describe("running")
            logs.begin()
            status = yield from self._train(stop, stop if isinstance(stop, Stop) else Stop())
            self._describe(status)
        except KeyboardInterrupt:
            self._note("interrupted")
            raise
        except Exception as error:
            self._note("failed", error)
            raise
        finally:
            self._metrics.close()
            logs.close()
        return self.result(status)

    def _subject(self) -> Subject:
        names = Names(self._problem.unit, self._problem.score.name)
        identity = canonical_hash({"at": str(self._place.path.absolute()), "started": self._started})
        values = flattened(dump(self._recipe), layout.RECIPE)
        return Subject(self._recipe.name, self._seed, values, names, identity[:_IDENTITY])

    def _train(self, stop: Callable[[], object], haste: Stop) -> Generator[Wait, None, Status]:
        problem = self._problem
        log = SignalLog(
            problem.tasks,
            shared=problem.parameter_count().shared > 0,
            every=self._recipe.monitor.every,
            inspect=problem.inspect,
        )
        self._mark()
        self._haste = haste
        try:
            self._observe(self._close_unit())
            yield from steps(problem, self._balancing, log, [self], stop, haste.now)
            self._save_unsaved()
            if problem.done < problem.units:
                return "interrupted"
            if self._final is not None:
                return "completed"
            # Nothing is lost with an evaluation that is made again: a request from here on ends it.
            with haste.leaving(haste.requests + 1):
                self._evaluate_finally()
        except Stopped:
            problem.rewind()
            self._balancing.load_state_dict(self._marked)
            self._save_unsaved()
            return "interrupted"
        return "completed"

    def unit_ended(self, record: Record) -> None:
        """Write the record, then evaluate and save where due, then let the observers see it."""
        self._metrics.write(record)
        self._spend("training")
        self._open = True
        self._mark()
        if isinstance(self._problem, Noticing):
            for text in self._problem.notices():
                self._say(Note("noticed", text))
        self._observe([record, *self._close_unit()])

    def _close_unit(self) -> list[Record]:
        """Evaluate and save where that is due and has not been done; return what was recorded."""
        if not self._open:
            return []
        records: list[Record] = []
        done, every = self._problem.done, self._recipe.evaluation.every
        if every and done % every == 0:
            with self._haste.leaving(2):
                scores = evaluate(self._problem, self._recipe.evaluated[0], "monitor")
            records.append(self._evaluation(scores))
        self._open = False
        kept = done % self._recipe.checkpoints.every == 0
        if kept:  # before last.pt: what a run is resumed from has all that came before it
            checkpoint.save(self._place.checkpoint(f"ep{done:04d}"), self._content(training=None))
        if kept or time.monotonic() >= self._save_at:
            self._save()
            self._describe("running")
        return records

    def _observe(self, records: list[Record]) -> None:
        for observer in self._observers:
            for record in records:
                observer.unit_ended(record)

    def _mark(self) -> None:
        """Remember the end of a unit, which a hasty stop goes back to."""
        self._problem.mark()
        self._marked = self._balancing.state_dict()

    def _evaluation(self, scores: Mapping[str, TaskEvaluation]) -> Record:
        tasks = {task: summary(scored, self._problem.score) for task, scored in scores.items()}
        average = statistics.fmean(task["mean"] for task in tasks.values())
        budget = self._problem.budget()
        record: Record = {
            "kind": "evaluation",
            "unit": self._problem.done,
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
        scores = evaluate(self._problem, items, "held_out")
        self._final = evaluation_document(scores, layout.LAST, self._problem.done, self._problem)
        self._place.write(layout.EVALUATION, self._final)
        self._spend("evaluation")

    def _spend(self, phase: str) -> None:
        moment = time.perf_counter()
        self._seconds[phase] += moment - self._clock
        self._clock = moment

    def _save(self) -> None:
        began = time.monotonic()
        training = {
            "problem": self._problem.state_dict(),
            "balancing": self._balancing.state_dict(),
            "best": self._best,
            "open": self._open,
            "seconds": dict(self._seconds),
            "started": self._started,
            "metrics_bytes": self._metrics.sync(),
        }
        checkpoint.save(self._place.checkpoint(layout.LAST), self._content(training))
        self._saved = self._state
        ended = time.monotonic()
        self._save_at = ended + max(SAVE_SECONDS, (ended - began) / _SAVING_SHARE)

    def _save_unsaved(self) -> None:
        if self._saved != self._state:
            self._save()

    @property
    def _units_saved(self) -> int:
        return 0 if self._saved is None else self._saved[0]

    @property
    def _state(self) -> tuple[int, bool]:
        """What tells one moment that can be saved from another."""
        return self._problem.done, self._open

    def _content(self, training: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "recipe_hash": recipe_hash(self._recipe),
            "definition_hash": definition_hash(self._problem.definition),
            "seed": self._seed,
            "done": self._problem.done,
            "policy": self._problem.policy_state(),
            "training": training,
        }

    def _note(self, status: Literal["interrupted", "failed"], error: Exception | None = None) -> None:
        """Describe how a run ended whose end is about to be raised."""
        with suppress(OSError, MemoryError):  # of a disk that is full, say: what is raised tells of it
            self._describe(status, None if error is None else RunError.of(error))

    def _describe(self, status: Literal["running"] | Status, error: RunError | None = None) -> None:
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
                "scored": list(problem.scored),
                "score": asdict(problem.score),
                "figures": asdict(problem.figures),
                "definition": dict(problem.definition),
                "definition_hash": definition_hash(problem.definition),
                **({} if problem.code is None else {"code": dict(problem.code)}),
                "parameters": {"total": count.total + learned, "shared": count.shared, "balancer": learned},
                "unit": problem.unit,
                "item": problem.item,
                "budget": {
                    "units": problem.units,
                    "done": self._units_saved,
                    "environment_steps": None,
                    **problem.budget(),
                    **({"earlier": list(self._earlier)} if self._earlier else {}),
                },
                "seconds": {"total": sum(self._seconds.values()), **self._seconds},
                "peak_memory_mb": peak_memory_mb(),
                "device": problem.device.type,
                "started": self._started,
                "ended": None if status == "running" else now(),
                "versions": versions(),
                **({} if self._recipe.tuning is None else {"tuning": self._recipe.tuning.model_dump()}),
                "error": None if error is None else error.stored(),
                **({} if self._begun else {"begun": False}),
            },
        )
