"""The screens of `mtctl explain` and `mtctl recipes list --methods`."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from mtctl.balancing.registry import KINDS
from mtctl.catalogue.cards import card
from mtctl.catalogue.families import families
from mtctl.screens.methods import method_screen, methods_screen
from tests.screens.snapshots import WIDTHS, assert_screen, render


@pytest.mark.parametrize("width", WIDTHS)
def test_all_methods(width: int) -> None:
    assert_screen(f"methods_{width}", render(*methods_screen(families()), width=width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["dwa", "manual"])
def test_one_method(kind: str, width: int) -> None:
    assert_screen(f"method_{kind}_{width}", render(*method_screen(card(kind)), width=width))


@pytest.mark.parametrize("kind", KINDS)
def test_no_line_runs_over_the_edge(kind: str) -> None:
    lines = render(*method_screen(card(kind)), width=80).splitlines()
    assert max(map(cell_len, lines)) <= 80
