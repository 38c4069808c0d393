"""`mtctl diagnose`: why a task does not learn, and what helps."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mtctl.cli import completion
from mtctl.cli.usage import VERBOSE
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err

if TYPE_CHECKING:
    from mtctl.api.diagnosing import Options, Trainings
    from mtctl.api.targets import Kind
    from mtctl.diagnosis.report import Diagnosis

_TARGET: Final = "windows_documented"
"""The built-in problem that is diagnosed where no other is named."""


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
            autocompletion=completion.recipes,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Epochs to train a supervised recipe for. [default: 5]"),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Episodes to train a lander recipe for, over all tasks. [default: 450; 60 with --no-verify]",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("-o", "--override", metavar="KEY=VALUE", help="Change a key: -o training.lr=1e-4."),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Examine this task only.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="`0..4`, `0,3,7`, or how many, counted from 0. [default: 0..2; 0..3 for what is "
            "played, whose first seed chooses what is proven with the others]",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            metavar="N",
            min=1,
            help="How many trainings run in parallel. [default: one a core, as far as memory goes]",
        ),
    ] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Prove causes and remedies by training; --no-verify trains the recipe once. [default: on, "
            "which takes minutes; for what is played, up to --budget]",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Start no further experiment after this time: 90 (seconds), 30m, 2h. [default: none; 30m "
            "for the lander, 15m for hybrid actions]",
        ),
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

    A recipe is trained for a few epochs, or episodes; trainings that each change one thing then prove causes
    and remedies. A run or loss curves are only read.

    Curves are read from CSV (also long form, semicolons, decimal commas; Lightning, Keras, Weights & Biases,
    Stable-Baselines3), JSON (Keras' history, transformers' trainer_state.json), JSONL, TensorBoard's event
    files (extra `tensorboard`) and exports, and text logs (`epoch 3 loss_a=0.1 val_loss_a: 0.2`).
    """
    from mtctl.api.diagnosing import Options
    from mtctl.api.durations import parse_duration
    from mtctl.api.targets import Kind, kind_of_all, refuse_flags
    from mtctl.cli.code import completed
    from mtctl.cli.diagnose_cure import require_places, write_cure
    from mtctl.cli.diagnose_kept import keep, refuse_kept, show_kept, with_recipe
    from mtctl.cli.diagnose_next import after_reading, after_training, apply_command
    from mtctl.cli.diagnose_print import print_diagnosis, print_explanation, print_outline

    options = Options(
        epochs=epochs,
        episodes=episodes,
        overrides=overrides or (),
        task=task,
        seeds=seeds,
        jobs=jobs,
        verify=verify,
        budget=None if budget is None else parse_duration(budget, "--budget"),
        columns=tasks,
    )
    own = {
        "--save": save is not None,
        "--dry-run": dry_run,
        "--write-recipe": write_recipe is not None,
        "--force": force,
    }
    flags = [*options.flags(), *(flag for flag, is_given in own.items() if is_given)]
    if explain is not None:
        if targets or flags or fail_on is not None or kept is not None:
            raise MtctlError("--explain explains a finding: it works with --json only")
        print_explanation(explain, as_json=as_json)
        return int(ExitCode.OK)
    show = partial(print_diagnosis, as_json=as_json, full=verbose)
    if kept is not None:
        others = [*(targets or []), *(flag for flag in flags if flag not in ("--write-recipe", "--force"))]
        if others:
            raise MtctlError(f"--from shows a diagnosis that was kept; {others[0]} does not go with it")
        return _gate(show_kept(kept, write_recipe, show, force=force), fail_on)
    name, *others = targets or [_TARGET]
    refuse_kept(Path(name))
    kind = kind_of_all([name, *others])
    refuse_flags(kind, name, flags)
    if kind is not Kind.RECIPE:
        diagnosis = _read(options, kind, [Path(path) for path in (name, *others)], quiet=quiet)
        show(diagnosis, after_reading(kind, name, diagnosis))
        return _gate(diagnosis, fail_on)
    trainings = options.trainings(name, completed, flags)
    require_places(write_recipe, save, proof=trainings.verify, force=force)
    trainings = _side_by_side(trainings, jobs, quiet=quiet)
    if dry_run:
        print_outline(trainings, as_json=as_json)
        return int(ExitCode.OK)
    diagnosis = with_recipe(_train(trainings, quiet=quiet), trainings.whole)
    place = keep(diagnosis, save, results_dir, quiet=quiet)
    try:
        commands = after_training(diagnosis, name, place, context.obj, full=verbose)
        show(diagnosis, commands, apply_command(diagnosis, write_recipe, place, context.obj))
    finally:  # of minutes of training, whatever becomes of the screen
        if write_recipe is not None:
            write_cure(write_recipe, trainings.whole, diagnosis)
    return _gate(diagnosis, fail_on)


def _side_by_side(trainings: Trainings, jobs: int | None, *, quiet: bool) -> Trainings:
    """Let the seeds of a remedy be trained in parallel; say how many are."""
    from dataclasses import replace

    from mtctl.engine.launch.parallel import in_parallel
    from mtctl.problems.sizes import of_process

    parallel = in_parallel(jobs, len(trainings.seeds), of_process(trainings.recipe))
    if trainings.verify and len(trainings.seeds) > 1 and not quiet:
        err().print(f"{trainings.proof()}: {parallel.line('training')}", soft_wrap=True)
    return replace(trainings, jobs=parallel.count)


def _read(options: Options, kind: Kind, paths: list[Path], *, quiet: bool) -> Diagnosis:
    from mtctl.cli.diagnose_progress import progress

    with progress(quiet=quiet) as shown:
        shown.say(f"reading {', '.join(map(str, paths))}")
        return options.read(kind, paths)


def _train(trainings: Trainings, *, quiet: bool) -> Diagnosis:
    from mtctl.cli.diagnose_progress import progress
    from mtctl.engine.interrupt import stop_on_signals

    try:
        with stop_on_signals() as stop, stop.leaving(1), progress(quiet=quiet) as shown:
            from mtctl.engine.processor import use_one_thread

            use_one_thread()
            return trainings.diagnose(shown.say, shown.announce)
    except KeyboardInterrupt:
        text = "stopped: there is no result, and nothing was written; --budget TIME ends with a result"
        err().print(text, soft_wrap=True)
        raise


def _gate(diagnosis: Diagnosis, fail_on: FailOn | None) -> int:
    from mtctl.diagnosis.records.ranking import SEVERITIES

    if fail_on is None:
        return int(ExitCode.OK)
    failing = SEVERITIES[: SEVERITIES.index(fail_on.value) + 1]
    bad = [each for each in diagnosis.findings if each.severity in failing]
    if not bad:
        return int(ExitCode.OK)
    codes = ", ".join(dict.fromkeys(each.code for each in bad))
    err().print(f"--fail-on {fail_on}: {codes}", soft_wrap=True)
    return int(ExitCode.FAILED)
