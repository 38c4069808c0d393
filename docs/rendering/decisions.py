"""The picture of how `mtctl diagnose` finds a cause by experiment: what is asked, in which order.

The questions are those of mtctl/diagnosis/experiments/, with the figures of thresholds.py. A test compares
the findings that are named here, part by part, with those that the modules of a part can name.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from mtctl.diagnosis import thresholds as t
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.thresholds import percent

PLACE: Final = "<!-- picture: decisions -->"
"""Stands in the page where the picture goes."""


class Question(NamedTuple):
    """What is asked of a run or a task, and what is named where the answer is yes.

    Args:
        text: a question.
        codes: the findings.
        then: where to go on in place of findings: the title of a part.
    """

    text: str
    codes: tuple[Code, ...] = ()
    then: str = ""


class Part(NamedTuple):
    """Questions that are asked one after another; the first yes decides.

    Args:
        title: its heading.
        about: what is trained or looked at.
        questions: in their order.
        modules: of `mtctl.diagnosis.experiments`, in which its findings are made.
    """

    title: str
    about: str
    questions: tuple[Question, ...]
    modules: tuple[str, ...]


def _factors(*numbers: float) -> str:
    *most, last = (f"{number:g}" for number in numbers)
    return f"{', '.join(most)} or {last}"


PARTS: Final = (
    Part(
        "1. Wiring",
        "Nothing is trained. What is found is certain.",
        (
            Question("Are targets missing, not finite, out of range or all the same?", (Code.BAD_TARGETS,)),
            Question(
                "Are parameters not in the optimizer, or frozen?", (Code.NOT_IN_OPTIMIZER, Code.FROZEN_TRUNK)
            ),
            Question(
                "Does a loss not reach its head, or not the trunk?", (Code.DEAD_HEAD, Code.DETACHED_TASK)
            ),
            Question("Does a step along a task's own gradient raise its loss?", (Code.WRONG_GRADIENT,)),
        ),
        ("wiring",),
    ),
    Part(
        "2. The training as it is",
        f"One training for the budget, gradients measured {t.GRADIENT_MEASUREMENTS} times.",
        (
            Question(
                f"Is a loss not finite, or above {t.SPIKE:g} times its start and the best "
                "constant's? Does it "
                f"learn at {_factors(*t.DIVERGED_RATES)} times the learning rate?",
                (Code.LEARNING_RATE, Code.DIVERGED),
            ),
            Question(
                "Does a task beat the best constant, though other rows' inputs give the same loss?",
                (Code.IGNORES_INPUT,),
            ),
            Question(
                f"Is a task flat at a skill of {percent(t.AT_FLOOR)} or more? Little is left to learn.",
                (Code.AT_NOISE_FLOOR,),
            ),
            Question(
                f"Is its skill below {percent(t.LEARNED)} after {t.SLOW_BUDGETS:g} budgets?",
                then="3. It does not learn",
            ),
            Question(
                f"Does it get there, but not within {t.LATE_BUDGETS:g} budgets?",
                then="4. Others, or the unit",
            ),
            Question("Else it learns.", then="7. It learns, and may reach more"),
        ),
        ("divergence", "inputs"),
    ),
    Part(
        "3. It does not learn",
        "First what would mislead the experiments.",
        (
            Question(f"Has the budget fewer than {t.FEWEST_UPDATES} updates?", (Code.BUDGET_TOO_SMALL,)),
            Question(
                "Does no task learn, nor with standardised heads, but half of them without weight decay, or "
                f"at {_factors(*t.COMMON_RATES)} times the learning rate?",
                (Code.REGULARISATION, Code.LEARNING_RATE),
            ),
            Question(
                f"Is the rate of its head {t.OTHER_HEAD_RATE:g} times the trunk's, or a tenth "
                "of it, and does the "
                "trunk's help?",
                (Code.LEARNING_RATE,),
            ),
            Question(
                f"Did its loss rise to {t.UNSTABLE:g} times, and does it learn at "
                f"{_factors(*t.LOWER_RATES)} times "
                "the rate?",
                (Code.LEARNING_RATE,),
            ),
            Question("Else:", then="4. Others, or the unit"),
        ),
        ("causes",),
    ),
    Part(
        "4. Others, or the unit",
        "It is trained alone, with a standardised head, and with both. Both causes may be named.",
        (
            Question(
                f"Does leaving the others out make it {t.FASTER:g} times as fast, by itself "
                "or beside a standardised "
                "head?",
                then="5. What the others do",
            ),
            Question(
                f"Does a standardised head make it {t.FASTER:g} times as fast, by itself or "
                "beside leaving the others "
                "out?",
                (Code.TARGET_OUT_OF_REACH,),
            ),
            Question("Neither, and it learned late:", (Code.SLOW,)),
            Question(
                "Neither, and it had learned, then got worse on held-out rows alone:", (Code.OVERFITTING,)
            ),
            Question("Neither, and it does not learn:", then="6. The task itself"),
        ),
        ("causes",),
    ),
    Part(
        "5. What the others do",
        "It is trained with equal weights, and with equal shares of the trunk's gradient.",
        (
            Question(
                f"Do equal weights not help, and is its cosine with another {t.OPPOSED:g} or lower?",
                (Code.CONFLICT,),
            ),
            Question(
                f"Is its share at most {percent(t.SMALL_SHARE)} of a fair one, or do equal "
                "shares help, and equal "
                "weights not?",
                (Code.MULTIPLIER_DOMINANCE,),
            ),
            Question("Do equal weights help?", (Code.BALANCER_SETTINGS,)),
            Question(f"Is its cosine with another below {t.PULLED_APART:g}?", (Code.CONFLICT,)),
            Question("Else why is unknown:", (Code.INTERFERENCE,)),
            Question(
                "If only angles accuse, or nothing: do they share too narrow a layer, or is "
                "dropout or decay too "
                "strong for both?",
                (Code.CAPACITY, Code.REGULARISATION),
            ),
        ),
        ("company", "potential", "width"),
    ),
    Part(
        "6. The task itself",
        "It is trained alone.",
        (
            Question("Does it learn without weight decay?", (Code.REGULARISATION,)),
            Question("Does a readout before a narrow layer know far more?", (Code.CAPACITY,)),
            Question(
                f"Is it {t.MUCH_FASTER:g} times as fast at {t.MORE_UPDATES_RATES[0]:g} times "
                "the rate? With SGD, beside "
                "tasks that learn, its loss is too small.",
                (Code.LEARNING_RATE, Code.MULTIPLIER_DOMINANCE),
            ),
            Question(
                f"Does it learn as it is within {t.WATCHED_BUDGETS} budgets, or at "
                f"{_factors(*t.MORE_UPDATES_RATES)} times the rate?",
                (Code.BUDGET_TOO_SMALL,),
            ),
            Question(f"At {_factors(*t.OTHER_RATES)} times the rate?", (Code.LEARNING_RATE,)),
            Question(
                "With every aid at once, and not without one of them: no dropout, Adam at a "
                "usual rate, a standardised "
                "head, no other tasks?",
                (Code.REGULARISATION, Code.LEARNING_RATE, Code.TARGET_OUT_OF_REACH, Code.INTERFERENCE),
            ),
            Question("With every aid, and no single one is needed?", (Code.BUDGET_TOO_SMALL,)),
            Question("Are its outputs unknown, because only losses were given?", (Code.FLAT_TASK,)),
            Question(
                f"Does it learn {t.FEW_ROWS} rows by heart, and do its labels belong to other "
                "rows, or are part of "
                "them wrong?",
                (Code.SHIFTED_LABELS, Code.NOISY_LABELS),
            ),
            Question("Does it learn them by heart, and nothing that holds on others?", (Code.UNLEARNABLE,)),
            Question("Does it learn them in part?", (Code.CAPACITY,)),
            Question("Not even that:", (Code.DEAD_HEAD,)),
        ),
        ("causes", "aids", "labels", "width"),
    ),
    Part(
        "7. It learns, and may reach more",
        "Its skill alone, and with every aid, is compared with its skill in the budget.",
        (
            Question(
                f"Does it reach {100 * t.HELD_BACK:.0f} points of skill more alone, and not catch up in "
                f"{t.CATCHES_UP_BUDGETS} budgets?",
                then="5. What the others do",
            ),
            Question(f"Is its skill above {percent(t.HELD_BACK_SHARE)}? Then nothing is named."),
            Question(
                "Does it reach more with every aid, and has the budget fewer than "
                f"{t.FEWEST_UPDATES} updates?",
                (Code.BUDGET_TOO_SMALL,),
            ),
            Question(
                f"Does it reach {100 * t.HELD_BACK:.0f} points more with every aid, and half "
                "of that through one "
                "change? First a narrow layer, then dropout and decay, up to four budgets, a "
                "standardised head, rates:",
                (
                    Code.CAPACITY,
                    Code.REGULARISATION,
                    Code.SLOW,
                    Code.TARGET_OUT_OF_REACH,
                    Code.LEARNING_RATE,
                ),
            ),
            Question("Through no single change?", (Code.BELOW_POTENTIAL,)),
            Question(
                "Does no aid help? Then a narrow layer, rows learned by heart, and labels are looked at.",
                (Code.CAPACITY, Code.SHIFTED_LABELS, Code.NOISY_LABELS),
            ),
            Question("Else it is at its ceiling, and nothing is named."),
        ),
        ("potential", "labels", "width"),
    ),
    Part(
        "8. The documented story",
        "A stuck task is averaged over several outputs, others improve, and it stays flat.",
        (
            Question(
                "Does it learn if its loss is summed in place of averaged? If not, that "
                "story is refuted by name.",
                (Code.REDUCTION_BIAS,),
            ),
        ),
        ("reduction",),
    ),
)


class _Layout(NamedTuple):
    """Where things stand, in pixels.

    Args:
        name: of the class by which the style sheet chooses the layout.
        width: of the picture.
        box: of a question's box.
        characters: of a line in it.
        chips: where findings begin; None below their question.
    """

    name: str
    width: int
    box: int
    characters: int
    chips: int | None


_LAYOUTS: Final = (_Layout("wide", 684, 372, 54, 428), _Layout("narrow", 340, 324, 46, None))
_LEFT: Final = 12
_LINE: Final = 17
_GAP: Final = 12
_CHIP: Final = 26
_LETTER: Final = 6.6
"""Width of a letter in a finding's name."""


