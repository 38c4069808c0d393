"""What evaluations and records of hybrid policies say."""

from __future__ import annotations

from typing import Final

from mtctl.problems.score import Figures, Score

SCORE: Final = Score("return", higher_is_better=True, success=None)
"""Environments add how their episodes end, and from which mean return they count as solved."""
FIGURES: Final = Figures("return", extra=("kl", "explained variance"))
