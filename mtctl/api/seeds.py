"""Seeds as a person gives them: in words of the command line, or as numbers of Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from mtctl.errors import MtctlError

_SEED: Final = "[0-9]{1,18}"  # of 64 bits, as generators take them
LARGEST_SEED: Final = 10**18 - 1
_SPAN: Final = re.compile(rf"(?P<first>{_SEED})\.\.(?P<last>{_SEED})")
_MOST_SEEDS: Final = 10_000  # a slip, not a plan
_UNTIL: Final = "until-decided"
GROUP: Final = 5
"""Seeds between two looks: their 252 exchanges can decide at the first of six looks (2/252 ≤ 0.05/6)."""
_MOST_UNTIL: Final = 30


def parse_seeds(seeds: str) -> list[int]:
    """Return the seeds of `--seeds 0..4`, `--seeds 0,3,7` or `--seeds 5` (0 to 4).

    Raises:
        MtctlError: the text is no list of seeds, or one is listed twice.
    """
    text = seeds.strip()
    numbers: Sequence[int]
    if span := _SPAN.fullmatch(text):
        first, last = int(span["first"]), int(span["last"])
        if first > last:
            raise MtctlError(
                f"--seeds {seeds}: the first seed is above the last", hint=f"did you mean {last}..{first}?"
            )
        numbers = range(first, last + 1)
    elif re.fullmatch(_SEED, text):
        numbers = range(int(text))
    elif re.fullmatch(rf"{_SEED}(,{_SEED})+", text):
        numbers = [int(part) for part in text.split(",")]
    else:
        raise MtctlError(
            f"--seeds {seeds}: expected a list of seeds", hint="write 0..4, 0,3,7, or 5 for seeds 0 to 4"
        )
    if not numbers:
        raise MtctlError(f"--seeds {seeds}: expected at least one seed", hint="--seeds 5 means seeds 0 to 4")
    if len(numbers) > _MOST_SEEDS:
        raise MtctlError(f"--seeds {seeds}: {len(numbers):,} seeds; at most {_MOST_SEEDS:,} at a time")
    if len(set(numbers)) < len(numbers):
        raise MtctlError(f"--seeds {seeds}: a seed is listed twice")
    return list(numbers)


def until_decided(seeds: str | None) -> int | None:
    """Return the most seeds of `--seeds until-decided[:MAX]`; None where seeds are given otherwise.

    Raises:
        MtctlError: MAX is no number of seeds that groups can be made of.
    """
    if seeds is None or not seeds.startswith(_UNTIL):
        return None
    most = seeds.removeprefix(_UNTIL)
    if not most:
        return _MOST_UNTIL
    number = int(most[1:]) if re.fullmatch(r":[0-9]{1,4}", most) else 0
    if number < 2 * GROUP or number % GROUP:
        raise MtctlError(
            f"--seeds {seeds}: seeds are added by {GROUP}, so MAX is a multiple of it from {2 * GROUP} on",
            hint=f"{_UNTIL}:{_MOST_UNTIL}, which is also meant without a number",
        )
    return number


def seed_numbers(seeds: int | Iterable[int]) -> list[int]:
    """Return seeds: those that are given, or so many counted from 0.

    Raises:
        MtctlError: there is none, one is negative, or one is given twice.
    """
    numbers = list(range(seeds) if isinstance(seeds, int) else seeds)
    if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise MtctlError(
            f"seeds={seeds!r}: expected distinct seeds of at least 0", hint="seeds=5 means seeds 0 to 4"
        )
    return numbers
