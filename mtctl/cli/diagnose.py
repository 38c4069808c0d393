"""`mtctl diagnose`: why a task does not learn, and what helps."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mtctl.api.targets import Kind, columns_of, kind_of_all, recipes_of, refuse_flags, refuse_for_problem
from mtctl.cli.code import completed
from mtctl.cli.diagnose_cure import require_place, write_cure
from mtctl.cli.diagnose_kept import keep, recipe_of, refuse_kept, with_recipe
from mtctl.cli.diagnose_next import after_training, apply_command, explanations
from mtctl.cli.diagnose_progress import progress
from mtctl.cli.train import parse_seeds
from mtctl.cli.usage import VERBOSE
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err, out, write_json
from mtctl.text import command_line

if TYPE_CHECKING:
    from mtctl.diagnosis.report import Diagnosis
    from mtctl.problems.recipe import Recipe

_TARGET: Final = "windows_documented"
"""The built-in problem that is diagnosed where no other is named."""
_SEEDS: Final = "0..2"
"""The fewest that give an interval worth reading."""
_ONE_SEED: Final = "0..0"
_ALL_CODES: Final = "list"
_SEVERITIES: Final = ("info", "warning", "error")


class FailOn(StrEnum):
    """From which severity on a finding fails the command."""

    ERROR = "error"
    WARNING = "warning"


def diagnose(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="A recipe, FILE.py:FUNCTION, a run directory, or loss curves of any tool: files of one "
            f"training, or their folder. [default: {_TARGET}]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Epochs to train a supervised recipe for. [default: 5]"),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Episodes to train a lander recipe for, over all tasks. [default: 60]"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("-o", "--override", metavar="KEY=VALUE", help="Change a key: -o training.lr=1e-4."),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Examine this task only.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="`0..4`, `0,3,7`, or how many, counted from 0. [default: 0..2]"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j", "--jobs", metavar="N", min=1, help="How many trainings run in parallel. [default: 1]"
        ),
    ] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Prove causes and remedies by training. [default: on for supervised recipes, which takes "
            "minutes; off for the lander, where it would take hours]",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Start no further experiment after this time."),
    ] = None,
    write_recipe: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write a complete recipe with the best remedy."),
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Show a diagnosis that was kept; nothing is trained."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the diagnosis here. [default: results/diagnosis/NAME-1.json, -2, …]"
        ),
    ] = None,
    results_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Keep the diagnosis below this folder.")
    ] = Path("results"),
    force: Annotated[
        bool, typer.Option("--force", help="Let --write-recipe and --save overwrite a file.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained, and how long it takes.")
    ] = False,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="TASK=COLUMN,…", help="Which column of a metrics file is which task's loss."),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Explain a finding and exit; `list` shows all."),
    ] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with code 1 if there is a finding this severe.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(*VERBOSE, help="Show all that was measured; and of an error, the traceback."),
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
) -> int:
    """Find out why a task does not learn: symptom, causes, remedies with their measured effect.

    A recipe is trained for a few epochs; short trainings that each change one thing then prove causes and
    remedies. A run or loss curves are only read.

    Curves are read from CSV (also long form, semicolons, decimal commas; Lightning, Keras, Weights & Biases,
    Stable-Baselines3), JSON (Keras' history, transformers' trainer_state.json), JSONL, TensorBoard's event
    files (extra `tensorboard`) and exports, and text logs (`epoch 3 loss_a=0.1 val_loss_a: 0.2`).
    """
    from mtctl.problems.kinds import KINDS

    given = {
        "--epochs": epochs is not None,
        "--episodes": episodes is not None,
        "-o": bool(overrides),
        "--task": task is not None,
        "--seeds": seeds is not None,
        "--jobs": jobs is not None,
        "--verify": verify is True,
        "--no-verify": verify is False,
        "--budget": budget is not None,
        "--save": save is not None,
        "--dry-run": dry_run,
        "--write-recipe": write_recipe is not None,
        "--force": force,
        "--tasks": tasks is not None,
    }
    flags = [flag for flag, is_given in given.items() if is_given]
    if explain is not None:
        if targets or flags or fail_on is not None or kept is not None:
            raise MtctlError("--explain explains a finding: it works with --json only")
        return _explain(explain, as_json=as_json)
    show = partial(_print, as_json=as_json, full=verbose)
    if kept is not None:
        others = [*(targets or []), *(flag for flag in flags if flag not in ("--write-recipe", "--force"))]
        if others:
            raise MtctlError(f"--from shows a diagnosis that was kept; {others[0]} does not go with it")
        return _gate(_show_kept(kept, write_recipe, show, force=force), fail_on)
    name, *others = targets or [_TARGET]
    refuse_kept(Path(name))
    kind = kind_of_all([name, *others])
    refuse_flags(kind, name, flags)
    if kind is not Kind.RECIPE:
        diagnosis = _read(kind, [Path(path) for path in (name, *others)], tasks, quiet=quiet)
        show(diagnosis, _after_reading(kind, name, diagnosis))
        return _gate(diagnosis, fail_on)
    units = epochs if episodes is None else episodes
    full, short = recipes_of(name, overrides or [], units, completed)
    refuse_for_problem(full, flags)
    problem = KINDS[full.problem.kind]
    tried = problem.no_experiments is None
    proof = tried if verify is None else verify
    _require_task(full, task)
    _require_places(write_recipe, save, proof=proof, force=force)
    numbers = parse_seeds(None, seeds if seeds is not None else _SEEDS if tried else _ONE_SEED)
    if not tried and len(numbers) > 1:
        raise MtctlError(f"--seeds {seeds}: {problem.title} is trained once", hint="one seed is written 3..3")
    if dry_run:
        return _outline(short, task, numbers, jobs or 1, proof=proof, as_json=as_json)
    diagnosis = _train(short, task, numbers, jobs or 1, budget, proof=proof, quiet=quiet)
    diagnosis = with_recipe(diagnosis, full)
    place = keep(diagnosis, save, results_dir, quiet=quiet)
    try:
        commands = after_training(diagnosis, name, place, context.obj, full=verbose)
        show(diagnosis, commands, apply_command(diagnosis, write_recipe, place, context.obj))
    finally:  # of minutes of training, whatever becomes of the screen
        if write_recipe is not None:
            write_cure(write_recipe, full, diagnosis)
            err().print(f"wrote {write_recipe}", soft_wrap=True)
    return _gate(diagnosis, fail_on)


def _explain(code: str, *, as_json: bool) -> int:
    from dataclasses import asdict

    from mtctl.diagnosis.explanations import EXPLANATIONS, explain
    from mtctl.screens.explain import codes_screen, explanation_screen

    explanations = list(EXPLANATIONS.values()) if code == _ALL_CODES else [explain(code)]
    if as_json:
        write_json({"schema": 1, "codes": [asdict(each) for each in explanations]})
    else:
        screen = codes_screen(explanations) if code == _ALL_CODES else explanation_screen(explanations[0])
        out().print(*screen, sep="\n", crop=False)
    return int(ExitCode.OK)


def _require_task(recipe: Recipe, task: str | None) -> None:
    from mtctl.yaml.mistakes import suggestion

    tasks = recipe.problem.tasks
    if task is not None and task not in tasks:
        raise MtctlError(f"--task {task}: {recipe.name} has no such task", hint=suggestion(task, tasks))


def _require_places(path: Path | None, save: Path | None, *, proof: bool, force: bool) -> None:
    """Refuse, before anything is trained, to write what could not be written afterwards."""
    if save is not None:
        require_place(save, "--save", (".json",), force=force, what="diagnoses")
    if path is None:
        if force and save is None:
            raise MtctlError("--force lets --write-recipe and --save overwrite a file; it needs one of them")
        return
    if not proof:
        raise MtctlError(
            "--write-recipe writes the remedy that was measured to help, but --no-verify measures none"
        )
    require_place(path, "--write-recipe", (".yaml", ".yml"), force=force)


def _show_kept(path: Path, write_recipe: Path | None, show: Callable[..., None], *, force: bool) -> Diagnosis:
    """Show a diagnosis that was kept, and write its cure where that is asked for."""
    from mtctl.diagnosis.stored import read_diagnosis

    diagnosis = read_diagnosis(path)
    recipe = None if write_recipe is None else recipe_of(diagnosis, path)
    _require_places(write_recipe, None, proof=True, force=force)
    show(diagnosis, explanations(diagnosis), apply_command(diagnosis, write_recipe, path, []))
    if write_recipe is not None and recipe is not None:
        write_cure(write_recipe, recipe, diagnosis)
        err().print(f"wrote {write_recipe}", soft_wrap=True)
    return diagnosis


def _outline(
    recipe: Recipe, task: str | None, seeds: list[int], jobs: int, *, proof: bool, as_json: bool
) -> int:
    """Show what would be trained, and for how long."""
    from dataclasses import asdict

    from mtctl.diagnosis.experiments.outline import outline
    from mtctl.engine.processor import use_one_thread
    from mtctl.measuring.calibrate import seconds_per_run
    from mtctl.problems.kinds import KINDS
    from mtctl.problems.supervised.recipe import SupervisedRecipe
    from mtctl.screens.diagnose_plan import outline_screen
    from mtctl.screens.figures import duration

    use_one_thread()
    length = f"{recipe.units:,} {KINDS[recipe.problem.kind].unit}s"
    if isinstance(recipe, SupervisedRecipe):
        plan = outline(recipe, seeds=seeds, verify=proof, task=task, jobs=jobs)
        if as_json:
            write_json({"schema": 1, **asdict(plan)})
        else:
            out().print(*outline_screen(plan, recipe.name, length, seeds), sep="\n", crop=False)
        return int(ExitCode.OK)
    low, high = seconds_per_run(recipe)
    if as_json:
        write_json({"schema": 1, "training": [low, high]})
    else:
        text = f"{recipe.name}: one training of {length}, {duration(low)} to {duration(high)} on this machine"
        out().print(text, soft_wrap=True)
    return int(ExitCode.OK)


def _train(
    recipe: Recipe,
    task: str | None,
    seeds: list[int],
    jobs: int,
    budget: float | None,
    *,
    proof: bool,
    quiet: bool,
) -> Diagnosis:
    from mtctl.engine.interrupt import stop_on_signals

    try:
        with stop_on_signals() as stop, stop.leaving(1), progress(quiet=quiet) as shown:
            from mtctl.diagnosis.experiments import diagnose as diagnosing
            from mtctl.engine.processor import use_one_thread

            use_one_thread()
            return diagnosing.diagnose_recipe(
                recipe,
                seeds=seeds,
                verify=proof,
                task=task,
                jobs=jobs,
                seconds=budget,
                say=shown.say,
                announce=shown.announce,
            )
    except KeyboardInterrupt:
        text = "stopped: there is no result, and nothing was written; --budget SECONDS ends with a result"
        err().print(text, soft_wrap=True)
        raise


def _read(kind: Kind, paths: list[Path], tasks: str | None, *, quiet: bool) -> Diagnosis:
    columns = None if tasks is None else columns_of(tasks)
    with progress(quiet=quiet) as shown:
        shown.say(f"reading {', '.join(map(str, paths))}")
        if kind is Kind.RUN:
            from mtctl.diagnosis.records import run as records

            return records.diagnose_run(paths[0])
        from mtctl.diagnosis.records import curves

        return curves.diagnose_metrics(paths, columns)


def _print(diagnosis: Diagnosis, commands: list[str], apply: str = "", *, as_json: bool, full: bool) -> None:
    from mtctl.diagnosis.document import document
    from mtctl.screens.diagnose import diagnosis_screen

    if as_json:
        write_json(document(diagnosis))
    else:
        screen = diagnosis_screen(diagnosis, commands, apply=apply, full=full)
        out().print(*screen, sep="\n", crop=False)


def _after_reading(kind: Kind, target: str, diagnosis: Diagnosis) -> list[str]:
    from mtctl.problems.kinds import LOOP

    recipe = command_line(["mtctl", "diagnose", f"{target}/recipe.yaml"])
    trainable = kind is Kind.RUN and diagnosis.subject.problem != LOOP
    return [*explanations(diagnosis), *([recipe] if trainable else [])]


def _gate(diagnosis: Diagnosis, fail_on: FailOn | None) -> int:
    if fail_on is None:
        return int(ExitCode.OK)
    bad = [
        each for each in diagnosis.findings if _SEVERITIES.index(each.severity) >= _SEVERITIES.index(fail_on)
    ]
    if not bad:
        return int(ExitCode.OK)
    codes = ", ".join(dict.fromkeys(each.code for each in bad))
    err().print(f"--fail-on {fail_on}: {codes}", soft_wrap=True)
    return int(ExitCode.FAILED)
