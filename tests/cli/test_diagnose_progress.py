"""How far a diagnosis is."""

from __future__ import annotations

from mtctl.cli.diagnose_progress import Progress
from mtctl.diagnosis.plan import Plan


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_steps_are_counted_against_what_is_known() -> None:
    clock = Clock()
    progress = Progress(clock)
    assert progress.line() == "starting · 0:00"
    progress.say("training as is")
    clock.now = 8.0
    assert progress.line() == "step 1 · training as is · 0:08"
    progress.announce(Plan(steps=3, seconds=60.0, complete=False))
    progress.say("experiment: a alone")
    clock.now = 12.0
    assert progress.line() == "step 2 of at least 5 · experiment: a alone · 0:12 · at least 1:00 left"


def test_time_left_follows_the_steps_that_are_done() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.say("experiment: a alone")
    clock.now = 10.0
    progress.announce(Plan(steps=4, seconds=40.0, complete=True))
    progress.say("the recipe unchanged")
    clock.now = 15.0
    assert progress.line() == "step 2 of 5 · the recipe unchanged · 0:15 · about 0:35 left"
    clock.now = 30.0
    progress.say("remedy: b")
    assert progress.line() == "step 3 of 5 · remedy: b · 0:30 · about 1:00 left"
    clock.now = 999.0
    assert progress.line().endswith("about 0:00 left")


def test_without_remedies_no_end_is_known() -> None:
    progress = Progress(Clock())
    progress.say("wiring")
    progress.announce(Plan(steps=0, seconds=0.0, complete=True))
    assert progress.line() == "step 1 · wiring · 0:00"


def test_text_cannot_steer_the_terminal() -> None:
    progress = Progress(Clock())
    progress.say("a\x1b[2J")
    assert "\x1b" not in progress.line()
