"""`mtctl diagnose`: why a task does not learn, and what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mtctl.api.targets import Kind, columns_of, kind_of_all, recipes_of, refuse_flags, refuse_for_problem
from mtctl.cli.code import completed
from mtctl.cli.diagnose_cure import require_place, write_cure
from mtctl.cli.train import parse_seeds
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err, out, redraws, write_json
from mtctl.text import command_line, show_text

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
    force: Annotated[bool, typer.Option("--force", help="Let --write-recipe overwrite a file.")] = False,
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
        "--write-recipe": write_recipe is not None,
        "--force": force,
        "--tasks": tasks is not None,
    }
    flags = [flag for flag, is_given in given.items() if is_given]
    if explain is not None:
        if targets or flags or fail_on is not None:
            raise MtctlError("--explain explains a finding: it works with --json only")
        return _explain(explain, as_json=as_json)
    name, *others = targets or [_TARGET]
    kind = kind_of_all([name, *others])
    refuse_flags(kind, name, flags)
    if kind is not Kind.RECIPE:
        diagnosis = _read(kind, [Path(path) for path in (name, *others)], tasks, quiet=quiet)
        _print(diagnosis, _after_reading(kind, name, diagnosis), as_json=as_json)
        return _gate(diagnosis, fail_on)
    units = epochs if episodes is None else episodes
    full, short = recipes_of(name, overrides or [], units, completed)
    refuse_for_problem(full, flags)
    problem = KINDS[full.problem.kind]
    tried = problem.no_experiments is None
    proof = tried if verify is None else verify
    _require_task(full, task)
    _require_cure(write_recipe, proof=proof, force=force)
    numbers = parse_seeds(None, seeds if seeds is not None else _SEEDS if tried else _ONE_SEED)
    if not tried and len(numbers) > 1:
        raise MtctlError(f"--seeds {seeds}: {problem.title} is trained once", hint="one seed is written 3..3")
    diagnosis = _train(short, task, numbers, jobs or 1, budget, proof=proof, quiet=quiet)
    try:
        _print(diagnosis, _after_training(diagnosis, name, write_recipe, context.obj), as_json=as_json)
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


def _require_cure(path: Path | None, *, proof: bool, force: bool) -> None:
    """Refuse, before anything is trained, to write what could not be written afterwards."""
    if path is None:
        if force:
            raise MtctlError("--force lets --write-recipe overwrite a file; it needs --write-recipe")
        return
    if not proof:
        raise MtctlError(
            "--write-recipe writes the remedy that was measured to help, but --no-verify measures none"
        )
    require_place(path, force=force)


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
        with stop_on_signals() as stop, stop.leaving(1), _progress(quiet=quiet) as say:
            from mtctl.diagnosis.experiments import diagnose as diagnosing
            from mtctl.engine.processor import use_one_thread

            use_one_thread()
            return diagnosing.diagnose_recipe(
                recipe, seeds=seeds, verify=proof, task=task, jobs=jobs, seconds=budget, say=say
            )
    except KeyboardInterrupt:
        text = "stopped: there is no result, and nothing was written; --budget SECONDS ends with a result"
        err().print(text, soft_wrap=True)
        raise


def _read(kind: Kind, paths: list[Path], tasks: str | None, *, quiet: bool) -> Diagnosis:
    columns = None if tasks is None else columns_of(tasks)
    with _progress(quiet=quiet) as say:
        say(f"reading {', '.join(map(str, paths))}")
        if kind is Kind.RUN:
            from mtctl.diagnosis.records import run as records

            return records.diagnose_run(paths[0])
        from mtctl.diagnosis.records import curves

        return curves.diagnose_metrics(paths, columns)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Give a function that says what is under way: on a terminal in one line, elsewhere a line each."""
    from rich.text import Text

    console = err()
    if quiet:
        yield lambda _: None
    elif redraws(console):
        with console.status(Text("starting")) as status:
            yield lambda text: status.update(Text(show_text(text)))
    else:
        yield lambda text: console.print(text, soft_wrap=True)


def _print(diagnosis: Diagnosis, commands: list[str], *, as_json: bool) -> None:
    from mtctl.diagnosis.document import document
    from mtctl.screens.diagnose import diagnosis_screen

    if as_json:
        write_json(document(diagnosis))
    else:
        out().print(*diagnosis_screen(diagnosis, commands), sep="\n", crop=False)


def _after_training(diagnosis: Diagnosis, target: str, path: Path | None, typed: list[str]) -> list[str]:
    """Return the next commands: learn what the first cause is, then prove it, write its cure or train it."""
    from mtctl.screens.diagnose import is_healthy

    commands = _explanations(diagnosis)
    if diagnosis.winner:
        cure = ["mtctl", "train", str(path)] if path else [*typed, "--write-recipe", "fixed.yaml"]
        commands.append(command_line(cure))
    elif "--no-verify" in typed and diagnosis.stuck:
        commands.append(command_line(word for word in typed if word != "--no-verify"))
    elif not commands and is_healthy(diagnosis):
        commands.append(command_line(["mtctl", "train", target]))
    return commands


def _after_reading(kind: Kind, target: str, diagnosis: Diagnosis) -> list[str]:
    from mtctl.problems.kinds import LOOP

    recipe = command_line(["mtctl", "diagnose", f"{target}/recipe.yaml"])
    trainable = kind is Kind.RUN and diagnosis.subject.problem != LOOP
    return [*_explanations(diagnosis), *([recipe] if trainable else [])]


def _explanations(diagnosis: Diagnosis) -> list[str]:
    worst = [each for each in diagnosis.findings if each.severity != "info"]
    return [f"mtctl diagnose --explain {each.code}" for each in worst[:1]]


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
