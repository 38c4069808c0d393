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
                "Does no task learn, but half of them without weight decay, or at "
                f"{_factors(*t.COMMON_RATES)} times the learning rate?",
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

_WIDTH: Final = 760
_LEFT: Final = 24
_BOX: Final = 424
_CHIPS: Final = 484
_LINE: Final = 17
_CHARACTERS: Final = 64
_GAP: Final = 12


def picture() -> str:
    """Return the picture as SVG in a box that scrolls; its findings are links to their page."""
    top, drawn = 8, []
    for part in PARTS:
        shapes, top = _part(part, top)
        drawn += shapes
    head = (
        f'<div class="decisions" tabindex="0"><svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" role="group" '
        'aria-labelledby="decisions-title">'
        '<title id="decisions-title">What mtctl diagnose asks, in which order, and what it names</title>'
    )
    return "".join((head, *drawn, "</svg></div>"))


def _part(part: Part, top: int) -> tuple[list[str], int]:
    drawn = [_text(part.title, _LEFT - 12, top + 20, "title")]
    top += 20
    for line in textwrap.wrap(part.about, 100):
        top += _LINE + 2
        drawn.append(_text(line, _LEFT - 12, top, "about"))
    top += _GAP
    for place, question in enumerate(part.questions):
        lines = textwrap.wrap(question.text, _CHARACTERS)
        chips = [code.value for code in question.codes] or ([f"→ {question.then}"] if question.then else [])
        height = max(_LINE * len(lines) + 14, 26 * -(-len(chips) // 2) + 4 if len(chips) > 1 else 30)
        if place:
            middle = _LEFT + 18
            drawn.append(f'<path class="line" d="M{middle} {top - _GAP} V{top}"/>')
        drawn.append(f'<rect class="box" x="{_LEFT}" y="{top}" width="{_BOX}" height="{height}" rx="5"/>')
        first = top + (height - _LINE * len(lines)) // 2 + 13
        drawn += [_text(line, _LEFT + 10, first + _LINE * row, "ask") for row, line in enumerate(lines)]
        if chips:
            centre = top + height // 2
            drawn.append(f'<path class="line" d="M{_LEFT + _BOX} {centre} H{_CHIPS - 6}"/>')
            drawn += _chips(question, chips, centre)
        top += height + _GAP
    return drawn, top + 10


def _chips(question: Question, chips: list[str], centre: int) -> Iterator[str]:
    rows: list[list[str]] = [[]]
    for chip in chips:
        if rows[-1] and sum(_chip_width(one) + 6 for one in [*rows[-1], chip]) > _WIDTH - _CHIPS:
            rows.append([])
        rows[-1].append(chip)
    top = centre - 13 * len(rows)
    for place, row in enumerate(rows):
        left, y = _CHIPS, top + 26 * place
        for chip in row:
            width, kind = _chip_width(chip), "chip" if question.codes else "next"
            inner = (
                f'<rect class="{kind}" x="{left}" y="{y + 2}" width="{width}" '
                f'height="22" rx="11"/>{_text(chip, left + 10, y + 17, "name")}'
            )
            yield f'<a href="findings.html#{chip}">{inner}</a>' if question.codes else inner
            left += width + 6


def _chip_width(chip: str) -> int:
    return round(6.6 * len(chip)) + 20


def _text(text: str, x: int, y: int, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'
