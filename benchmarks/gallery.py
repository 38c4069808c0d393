"""Whether `mtctl diagnose` names the cause that was planted, and leaves healthy recipes alone.

    python -m benchmarks.gallery [--seeds 3] [--set windows|own|policies|players] [--jobs N]
                                 [--half thresholds|held_out|all] [--only TEXT] [--json PATH]

Every case is diagnosed from every seed, without remedies. Of the windows problem's, in gallery_cases.py,
thresholds may be tuned on one half; the other half is held out. Models of one's own, in own_gallery/, are a
set apart: on those of cases.py nothing is tuned, and those of further_cases.py have halves too. Policies, in
policy_cases.py, are trained first, and what their runs have recorded is diagnosed; what is planted in them is
certain. Players, in player_cases.py, are diagnosed by experiment, each once, from four seeds.

    fault       a planted cause that is certain, or that stops a task or slows it down: within the budget it
                does not reach a skill of 10 % and in the control it does, or τ ÷ budget is at least 1.5 times
                the control's. τ: updates until skill is 10 %. A plant that does neither is harmless, and its
                task counts as healthy.
    named       the first finding on the task (on the run, for a cause of the whole run) is the planted
                cause; errors come first, then warnings. Of two causes on one task either may come first.
                A player's plant is a fault if it costs a fifth of what the control learns.
    alarm       a finding of severity error where nothing is wrong: on a control, or on a harmless plant
    bystander   an error on a task on which nothing is planted; shown only, as a plant may harm others too
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, Literal, Protocol, get_args
from unittest.mock import patch

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.faults import PlantedRecipe
from benchmarks.gallery_cases import CASES, CERTAIN, WHOLE_RUN, Case, Half, half_of
from benchmarks.own_gallery.cases import CASES as FIRST_OWN_CASES
from benchmarks.own_gallery.cases import OwnCase
from benchmarks.own_gallery.further_cases import FURTHER_CASES
from benchmarks.peak import watched_memory
from benchmarks.player_cases import CASES as PLAYER_CASES
from benchmarks.player_cases import PlayerCase
from benchmarks.policy_cases import CASES as POLICY_CASES
from benchmarks.policy_cases import PolicyCase
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import course
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.diagnose import diagnose_recipe
from mtctl.diagnosis.players.training import Order, play
from mtctl.diagnosis.records.run import diagnose_run
from mtctl.diagnosis.report import Diagnosis
from mtctl.diagnosis.thresholds import LEARNED
from mtctl.engine.processor import use_one_thread
from mtctl.engine.run import execute
from mtctl.engine.spec import RunSpec
from mtctl.problems.hybrid.recipe import HybridRecipe
from mtctl.problems.supervised.recipe import SupervisedRecipe
from mtctl.problems.windows.problem import Windows, build

SLOWED: Final = 1.5
"""τ over the control's from which a plant counts as harm; τ of equal runs varies as much by their seeds."""
NAMED_BAR: Final = 0.9
NOTHING: Final = "–"
"""In place of a cause: none is planted, or none was named."""
_NEVER: Final = 10**9

Harm = Literal["certain", "stopped", "slowed", "harmless", "control"]
Part = Literal[Half, "own", "policies", "players"]
"""What is reported apart: the halves of the windows problem's cases, models of one's own, policies that have
been trained, and players."""
_PLAYER_SEEDS: Final = (0, 1, 2, 3)
_COSTS: Final = 0.2
"""Part of what the control learns that a player's plant costs at least."""


class AnyCase(Protocol):
    """A case of one of the sets; see `gallery_cases.Case`."""

    @property
    def name(self) -> str: ...
    @property
    def planted(self) -> Mapping[str, tuple[Code, ...]]: ...
    @property
    def recipe(self) -> SupervisedRecipe: ...
    @property
    def control_recipe(self) -> SupervisedRecipe: ...


OWN_CASES: Final[tuple[OwnCase, ...]] = (*FIRST_OWN_CASES, *FURTHER_CASES)
PARTS: Final[tuple[Part, ...]] = ("thresholds", "held_out", "own", "policies", "players")


def part_of(case: AnyCase) -> Part:
    """Return what a case is reported with."""
    if isinstance(case, Case):
        return half_of(case)
    return case.half if isinstance(case, OwnCase) else "own"


