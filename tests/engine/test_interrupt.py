from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from mtctl.engine.interrupt import Stop, Stopped, stop_on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _not_ignored() -> Iterator[None]:
    """Whoever runs the tests may have started them with `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_request_is_more_urgent(number: signal.Signals) -> None:
    told: list[int] = []
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(KeyboardInterrupt) as left, stop_on_signals(told.append) as stop:
        assert (stop(), stop.now()) == (0, False)
        signal.raise_signal(number)
        assert (stop(), stop.now()) == (1, False)
        signal.raise_signal(number)
        assert (stop(), stop.now()) == (2, True)
        signal.raise_signal(number)
    assert type(left.value) is KeyboardInterrupt
    assert told == [1, 2, 3]
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_handlers_are_put_back_without_a_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert signal.getsignal(signal.SIGTERM) != before
    assert not stop()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()


@pytest.mark.parametrize(("requests", "asked"), [(1, 1), (2, 2), (2, 1)])
def test_what_leaves_nothing_behind_is_left_at_once(requests: int, asked: int) -> None:
    stop, reached = Stop(), []
    try:
        with stop.leaving(requests):
            for _ in range(asked):
                reached.append(stop())
                stop.ask()
            reached.append(stop())
    except Stopped:
        assert reached == list(range(asked))
    else:
        assert (requests, asked) == (2, 1)
    stop.requests = 0
    stop.ask()  # outside, it only counts


def test_what_was_asked_before_counts() -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped), stop.leaving(1):
        raise AssertionError


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("reentrant call")])
def test_a_terminal_that_is_gone_keeps_nobody_from_stopping(error: Exception) -> None:
    def notify(_: int) -> None:
        raise error

    with stop_on_signals(notify) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
