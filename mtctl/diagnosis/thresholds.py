"""From where on a task counts as flat, improving, learning or done: the same for every kind of diagnosis."""

from __future__ import annotations

from typing import Final

FLAT: Final = 0.01
"""Relative change of a loss that counts as none; documented."""
IMPROVING: Final = 0.20
"""Relative improvement that counts as learning in the documented check."""
LEARNED: Final = 0.10
"""Skill from which a task counts as learning: a tenth of what the best constant prediction leaves. Runs
without any signal reach ±0.03 on 128 windows."""
AT_FLOOR: Final = 0.5
"""Skill from which a task that does not move any more has arrived: little is left to learn."""
