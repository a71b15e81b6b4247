"""Ctrl-C and SIGTERM as commands take them: the first one saves, the next leaves."""

from __future__ import annotations

import signal

import pytest

from archsearch.search.running.interrupts import interruptible


def test_the_first_signal_raises_after_its_notice_and_the_next_one_leaves() -> None:
    calls: list[str] = []
    previous = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible(
        signal.SIGINT, signal.SIGTERM, notice=lambda: calls.append("notice"), leave=lambda: calls.append("leave")
    ):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert calls == ["notice"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert calls == ["notice", "leave"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == previous


def test_a_signal_while_the_notice_is_given_leaves() -> None:
    calls: list[str] = []

    def notice() -> None:
        calls.append("notice")
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    with (
        pytest.raises(KeyboardInterrupt),
        interruptible(signal.SIGINT, notice=notice, leave=lambda: calls.append("leave")),
    ):
        signal.raise_signal(signal.SIGINT)
    assert calls == ["notice", "leave"]


def test_only_the_signals_that_are_named_are_taken() -> None:
    previous = signal.getsignal(signal.SIGINT)
    with interruptible(signal.SIGTERM):
        assert signal.getsignal(signal.SIGINT) is previous
