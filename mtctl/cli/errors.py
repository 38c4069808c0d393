"""How a failure is put on screen: `error:` and `hint:` on stderr; a traceback only where `-v` asks for it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

from typer import TyperException

from mtctl.cli.console import err
from mtctl.errors import ExitCode, MtctlError

#: Control characters would let a file's text steer the terminal; a new line is the one that messages need.
_CONTROL = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\n")
}


def guarded(command: Callable[[], object], *, verbose: bool) -> int:
    """Run a command and return the process's exit code; a failure that can be explained is.

    Args:
        command: an int that it returns is the exit code; anything else is 0.
        verbose: show the traceback as well.
    """
    try:
        result = command()
        sys.stdout.flush()
    except MtctlError as error:
        if verbose:
            traceback.print_exc()
        show("error", error.message, error.hint)
        return int(error.code)
    except TyperException as error:
        message = error.format_message()
        show("error", message[:1].lower() + message[1:].rstrip("."), _help_hint(error))
        return error.exit_code
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.FAILED)
    return result if isinstance(result, int) else int(ExitCode.OK)


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Stand in for Python's: one line for what is a mistake in mtctl itself, and how to see more."""
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    if "-v" in sys.argv or "--verbose" in sys.argv:
        sys.__excepthook__(kind, error, trace)
    lines = str(error).splitlines()
    first = lines[0] if lines else "no message"
    show("internal error", f"{kind.__name__}: {first}", "add -v to see the traceback")


def show(label: str, message: str, hint: str | None = None) -> None:
    """Print a labelled message, and a hint below it, to stderr."""
    from rich.text import Text

    console = err()
    text = Text.assemble((f"{label}: ", "bold red"), message.translate(_CONTROL))
    if hint:
        text.append("\nhint: ", "bold cyan").append(hint.translate(_CONTROL))
    console.print(text, soft_wrap=True)


def _help_hint(error: TyperException) -> str | None:
    context = getattr(error, "ctx", None)
    return None if context is None else f"`{context.command_path} --help` shows how it is used"
