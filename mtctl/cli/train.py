"""`mtctl train`: recipes × seeds → runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.api.seeds import LARGEST_SEED, parse_seeds, until_decided
from mtctl.cli import completion
from mtctl.cli.code import completed
from mtctl.engine import layout
from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err, write, write_json

if TYPE_CHECKING:
    from mtctl.problems.recipe import Recipe


class LogKind(StrEnum):
    """What other tools read; recipes call them the same."""

    TENSORBOARD = "tensorboard"
    CSV = "csv"
    WANDB = "wandb"


class Where(StrEnum):
    """Where runs are trained."""

    LOCAL = "local"
    SLURM = "slurm"
    RAY = "ray"


def train(
    context: typer.Context,
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE",
            help="Paths, names of built-in recipes, or FILE.py:FUNCTION.",
            autocompletion=completion.recipes,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("-o", "--override", metavar="KEY=VALUE", help="Change a key: -o agent.lr=1e-3."),
    ] = None,
    balancer: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Balance the tasks by this method; the results go to NAME_KIND.",
            autocompletion=completion.methods,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, metavar="N", help="Seed of a single run. [default: 0]"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Several: `0..4`, `0,3,7`, how many, counted from 0, or `until-decided[:MAX]`: as many as "
            "it takes to tell recipes apart, 30 at most.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            metavar="N",
            min=1,
            help="How many runs are trained in parallel. [default: one a core, as far as memory goes]",
        ),
    ] = None,
    stack: Annotated[
        bool,
        typer.Option(
            "--stack",
            help="Train all runs of one shape as one program, on one core or a GPU; recipes may differ in "
            "learning rates, weights and the settings of a method.",
        ),
    ] = False,
    results_dir: Annotated[
        Path,
        typer.Option(
            metavar="DIR", envvar=layout.RESULTS_VARIABLE, help="Write run directories into this folder."
        ),
    ] = Path("results"),
    launcher: Annotated[
        Where,
        typer.Option(help="Where runs are trained: on this machine, as a job array of Slurm, or by Ray."),
    ] = Where.LOCAL,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTIONS", help='Options of sbatch: --slurm "--time=2:00:00 --mem=4G"; repeatable.'
        ),
    ] = None,
    slurm_template: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A script in place of the one that --dry-run prints."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A Ray cluster, or `auto` for the one of this machine. [default: a small one, started here]",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue runs that stopped, or train finished runs for longer.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing runs.")] = False,
    log: Annotated[
        list[LogKind] | None,
        typer.Option(
            help="Write a log for other tools as well; repeatable. TensorBoard's needs `pip install "
            "mtctl[tensorboard]`, W&B's `pip install mtctl[wandb]`.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained, and write nothing.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print about 30 progress lines instead of the live table.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document about the runs.")] = False,
) -> int:
    """Train recipes, each with one or more seeds, into results/NAME/seedK."""
    from mtctl.api.recipes import load_recipe
    from mtctl.engine.logs.observer import require
    from mtctl.engine.shapes import shape
    from mtctl.problems.device import require as require_device
    from mtctl.problems.sizes import doubt, require_memory
    from mtctl.text import command_line

    if stack:
        elsewhere = None if launcher is Where.LOCAL else launcher
        _refuse_processes({"--jobs": jobs, "--launcher": elsewhere, "until-decided": until_decided(seeds)})
    if resume and force:
        raise MtctlError("--resume and --force exclude each other")
    _require_launcher(
        launcher, {"--slurm": slurm, "--slurm-template": slurm_template, "--ray-address": ray_address}
    )
    if seed is not None and seeds is not None:
        raise MtctlError("--seed and --seeds exclude each other")
    most = until_decided(seeds)
    numbers = [seed or 0] if seeds is None else parse_seeds(seeds) if most is None else list(range(most))
    loaded = [_logged(load_recipe(reference, overrides or [], balancer), log or []) for reference in recipes]
    _refuse_same_names(loaded)
    if most is not None:
        _refuse_to_decide(loaded, launcher)
    require({kind for recipe in loaded for kind in recipe.logging})
    loaded = [completed(recipe) for recipe in loaded]
    for recipe in loaded if launcher is Where.LOCAL else ():
        require_device(recipe.device)
        require_memory(recipe)
        if doubts := doubt(recipe):
            err().print(f"warning: {doubts}", style="yellow", soft_wrap=True)
    for recipe in loaded if stack else ():
        shape(recipe)
    if dry_run and launcher is not Where.SLURM:
        return _dry_run(loaded, numbers, results_dir, as_json=as_json)
    from mtctl.cli.train_runs import Cluster, train_many, train_one
    from mtctl.engine.spec import RunSpec
    from mtctl.problems.kinds import code_of

    typed = command_line(context.obj)
    specs = [
        RunSpec(recipe, number, results_dir / recipe.name / f"seed{number}", typed, resume, force, code)
        for recipe, code in ((recipe, code_of(recipe)) for recipe in loaded)
        for number in numbers
    ]
    if launcher is Where.SLURM:
        from mtctl.cli.train_slurm import array_of, show, submit

        array = array_of(specs, results_dir, jobs, slurm or (), slurm_template)
        return show(array, as_json=as_json) if dry_run else submit(array, as_json=as_json)
    if most is not None or stack or len(specs) > 1 or launcher is Where.RAY:
        cluster = Cluster(ray_address) if launcher is Where.RAY else None
        if most is not None:
            from mtctl.cli.train_until import train_until

            return train_until(specs, results_dir, jobs, cluster, quiet=quiet, as_json=as_json)
        return train_many(specs, results_dir, jobs, cluster, stack=stack, quiet=quiet, as_json=as_json)
    again = [*(word for word in context.obj if word != "--force"), *([] if resume else ["--resume"])]
    return train_one(specs[0], command_line(again), quiet=quiet, as_json=as_json)


def _logged(recipe: Recipe, log: list[LogKind]) -> Recipe:
    """Return the recipe with further logs."""
    kinds = list(dict.fromkeys([*recipe.logging, *(kind.value for kind in log)]))
    return recipe.revised({"logging": kinds}) if kinds != list(recipe.logging) else recipe


def _require_launcher(launcher: Where, options: Mapping[str, object]) -> None:
    """Refuse options that are of another launcher, by whose name they begin."""
    for flag, value in options.items():
        if value is not None and not flag.startswith(f"--{launcher.value}"):
            raise MtctlError(f"{flag} has no effect on --launcher {launcher.value}")


def _refuse_processes(several: Mapping[str, object]) -> None:
    """Refuse what asks for several processes, where all runs are trained in one."""
    for flag, value in several.items():
        if value:
            raise MtctlError(f"--stack trains in one process of this machine: leave out {flag}")


def _refuse_same_names(recipes: list[Recipe]) -> None:
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise MtctlError(
                f"two recipes are called `{name}`: they would train into one directory",
                hint="train them one after the other with different `-o name=…`",
            )


def _refuse_to_decide(recipes: list[Recipe], launcher: Where) -> None:
    """Refuse what `--seeds until-decided` cannot tell apart."""
    if launcher is Where.SLURM:
        raise MtctlError(
            "--seeds until-decided waits for results, and --launcher slurm returns",
            hint="train here or by --launcher ray, or submit a number of seeds: --seeds 10",
        )
    first = recipes[0]
    if len(recipes) < 2 or any(other.problem.kind != first.problem.kind for other in recipes):
        raise MtctlError("--seeds until-decided compares recipes of one problem: name two or more")


def _dry_run(recipes: list[Recipe], seeds: list[int], results_dir: Path, *, as_json: bool) -> int:
    from mtctl.balancing.chain import Chain, learned_parameters
    from mtctl.engine.processor import use_one_thread
    from mtctl.measuring.calibrate import seconds_per_run
    from mtctl.problems.kinds import build as build_problem
    from mtctl.recipes.loading import dump
    from mtctl.screens.figures import duration

    use_one_thread()
    console, plans = err(), []
    for place, recipe in enumerate(recipes):
        if not as_json:
            write(("---\n" if place else "") + dump(recipe))
        problem = build_problem(recipe, seeds[0])
        count, samples = problem.parameter_count(), problem.budget()["samples_per_update"]
        learned = learned_parameters(Chain(recipe.chain), len(problem.tasks))
        low, high = seconds_per_run(recipe)
        directories = [str(results_dir / recipe.name / f"seed{seed}") for seed in seeds]
        if as_json:
            parameters = {"total": count.total + learned, "shared": count.shared, "balancer": learned}
            plans.append(
                {
                    "recipe": recipe.model_dump(mode="json"),
                    "parameters": parameters,
                    "samples_per_update": samples,
                    "seconds_per_run": {"low": low, "high": high},
                    "directories": directories,
                }
            )
            continue
        console.print(
            f"parameters   {count.total + learned:,} ({count.shared:,} shared, {learned} of the balancer)"
        )
        console.print(f"samples      {samples} per update")
        console.print(
            f"time         {duration(low)} to {duration(high)} per run on this machine (measured just now)"
        )
        for directory in directories:
            console.print(f"would write  {directory}", soft_wrap=True)
    if as_json:
        write_json({"schema": 1, "plans": plans})
    return int(ExitCode.OK)
