"""How much memory a windows run takes at least, from its shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mtctl.machine import size
from mtctl.problems.amounts import Amount, larger
from mtctl.problems.windows.parts import SequenceModel, SyntheticWindows, Training, WindowsProblem

BARS: Final = 105
FEATURES: Final = 12
OUTPUTS: Final = {"type": 3, "ptr": 2, "binary": 1, "countdown": 1}
"""Outputs of the sequence model's heads: see network.py."""
_FLOAT: Final = 4
_PARSED: Final = 1.5
"""Bytes of memory for a byte of a data file: see tables.py."""
_MADE: Final = BARS * (4 + FEATURES) * 8
"""Bytes of a window while it is made: prices and features of 64 bits."""
_KEPT: Final = 32
"""Numbers that a bar of a batch takes for each of the LSTM's units, on its way there and back: 45 to 65 were
measured."""
_FEW: Final = 64
"""Windows of a batch that a file of them can be trusted to have; reading it tells how many more."""


def amounts(problem: WindowsProblem, model: SequenceModel, training: Training) -> Iterator[Amount]:
    """Yield what a run holds at one time."""
    window = (BARS * (FEATURES + problem.position + 2) + 2) * _FLOAT
    if isinstance(problem.data, SyntheticWindows):
        counts = {name: getattr(problem.data, name) for name in ("windows", "validation", "held_out")}
        for name, count in counts.items():
            made = _MADE if count == max(counts.values()) else 0
            yield Amount(f"problem.data.{name}", f"{count:,} windows", count * (window + made))
    else:
        length = _length(Path(problem.data.path))
        yield Amount("problem.data.path", f"{problem.data.path}, {size(length)},", length * _PARSED)
    # The weights with a gradient, and an optimizer's two moments; SGD has none.
    kept = (2 if training.optimizer == "sgd" else 4) * _FLOAT
    width, inputs = 2 * model.hidden, FEATURES + problem.position
    hidden = "model.hidden", f"{model.hidden:,} units in each direction"
    projection = "model.projection", f"a projection to {model.projection:,}"
    lstm = 8 * model.hidden * (inputs + model.hidden + 2) + width * (OUTPUTS["binary"] + OUTPUTS["countdown"])
    yield Amount(*hidden, lstm * kept)
    projected = (width + 1 + OUTPUTS["type"] + OUTPUTS["ptr"]) * model.projection
    yield Amount(*larger(projection, model.projection, hidden, width), projected * kept)
    rows = min(training.batch_size, problem.training_windows or _FEW)
    batches = "training.batch_size", f"batches of {rows:,} windows"
    yield Amount(*larger(batches, rows, hidden, width), rows * BARS * _KEPT * model.hidden * _FLOAT)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except (OSError, ValueError):
        return 0  # reading it says what is wrong
