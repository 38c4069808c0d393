"""Showing episodes: in a window, or as videos. Only `mtctl eval` comes here; training never renders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from mtctl.engine.evaluate import restore
from mtctl.engine.files import explained
from mtctl.engine.result import Note, Say
from mtctl.engine.spec import EvaluationSpec
from mtctl.errors import MtctlError
from mtctl.problems.contract import Frame

_FRAMES_PER_SECOND = 50  # of Gymnasium's Box2D physics
_ELSEWHERE = "choose another folder for --video"
_NO_WINDOW = ("offscreen", "dummy")  # what SDL falls back to without a display


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


def show(spec: EvaluationSpec, tasks: Iterable[str]) -> None:
    """Play the first `spec.shown` held-out episodes of each task in a window."""
    pygame = _pygame("--render human")
    problem, _ = restore(spec.directory, spec.checkpoint)
    try:
        for task in tasks:
            problem.show(task, spec.shown)
    except pygame.error as error:
        raise _no_window(str(error)) from error


def film(spec: EvaluationSpec, tasks: Iterable[str], say: Say) -> None:
    """Write one mp4 per task with its first `spec.shown` held-out episodes into `spec.video`."""
    assert spec.video is not None
    run = spec.directory
    problem, content = restore(run, spec.checkpoint)
    with explained(spec.video, hint=_ELSEWHERE):
        for task in tasks:
            file = spec.video / f"{run.parent.name}-seed{content['seed']}-{task}.mp4"
            with _Film(file) as film_of_task:
                problem.show(task, spec.shown, film_of_task.add)
            say(Note("filmed", str(file)))


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
        import pygame  # noqa: PLC0415 - of the extra `video`
    except ImportError as error:
        raise _no_extra(flag, "pygame") from error
    return pygame


def _video_writer() -> Any:
    try:
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter  # noqa: PLC0415
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