def picture() -> str:
    """Return the picture as SVG, for wide screens and for narrow ones; findings are links."""
    return "".join(map(_drawn, _LAYOUTS))


def _drawn(layout: _Layout) -> str:
    top, shapes = 8, []
    for part in PARTS:
        drawn, top = _part(part, layout, top)
        shapes += drawn
    title = f"decisions-{layout.name}"
    head = (
        f'<svg class="decisions {layout.name}" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {layout.width} {top}" width="{layout.width}" height="{top}" role="group" '
        f'aria-labelledby="{title}">'
        f'<title id="{title}">What mtctl diagnose asks, in which order, and what it names</title>'
    )
    return "".join((head, *shapes, "</svg>"))


def _part(part: Part, layout: _Layout, top: int) -> tuple[list[str], int]:
    drawn = [_text(part.title, 0, top + 20, "title")]
    top += 20
    for line in textwrap.wrap(part.about, layout.width // 7):
        top += _LINE + 2
        drawn.append(_text(line, 0, top, "about"))
    top += _GAP
    for place, question in enumerate(part.questions):
        if place:
            drawn.append(f'<path class="line" d="M{_LEFT + 18} {top - _GAP} V{top}"/>')
        shapes, top = _question(question, layout, top)
        drawn += shapes
        top += _GAP
    return drawn, top + 10


def _question(question: Question, layout: _Layout, top: int) -> tuple[list[str], int]:
    """Return a box with a question and the findings beside or below it, and where it ends."""
    lines = textwrap.wrap(question.text, layout.characters)
    rows = _rows(question, layout.width - (layout.chips or _LEFT + 10))
    below = len(rows) * _CHIP if layout.chips is None else 0
    beside = 0 if layout.chips is None else len(rows) * _CHIP + 4
    height = max(_LINE * len(lines) + 14 + below, beside)
    first = top + (height - below - _LINE * len(lines)) // 2 + 13
    drawn = [
        f'<rect class="box" x="{_LEFT}" y="{top}" width="{layout.box}" height="{height}" rx="5"/>',
        *(_text(line, _LEFT + 10, first + _LINE * row, "ask") for row, line in enumerate(lines)),
    ]
    if layout.chips is None:
        drawn += _chips(question, rows, _LEFT + 10, top + height - below - 4)
    elif rows:
        middle = top + height // 2
        drawn.append(f'<path class="line" d="M{_LEFT + layout.box} {middle} H{layout.chips - 6}"/>')
        drawn += _chips(question, rows, layout.chips, middle - _CHIP * len(rows) // 2)
    return drawn, top + height


def _rows(question: Question, width: int) -> list[list[str]]:
    """Return the findings of a question, or where to go on, in rows of at most that width."""
    names = [code.value for code in question.codes] or ([f"→ {question.then}"] if question.then else [])
    rows: list[list[str]] = []
    for name in names:
        if rows and sum(_wide(one) + 6 for one in [*rows[-1], name]) - 6 <= width:
            rows[-1].append(name)
        else:
            rows.append([name])
    return rows


def _chips(question: Question, rows: list[list[str]], left: int, top: int) -> Iterator[str]:
    kind = "chip" if question.codes else "next"
    for place, row in enumerate(rows):
        x, y = left, top + _CHIP * place + 2
        for name in row:
            rectangle = f'<rect class="{kind}" x="{x}" y="{y}" width="{_wide(name)}" height="22" rx="11"/>'
            inner = rectangle + _text(name, x + 10, y + 15, "name")
            yield f'<a href="findings.html#{name}">{inner}</a>' if question.codes else inner
            x += _wide(name) + 6


def _wide(name: str) -> int:
    return round(_LETTER * len(name)) + 20


def _text(text: str, x: int, y: int, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'