@dataclass(frozen=True, slots=True)
class Call:
    """What was said of one planted cause, or of one control.

    Args:
        case: its name.
        half: what it is reported with.
        seed: of the run.
        task: whose cause; None for a control.
        planted: causes of which one is to be named; empty for a control.
        harm: what the plant does to the task.
        tau: updates to a skill of 10 % as planted and in the control; None: not while it was watched.
        named: codes of the findings on the task, in their order; of all findings for a control.
        errors: those of them that are errors.
        warnings: those of them that are warnings.
        bystanders: tasks on which nothing is planted and an error was found.
        seconds: that the diagnosis took.
        processor: seconds of the processor, which other programs do not lengthen.
        memory: the process's highest resident memory while it ran, MiB; None where the system does not tell.
    """

    case: str
    half: Part
    seed: int
    task: str | None
    planted: tuple[str, ...]
    harm: Harm
    tau: tuple[float | None, float | None]
    named: tuple[str, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    bystanders: tuple[str, ...]
    seconds: float
    processor: float = 0.0
    memory: float | None = None

    @property
    def is_fault(self) -> bool:
        return self.harm in ("certain", "stopped", "slowed")

    @property
    def first(self) -> str:
        """The cause that was named first."""
        return self.named[0] if self.named else NOTHING

    @property
    def right(self) -> bool:
        """Whether the planted cause was named first, or nothing where nothing is wrong."""
        if self.is_fault:
            return self.first in self.planted
        return not self.errors


def call(case: AnyCase, seed: int) -> list[Call]:
    """Diagnose a case from one seed; return a call for each planted cause, or one for a control."""
    use_one_thread()
    began, used = time.monotonic(), time.process_time()
    with _started(case, seed), watched_memory() as peak:
        diagnosis = diagnose_recipe(case.recipe, seeds=(seed,), verify=False)
    seconds = time.monotonic() - began
    processor = time.process_time() - used
    planted = case.planted or {WHOLE_RUN: ()}
    bystanders = {
        one.task or WHOLE_RUN
        for one in diagnosis.findings
        if one.severity == "error" and WHOLE_RUN not in planted and one.task not in planted
    }
    found = []
    for task, causes in planted.items():
        findings = [one for one in diagnosis.findings if task == WHOLE_RUN or one.task in (task, None)]
        harm, tau = _harm(case, task, diagnosis, seed) if causes else ("control", (None, None))
        found.append(
            Call(
                case.name,
                part_of(case),
                seed,
                task if causes else None,
                causes,
                harm,
                tau,
                named=tuple(one.code for one in findings),
                errors=tuple(one.code for one in findings if one.severity == "error"),
                warnings=tuple(one.code for one in findings if one.severity == "warning"),
                bystanders=tuple(sorted(bystanders)),
                seconds=seconds / len(planted),
                processor=processor / len(planted),
                memory=peak.memory,
            )
        )
    return found


def call_policy(case: PolicyCase, seed: int) -> list[Call]:
    """Train a policy, diagnose what its run has recorded, and return the call."""
    use_one_thread()
    began, used = time.monotonic(), time.process_time()
    with TemporaryDirectory() as folder, watched_memory() as peak:
        run = Path(folder) / "run"
        execute(RunSpec(case.recipe, seed, run))
        findings = diagnose_run(run).findings
    return [
        Call(
            case.name,
            "policies",
            seed,
            WHOLE_RUN if case.planted else None,
            case.planted,
            "certain" if case.planted else "control",
            (None, None),
            named=tuple(one.code for one in findings),
            errors=tuple(one.code for one in findings if one.severity == "error"),
            warnings=tuple(one.code for one in findings if one.severity == "warning"),
            bystanders=(),
            seconds=time.monotonic() - began,
            processor=time.process_time() - used,
            memory=peak.memory,
        )
    ]


def call_player(case: PlayerCase) -> list[Call]:
    """Diagnose a recipe that is played, by experiment, and return the call."""
    use_one_thread()
    began, used = time.monotonic(), time.process_time()
    with watched_memory() as peak:
        diagnosis = diagnose_recipe(case.recipe, seeds=_PLAYER_SEEDS, verify=True)
    seconds, processor = time.monotonic() - began, time.process_time() - used
    findings = diagnosis.findings
    return [
        Call(
            case.name,
            "players",
            _PLAYER_SEEDS[0],
            WHOLE_RUN if case.planted else None,
            case.planted,
            _harm_to_player(case) if case.planted else "control",
            (None, None),
            named=tuple(one.code for one in findings),
            errors=tuple(one.code for one in findings if one.severity == "error"),
            warnings=tuple(one.code for one in findings if one.severity == "warning"),
            bystanders=(),
            seconds=seconds,
            processor=processor,
            memory=peak.memory,
        )
    ]


def _harm_to_player(case: PlayerCase) -> Harm:
    """Compare what two seeds learn with what the control learns from them."""
    if Code.RATIO_NOT_ONE in case.planted:
        return "certain"
    scored = case.recipe.scored[0]
    factor = float(getattr(case.recipe.problem, "options", {}).get("scale", 1.0))
    learned = [_learned(case.recipe.model_dump_json(), scored, seed) / factor for seed in _PLAYER_SEEDS[:2]]
    control = [_learned(case.control.model_dump_json(), scored, seed) for seed in _PLAYER_SEEDS[:2]]
    return "stopped" if sum(learned) < (1 - _COSTS) * sum(control) else "harmless"


@lru_cache(maxsize=64)
def _learned(recipe: str, scored: str, seed: int) -> float:
    """Return by how much a final policy's mean return is above the untrained one's."""
    played = play(Order(HybridRecipe.model_validate_json(recipe), seed, 100))
    return played.returns.get(scored, played.untrained[scored]) - played.untrained[scored]


@contextmanager
def _started(case: AnyCase, seed: int) -> Iterator[None]:
    """Let every course start from the case's own network after some epochs, if it is to be warm."""
    if not isinstance(case, Case) or not case.warm:
        yield
        return
    weights = Course(case.recipe, seed, _NEVER, watched=False).run(case.warm).problem.policy_state()

    def warm(recipe: PlantedRecipe, seed: int) -> Windows:
        problem = build(recipe, seed)
        problem.load_policy_state(weights)
        return problem

    with patch.object(course, "build", warm):
        yield


def _harm(
    case: AnyCase, task: str, diagnosis: Diagnosis, seed: int
) -> tuple[Harm, tuple[float | None, float | None]]:
    """Compare a task with the control's, in budgets; for the whole run, the task that lost most."""
    recipe = case.control_recipe
    control = _control(type(recipe), recipe.model_dump_json(), seed)
    states = {one.task: one for one in diagnosis.states if task in (WHOLE_RUN, one.task)}
    worst: tuple[Harm, tuple[float | None, float | None]] = ("harmless", (None, None))
    ratio = 0.0
    for name, state in states.items():
        reference = control.steps(name)
        if reference is None:
            raise ValueError(f"{case.name}: {name} does not learn in its control, seed {seed}")
        stopped = state.skill is None or not state.skill >= LEARNED
        tau = float("inf") if state.steps is None or stopped else state.steps
        budget = diagnosis.subject.updates or 1
        found = tau / budget / (max(reference, 1.0) / control.updates)
        if found > ratio:
            ratio = found
            harm: Harm = "stopped" if stopped else "slowed" if found >= SLOWED else "harmless"
            worst = harm, (state.steps, reference)
    if any(cause in CERTAIN for cause in case.planted[task]):
        return "certain", worst[1]
    return worst


@lru_cache(maxsize=64)
def _control(recipe: type[SupervisedRecipe], text: str, seed: int) -> Course:
    """Return the control of a case, trained for its budget."""
    control = recipe.model_validate_json(text)
    return Course(control, seed, _NEVER).run(control.training.epochs)


def calls(chosen: Sequence[AnyCase | PolicyCase | PlayerCase], seeds: int, jobs: int) -> Iterator[list[Call]]:
    """Diagnose cases from several seeds: here, or in processes of their own."""
    work = [(case, seed) for case in chosen for seed in range(1 if isinstance(case, PlayerCase) else seeds)]
    if jobs == 1:
        yield from (_called(case, seed) for case, seed in work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_called, *zip(*work, strict=True))


def _called(case: AnyCase | PolicyCase | PlayerCase, seed: int) -> list[Call]:
    if isinstance(case, PlayerCase):
        return call_player(case)
    return call_policy(case, seed) if isinstance(case, PolicyCase) else call(case, seed)


# ----- what is shown


def confusion(found: Sequence[Call]) -> Table:
    """Return which causes were named first for each planted cause, and how often, as Markdown."""
    view = Table(box=box.MARKDOWN)
    view.add_column("planted", no_wrap=True)
    view.add_column("calls", justify="right")
    view.add_column("named first", no_wrap=True)
    for row in dict.fromkeys(_label(one) for one in found):
        counted = Counter(_shown(one) for one in found if _label(one) == row)
        view.add_row(
            row, str(counted.total()), ", ".join(f"{cause} {n}" for cause, n in counted.most_common())
        )
    return view


def _shown(one: Call) -> str:
    """Return what counts: the first cause of a fault; of healthy tasks the first error."""
    return one.first if one.is_fault else (*one.errors, NOTHING)[0]


def _label(one: Call) -> str:
    return " + ".join(one.planted) if one.is_fault else "nothing"


def rates(found: Sequence[Call]) -> Table:
    """Return by half how often the planted cause was named first, and how often nothing gave an error."""
    view = Table(box=box.MARKDOWN)
    for column in ("half", "faults named first", "", f"bar ≥ {NAMED_BAR:.0%}", "alarms on healthy", "bar 0"):
        view.add_column(column, justify="left" if column == "half" else "right", no_wrap=True)
    for half in PARTS:
        faults = [one for one in found if one.half == half and one.is_fault]
        healthy = [one for one in found if one.half == half and not one.is_fault]
        alarms = sum(not one.right for one in healthy)
        if faults or healthy:
            view.add_row(
                half,
                *_rate(faults),
                f"{alarms} of {len(healthy)}",
                _verdict(not alarms) if healthy else "",
            )
        if measured := [one for one in faults if one.harm != "certain"]:
            view.add_row("… those that are not certain", *_rate(measured))
    return view


def costs(found: Sequence[Call]) -> str:
    """Return what a diagnosis takes: seconds and memory, the median and the most."""
    times: defaultdict[tuple[str, int], float] = defaultdict(float)
    used: defaultdict[tuple[str, int], float] = defaultdict(float)
    for one in found:
        times[one.case, one.seed] += one.seconds
        used[one.case, one.seed] += one.processor
    memory = [one.memory for one in found if one.memory is not None]
    text = f"a diagnosis: {median(times.values()):.0f} s in the median, {max(times.values()):.0f} s at most"
    text += f"; of the processor {median(used.values()):.0f} s and {max(used.values()):.0f} s"
    if memory:
        text += f"; {median(memory):.0f} MiB in the median, {max(memory):.0f} MiB at most"
    return text


def warnings_on_healthy(found: Sequence[Call]) -> str:
    """Return how many healthy cases get a warning."""
    healthy = [one for one in found if one.harm == "control"]
    warned = sum(bool(one.warnings) for one in healthy)
    return f"warnings on healthy: {warned} of {len(healthy)}"


def _rate(faults: Sequence[Call]) -> tuple[str, str, str]:
    """Return how many faults were named first, which share that is, and whether it is enough."""
    named = sum(one.right for one in faults)
    if not faults:
        return "0 of 0", "", ""
    return (
        f"{named} of {len(faults)}",
        f"{named / len(faults):.0%}",
        _verdict(named >= NAMED_BAR * len(faults)),
    )


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def line(one: Call) -> str:
    """Return a call in one line."""
    tau = " / ".join("never" if value is None else f"{value:.0f}" for value in one.tau)
    return (
        f"{'  ' if one.right else '✗ '}{one.half:10} {one.case}, seed {one.seed}: {one.task or ''} {one.harm}"
        f"{'' if one.task is None else f' (τ {tau})'}, planted {' + '.join(one.planted) or NOTHING}, "
        f"named {', '.join(one.named) or NOTHING}"
        f"{'; also ' + ', '.join(one.bystanders) if one.bystanders else ''}  [{one.seconds:.0f} s"
        f"{'' if one.memory is None else f', {one.memory:.0f} MiB'}]"
    )


def document(found: Sequence[Call], seconds: float) -> dict[str, object]:
    """Return the JSON document."""
    return {
        "seconds": seconds,
        "calls": [asdict(one) | {"first": one.first, "right": one.right} for one in found],
    }


def main(arguments: list[str] | None = None) -> None:
    """Diagnose the gallery, print the tables, and write the JSON document if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gallery", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N − 1 (default 3)")
    parser.add_argument(
        "--set",
        choices=("windows", "own", "policies", "players"),
        default="windows",
        help="which cases",
    )
    parser.add_argument(
        "--half", choices=(*get_args(Part), "all"), default="all", help="which half of the cases"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains TEXT")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the calls to PATH")
    options = parser.parse_args(arguments)
    among: Sequence[AnyCase | PolicyCase | PlayerCase]
    among = [one for one in CASES if options.half in ("all", half_of(one))]
    if options.set == "own":
        among = [one for one in OWN_CASES if options.half in ("all", one.half)]
    if options.set == "policies":
        among = POLICY_CASES
    if options.set == "players":
        among = PLAYER_CASES
    chosen = [one for one in among if options.only in one.name]
    if not chosen:
        parser.error(f"--only {options.only!r}: none of the {len(among)} cases is called so")
    began = time.monotonic()
    found: list[Call] = []
    for some in calls(chosen, options.seeds, options.jobs):
        found += some
        for one in some:
            print(line(one), file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    console = Console(width=200)
    for name in PARTS:
        if part := [one for one in found if one.half == name]:
            console.print(f"\n{name}", style="bold")
            console.print(confusion(part))
    console.print()
    console.print(rates(found))
    console.print(warnings_on_healthy(found))
    console.print(costs(found))
    console.print(
        f"{len(chosen)} cases, {options.seeds} seeds, {seconds / 60:.1f} minutes, {options.jobs} jobs"
    )
    if options.json is not None:
        text = json.dumps(document(found, seconds), indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
