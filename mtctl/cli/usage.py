"""How a verb shows what it takes: `RECIPE...` in the usage line, and no Python types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperArgument, TyperCommand

VERBOSE: Final = ("-v", "--verbose")


def split_at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before `--`, in which options stand, and the rest."""
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end:])


class Verb(TyperCommand):
    """A command whose help speaks of words to type: Typer writes `{RECIPE}...` and `RECIPE <list[str]>`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give `-v`, which stands anywhere in the command line, to a verb that shows more with it."""
        asked = any(word in VERBOSE for word in split_at_dashes(ctx.obj or [])[0])
        if asked and any(parameter.name == "verbose" for parameter in self.params):
            args = [VERBOSE[0], *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(parameter, TyperArgument):
                arguments.append((parameter.display_name_raw, record[1]))
            else:
                options.append(record)
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
