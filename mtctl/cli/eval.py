"""`mtctl eval`: how good what was trained is, on held-out episodes or windows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtctl.cli import completion
from mtctl.cli.code import say_running_of
from mtctl.errors import MtctlError
from mtctl.text import command_line

if TYPE_CHECKING:
    from mtctl.history.formats import Run

_SHOWN = 3  # episodes of each task that are rendered


class Render(StrEnum):
    """Where episodes are shown."""

    HUMAN = "human"


def evaluate(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Run directories, or folders of them.", autocompletion=completion.runs
        ),
    ],
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="last, best, ep0100 …, or a checkpoint file.")
    ] = "last",
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Evaluate this task only; repeatable.")
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            "--episodes",
            "--windows",
            metavar="N",
            min=1,
            help="How many episodes or windows per task. [default: 100 episodes, or all windows]",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--override",
            metavar="KEY=VALUE",
            help="Say where the data or code is now: -o problem.data.path=FILE, -o problem.build=….",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            metavar="N",
            min=1,
            help="How many runs are evaluated in parallel (a single run is never split). [default: one a "
            "core, as far as memory goes]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
    render: Annotated[
        Render | None,
        typer.Option(help=f"Show the first {_SHOWN} episodes of each task in a window afterwards."),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"Film the first {_SHOWN} episodes of each task afterwards."),
    ] = None,
) -> int:
    """Evaluate runs on held-out episodes or windows; write eval.json.

    Episodes are played greedily (ε = 0) under each task's time limit. Every run is evaluated on the same
    seeds or windows, which training never sees. `--checkpoint best` also shows the selection bias. If one
    run cannot be evaluated, the others still are.
    """
    from mtctl.api.recipes import require_places
    from mtctl.cli.eval_runs import evaluate_runs
    from mtctl.engine.spec import EvaluationSpec
    from mtctl.history.runs import find_runs, read_run

    if render is not None and (jobs or 1) > 1:
        raise MtctlError(
            "--render shows one run after another, but --jobs evaluates several in parallel",
            hint="leave out one of them; --video works with --jobs",
        )
    require_places(overrides or ())
    runs = [read_run(directory) for directory in find_runs(paths)]
    if render is not None or video is not None:
        _require_pictures(runs, window=render is not None, video=video)
    say_running_of(runs, overrides or ())
    specs = [
        EvaluationSpec(
            run.path,
            checkpoint=checkpoint,
            items=episodes,
            tasks=tuple(dict.fromkeys(task)) if task else None,
            overrides=tuple(overrides or ()),
            video=video,
            shown=min(episodes or _SHOWN, _SHOWN),
            command=command_line(context.obj),
        )
        for run in runs
    ]
    window = render is not None
    return evaluate_runs(
        list(zip(runs, specs, strict=True)),
        1 if window else jobs,
        window=window,
        quiet=quiet,
        as_json=as_json,
    )


def _require_pictures(runs: list[Run], *, window: bool, video: Path | None) -> None:
    """Refuse where nothing can be shown or filmed: before episodes are played for nothing."""
    for run in runs:
        if not run.is_played:
            raise MtctlError(
                f"{run.path}: a {run.problem} run plays no episodes, so there is nothing to show",
                hint="leave out --render and --video, or name runs that play episodes",
            )
    from mtctl.engine.rendering import require_films, require_window

    if window:
        require_window()
    if video is not None:
        require_films(video)
