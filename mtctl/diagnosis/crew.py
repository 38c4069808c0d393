"""Trainings of a diagnosis: here, or in processes of their own, which end with this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from mtctl.engine.launch.lifeline import blocked_signals, end_with_parent
from mtctl.engine.processor import use_one_thread
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.code import Code, current, pin

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")


def _prepare(lifeline: Connection, code: Code) -> None:
    """Set up a process that trains, with the user's code as it was when the command began."""
    use_one_thread()
    pin(code)
    end_with_parent(lifeline)


class Crew:
    """Makes trainings, several at a time.

    Args:
        jobs: processes; 1 stays in this one.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None
        if jobs > 1:
            context = get_context("spawn")
            self._reader, self._lifeline = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                jobs, mp_context=context, initializer=_prepare, initargs=(self._reader, current())
            )

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        if kind is not None:
            self._lifeline.close()  # what is being trained is not wanted any more
        self._pool.shutdown(cancel_futures=True)
        self._lifeline.close()
        self._reader.close()

    def map(self, train: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Yield what each call of `train` returns, in the order of the calls.

        Raises:
            MtctlError: a process has been killed.
        """
        if self._pool is None:
            yield from (train(*call) for call in calls)
            return
        with blocked_signals():
            futures = [self._pool.submit(train, *call) for call in calls]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise MtctlError(
                "a process that trained was killed; the system may have run out of memory",
                hint="use fewer --jobs, which need less memory",
                code=ExitCode.FAILED,
            ) from error
