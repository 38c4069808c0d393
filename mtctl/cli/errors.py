"""How a failure is put on screen: `error:` and `hint:` on stderr; a traceback only where `-v` asks for it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import TracebackType

from typer import TyperException

from mtctl.errors import ExitCode, MtctlError
from mtctl.faults import explain, mistake
from mtctl.terminal.console import err
from mtctl.terminal.streams import OutputError, discard, settle
from mtctl.text import command_line, show_lines, show_text


def guarded(command: Callable[[], object], *, verbose: bool) -> int:
    """Run a command and return the process's exit code; a failure that can be explained is.

    Args:
        command: an int that it returns is the exit code; anything else is 0.
        verbose: show the traceback as well.

    Raises:
        Exception: what is a mistake in mtctl.
    """
    try:
        result = command()
        sys.stdout.flush()
    except OutputError as error:
        discard()
        # Whoever has left, as `head` does, wants to hear no more.
        return int(ExitCode.FAILED) if error.reader_left else _told(error, error, verbose=verbose)
    except KeyboardInterrupt:
        settle()
        return int(ExitCode.INTERRUPTED)
    except TyperException as error:
        settle()
        message = error.format_message()
        show("error", message[:1].lower() + message[1:].rstrip("."), _help_hint(error))
        return error.exit_code
    except Exception as error:
        settle()
        explained = error if isinstance(error, MtctlError) else explain(error)
        if explained is None:
            raise
        return _told(explained, error, verbose=verbose)
    return result if isinstance(result, int) else int(ExitCode.OK)


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Stand in for Python's: say in a few lines that mtctl has a mistake, and how to report it."""
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    if verbose:
        _print_traceback(error)
    told = mistake(error, command_line(["mtctl", *sys.argv[1:]]), shown=verbose)
    show("internal error", told.message, told.hint)


def show(label: str, message: str, hint: str | None = None) -> None:
    """Print a labelled message, and a hint below it, to stderr."""
    message, hint = show_lines(message), show_lines(hint or "")
    try:
        from rich.text import Text

        text = Text.assemble((f"{label}: ", "bold red"), message)
        if hint:
            text.append("\nhint: ", "bold cyan").append(hint)
        err().print(text, soft_wrap=True)
    except (OSError, MemoryError, ImportError):  # there may be no file descriptor left to load rich with
        sys.stderr.write(f"{label}: {message}\n" + (f"hint: {hint}\n" if hint else ""))


def _told(explained: MtctlError, error: BaseException, *, verbose: bool) -> int:
    if verbose:
        _print_traceback(error)
    show("error", explained.message, explained.hint)
    return int(explained.code)


def _print_traceback(error: BaseException) -> None:
    lines = "".join(traceback.format_exception(error)).splitlines()
    sys.stderr.write("\n".join(map(show_text, lines)) + "\n")


def _help_hint(error: TyperException) -> str | None:
    context = getattr(error, "ctx", None)
    return None if context is None else f"`{context.command_path} --help` shows how it is used"
