from __future__ import annotations

from mtctl.yaml.mistakes import Mistake, closest, refusal, shortened, suggestion
from mtctl.yaml.sources import Place, Source


def screen(line: str, column: int, width: int = 1) -> list[str]:
    place = Place(Source("f.yaml", line), 0, column, width)
    return refusal("f.yaml", [Mistake(place, "wrong")]).message.splitlines()[2:]


def test_a_mistake_looks_as_documented() -> None:
    source = Source("recipes/gradnorm_blind.yaml", "name: x\n\n\n\n\n\n  alhpa: 1.5\n\n\n\n    loss: mes\n")
    unknown = Mistake(
        Place(source, 6, 2, 5), "unknown key `alhpa`", suggestion("alhpa", ()) or "did you mean `alpha`?"
    )
    literal = Mistake(
        Place(source, 10, 10, 3), "`loss: mes` is not allowed", suggestion("mes", ("mse", "huber"))
    )
    assert refusal("recipes/gradnorm_blind.yaml", [literal, unknown]).message == (
        "recipes/gradnorm_blind.yaml is not a valid recipe (2 problems)\n"
        "  --> recipes/gradnorm_blind.yaml:7:3  unknown key `alhpa`\n"
        "   7 │   alhpa: 1.5\n"
        "     │   ^^^^^ did you mean `alpha`?\n"
        "  --> recipes/gradnorm_blind.yaml:11:11  `loss: mes` is not allowed\n"
        "  11 │     loss: mes\n"
        "     │           ^^^ did you mean `mse`? choose from: mse, huber"
    )


def test_the_argument_of_an_option_has_no_line() -> None:
    place = Place(Source("-o", "-o agent.lrr=1", argument=True), 0, 9, 3)
    message = refusal("f.yaml", [Mistake(place, "unknown key `lrr`", "did you mean `lr`?")]).message
    assert message.splitlines()[1:] == [
        "  --> -o  unknown key `lrr`",
        "     │ -o agent.lrr=1",
        "     │          ^^^ did you mean `lr`?",
    ]


def test_the_own_file_comes_first_then_the_others_each_in_order() -> None:
    own, other = Source("own.yaml", "a\nb"), Source("base.yaml", "a\nb")
    mistakes = [
        Mistake(Place(source, line, 0), f"{source.name}{line}") for source in (other, own) for line in (1, 0)
    ]
    lines = refusal("own.yaml", mistakes).message.splitlines()
    assert [line.split()[-1] for line in lines if "-->" in line] == [
        "own.yaml0",
        "own.yaml1",
        "base.yaml0",
        "base.yaml1",
    ]


def test_only_twenty_are_shown() -> None:
    source = Source("f.yaml", "a\n" * 30)
    message = refusal("f.yaml", [Mistake(Place(source, line, 0), "wrong") for line in range(25)]).message
    assert message.startswith("f.yaml is not a valid recipe (25 problems)")
    assert message.count("-->") == 20
    assert message.endswith("\n  and 5 more")


def test_the_caret_counts_terminal_cells() -> None:
    assert screen("漢字: x", 4) == ["   1 │ 漢字: x", "     │       ^"]
    assert screen("e\N{COMBINING ACUTE ACCENT}: x", 4) == [
        "   1 │ e\N{COMBINING ACUTE ACCENT}: x",
        "     │    ^",
    ]
    assert screen("\ta: x", 4) == ["   1 │  a: x", "     │     ^"]


def test_control_characters_are_not_printed() -> None:
    assert screen("a: \x1b[31m", 3)[0] == "   1 │ a: \N{REPLACEMENT CHARACTER}[31m"


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "x" * 300 + "HERE" + "y" * 300
    shown, carets = screen(line, 300, 4)
    assert len(shown) < 120
    start = carets.index("^")
    assert shown[start : start + 4] == "HERE"
    assert shown.startswith("   1 │ …x")
    assert shown.endswith("y…")


def test_suggestions() -> None:
    assert closest("ALHPA", ["beta", "alpha"]) == "alpha"
    assert closest("zzz", ["beta", "alpha"]) is None
    assert closest("x" * 1_000_000, ["beta"]) is None
    assert suggestion("zzz", ("beta", "alpha")) == "choose from: beta, alpha"


def test_long_values_are_shortened_to_one_line() -> None:
    assert shortened("a\n b") == "a b"
    assert shortened("x" * 61) == "x" * 60 + "…"
