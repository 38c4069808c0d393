"""`mtctl explain`: what a balancing method does, when it helps and when it fails."""

from __future__ import annotations

from typing import Annotated

import typer

from mtctl.cli import completion
from mtctl.errors import MtctlError
from mtctl.terminal.console import out, write_json


def explain(
    method: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD",
            help="A method, such as gradnorm. [default: a list of all]",
            autocompletion=completion.methods,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Explain a balancing method: equation, settings, cost, when it helps, when it fails."""
    if method is None:
        list_methods(as_json=as_json)
        return
    from dataclasses import asdict

    _refuse_codes(method)
    from mtctl.catalogue.cards import card
    from mtctl.screens.methods import method_screen

    method_card = card(method)
    if as_json:
        write_json({"schema": 1, "method": asdict(method_card)})
    else:
        out().print(*method_screen(method_card), sep="\n", crop=False)


def list_methods(*, as_json: bool) -> None:
    """Print all balancing methods, by what they look at."""
    from mtctl.catalogue.families import families

    by_group = families()
    if as_json:
        rows = [
            {"kind": kind, "group": group, "summary": summary}
            for group, methods in by_group.items()
            for kind, summary in methods.items()
        ]
        write_json({"schema": 1, "methods": rows})
        return
    from mtctl.screens.methods import methods_screen

    out().print(*methods_screen(by_group), sep="\n", crop=False)


def _refuse_codes(word: str) -> None:
    from mtctl.diagnosis.codes import Code

    if word in set(Code):
        raise MtctlError(
            f"`{word}` is a finding of a diagnosis, not a balancing method",
            hint=f"`mtctl diagnose --explain {word}` explains it",
        )
