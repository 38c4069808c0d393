"""`mtctl bench` shows what it measured; what that is on this machine is nobody's business here."""

from __future__ import annotations

import json

import pytest

from mtctl.measuring.bench import Cost
from mtctl.measuring.timing import Spread
from mtctl.screens.bench import cost_tables
from tests.cli.conftest import Command
from tests.screens.snapshots import WIDTHS, assert_screen, render

EVEN = Spread(1.0, 1.0, 1.0)


def test_two_methods(mtctl: Command) -> None:
    code, out, err = mtctl("bench", "--methods", "pcgrad,gradnorm", "--tasks", "2,3", "--blocks", "1")
    assert (code, err) == (0, "2 tasks: 2 methods …\n3 tasks: 2 methods …\n")
    lines = [line.split() for line in out.splitlines()]
    for kind in ("equal", "pcgrad", "gradnorm"):
        assert sum(line[:1] == [kind] for line in lines) == 2
    assert "2 tasks" in out
    assert "3 tasks" in out


def test_as_json(mtctl: Command) -> None:
    code, out, err = mtctl("bench", "--methods", "pcgrad", "--tasks", "2", "--blocks", "1", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == 1
    (place,) = document["measured"]
    assert place["on"] == "2 tasks"
    assert [method["kind"] for method in place["methods"]] == ["equal", "pcgrad"]
    assert set(place["methods"][1]) == {"kind", "ratio", "milliseconds", "peak_mb"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--methods", "pcgrd"), "did you mean `pcgrad`"),
        (("--methods", "manual"), "manual: `weights` is missing"),
        (("--tasks", "2,x"), "expected a number from 1 to 1,000, got `x`"),
        (("--tasks", "0"), "got `0`"),
        (("--tasks", ""), "got ``"),
        (("--tasks", "9" * 5000), "9`"),
        (("--tasks", "2", "--recipe", "shared_aware"), "--tasks and --recipe exclude each other"),
        (("--recipe", "shared_awar"), "shared_aware"),
    ],
)
def test_what_is_refused(mtctl: Command, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = mtctl("bench", *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen(width: int) -> None:
    found = {
        place: [
            Cost("equal", EVEN, 2.134 * scale, 1.52 * scale),
            Cost("gradnorm", Spread(1.6 * scale, 1.55 * scale, 1.7 * scale), 3.4 * scale, 3.1 * scale),
            Cost(
                "adaptive_scaling", Spread(9.876 * scale, 9.1 * scale, 10.2 * scale), 21 * scale, 42.4 * scale
            ),
        ]
        for place, scale in {"2 tasks": 1.0, "4 tasks": 1.5, "10 tasks": 2.0, "40 tasks": 4.0}.items()
    }
    assert_screen(f"bench_{width}", render(*cost_tables(found), width=width))
