"""Showing episodes: in a window, or as videos. Only `mtctl eval` comes here; training never renders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from mtctl.engine.evaluate import restore
from mtctl.engine.files import explained
from mtctl.errors import MtctlError
from mtctl.history.formats import Run
from mtctl.problems.contract import Frame
from mtctl.terminal.console import err

_FRAMES_PER_SECOND = 50  # of Gymnasium's Box2D physics
_ELSEWHERE = "choose another folder for --video"
_NO_WINDOW = ("offscreen", "dummy")  # what SDL falls back to without a display


def require_episodes(runs: Iterable[Run]) -> None:
    """Refuse runs in which nothing is played: there is nothing to see."""
    for run in runs:
        if not run.is_played:
            raise MtctlError(
                f"{run.path}: nothing is played in a {run.problem} run, so that there is nothing to show",
                hint="leave out --render and --video, or name runs that play episodes",
            )


def require_window() -> None:
    """Refuse where no window can be opened: before episodes are played for nothing."""
    pygame = _pygame("--render human")
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise _no_window(str(error)) from error
    if driver in _NO_WINDOW:
        raise _no_window(f"SDL's driver is `{driver}`")


def require_films(target: Path) -> None:
    """Make the folder for videos; refuse where they cannot be written."""
    _pygame("--video")
    _video_writer()
    with explained(target, hint=_ELSEWHERE):
        target.mkdir(parents=True, exist_ok=True)


def show(directory: Path, checkpoint: str, tasks: tuple[str, ...], episodes: int) -> None:
    """Play the first held-out episodes of each task in a window."""
    pygame = _pygame("--render human")
    problem, _ = restore(directory, checkpoint)
    try:
        for task in tasks:
            problem.show(task, episodes)
    except pygame.error as error:
        raise _no_window(str(error)) from error


def film(directory: Path, checkpoint: str, tasks: tuple[str, ...], episodes: int, target: Path) -> None:
    """Write one mp4 per task with its first held-out episodes."""
    problem, content = restore(directory, checkpoint)
    with explained(target, hint=_ELSEWHERE):
        for task in tasks:
            file = target / f"{directory.parent.name}-seed{content['seed']}-{task}.mp4"
            with _Film(file) as film_of_task:
                problem.show(task, episodes, film_of_task.add)
            err().print(f"wrote {file}", soft_wrap=True)


class _Film:
    """A video that takes frames one by one: three long episodes in memory would be 2 GB."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writer: Any = None

    def add(self, frame: Frame) -> None:
        if self._writer is None:
            height, width, _ = frame.shape
            self._writer = _video_writer()(str(self._file), (width, height), _FRAMES_PER_SECOND)
        self._writer.write_frame(frame)

    def __enter__(self) -> _Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def _pygame(flag: str) -> Any:
    # It greets on stdout, where a JSON document may be expected.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise _no_extra(flag, "pygame") from error
    return pygame


def _video_writer() -> Any:
    try:
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter
    except ImportError as error:
        raise _no_extra("--video", "moviepy") from error
    return FFMPEG_VideoWriter


def _no_extra(flag: str, package: str) -> MtctlError:
    return MtctlError(f"{flag} needs {package}, which is not installed", hint='pip install "mtctl[video]"')


def _no_window(reason: str) -> MtctlError:
    return MtctlError(
        f"--render human: no window can be opened here ({reason})",
        hint="film the episodes with --video DIR",
    )
