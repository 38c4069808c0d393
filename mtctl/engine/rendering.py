"""Showing episodes: in a window, or as videos. Only `mtctl eval` comes here; training never renders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mtctl.engine.evaluate import restore
from mtctl.engine.files import explained
from mtctl.engine.interrupt import Stop, Stopped
from mtctl.engine.result import Note, RunResult, Say, silent
from mtctl.engine.spec import EvaluationSpec
from mtctl.errors import MtctlError
from mtctl.problems.contract import Frame, Problem

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


def present(
    spec: EvaluationSpec, result: RunResult, stop: Stop, say: Say = silent, *, window: bool = False
) -> None:
    """Play the first `spec.shown` held-out episodes of each evaluated task again, to be seen.

    A request to stop ends it. Without an evaluation there is nothing to show.

    Args:
        spec: of the evaluation; its `video` is the folder for one mp4 per task, or None.
        result: of the evaluation.
        stop: counts the requests to stop.
        say: told of each video that was written.
        window: whether the episodes are shown in a window.
    """
    if result.evaluation is None or not (window or spec.video):
        return
    with suppress(Stopped), stop.leaving(1):
        problem, content = restore(spec.directory, spec.checkpoint)
        if window:
            _show(problem, spec, result.evaluation["tasks"])
        if spec.video is not None:
            name = f"{spec.directory.parent.name}-seed{content['seed']}"
            with explained(spec.video, hint=_ELSEWHERE):
                for task in result.evaluation["tasks"]:
                    file = spec.video / f"{name}-{task}.mp4"
                    with _Film(file) as film:
                        problem.show(task, spec.shown, film.add)
                    say(Note("filmed", str(file)))


def _show(problem: Problem, spec: EvaluationSpec, tasks: Iterable[str]) -> None:
    pygame = _pygame("--render human")
    try:
        for task in tasks:
            problem.show(task, spec.shown)
    except pygame.error as error:
        raise _no_window(str(error)) from error


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
