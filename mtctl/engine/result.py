"""What came of a run, as data that goes through JSON from any process or machine."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, Self

from mtctl.engine.interrupt import Stopped
from mtctl.errors import ExitCode, MtctlError
from mtctl.faults import explain, in_one_line

Status = Literal["completed", "interrupted", "failed"]


class Note(NamedTuple):
    """Something about a run that its user should know.

    Args:
        kind: `idle` where there is nothing to do; `filmed` where `text` is a file that was written;
            `noticed` while it trains; `unlogged` where one of its logs has failed.
        text: else, a sentence about the run, without its path.
    """

    kind: Literal[
        "idle",
        "anew",
        "evaluating",
        "prolonged",
        "kept",
        "moved",
        "changed",
        "not_stored",
        "filmed",
        "noticed",
        "unlogged",
    ]
    text: str


Say = Callable[[Note], None]


def silent(_note: Note) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class RunError:
    """What ended a run before its end.

    Args:
        kind: `diverged`: see task, found and place; `error`: as the message says; `internal`: a mistake in
            mtctl; `killed`: its process ended without a word.
        message: what is wrong and where.
        hint: what to do about it.
        code: exit code that tells of it.
        task: whose loss, gradient or score is not finite.
        found: what it was, e.g. "loss nan".
        place: where in the run, e.g. "epoch 3, step 120".
        traceback: where in the code, for who looks for a mistake.
    """

    kind: Literal["error", "diverged", "internal", "killed"]
    message: str
    hint: str | None = None
    code: int = ExitCode.FAILED
    task: str | None = None
    found: str | None = None
    place: str | None = None
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return what an exception says; an ordinary fault of the system is explained."""
        explained = error if isinstance(error, MtctlError) else explain(error)
        trace = "".join(traceback.format_exception(error))
        if explained is None:
            return cls("internal", in_one_line(error), traceback=trace)
        code = explained.code if explained is error else ExitCode.FAILED
        kind: Literal["diverged", "error"] = "diverged" if explained.facts else "error"
        return cls(kind, explained.message, explained.hint, int(code), traceback=trace, **explained.facts)

    def stored(self) -> dict[str, str | None]:
        """Return what run.json keeps of it."""
        return {name: getattr(self, name) for name in ("kind", "message", "task", "found", "place")}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a spec.

    Args:
        status: how it ended; `interrupted` where the user asked for that.
        evaluation: the document of its evaluation on held-out data (see `mtctl.engine.layout`).
        done: units of training that are saved.
        error: why it failed; None if it did not.
        notes: what was said meanwhile.
    """

    status: Status
    evaluation: dict[str, Any] | None = None
    done: int = 0
    error: RunError | None = None
    notes: tuple[Note, ...] = ()

    @property
    def code(self) -> int:
        """The exit code of a process that has done this and nothing else."""
        if self.error is not None:
            return self.error.code
        return int(ExitCode.INTERRUPTED if self.status == "interrupted" else ExitCode.OK)

    def required(self) -> Self:
        """Return this result.

        Raises:
            MtctlError: it is a failure; where in the code that came from is a note of the exception.
        """
        if self.error is not None:
            error = MtctlError(self.error.message, hint=self.error.hint, code=ExitCode(self.error.code))
            error.add_note(self.error.traceback)
            raise error
        return self


def outcome(work: Callable[[Say], RunResult], say: Say) -> RunResult:
    """Return what some work comes to, or the failure that can be explained and ended it.

    Args:
        work: gets what it says its notes with.
        say: gets them as they come.

    Raises:
        Exception: what is a mistake in mtctl.
    """
    notes: list[Note] = []

    def tell(note: Note) -> None:
        notes.append(note)
        say(note)

    try:
        result = work(tell)
    except (Stopped, Exception) as error:  # noqa: BLE001 - what is a mistake in mtctl is raised again
        result = ended_by(error)
    return replace(result, notes=tuple(notes))


def ended_by(error: Exception | Stopped) -> RunResult:
    """Return what an exception that ended some work comes to.

    Raises:
        Exception: the same, where it is a mistake in mtctl.
    """
    if isinstance(error, Stopped):
        return RunResult("interrupted")
    failure = RunError.of(error)
    if failure.kind == "internal":
        raise error
    return RunResult("failed", error=failure)


def result_to_json(result: RunResult) -> str:
    """Return a result as JSON."""
    return json.dumps(asdict(result), allow_nan=False)


def result_from_json(text: str) -> RunResult:
    """Return the result that `result_to_json` has written."""
    values = json.loads(text)
    error = None if values["error"] is None else RunError(**values["error"])
    return RunResult(**{**values, "error": error, "notes": tuple(Note(*note) for note in values["notes"])})
