from __future__ import annotations

import os
import signal

import pytest

from mtctl.engine.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops_at_once(number: signal.Signals) -> None:
    told: list[str] = []
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), stop_on_signals(lambda: told.append("once")) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert told == ["once"]
        os.kill(os.getpid(), number)
    assert told == ["once"]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_handlers_are_put_back_without_a_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert signal.getsignal(signal.SIGTERM) != before
    assert not stop()
    assert signal.getsignal(signal.SIGTERM) == before
