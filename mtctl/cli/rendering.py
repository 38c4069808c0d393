"""Showing episodes: in a window, or as videos. Only `mtctl eval` comes here; training never renders."""

from __future__ import annotations

from pathlib import Path

from mtctl.cli.console import err
from mtctl.engine.evaluate import restore
from mtctl.engine.files import explained
from mtctl.errors import MtctlError
from mtctl.problems.contract import Frame

_FRAMES_PER_SECOND = 50  # of the lander's physics


def show(directory: Path, checkpoint: str, tasks: tuple[str, ...], episodes: int) -> None:
    """Play the first held-out episodes of each task in a window."""
    import pygame

    problem, _ = restore(directory, checkpoint)
    try:
        for task in tasks:
            problem.show(task, episodes)
    except pygame.error as error:
        raise MtctlError(
            f"--render human: no window can be opened here ({error})",
            hint="film the episodes with --video DIR",
        ) from error


def film(directory: Path, checkpoint: str, tasks: tuple[str, ...], episodes: int, target: Path) -> None:
    """Write one mp4 per task with its first held-out episodes."""
    try:
        from moviepy.video.io.ImageSequenceClip import ImageSequenceClip
    except ImportError as error:
        raise MtctlError(
            "--video needs moviepy, which is not installed", hint='pip install "mtctl[video]"'
        ) from error
    problem, content = restore(directory, checkpoint)
    with explained(target):
        target.mkdir(parents=True, exist_ok=True)
        for task in tasks:
            frames: list[Frame] = []
            problem.show(task, episodes, frames.append)
            file = target / f"{directory.parent.name}-seed{content['seed']}-{task}.mp4"
            ImageSequenceClip(frames, fps=_FRAMES_PER_SECOND).write_videofile(str(file), logger=None)
            err().print(f"wrote {file}", soft_wrap=True)
